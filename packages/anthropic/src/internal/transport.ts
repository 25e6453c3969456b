/**
 * One request through the SDK, whole or as events. Leaving it aborts the HTTP request; a body is bounded in size, and its silence by the
 * client's timeout.
 */
import { APIError } from "@anthropic-ai/sdk"
import * as Fetch from "@selvage/provider/Fetch"
import * as Watch from "@selvage/provider/Watch"
import type * as AiError from "effect/ai/AiError"
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

const post = ({ body, client, headers, path }: Sending, { options }: Watch.Watch): Promise<Response> =>
  client.sdk.post(path, { body, headers, fetchOptions: options }).asResponse()

/** A step of a request that is watched. */
const step = <A>(
  { client, context }: Sending,
  watch: Watch.Watch,
  run: () => PromiseLike<A>
): Effect.Effect<A, Reason> =>
  Effect.mapError(attempt(run, context), (reason) =>
    watch.isSilent
      ? transportError(
          `the server was silent for ${Duration.format(Duration.millis(client.sdk.timeout))} (the client's timeout)`,
          context
        )
      : reason
  )

/** Sends a request and reads its body as JSON. */
export const whole = (
  sending: Sending
): Effect.Effect<{ readonly data: unknown; readonly response: Response }, Reason> => {
  const exchange = Watch.during(sending.client.sdk.timeout, (watch) =>
    step(sending, watch, async () => {
      const response = await post(sending, watch)
      watch.heard()
      return { response, text: await Watch.text(response, watch, maxSize) }
    })
  )
  return Effect.flatMap(exchange, ({ response, text }) => {
    if (text === undefined)
      return Effect.fail(invalidResponse(`the body is larger than ${maxSize} bytes`, sending.context))
    try {
      const data: unknown = JSON.parse(text)
      return isError(data) ? reported(data, response.headers, sending.context) : Effect.succeed({ data, response })
    } catch (thrown) {
      return Effect.fail(malformed(sending.context)(thrown))
    }
  })
}

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
  const { client, context } = sending
  const watch = yield* Watch.scoped(client.sdk.timeout)
  const response = yield* step(sending, watch, () => post(sending, watch))
  watch.heard()
  const pieces = Fetch.pieces(response)
  const next = step(sending, watch, async () => {
    const piece = await pieces.next()
    watch.heard()
    if (piece === undefined) watch.finished()
    return piece
  })
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

/** Whether data is the report of a failure, as Anthropic's, or as what gateways that speak for others make of one. */
const isError = (data: unknown): boolean =>
  Predicate.isObject(data) && (data["type"] === "error" || (data["type"] !== "message" && Boolean(data["error"])))

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
  const text = event.data.trim()
  // Gateways end as OpenAI does.
  if (event.event === "ping" || text === "" || text === "[DONE]") return Effect.undefined
  if (event.event === "error") return reported(parse(event.data), headers, context)
  try {
    const data: unknown = JSON.parse(event.data)
    if (isError(data)) return reported(data, headers, context)
    // Some say what an event is only in its name.
    const isNamed = Predicate.isObject(data) && data["type"] === undefined && event.event !== "message"
    return Effect.succeed(isNamed ? { ...data, type: event.event } : data)
  } catch (thrown) {
    return Effect.fail(malformed(context)(thrown))
  }
}

// In the middle of a stream there is no status any more, only what the body says.
const reported = (body: unknown, headers: Headers, context: RequestContext): Effect.Effect<never, Reason> =>
  fromThrown(new APIError(undefined, Object(body), undefined, headers), context)
