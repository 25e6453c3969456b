/**
 * Repair: makes a value fit a schema whose demands its JSON schema does not tell (patterns, custom checks). Where the
 * schema rejects a value, the same place of a value generated from the schema itself takes over.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"

const maxRounds = 40

type Path = ReadonlyArray<PropertyKey>

const read = (value: unknown, path: Path): Option.Option<unknown> => {
  let current = value
  for (const step of path) {
    if (!Predicate.isObjectOrArray(current) || !Object.hasOwn(current, step)) return Option.none()
    current = Reflect.get(current, step)
  }
  return Option.some(current)
}

const write = (value: unknown, path: Path, part: unknown): unknown => {
  const [step, ...rest] = path
  if (step === undefined) return part
  if (Array.isArray(value)) {
    const copy = [...value]
    copy[Number(step)] = write(copy[Number(step)], rest, part)
    return copy
  }
  const source = Predicate.isObject(value) ? (value as Record<PropertyKey, unknown>) : {}
  return { ...source, [step]: write(source[step], rest, part) }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** The decoding services of a schema are those of the request that brought it, so they are there at run time. */
const check = (codec: Schema.Constraint, value: unknown): Effect.Effect<Result.Result<unknown, Schema.SchemaError>> =>
  Effect.result(Schema.decodeUnknownEffect(codec)(value)) as Effect.Effect<Result.Result<unknown, Schema.SchemaError>>

/** Values generated from the schema, always the same ones; none if it cannot generate. */
const samples = (codec: Schema.Constraint): Effect.Effect<ReadonlyArray<unknown>> =>
  Effect.promise(() => import("effect/Arbitrary")).pipe(
    Effect.flatMap((Arbitrary) =>
      // Larger ones grow without measure where a schema refers to itself in a record.
      Effect.forEach([4, 20], (size) =>
        Effect.suspend(() =>
          Arbitrary.sampleEffect(Arbitrary.schema(codec), { count: 1, size, seed: "offline", maxDiscards: 200 })
        ).pipe(
          Effect.flatMap((values) =>
            Effect.forEach(
              values,
              (value) => Schema.encodeUnknownEffect(codec)(value) as Effect.Effect<unknown, Schema.SchemaError>
            )
          ),
          // A schema that cannot generate fails or throws; there is then nothing to repair with.
          Effect.catchCause(() => Effect.succeed<ReadonlyArray<unknown>>([]))
        )
      )
    ),
    Effect.map((values) => values.flat())
  )

/** The most parts of a schema that are tried for one place. */
const maxParts = 8

/** The parts of a schema that stand at a place of its encoded values. */
const partsAt = (ast: SchemaAST.AST, path: Path): ReadonlyArray<SchemaAST.AST> => {
  const open = (node: SchemaAST.AST, depth: number): ReadonlyArray<SchemaAST.AST> => {
    if (depth > 8) return []
    const encoded = (node.encoding ?? []).flatMap((link) => open(link.to, depth + 1))
    if (SchemaAST.isSuspend(node)) return [...open(node.thunk(), depth + 1), ...encoded]
    return [node, ...(SchemaAST.isUnion(node) ? node.types.flatMap((type) => open(type, depth + 1)) : []), ...encoded]
  }
  let current: ReadonlyArray<SchemaAST.AST> = [ast]
  for (const step of path) {
    const next: Array<SchemaAST.AST> = []
    for (const node of current.flatMap((part) => open(part, 0))) {
      if (SchemaAST.isObjects(node)) {
        const own = node.propertySignatures.find((property) => property.name === step)
        if (own !== undefined) next.push(own.type)
        else next.push(...node.indexSignatures.map((index) => index.type))
      } else if (SchemaAST.isArrays(node)) {
        const own = node.elements[Number(step)]
        next.push(...(own === undefined ? node.rest : [own]))
      }
    }
    current = next.slice(0, maxParts)
  }
  return current
}

/** Values for a place, generated from the part of the schema that stands there. */
const samplesAt = (codec: Schema.Constraint, path: Path): Effect.Effect<ReadonlyArray<unknown>> =>
  Effect.map(
    Effect.forEach(partsAt(codec.ast, path), (ast) => samples(Schema.make(ast))),
    (values) => values.flat()
  )

const plainTexts = [
  "a",
  "aa",
  "A",
  "0",
  "1",
  "42",
  "1970-01-01",
  "1970-01-01T00:00:00Z",
  "https://example.invalid",
  "unknown@example.invalid",
  "0.0.0.0",
  "::",
  "localhost",
  "1.0.0",
  "00:00",
  "#000000",
  "+10000000",
  "AAAAAAAA",
  "aaaaaaaa",
  "00000000",
  ""
]
const plainNumbers = [1, 2, 10, 12, 100, 1_000, 1_000_000, 0.5, -1, -10]

const pathOf = (failure: Schema.SchemaError): Path =>
  (format(failure.issue).issues[0]?.path ?? []).map(
    (step) => (Predicate.hasProperty(step, "key") ? step.key : step) as PropertyKey
  )

/** A value with one text in all the places that hold a text. */
const withTexts = (value: unknown, text: string): unknown => {
  if (typeof value === "string") return text
  if (Array.isArray(value)) return value.map((entry) => withTexts(entry, text))
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, withTexts(entry, text)]))
}

interface Step {
  readonly value: unknown
  readonly result: Result.Result<unknown, Schema.SchemaError>
}

/** Whether a complaint is about a place, or with `within` about something in it. */
const isAbout = (failure: Schema.SchemaError, path: Path, within: boolean): boolean => {
  const own = pathOf(failure)
  return (within ? own.length >= path.length : own.length === path.length) && path.every((step, at) => step === own[at])
}

/** The first of some candidates that settles the complaint about a place; others may follow. */
const mend = Effect.fnUntraced(function* (
  codec: Schema.Constraint,
  value: unknown,
  path: Path,
  candidates: ReadonlyArray<unknown>,
  within = true
) {
  for (const candidate of candidates) {
    const next = write(value, path, candidate)
    const result = yield* check(codec, next)
    // Another complaint first means that this one is settled.
    if (Result.isSuccess(result) || !isAbout(result.failure, path, within))
      return { value: next, result } satisfies Step
  }
  return undefined
})

/** A value near the given one that the codec decodes; none if none was found. */
export const repair = Effect.fnUntraced(function* (codec: Schema.Constraint, value: unknown) {
  let step: Step = { value, result: yield* check(codec, value) }
  if (Result.isSuccess(step.result)) return Option.some(value)
  // Generating can take seconds for a strange schema, so the plain values come first.
  const generated = yield* Effect.cached(samples(codec))
  for (let round = 0; round < maxRounds && Result.isFailure(step.result); round++) {
    const path = pathOf(step.result.failure)
    const before = Option.getOrUndefined(read(step.value, path))
    const others = ["unknown", 1, true, {}, [], ...["", "0", "a"].map((text) => withTexts(before, text))]
    const plain = [
      ...(typeof before === "number" ? plainNumbers : typeof before === "string" ? plainTexts : others),
      // A place whose JSON schema says nothing of its kind may want any.
      ...(typeof before === "number" || typeof before === "string" ? [] : [...plainTexts, ...plainNumbers])
    ]
    const next: Step | undefined =
      (yield* mend(codec, step.value, path, plain)) ??
      (yield* mend(codec, step.value, path, yield* samplesAt(codec, path))) ??
      (yield* mend(
        codec,
        step.value,
        path,
        (yield* generated).flatMap((sample) => Option.toArray(read(sample, path)))
      )) ??
      // At last what only moves the complaint further in: `{}` for an object whose fields are then missing.
      (yield* mend(codec, step.value, path, plain, false))
    if (next === undefined) break
    step = next
  }
  if (Result.isSuccess(step.result)) return Option.some(step.value)
  for (const sample of yield* generated) if (Result.isSuccess(yield* check(codec, sample))) return Option.some(sample)
  return Option.none<unknown>()
})
