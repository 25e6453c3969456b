/**
 * Cassette file: the recorded calls of a file, and their reading and writing. The format is described in `Cassette.ts`.
 */
import * as AiError from "effect/ai/AiError"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EncodedPart } from "./parts.ts"

/** The version of the format that is written. */
export const version = 1

/** The largest file that is read, in bytes. */
const maxSize = 64 * 1_024 * 1_024

/** A request as it is recorded. */
export const RecordedRequest = Schema.Struct({
  method: Schema.Literals(["generateText", "generateObject", "streamText"]),
  models: Schema.Array(Schema.String),
  prompt: Schema.Array(Schema.Json),
  tools: Schema.Array(Schema.Json),
  toolChoice: Schema.Json,
  object: Schema.NullOr(Schema.Struct({ name: Schema.String, schema: Schema.Json })),
  validation: Schema.Literals(["strict", "deferred"])
})
export type RecordedRequest = typeof RecordedRequest.Type

/** A call as it is recorded. */
export const Recorded = Schema.Struct({
  /** The place of the call in the order in which calls began. */
  index: Schema.Int,
  request: RecordedRequest,
  answer: Schema.Struct({
    streamed: Schema.Boolean,
    parts: Schema.Array(EncodedPart),
    /** What the call failed with, after its parts. */
    error: Schema.NullOr(Schema.toCodecJson(AiError.AiError))
  })
})
export type Recorded = typeof Recorded.Type

const Header = Schema.Struct({ cassette: Schema.Literal("selvage"), version: Schema.Int })

/** A cassette cannot be read. */
export class CassetteUnreadable extends Schema.TaggedError<CassetteUnreadable>()("CassetteUnreadable", {
  path: Schema.String,
  reason: Schema.Literals([
    "missing",
    "not a cassette",
    "other version",
    "torn",
    "malformed",
    "too large",
    "unreadable"
  ]),
  /** The line, from 1, where it was found. */
  line: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    const where = `The cassette ${this.path}`
    switch (this.reason) {
      case "missing":
        return `${where} does not exist; record it with Cassette.layerRecord first.`
      case "not a cassette":
        return `${where} is not one: its first line is no header; name another file, or record it anew.`
      case "other version":
        return `${where} has a format that this version does not read (${this.detail}); record it anew, or use the version that wrote it.`
      case "torn":
        return `${where} ends in the middle of line ${this.line}: its recording was cut off; remove that line, or record it anew.`
      case "malformed":
        return `${where} holds no recorded call in line ${this.line}: ${this.detail}; correct the line, or record it anew.`
      case "too large":
        return `${where} is too large (${this.detail}); divide it by test.`
      case "unreadable":
        return `${where} cannot be read: ${this.detail}; check the path and its permissions.`
    }
  }
}

/** A cassette cannot be written. */
export class CassetteUnwritable extends Schema.TaggedError<CassetteUnwritable>()("CassetteUnwritable", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The cassette ${this.path} cannot be written: ${this.detail}; check the directory and its permissions.`
  }
}

const decodeHeader = Schema.decodeUnknownResult(Schema.fromJsonString(Header))
const decodeRecorded = Schema.decodeUnknownEffect(Schema.fromJsonString(Recorded))
const encodeRecorded = Schema.encodeEffect(Recorded)

/** The first line of a file. */
export const header = `${JSON.stringify({ cassette: "selvage", version })}\n`

/** The recorded calls of a text, in the order in which they began. */
export const parse: (path: string, text: string) => Effect.Effect<ReadonlyArray<Recorded>, CassetteUnreadable> =
  Effect.fnUntraced(function* (path, text) {
    const fail = (reason: CassetteUnreadable["reason"], line: number, detail: string) =>
      new CassetteUnreadable({ path, reason, line, detail })
    const [first = "", ...rest] = text.split("\n")
    const head = decodeHeader(first)
    if (Result.isFailure(head)) return yield* fail("not a cassette", 1, first.slice(0, 80))
    if (head.success.version !== version) return yield* fail("other version", 1, `version ${head.success.version}`)
    const last = rest.pop()
    if (last === undefined) return yield* fail("torn", 1, "")
    const out: Array<Recorded> = []
    for (const [index, line] of rest.entries()) {
      if (line.trim().length === 0) continue
      const own = yield* decodeRecorded(line).pipe(
        Effect.catchTag("SchemaError", (error) => Effect.fail(fail("malformed", index + 2, error.message)))
      )
      out.push(own)
    }
    // A line counts when its end was written.
    if (last.length > 0) return yield* fail("torn", rest.length + 2, "no end of line")
    return out.sort((left, right) => left.index - right.index)
  })

/** Reads a file. */
export const read = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const fail = (reason: CassetteUnreadable["reason"], detail: string) =>
    new CassetteUnreadable({ path, reason, line: 1, detail })
  const unreadable = Effect.mapError((error: { readonly message: string }) => fail("unreadable", error.message))
  if (!(yield* fs.exists(path).pipe(unreadable))) return yield* fail("missing", "")
  const { size } = yield* fs.stat(path).pipe(unreadable)
  if (Number(size) > maxSize) return yield* fail("too large", `${Number(size)} bytes, of ${maxSize}`)
  return yield* parse(path, yield* fs.readFileString(path).pipe(unreadable))
})

const unwritable = (path: string) =>
  Effect.mapError((error: { readonly message: string }) => new CassetteUnwritable({ path, detail: error.message }))

/** Begins a file anew. */
export const begin = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const slash = path.lastIndexOf("/")
  yield* Effect.gen(function* () {
    if (slash > 0) yield* fs.makeDirectory(path.slice(0, slash), { recursive: true })
    yield* fs.writeFileString(path, header)
  }).pipe(unwritable(path))
})

/** Adds a recorded call to a file, in one write. */
export const append = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, path: string, recorded: Recorded) {
  const encoded = yield* Effect.mapError(
    encodeRecorded(recorded),
    (error) => new CassetteUnwritable({ path, detail: error.message })
  )
  yield* fs.writeFileString(path, `${JSON.stringify(encoded)}\n`, { flag: "a" }).pipe(unwritable(path))
})
