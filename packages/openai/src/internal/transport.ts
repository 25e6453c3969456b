/**
 * One request through the SDK, as an Effect or as a stream. Interruption aborts the HTTP request; nothing is retried; what
 * comes back is bounded in size and in silence, and a stream that ends before its last event is an error.
 */
import * as Fetch from "@selvage/provider/Fetch"
import * as Watch from "@selvage/provider/Watch"
import type { AiError } from "effect/ai/AiError"
import * as AiErrors from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import type * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Service } from "../OpenAiClient.ts"
import * as Errors from "./errors.ts"

/** Most bytes of one response body, images in base64 included. */
export const maxResponseBytes = 64 * 1024 * 1024

/** Most characters one stream may carry in its deltas. */
export const maxStreamCharacters = 16 * 1024 * 1024

/** How long a connection may take to end after the last event of its stream: then it can be used again. */
const linger = Duration.seconds(1)

const lingering = (watch: Watch.Watch, rest: Effect.Effect<unknown, unknown>): Effect.Effect<void> =>
  Effect.timeoutOption(rest, linger).pipe(Effect.ignore, Effect.andThen(Effect.sync(() => watch.abort())))

const silence = (client: Service, context: Errors.RequestContext): AiError =>
  Errors.network(
    context,
    `The server was silent for ${Duration.format(client.timeout)}; the request was aborted (OpenAiClient's timeout)`
  )

/** A promise as an Effect whose failure is an `AiError`. */
const attempt = <A>(
  client: Service,
  context: Errors.RequestContext,
  watch: Watch.Watch,
  run: () => PromiseLike<A>
): Effect.Effect<A, AiError> =>
  Effect.tryPromise({ try: run, catch: (thrown) => ({ thrown }) }).pipe(
    Effect.catch(({ thrown }) =>
      watch.isSilent
        ? Effect.fail(silence(client, context))
        : Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(Errors.fromThrown(thrown, context, now)))
    )
  )

/** Nothing is sent when there is no key to send. */
const noKey = (context: Errors.RequestContext): Effect.Effect<never, AiError> =>
  Effect.fail(
    Errors.make(
      context,
      new AiErrors.AuthenticationError({
        kind: "MissingKey",
        description: "OpenAiClient has no API key; set OPENAI_API_KEY, pass apiKey, or set auth to none"
      })
    )
  )

/** What is kept of an HTTP response. */
export interface Http {
  readonly status: number
  readonly headers: Record<string, string>
}

const httpOf = (response: Response): Http => ({
  status: response.status,
  headers: Errors.pickHeaders(response.headers)
})

/** A decoded body with the HTTP response it came in. */
export interface Answer<A> {
  readonly body: A
  readonly http: Http
}

/** Decodes JSON text; `failed` makes the error from what is wrong and, where it is JSON, from the data. */
const decodeJson = <A>(
  text: string,
  decode: (data: unknown) => Exit.Exit<A, Schema.SchemaError>,
  failed: (why: string, data: unknown) => AiError
): Effect.Effect<A, AiError> => {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (thrown) {
    return Effect.fail(failed(thrown instanceof Error ? thrown.message : "malformed", undefined))
  }
  return Effect.mapErrorEager(decode(data), (error) => failed(error.message.slice(0, 2000), data))
}

/** Sends one request and decodes its whole JSON body. */
export const request = <A>(
  client: Service,
  context: Errors.RequestContext,
  schema: Schema.Codec<A, unknown>,
  send: (fetchOptions: Watch.Options) => Promise<Response>
): Effect.Effect<Answer<A>, AiError> => {
  const exchange = Watch.during(Duration.toMillis(client.timeout), (watch) =>
    attempt(client, context, watch, async () => {
      const response = await send(watch.options)
      watch.heard()
      const text = await Watch.text(response, watch, maxResponseBytes)
      if (text === undefined) throw Errors.invalidResponse(context, `The body is larger than ${maxResponseBytes} bytes`)
      return { response, text }
    })
  )
  return Effect.flatMap(client.hasKey ? exchange : noKey(context), ({ response, text }) => {
    const body = decodeJson(text, Schema.decodeUnknownExit(schema), (why, data) => {
      // Gateways report errors of what is behind them with status 200.
      const reported = Errors.inBody(data)
      return reported === undefined
        ? Errors.invalidResponse(context, `The body is not the documented JSON: ${why}`)
        : Errors.fromBody(context, reported, "The server reported an error with status 200")
    })
    return Effect.mapEager(body, (body) => ({ body, http: httpOf(response) }))
  })
}

/** Turns the events of one stream into parts. It is stateful: make one per request. */
export interface Machine<Event, Part> {
  /** The parts one event gives, in order. */
  readonly step: (event: Event) => Effect.Effect<ReadonlyArray<Part>, AiError>
  /** Whether the last event the protocol promises has been seen; reading stops there. */
  readonly isDone: () => boolean
  /** The parts still owed when the connection ends, or a failure when it ended too early; `marked` where `[DONE]` said that this is all. */
  readonly end: (marked: boolean) => Effect.Effect<ReadonlyArray<Part>, AiError>
}

/** The events of a body as they arrive, several at once; `undefined` at its end. */
const arrivals = (
  client: Service,
  context: Errors.RequestContext,
  watch: Watch.Watch,
  response: Response
): Effect.Effect<ReadonlyArray<Sse.Event> | undefined, AiError> => {
  const body = Fetch.pieces(response)
  const text = new TextDecoder()
  let arrived: Array<Sse.Event> = []
  const parser = Sse.makeParser((event) => void (event._tag === "Event" && arrived.push(event)), {
    maxEventSize: maxResponseBytes
  })
  return attempt(client, context, watch, async () => {
    const piece = await body.next()
    watch.heard()
    if (piece === undefined) {
      watch.finished()
      return undefined
    }
    if (parser.feed(text.decode(piece, { stream: true })) !== undefined) {
      throw Errors.invalidResponse(context, `A stream event is larger than ${maxResponseBytes} characters`)
    }
    const events = arrived
    arrived = []
    return events
  })
}

/** Reads the JSON of events. */
const decoder = <Event>(context: Errors.RequestContext, schema: Schema.Codec<Event, unknown>) => {
  const decode = Schema.decodeUnknownExit(schema)
  return (event: Sse.Event): Effect.Effect<Event, AiError> => {
    let data: unknown
    try {
      data = JSON.parse(event.data)
    } catch {
      return Effect.fail(Errors.invalidResponse(context, "A stream event is malformed JSON"))
    }
    const reported = Errors.inEvent(event.event, data)
    if (reported !== undefined) {
      return Effect.fail(Errors.fromBody(context, reported, "the stream reported an error"))
    }
    return Effect.mapErrorEager(decode(data), (error) =>
      Errors.invalidResponse(context, `A stream event is not the documented JSON: ${error.message.slice(0, 2000)}`)
    )
  }
}

/**
 * Opens a stream of server-sent events and runs it through a machine. Closing the stream aborts the request. Events that
 * arrive together are handled together: a fiber that waits once for many is most of the speed.
 */
export const events = <Event, Part>(
  client: Service,
  context: Errors.RequestContext,
  schema: Schema.Codec<Event, unknown>,
  makeMachine: (http: Http) => Machine<Event, Part>,
  send: (fetchOptions: Watch.Options) => Promise<Response>
): Stream.Stream<Part, AiError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      if (!client.hasKey) return yield* noKey(context)
      // All that matters was heard, and this reads on to the end.
      let rest: Effect.Effect<unknown, unknown> | undefined
      const watch = yield* Watch.scoped(Duration.toMillis(client.timeout), (watch) =>
        rest === undefined || watch.isFinished
          ? Effect.sync(() => watch.abort())
          : Effect.asVoid(Effect.forkDetach(lingering(watch, rest)))
      )
      const response = yield* attempt(client, context, watch, () => send(watch.options))
      watch.heard()
      const machine = makeMachine(httpOf(response))
      const next = arrivals(client, context, watch, response)
      const decode = decoder(context, schema)
      const type = response.headers.get("content-type") ?? ""
      let isStream = type.includes("event-stream")
      let ended = false
      let failure: AiError | undefined

      const finish = (marked: boolean) =>
        Effect.suspend((): Effect.Effect<ReadonlyArray<Part>, AiError> => {
          ended = true
          if (isStream) rest = Effect.repeat(next, { while: (arrived) => arrived !== undefined })
          return isStream
            ? machine.end(marked)
            : Effect.fail(
                Errors.invalidResponse(context, `The server answered with '${type}', not with an event stream`)
              )
        })

      const handle = Effect.fnUntraced(function* (arrived: ReadonlyArray<Sse.Event>, parts: Array<Part>) {
        for (const event of arrived) {
          isStream = true
          const data = event.data.trim()
          if (data === "" || event.event === "ping") continue
          const last = data === "[DONE]"
          if (!last) parts.push(...(yield* machine.step(yield* decode(event))))
          if (last || machine.isDone()) {
            parts.push(...(yield* finish(last)))
            return
          }
        }
      })

      const pull = Effect.gen(function* () {
        while (failure === undefined && !ended) {
          const parts: Array<Part> = []
          const arrived = yield* next
          if (arrived === undefined) parts.push(...(yield* finish(false)))
          // What came before a failure in the same arrival is still given.
          else yield* Effect.catch(handle(arrived, parts), (error) => Effect.sync(() => void (failure = error)))
          if (isNonEmpty(parts)) return parts
        }
        return yield* failure ?? Cause.done()
      })
      return Stream.fromPull(Effect.succeed(pull))
    })
  )

const isNonEmpty = <A>(parts: ReadonlyArray<A>): parts is readonly [A, ...Array<A>] => parts.length > 0
