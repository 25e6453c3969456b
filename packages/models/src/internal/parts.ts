/**
 * Parts: answers as data that can be kept, checked when it is read again, and given as a whole or as a stream.
 */
import * as Response from "effect/ai/Response"
import * as Base64 from "effect/encoding/Base64"
import * as Schema from "effect/Schema"
import type { Answer, Part } from "../Middleware.ts"
import { afterRestart } from "./restart.ts"

/** The encoded form of any part; arguments and results of tools are any JSON. */
export const EncodedPart: Schema.Codec<Response.AllPartsEncoded, Response.AllPartsEncoded> = Schema.toEncoded(
  Response.AllParts()
)

/** Text of JSON for parts, whose files may be bytes. */
export const toJsonText = (value: unknown): string =>
  JSON.stringify(value, (_, own: unknown) =>
    own instanceof Uint8Array ? { _tag: "Uint8Array", base64: Base64.encode(own) } : own
  )

const pieces = (text: string): ReadonlyArray<string> => text.match(/\s*(?:\S+\s*){1,6}/g) ?? [text]

const block = (
  kind: "text" | "reasoning",
  id: string,
  part: Response.TextPartEncoded | Response.ReasoningPartEncoded
) =>
  [
    { type: `${kind}-start`, id },
    ...pieces(part.text).map((delta) => ({ type: `${kind}-delta`, id, delta })),
    // What a provider says of a block (a signature) stands where it says so itself: at the block's end.
    { type: `${kind}-end`, id, ...(part.metadata === undefined ? {} : { metadata: part.metadata }) }
  ] as ReadonlyArray<Part>

/** A whole answer as the parts of a stream. */
export const toStream = (answer: ReadonlyArray<Response.AllPartsEncoded>): ReadonlyArray<Part> =>
  answer.flatMap((part, index): ReadonlyArray<Part> =>
    part.type === "text" || part.type === "reasoning" ? block(part.type, `replay_${index}`, part) : [part as Part]
  )

type Metadata = Response.ProviderMetadata | undefined

interface Block {
  readonly index: number
  readonly kind: "text" | "reasoning"
  text: string
  metadata: Metadata
}

const merged = (left: Metadata, right: Metadata): Metadata => (right === undefined ? left : { ...left, ...right })

/**
 * The parts of a stream that count as a whole answer; `undefined` if a block was not ended or the stream told of an error.
 */
export const toWhole = (parts: ReadonlyArray<Response.AllPartsEncoded>): Answer | undefined => {
  const out: Array<Answer[number] | undefined> = []
  const open = new Map<string, Block>()
  for (const part of afterRestart(parts)) {
    switch (part.type) {
      case "text-start":
      case "reasoning-start": {
        const kind = part.type === "text-start" ? "text" : "reasoning"
        open.set(`${kind} ${part.id}`, { index: out.length, kind, text: "", metadata: part.metadata })
        out.push(undefined)
        break
      }
      case "text-delta":
      case "reasoning-delta": {
        const own = open.get(`${part.type === "text-delta" ? "text" : "reasoning"} ${part.id}`)
        if (own === undefined) return undefined
        own.text += part.delta
        own.metadata = merged(own.metadata, part.metadata)
        break
      }
      case "text-end":
      case "reasoning-end": {
        const key = `${part.type === "text-end" ? "text" : "reasoning"} ${part.id}`
        const own = open.get(key)
        if (own === undefined) return undefined
        const metadata = merged(own.metadata, part.metadata)
        // Providers narrow what their metadata may be, each for each kind of part; here it is kept as it came.
        out[own.index] = {
          type: own.kind,
          text: own.text,
          ...(metadata === undefined ? {} : { metadata })
        } as Answer[number]
        open.delete(key)
        break
      }
      case "error":
        return undefined
      case "tool-params-start":
      case "tool-params-delta":
      case "tool-params-end":
        break
      default:
        out.push(part)
    }
  }
  return open.size > 0 ? undefined : out.filter((part) => part !== undefined)
}
