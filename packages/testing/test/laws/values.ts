// A graph that writes what a script says: every kind of channel, with values that JSON cannot hold as they are.
import { Channel, Edge, Graph, Messages, Node } from "@selvage/core"
import * as Prompt from "effect/ai/Prompt"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"

class Point extends Schema.Class<Point>("Point")({ x: Schema.Finite, at: Schema.optionalKey(Schema.Date) }) {}

interface Tree {
  readonly at: Date
  readonly kids: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  at: Schema.Date,
  kids: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree))
}) satisfies Schema.Codec<Tree, unknown>

const Shape = Schema.Union([
  Schema.TaggedStruct("Circle", { r: Schema.Number }),
  Schema.TaggedStruct("Named", { name: Schema.String, since: Schema.DateTimeUtc })
])

const channels = {
  at: Channel.last(Schema.Date, { initial: new Date(0) }),
  tree: Channel.last(Tree, { initial: { at: new Date(0), kids: [] } }),
  prices: Channel.last(Schema.ReadonlyMap(Schema.String, Schema.BigInt), { initial: new Map() }),
  big: Channel.optional(Schema.Option(Schema.BigInt)),
  point: Channel.optional(Point),
  took: Channel.optional(Schema.Duration),
  json: Channel.optional(Schema.Struct({ json: Schema.Json })),
  bytes: Channel.append(Schema.Uint8Array),
  shapes: Channel.append(Shape),
  total: Channel.sum,
  levels: Channel.map(Schema.Number),
  seen: Channel.map(Schema.Option(Schema.Date)),
  product: Channel.merge(Schema.BigInt, { initial: 1n, merge: (a, b) => a * b }),
  tags: Channel.reduce({
    schema: Schema.ReadonlySet(Schema.String),
    update: Schema.Array(Schema.String),
    initial: new Set<string>(),
    reducer: (tags, added) => new Set([...tags, ...added])
  }),
  widths: Channel.reduce({
    schema: Schema.String,
    update: Schema.Struct({ n: Schema.Int }),
    initial: "",
    // Sees what its schema does not keep: what is folded must be what will be read.
    reducer: (widths, update) => `${widths}${Object.keys(update).length}`
  }),
  talk: Channel.messages,
  warnings: Channel.ephemeral(Channel.append(Schema.String)),
  flashes: Channel.ephemeral(Channel.sum)
}

/** What a task writes. */
export type Written = Channel.Updates<typeof channels>

/** For each step the updates of its tasks, in their order. */
export type Script = ReadonlyArray<ReadonlyArray<Written>>

const date = fc.date({ noInvalidDate: true })
const finite = fc.double({ noNaN: true, noDefaultInfinity: true })
const text = fc.oneof(
  fc.string(),
  fc.constantFrom("NaN", "12", "__proto__", "constructor", "\ud800", "\u0000", "1", "0")
)
const bigint = fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n })
const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.record(
    { at: date, kids: fc.oneof({ maxDepth: 2 }, fc.constant([]), fc.array(tie("tree"), { maxLength: 2 })) },
    { noNullPrototype: true }
  )
})).tree
// V8 of Node 24.21 reads a key of one escaped character as `\\`, once it has read an object with the key `\\` in its place:
// `JSON.parse('{"\\\\":0}')`, then `JSON.parse('{"\\n":0}')`.
const key = text.filter((text) => text !== "\\")
const json = fc
  .jsonValue({ maxDepth: 2 })
  .map((value) => JSON.stringify(value))
  .filter((value) => !value.includes(String.raw`"\\":`))
  .map((value) => JSON.parse(value) as Schema.Json)
const record = <A>(value: fc.Arbitrary<A>): fc.Arbitrary<Record<string, A | Channel.Removed>> =>
  fc
    .array(
      fc.tuple(key, fc.oneof({ weight: 3, arbitrary: value }, { weight: 1, arbitrary: fc.constant(Channel.removed) })),
      {
        maxLength: 4
      }
    )
    .map((fields) => Object.fromEntries(fields))

// Two tasks of one step may not write these.
const exclusive = {
  at: date,
  tree,
  prices: fc.array(fc.tuple(text, bigint), { maxLength: 3 }).map((entries) => new Map(entries)),
  big: fc.option(bigint, { nil: undefined }).map((big) => (big === undefined ? undefined : Option.some(big))),
  point: fc.record({ x: finite, at: date }, { requiredKeys: ["x"] }).map((fields) => new Point(fields)),
  took: fc.integer({ min: 0 }).map(Duration.millis),
  json: json.map((json) => ({ json }))
}

const shared = {
  bytes: fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 2 }),
  shapes: fc.array(
    fc.oneof(
      fc.double().map((r) => ({ _tag: "Circle" as const, r })),
      fc.tuple(text, date).map(([name, at]) => ({ _tag: "Named" as const, name, since: DateTime.makeUnsafe(at) }))
    ),
    { maxLength: 2 }
  ),
  total: fc.integer(),
  levels: record(fc.double()),
  seen: record(fc.option(date, { nil: undefined }).map(Option.fromUndefinedOr)),
  product: bigint,
  tags: fc.array(text, { maxLength: 3 }),
  widths: fc.record({ n: fc.integer(), more: fc.boolean() }, { requiredKeys: ["n"], noNullPrototype: true }),
  talk: fc.array(text, { maxLength: 2 }).map((lines) => Prompt.make(lines.map((line) => said(line)))),
  warnings: fc.array(text, { maxLength: 2 }),
  flashes: fc.integer()
}

const said = (line: string) => Prompt.userMessage({ content: [Prompt.textPart({ text: line })] })

const tasks = fc
  .tuple(
    fc.record({ ...exclusive, ...shared }, { requiredKeys: [] }),
    fc.array(fc.record(shared, { requiredKeys: [] }), { maxLength: 2 }),
    fc.record({ kind: fc.constantFrom("none", "none", "append", "replace", "remove"), of: fc.nat(), line: text })
  )
  .map(([first, rest, edit]) => ({ updates: [first, ...rest] as ReadonlyArray<Written>, edit }))

/** Scripts. Edits of messages are made to fit what is there. */
export const scripts = (steps: { readonly minLength?: number; readonly maxLength: number }): fc.Arbitrary<Script> =>
  fc.array(tasks, steps).map((script) => {
    const ids: Array<string> = []
    return script.map(({ edit, updates }, step): ReadonlyArray<Written> => {
      const message = said(edit.line)
      const at = ids.length === 0 ? undefined : edit.of % ids.length
      if (edit.kind === "none") return updates
      if (edit.kind === "append" || at === undefined) {
        ids.push(`m${step}`)
        return [...updates, { talk: Messages.append(Messages.withId(message, `m${step}`)) }]
      }
      const id = ids[at]!
      if (edit.kind === "replace") return [...updates, { talk: Messages.replace(id, message) }]
      ids.splice(at, 1)
      return [...updates, { talk: Messages.remove([id]) }]
    })
  })

const Place = Schema.Struct({ step: Schema.Int, index: Schema.Int })
const state = { ...channels, step: Channel.last(Schema.Int, { initial: 0 }) }

/** The graph that plays a script: each step writes, and then counts. */
export const scripted = (script: Script) => {
  const next = ({ step }: { readonly step: number }) =>
    step < script.length
      ? Edge.fanOut(
          "write",
          script[step]!.map((_, index) => ({ step, index }))
        )
      : "end"
  return Graph.make("scripted", {
    state,
    nodes: {
      // Some are done at once, others after a turn of the scheduler.
      write: Node.make(Place, ({ index, step }) =>
        Effect.as(index % 2 === 0 ? Effect.void : Effect.yieldNow, script[step]![index]!)
      ),
      count: ({ step }) => Effect.succeed({ step: step + 1 })
    },
    edges: { start: (state) => next(state), write: "count", count: (state) => next(state) }
  })
}

export type State = Channel.State<typeof state>
type Values = Readonly<Record<string, unknown>>

const names = Object.keys(state) as ReadonlyArray<keyof typeof state>
const codecs = Object.fromEntries(
  names.map((name) => {
    const update = Schema.toCodecJson(state[name].update)
    return [
      name,
      {
        value: Schema.encodeUnknownSync(Schema.toCodecJson(state[name].schema as Schema.Codec<unknown, unknown>)),
        update: Schema.encodeUnknownSync(update),
        read: Schema.decodeUnknownSync(update)
      }
    ]
  })
)

/** A state as the bytes of its JSON. */
export const bytesOf = (state: State): string => JSON.stringify(names.map((name) => codecs[name]!.value(state[name])))

/** What is read of an update that was written. */
export const readUpdate = (json: Values): Values =>
  Object.fromEntries(Object.entries(json).map(([name, value]) => [name, codecs[name]!.read(value)]))

/** What the journal keeps of an update. */
export const writeUpdate = (update: object): Values =>
  Object.fromEntries(Object.entries(update).map(([name, value]) => [name, codecs[name]!.update(value)]))

/** The fold, as plainly as can be: what a step does not keep starts anew, then each update in its order. */
export const foldOf = (steps: Iterable<ReadonlyArray<Values>>): State => {
  const now: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, state[name].initial]))
  for (const updates of steps) {
    for (const name of names) if (state[name].ephemeral) now[name] = state[name].initial
    for (const update of updates) {
      for (const [name, value] of Object.entries(update)) {
        const { reducer } = state[name as keyof typeof state]
        now[name] = reducer(now[name] as never, value as never)
      }
    }
  }
  return now as State
}

/** The steps of a script, as they fold: what it writes, then the count. */
export const stepsOf = (script: Script): ReadonlyArray<ReadonlyArray<Values>> =>
  script.flatMap((updates, step) => [updates.map((update) => readUpdate(writeUpdate(update))), [{ step: step + 1 }]])
