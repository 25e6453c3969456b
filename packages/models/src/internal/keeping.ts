/**
 * Keeping: what of an answer is kept, and how what was kept is given again.
 */
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Answer, Call, Part } from "../Middleware.ts"
import type { Kept } from "./answerStore.ts"
import { toJsonText, toStream, toWhole } from "./parts.ts"
import { afterRestart } from "./restart.ts"

const wholeReasons: ReadonlyArray<string> = ["stop", "tool-calls"]

/** What is kept of an answer; `undefined` if it is not to be kept. */
export const keep = (
  parts: ReadonlyArray<Response.AllPartsEncoded>,
  streamed: boolean,
  maxBytes: number
): ReadonlyArray<Response.AllPartsEncoded> | undefined => {
  const counted = streamed ? afterRestart(parts) : parts
  if (!counted.some((part) => part.type === "finish" && wholeReasons.includes(part.reason))) return undefined
  if (counted.some((part) => part.type === "error" || part.type === "tool-result")) return undefined
  if (streamed && toWhole(counted) === undefined) return undefined
  const kept = counted.map((part) => {
    if (part.type !== "finish") return part
    const { response: _, ...rest } = part
    return rest
  })
  return toJsonText(kept).length > maxBytes ? undefined : kept
}

const nothingUsed: Response.FinishPartEncoded["usage"] = {
  inputTokens: { uncached: 0, total: 0, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 0, text: 0, reasoning: 0 }
}

/** A part as it is replayed: nothing was used, and no response of a provider stands behind it. */
const replayed = <Own extends Response.AllPartsEncoded>(part: Own): Own => {
  if (part.type === "response-metadata") {
    const { id: _, ...rest } = part
    return rest as Own
  }
  if (part.type !== "finish") return part
  const usage = JSON.parse(JSON.stringify(part.usage)) as Schema.Json
  return { ...part, usage: nothingUsed, metadata: { ...part.metadata, selvage: { cache: "hit", usage } } }
}

/** A kept answer as a whole. */
export const wholeOf = (kept: Kept): Answer =>
  ((kept.streamed ? toWhole(kept.parts) : (kept.parts as Answer)) ?? []).map(replayed)

/** A kept answer as a stream. */
export const streamOf = (kept: Kept): Stream.Stream<Part> =>
  Stream.fromIterable(
    (kept.streamed ? (kept.parts as ReadonlyArray<Part>) : toStream(kept.parts)).map((part) => replayed(part))
  )

/** Whether a kept answer still decodes with the schema that is asked for now. */
const decodes = (kept: Kept, call: Call): Effect.Effect<boolean> => {
  const schema = call.object?.schema
  if (schema === undefined) return Effect.succeed(true)
  const text = wholeOf(kept).flatMap((part) => (part.type === "text" ? [part.text] : []))
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(schema)))(text.join(""))
  // The decoding services of a schema are those of the call that brought it.
  return Effect.isSuccess(decode as Effect.Effect<unknown, Schema.SchemaError>)
}

/** A kept answer, if it may be given to a call. */
export const fitting = (kept: Kept | undefined, call: Call): Effect.Effect<Kept | undefined> =>
  kept === undefined ? Effect.undefined : Effect.map(decodes(kept, call), (fit) => (fit ? kept : undefined))
