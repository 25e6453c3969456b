/**
 * One request through the SDK, as an Effect or as a stream. Interruption aborts the HTTP request; nothing is retried; what
 * comes back is bounded, and a stream that ends before its last event is an error.
 */
import type { AiError } from "effect/ai/AiError"
import * as AiErrors from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Service } from "../OpenAiClient.ts"
import * as Errors from "./errors.ts"

/** Most bytes of one response body, images in base64 included. */
export const maxResponseBytes = 64 * 1024 * 1024

/** Most characters one stream may carry in its deltas. */
export const maxStreamCharacters = 16 * 1024 * 1024

/** A promise as an Effect whose failure is an `AiError`. */
const attempt = <A>(
  context: Errors.RequestContext,
  run: (signal: AbortSignal) => PromiseLike<A>
): Effect.Effect<A, AiError> =>
  Effect.tryPromise({ try: run, catch: (thrown) => ({ thrown }) }).pipe(
    Effect.catch(({ thrown }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(Errors.fromThrown(thrown, context, now)))
    )
  )

/** Fails before anything is sent when there is no key to send. */
export const requireKey = (client: Service, context: Errors.RequestContext): Effect.Effect<void, AiError> =>
  client.hasKey
    ? Effect.void
    : Effect.fail(
        Errors.make(
          context,
          new AiErrors.AuthenticationError({
            kind: "MissingKey",
            description: "OpenAiClient has an empty API key; set OPENAI_API_KEY or pass apiKey"
          })
        )
      )

const readText = async (response: Response, context: Errors.RequestContext): Promise<string> => {
  if (response.body === null) return ""
  const decoder = new TextDecoder()
  const reader = response.body.getReader()
  let bytes = 0
  let text = ""
  while (true) {
    const chunk = await reader.read()
    if (chunk.done) return text + decoder.decode()
    bytes += chunk.value.byteLength
    if (bytes > maxResponseBytes) {
      await reader.cancel()
      throw Errors.invalidResponse(context, `The body is larger than ${maxResponseBytes} bytes`)
    }
    text += decoder.decode(chunk.value, { stream: true })
  }
}

/** A decoded body with the HTTP response it came in. */
export interface Answer<A> {
  readonly body: A
  readonly http: { readonly status: number; readonly headers: Record<string, string> }
}

/** Sends one request and decodes its whole JSON body. */
export const request = Effect.fnUntraced(function* <A>(
  client: Service,
  context: Errors.RequestContext,
  schema: Schema.Codec<A, unknown>,
  send: (signal: AbortSignal) => Promise<Response>
) {
  yield* requireKey(client, context)
  const { response, text } = yield* attempt(context, async (signal) => {
    const response = await send(signal)
    return { response, text: await readText(response, context) }
  })
  const body = yield* Schema.decodeEffect(Schema.fromJsonString(schema))(text).pipe(
    Effect.mapError((error) =>
      Errors.invalidResponse(context, `The body is not the documented JSON: ${error.message.slice(0, 2000)}`)
    )
  )
  const answer: Answer<A> = {
    body,
    http: { status: response.status, headers: Errors.pickHeaders(response.headers) }
  }
  return answer
})

/** Turns the events of one stream into parts. It is stateful: make one per request. */
export interface Machine<Event, Part> {
  /** The parts one event gives, in order. */
  readonly step: (event: Event) => Effect.Effect<ReadonlyArray<Part>, AiError>
  /** Whether the last event the protocol promises has been seen; reading stops there. */
  readonly isDone: () => boolean
  /** The parts still owed when the connection ends, or a failure when it ended too early. */
  readonly end: Effect.Effect<ReadonlyArray<Part>, AiError>
}

/** Opens a stream of server-sent events and runs it through a machine. Closing the stream aborts the request. */
export const events = <Event, Part>(
  client: Service,
  context: Errors.RequestContext,
  schema: Schema.Codec<Event, unknown>,
  machine: Machine<Event, Part>,
  open: (signal: AbortSignal) => PromiseLike<AsyncIterable<unknown>>
): Stream.Stream<Part, AiError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      yield* requireKey(client, context)
      const controller = yield* Effect.acquireRelease(
        Effect.sync(() => new AbortController()),
        (controller) => Effect.sync(() => controller.abort())
      )
      const iterable = yield* attempt(context, () => open(controller.signal))
      const iterator = iterable[Symbol.asyncIterator]()
      const next = attempt(context, () => iterator.next())
      const decode = Schema.decodeUnknownEffect(schema)
      let ended = false
      const pull = Effect.gen(function* () {
        while (!ended) {
          if (machine.isDone()) break
          const result = yield* next
          if (result.done === true) break
          const event = yield* decode(result.value).pipe(
            Effect.mapError((error) =>
              Errors.invalidResponse(
                context,
                `A stream event is not the documented JSON: ${error.message.slice(0, 2000)}`
              )
            )
          )
          const parts = yield* machine.step(event)
          if (isNonEmpty(parts)) return parts
        }
        if (!ended) {
          ended = true
          const parts = yield* machine.end
          if (isNonEmpty(parts)) return parts
        }
        return yield* Cause.done()
      })
      return Stream.fromPull(Effect.succeed(pull))
    })
  )

const isNonEmpty = <A>(parts: ReadonlyArray<A>): parts is readonly [A, ...Array<A>] => parts.length > 0
