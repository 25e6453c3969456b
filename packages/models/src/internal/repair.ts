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

const maxRounds = 24

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
      Effect.suspend(() => Arbitrary.sampleEffect(Arbitrary.schema(codec), { count: 3, size: 4, seed: "offline", maxDiscards: 500 }))
    ),
    Effect.flatMap((values) =>
      Effect.forEach(values, (value) => Schema.encodeUnknownEffect(codec)(value) as Effect.Effect<unknown, Schema.SchemaError>)
    ),
    // A schema that cannot generate throws; there is then nothing to repair with.
    Effect.catchCause(() => Effect.succeed([]))
  )

/** A value near the given one that the codec decodes; none if none was found. */
export const repair = Effect.fnUntraced(function* (codec: Schema.Constraint, value: unknown) {
  let current = value
  let result = yield* check(codec, current)
  if (Result.isSuccess(result)) return Option.some(current)
  const generated = yield* samples(codec)
  for (const sample of generated) {
    current = value
    for (let round = 0; round < maxRounds; round++) {
      result = yield* check(codec, current)
      if (Result.isSuccess(result)) return Option.some(current)
      const path = (format(result.failure.issue).issues[0]?.path ?? []).map((step) =>
        Predicate.isObject(step) && "key" in step ? (step.key as PropertyKey) : (step as PropertyKey)
      )
      // A place that the sample lacks is given up for the nearest place around it that it has.
      let end = path.length
      while (end > 0 && Option.isNone(read(sample, path.slice(0, end)))) end--
      const part = read(sample, path.slice(0, end))
      const before = read(current, path.slice(0, end))
      if (end === 0 || Option.isNone(part) || (Option.isSome(before) && before.value === part.value)) break
      current = write(current, path.slice(0, end), part.value)
    }
    if (Result.isSuccess(yield* check(codec, sample))) return Option.some(sample)
  }
  return Option.none<unknown>()
})
