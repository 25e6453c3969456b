/**
 * Repair: makes a value fit a schema whose demands its JSON schema does not tell (patterns, custom checks). Where the
 * schema rejects a value, the same place of a value generated from the schema itself takes over.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
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
      Effect.forEach([4, 30, 200], (size) =>
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
  ""
]
const plainNumbers = [1, 2, 10, 12, 100, 1_000, 1_000_000, 0.5, -1, -10]

const pathOf = (failure: Schema.SchemaError): Path =>
  (format(failure.issue).issues[0]?.path ?? []).map(
    (step) => (Predicate.hasProperty(step, "key") ? step.key : step) as PropertyKey
  )

/** A value near the given one that the codec decodes; none if none was found. */
export const repair = Effect.fnUntraced(function* (codec: Schema.Constraint, value: unknown) {
  let result = yield* check(codec, value)
  if (Result.isSuccess(result)) return Option.some(value)
  const generated = yield* samples(codec)
  let current = value
  for (let round = 0; round < maxRounds && Result.isFailure(result); round++) {
    const path = pathOf(result.failure)
    const before = Option.getOrUndefined(read(current, path))
    const plain: ReadonlyArray<unknown> =
      typeof before === "number" ? plainNumbers : typeof before === "string" ? plainTexts : ["unknown", 1, true, {}, []]
    const candidates = [...plain, ...generated.flatMap((sample) => Option.toArray(read(sample, path)))]
    let mended = false
    for (const candidate of candidates) {
      const next = write(current, path, candidate)
      const outcome: Result.Result<unknown, Schema.SchemaError> = yield* check(codec, next)
      if (Result.isSuccess(outcome)) return Option.some(next)
      // Another complaint first means that this one is settled.
      if (pathOf(outcome.failure).join("/") === path.join("/")) continue
      current = next
      result = outcome
      mended = true
      break
    }
    if (!mended) break
  }
  for (const sample of generated) if (Result.isSuccess(yield* check(codec, sample))) return Option.some(sample)
  return Option.none<unknown>()
})
