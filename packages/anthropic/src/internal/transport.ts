/**
 * One request through the SDK, whole or as events. Leaving it aborts the HTTP request; a body is bounded in size, and its silence by the
 * client's timeout.
 */
import { APIError } from "@anthropic-ai/sdk"
import * as Fetch from "@selvage/provider/Fetch"
import type * as AiError from "effect/ai/AiError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { Service as Client } from "../AnthropicClient.ts"
import { attempt, fromThrown, invalidResponse, type RequestContext, transportError } from "./errors.ts"

type Reason = AiError.AiErrorReason

/** Most bytes of a whole body, and most characters of one event of a stream. */
const maxSize = 64 * 1024 * 1024

/** What is sent, and where errors say it went. */
export interface Sending {
  readonly client: Client
  readonly path: string
  readonly body: object
  readonly headers: Record<string, string>
  readonly context: RequestContext
}

/** A response whose body is read piece by piece. */
interface Reading {
  readonly response: Response
  /** The next piece, `undefined` at the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, Reason>
}

/** Sends a request and aborts it when the scope closes, unless its body was read to the end, or when its body is silent. */
const send = Effect.fnUntraced(function* ({
  body,
  client,
  context,
  headers,
  path
}: Sending): Effect.fn.Return<Reading, Reason, Scope.Scope> {
  const controller = new AbortController()
  const clock = yield* Clock.Clock
  const limit = client.sdk.timeout
  let last = Infinity
  let silent = false
  let finished = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (finished ? undefined : controller.abort())))
  const { signal } = controller
  const response = yield* attempt(() => client.sdk.post(path, { body, headers, signal }).asResponse(), context)
  last = clock.currentTimeMillisUnsafe()
  // Until the headers it is the SDK that watches.
  const look: Effect.Effect<void> = Effect.suspend(() => {
    const rest = last + limit - clock.currentTimeMillisUnsafe()
    if (rest > 0) return Effect.flatMap(Effect.sleep(rest), () => look)
    silent = true
    controller.abort()
    return Effect.void
  })
  yield* Effect.forkScoped(look, { startImmediately: true })
  const pieces = Fetch.pieces(response)
  const next = Effect.mapError(
    attempt(async () => {
      const piece = await pieces.next()
      last = clock.currentTimeMillisUnsafe()
      finished = piece === undefined
      return piece
    }, context),
    (reason) =>
      silent
        ? transportError(
            `the server was silent for ${Duration.format(Duration.millis(limit))} (the client's timeout)`,
            context
          )
        : reason
  )
  return { response, next }
})

/** Sends a request and reads its body as JSON. */
export const whole = (
  sending: Sending
): Effect.Effect<{ readonly data: unknown; readonly response: Response }, Reason> =>
  Effect.gen(function* () {
    const { next, response } = yield* send(sending)
    const decoder = new TextDecoder()
    let text = ""
    let size = 0
    while (true) {
      const piece = yield* next
      if (piece === undefined) break
      size += piece.byteLength
      if (size > maxSize)
        return yield* Effect.fail(invalidResponse(`the body is larger than ${maxSize} bytes`, sending.context))
      text += decoder.decode(piece, { stream: true })
    }
    text += decoder.decode()
    const data: unknown = yield* Effect.try({ try: () => JSON.parse(text), catch: malformed(sending.context) })
    return { data, response }
  }).pipe(Effect.scoped)

const malformed = (context: RequestContext) => (thrown: unknown) =>
  invalidResponse(`the server's answer is not valid JSON: ${thrown instanceof Error ? thrown.message : ""}`, context)

/** A stream of events under way. */
export interface Events {
  readonly response: Response
  /** The events that arrived together, some of which may be none of ours; `undefined` at the end. */
  readonly next: Effect.Effect<ReadonlyArray<Sse.Event> | undefined, Reason>
}

/** Opens a stream of server-sent events. Events that arrive together are given together: a fiber that waits once for many is most of the speed. */
export const events = Effect.fnUntraced(function* (sending: Sending): Effect.fn.Return<Events, Reason, Scope.Scope> {
  const { context } = sending
  const { next, response } = yield* send(sending)
  const decoder = new TextDecoder()
  let arrived: Array<Sse.Event> = []
  const parser = Sse.makeParser((event) => void (event._tag === "Event" && arrived.push(event)), {
    maxEventSize: maxSize
  })
  const type = response.headers.get("content-type") ?? ""
  let isStream = type.includes("event-stream")
  return {
    response,
    next: Effect.flatMap(next, (piece) => {
      if (piece === undefined) {
        return isStream
          ? Effect.succeed(undefined)
          : Effect.fail(invalidResponse(`the server answered with '${type}', not with an event stream`, context))
      }
      if (parser.feed(decoder.decode(piece, { stream: true })) !== undefined) {
        return Effect.fail(invalidResponse(`an event is larger than ${maxSize} characters`, context))
      }
      const events = arrived
      arrived = []
      isStream ||= events.length > 0
      return Effect.succeed(events)
    })
  }
})

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The JSON of an event, `undefined` for one that says nothing; fails with the error that an event reports. */
export const dataOf = (
  event: Sse.Event,
  { headers }: Response,
  context: RequestContext
): Effect.Effect<unknown, Reason> => {
  if (event.event === "ping" || event.data === "") return Effect.undefined
  if (event.event === "error") return reported(parse(event.data), headers, context)
  try {
    const data: unknown = JSON.parse(event.data)
    return Predicate.isObject(data) && data["type"] === "error"
      ? reported(data, headers, context)
      : Effect.succeed(data)
  } catch (thrown) {
    return Effect.fail(malformed(context)(thrown))
  }
}

// In the middle of a stream there is no status any more, only what the body says.
const reported = (body: unknown, headers: Headers, context: RequestContext): Effect.Effect<never, Reason> =>
  fromThrown(new APIError(undefined, Object(body), undefined, headers), context)
