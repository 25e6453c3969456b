/**
 * Cassettes: calls of a model recorded in a file and replayed without it.
 *
 * ```ts
 * import * as Cassette from "@selvage/models/Cassette"
 * import * as Offline from "@selvage/models/Offline"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const program = LanguageModel.generateText({ prompt: "What is a selvage?" })
 * const path = "test/cassettes/selvage.jsonl"
 *
 * // once, with the real model
 * export const record = program.pipe(Effect.provide(Cassette.layerRecord({ path }).pipe(Layer.provide(Offline.layer))))
 * // from then on, without
 * export const replay = program.pipe(Effect.provide(Cassette.layerReplay({ path })))
 * ```
 *
 * A cassette stands below the tools: what is recorded are the turns of the model, and a replay runs the tools again. Whole
 * answers, objects, streams (also one that was cut) and failures are recorded; an interrupted call is not, and no stream that its reader left.
 *
 * **Matching.** A request is answered by the first recorded one that {@link Matching} holds for the same and that was not
 * replayed yet. {@link exact} compares all that shapes an answer; {@link lenient} leaves out the model, ids, provider
 * options, white space and what tools and schemas look like inside; {@link without} leaves out texts that change, such as
 * dates. A miss is a {@link CassetteMiss} that shows the nearest recorded request and how the two differ.
 *
 * **Secrets.** Before anything is written, and before requests are compared, texts that look like keys, tokens, private keys
 * or passwords in addresses, the values of fields that are named like secrets (`password`, `apiToken`, `x-api-key`; also in
 * texts that are JSON, in addresses and in the pieces of a stream), and the `secrets` and `patterns` that you name become
 * `[secret]`. A block of a stream that held one is recorded in one piece. HTTP details of answers and errors are not recorded.
 *
 * **Format**, version 1: lines of JSON. The first is `{"cassette":"selvage","version":1}`; each further one is a call:
 * `{"index":0,"request":{"method","models","prompt","tools","toolChoice","object","validation"},
 * "answer":{"streamed":false,"parts":[…],"error":null}}`, where `prompt` holds encoded `Prompt` messages and `parts` encoded
 * `Response` parts of `effect/ai`. A line is written when its call ends; `index` is the order in which calls began.
 *
 * **Gotchas**
 *
 * - Redaction knows forms and names, not meaning: look at a cassette before you publish it.
 * - Replies come at once; the pace of a recorded stream is not kept.
 * - Two processes must not record into one file at once. Files over 64 MiB are not read.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { LanguageModel as LanguageModelService } from "effect/ai/LanguageModel"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { canonicalText } from "./internal/canonical.ts"
import * as File from "./internal/cassetteFile.ts"
import * as Definitions from "./internal/definitions.ts"
import { nearest } from "./internal/nearest.ts"
import { toJsonText, toStream, toWhole } from "./internal/parts.ts"
import * as Redaction from "./internal/redact.ts"
import * as Middleware from "./Middleware.ts"
import * as Refusal from "./Refusal.ts"

// ---- Model

export { CassetteUnreadable, CassetteUnwritable } from "./internal/cassetteFile.ts"

/** A request as a cassette holds it. */
export type RecordedRequest = File.RecordedRequest

/** No recorded request is like the one that was made. */
export class CassetteMiss extends Schema.TaggedError<CassetteMiss>()("CassetteMiss", {
  path: Schema.String,
  matching: Schema.String,
  /** How many calls are recorded, and how many of them are like this one but were replayed already. */
  recorded: Schema.Int,
  used: Schema.Int,
  /** The difference between the nearest recorded request and this one; empty where none is recorded. */
  difference: Schema.String
}) {
  override get message(): string {
    const what = `The cassette ${this.path} holds ${this.recorded} calls, and none that answers this request (${this.matching} matching)`
    if (this.used > 0)
      return `${what}: all ${this.used} that are like it were replayed already. Record the call as often as it is made.`
    if (this.difference === "") return `${what}. Record it.`
    return `${what}. Record it, match less strictly, or correct the request. The nearest recorded request differs so:\n${this.difference}`
  }
}

/** When a request counts as the same as a recorded one: if the forms of both are equal. */
export interface Matching {
  readonly name: string
  readonly form: (request: RecordedRequest) => unknown
}

/** Options of all cassettes. */
export interface Options {
  readonly path: string
  /** Default: {@link exact}. */
  readonly matching?: Matching | undefined
  /** Texts that must not be in the file. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
  /** Forms of texts that must not be in the file, besides those that are known. */
  readonly patterns?: ReadonlyArray<RegExp> | undefined
}

// ---- Matching

/** All that shapes an answer; the model only where there is one, so not in {@link layerReplay}. */
export const exact: Matching = { name: "exact", form: (request) => request }

const left = new Set(["id", "toolCallId", "approvalId", "options", "metadata"])

const loose = (value: unknown, isData: boolean): unknown => {
  if (typeof value === "string") return value.replace(/\s+/g, " ").trim()
  if (Array.isArray(value)) return value.map((entry) => loose(entry, isData))
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, own]) =>
      // What a tool was given and what it gave are data of the application, where an id means something.
      !isData && left.has(name) ? [] : [[name, loose(own, isData || name === "params" || name === "result")] as const]
    )
  )
}

const nameOf = (tool: unknown): string => (Predicate.hasProperty(tool, "name") ? String(tool.name) : "")

/** What is said, which tools there are and what is asked for, without ids, options and white space. */
export const lenient: Matching = {
  name: "lenient",
  form: (request) => ({
    object: request.object?.name ?? null,
    prompt: loose(request.prompt, false),
    tools: request.tools.map(nameOf).sort()
  })
}

/** A matching that does not see what is like one of these; for dates, ids and other texts that change. */
export const without = (matching: Matching, ...patterns: ReadonlyArray<RegExp>): Matching => {
  const blind = (value: unknown): unknown => {
    if (typeof value === "string")
      return patterns.reduce(
        (text, own) => text.replace(new RegExp(own.source, `${own.flags.replace("g", "")}g`), "…"),
        value
      )
    if (Array.isArray(value)) return value.map(blind)
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, own]) => [name, blind(own)]))
  }
  return { name: `${matching.name} without ${patterns.join(", ")}`, form: (request) => blind(matching.form(request)) }
}

// ---- Requests and answers as data

const encodePrompt = Schema.encodeEffect(Prompt.Prompt)

const asJson = (value: unknown): Schema.Json => JSON.parse(toJsonText(value) ?? "null") as Schema.Json

const isEmpty = (value: unknown): boolean => Predicate.isObject(value) && Object.keys(value).length === 0

/** Without what says nothing, so that a file can be read by a person. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, own]) =>
      ((name === "options" || name === "metadata") && isEmpty(own)) || (name === "providerExecuted" && own === false)
        ? []
        : [[name, name === "params" || name === "result" ? own : plain(own)] as const]
    )
  )
}

const requestOf = (
  call: Middleware.Call,
  models: ReadonlyArray<string>,
  redactor: Redaction.Redactor
): Effect.Effect<RecordedRequest, AiError.AiError> =>
  Effect.map(
    Effect.mapError(encodePrompt(call.prompt), (error) =>
      AiError.make({
        module: "Cassette",
        method: call.method,
        reason: new AiError.InvalidRequestError({ parameter: "prompt", description: error.message })
      })
    ),
    ({ content }) => {
      const { object, toolChoice, tools } = call
      const data = (value: unknown) => redactor.data(asJson(value)) as Schema.Json
      return {
        method: call.method,
        models,
        prompt: content.map((message) => data(plain(message))),
        tools: tools.map((tool) => data(Definitions.ofTool(tool))),
        toolChoice: tools.length === 0 ? "none" : data(toolChoice),
        object: object === undefined ? null : { name: object.name, schema: data(Definitions.ofSchema(object.schema)) },
        validation: call.toolCallValidation
      }
    }
  )

const withoutHttp = (part: Response.AllPartsEncoded): Response.AllPartsEncoded => {
  if (part.type !== "finish") return part
  const { response: _, ...rest } = part
  return rest
}

const encodeError = Schema.encodeSync(Schema.toCodecJson(AiError.AiError))
const decodeError = Schema.decodeUnknownEffect(Schema.toCodecJson(AiError.AiError))

/** An error without the request that it came from, whose headers and body may hold anything. */
const safeError = (
  error: AiError.AiError,
  redactor: Redaction.Redactor
): Effect.Effect<AiError.AiError, Schema.SchemaError> => {
  const encoded = asJson(encodeError(error)) as { readonly reason: Readonly<Record<string, Schema.Json>> }
  const { http: _, ...reason } = encoded.reason
  return decodeError(redactor.data({ ...encoded, reason }))
}

// ---- Recording

interface Recorder {
  readonly begin: (
    call: Middleware.Call
  ) => Effect.Effect<{ readonly index: number; readonly request: RecordedRequest }, AiError.AiError>
  readonly end: (
    begun: { readonly index: number; readonly request: RecordedRequest },
    streamed: boolean,
    parts: ReadonlyArray<Response.AllPartsEncoded>,
    error: AiError.AiError | undefined
  ) => Effect.Effect<void, AiError.AiError>
}

const redactorOf = (options: Options): Redaction.Redactor =>
  Redaction.make((options.secrets ?? []).map(Redacted.value), options.patterns ?? [])

const makeRecorder = Effect.fnUntraced(function* (options: Options, models: ReadonlyArray<string>, first: number) {
  const fs = yield* FileSystem.FileSystem
  const redactor = redactorOf(options)
  const writing = yield* Semaphore.make(1)
  let next = first
  const recorder: Recorder = {
    begin: (call) => Effect.map(requestOf(call, models, redactor), (request) => ({ index: next++, request })),
    end: Effect.fnUntraced(function* (begun, streamed, parts, error) {
      const clean = parts.map(withoutHttp)
      const own = streamed
        ? Redaction.parts(redactor, clean as ReadonlyArray<Middleware.Part>)
        : clean.map((part) => redactor.data(part) as Response.AllPartsEncoded)
      const json = asJson(own) as unknown as ReadonlyArray<Response.AllPartsEncoded>
      yield* Effect.gen(function* () {
        const failed = error === undefined ? null : yield* safeError(error, redactor)
        // Half a line would make the rest of the file unreadable.
        yield* Effect.uninterruptible(
          File.append(fs, options.path, { ...begun, answer: { streamed, parts: json, error: failed } })
        )
      }).pipe(
        writing.withPermit,
        Effect.catchTag("SchemaError", (cause) =>
          Effect.fail(new File.CassetteUnwritable({ path: options.path, detail: cause.message }))
        ),
        // A recording with a gap would only be noticed when it is replayed.
        Effect.mapError((unwritable) =>
          Refusal.make(File.CassetteUnwritable, unwritable, { method: begun.request.method })
        )
      )
    })
  }
  return recorder
})

const recording =
  (recorder: Recorder): Middleware.Middleware =>
  (next) => ({
    ...next,
    generate: Effect.fnUntraced(function* (call) {
      const begun = yield* recorder.begin(call)
      const answer = yield* Effect.tapError(next.generate(call), (error) => recorder.end(begun, false, [], error))
      yield* recorder.end(begun, false, answer, undefined)
      return answer
    }),
    stream: (call) =>
      Stream.unwrap(
        Effect.map(recorder.begin(call), (begun) => {
          const parts: Array<Middleware.Part> = []
          return Stream.mapArray(next.stream(call), (chunk) => {
            parts.push(...chunk)
            return chunk
          }).pipe(
            Stream.tapError((error) => recorder.end(begun, true, parts, error)),
            Stream.concat(
              Stream.drain(Stream.fromEffect(Effect.suspend(() => recorder.end(begun, true, parts, undefined))))
            )
          )
        })
      )
  })

// ---- Replaying

interface Player {
  readonly find: (request: RecordedRequest) => Effect.Effect<File.Recorded, CassetteMiss>
}

const makePlayer = (options: Options, matching: Matching, recorded: ReadonlyArray<File.Recorded>): Player => {
  const forms = recorded.map(({ request }) => matching.form(request))
  // Places of equal requests, the next to be replayed first.
  const places = new Map<string, { readonly indexes: Array<number>; next: number }>()
  for (const [index, form] of forms.entries()) {
    const key = canonicalText(form)
    const own = places.get(key)
    if (own === undefined) places.set(key, { indexes: [index], next: 0 })
    else own.indexes.push(index)
  }
  return {
    find: (request) =>
      Effect.suspend(() => {
        const form = matching.form(request)
        const own = places.get(canonicalText(form))
        const index = own?.indexes[own.next]
        if (own !== undefined && index !== undefined) {
          own.next++
          return Effect.succeed(recorded[index]!)
        }
        return Effect.fail(
          new CassetteMiss({
            path: options.path,
            matching: matching.name,
            recorded: recorded.length,
            used: own?.indexes.length ?? 0,
            difference: own === undefined ? (nearest(form, forms)?.difference ?? "") : ""
          })
        )
      })
  }
}

const answerOf = ({ answer }: File.Recorded): Effect.Effect<Middleware.Answer, AiError.AiError> => {
  if (answer.error !== null) return Effect.fail(answer.error)
  const whole = answer.streamed ? toWhole(answer.parts) : (answer.parts as Middleware.Answer)
  if (whole !== undefined) return Effect.succeed(whole)
  return Effect.fail(
    AiError.make({
      module: "Cassette",
      method: "generateText",
      reason: new AiError.InvalidOutputError({
        description: "the recorded stream makes no whole answer; replay it as a stream"
      })
    })
  )
}

const streamOf = ({ answer }: File.Recorded): Stream.Stream<Middleware.Part, AiError.AiError> => {
  const parts = answer.streamed ? (answer.parts as ReadonlyArray<Middleware.Part>) : toStream(answer.parts)
  const said = Stream.fromIterable(parts)
  return answer.error === null ? said : Stream.concat(said, Stream.fail(answer.error))
}

const missed = (call: Middleware.Call) =>
  Effect.mapError((miss: CassetteMiss) =>
    Refusal.make(CassetteMiss, miss, { as: "InvalidRequestError", method: call.method })
  )

// ---- Layers

/** A model that answers from a cassette and from nothing else. */
export const layerReplay = (
  options: Options
): Layer.Layer<LanguageModel.LanguageModel, File.CassetteUnreadable, FileSystem.FileSystem> =>
  Layer.effect(
    LanguageModelService,
    Effect.gen(function* () {
      const recorded = yield* File.read(options.path)
      const matching = options.matching ?? exact
      // There is no model whose name could be compared.
      const player = makePlayer(
        options,
        { ...matching, form: (own) => matching.form({ ...own, models: [] }) },
        recorded
      )
      const redactor = redactorOf(options)
      const models = recorded[0]?.request.models ?? []
      const find = (call: Middleware.Call) =>
        Effect.flatMap(requestOf(call, models, redactor), (request) => missed(call)(player.find(request)))
      return yield* Middleware.fromNext({
        subject: { role: undefined, models },
        supportsSystemMessagesInHistory: Effect.succeed(true),
        generate: (call) => Effect.flatMap(find(call), answerOf),
        stream: (call) => Stream.unwrap(Effect.map(find(call), streamOf))
      })
    })
  )

/** Records the calls of the model below into a new file. What is in the file is lost. */
export const layerRecord = (
  options: Options
): Layer.Layer<
  LanguageModel.LanguageModel,
  File.CassetteUnwritable,
  LanguageModel.LanguageModel | FileSystem.FileSystem
> =>
  Middleware.layer(
    Effect.gen(function* () {
      const model = yield* LanguageModelService
      yield* File.begin(options.path)
      return recording(yield* makeRecorder(options, Middleware.subjectOf(model).models, 0))
    })
  )

/** Replays what is recorded, and asks the model below for the rest, which is added to the file. */
export const layerExtend = (
  options: Options
): Layer.Layer<
  LanguageModel.LanguageModel,
  File.CassetteUnreadable | File.CassetteUnwritable,
  LanguageModel.LanguageModel | FileSystem.FileSystem
> =>
  Middleware.layer(
    Effect.gen(function* () {
      const { models } = Middleware.subjectOf(yield* LanguageModelService)
      const fs = yield* FileSystem.FileSystem
      if (!(yield* Effect.orElseSucceed(fs.exists(options.path), () => false))) yield* File.begin(options.path)
      const recorded = yield* File.read(options.path)
      const player = makePlayer(options, options.matching ?? exact, recorded)
      const redactor = redactorOf(options)
      const record = recording(yield* makeRecorder(options, models, (recorded.at(-1)?.index ?? -1) + 1))
      const find = (call: Middleware.Call) =>
        Effect.flatMap(requestOf(call, models, redactor), (request) => Effect.option(player.find(request)))
      return (next) => {
        const live = record(next)
        return {
          ...next,
          generate: (call) =>
            Effect.flatMap(find(call), (found) =>
              found._tag === "Some" ? answerOf(found.value) : live.generate(call)
            ),
          stream: (call) =>
            Stream.unwrap(
              Effect.map(find(call), (found) => (found._tag === "Some" ? streamOf(found.value) : live.stream(call)))
            )
        }
      }
    })
  )
