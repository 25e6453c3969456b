/** Tools and objects that providers do not take as they are: names, roots, references, sizes. */
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"

const Named = Schema.Struct({ x: Schema.String }).annotate({ identifier: "Named" })

interface Tree {
  readonly name: string
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  name: Schema.String,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
}).annotate({ identifier: "Tree" })

const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`field_${n}`, Schema.optionalKey(Schema.String)]))

const deep = (levels: number): Schema.Codec<unknown, unknown> =>
  Array.from({ length: levels }).reduce<Schema.Codec<unknown, unknown>>(
    (inner) => Schema.Struct({ inner }) as Schema.Codec<unknown, unknown>,
    Schema.String as Schema.Codec<unknown, unknown>
  )

const union = Schema.Union([
  Schema.Struct({ a: Schema.Literal("x"), id: Schema.String }),
  Schema.Struct({ a: Schema.Literal("y"), q: Schema.String })
])

const looking = Schema.Struct({
  code: Schema.String.check(Schema.isPattern(/^(?=.*\d)[a-z\d]+$/), Schema.isPattern(/a/))
})

/** Parameters by what is special about them. */
const parameters: Readonly<Record<string, Schema.Constraint>> = {
  plain: Schema.Struct({ sku: Schema.String, at: Schema.optionalKey(Schema.String) }),
  empty: Schema.Struct({}),
  "root.union": union,
  root_union: union,
  "root/array": Schema.Array(Named),
  unknown: Schema.Struct({ data: Schema.Unknown, more: Schema.Json }),
  "everything of it": Schema.Unknown,
  record: Schema.Record(Schema.String, Schema.Unknown),
  "records:of:numbers": Schema.Struct({ counts: Schema.Record(Schema.String, Schema.Int) }),
  described: Schema.Struct({
    a: Named.annotateKey({ description: "the first" }),
    b: Named,
    t: Tree.annotateKey({ description: "a tree" })
  }),
  many: Schema.Struct(many),
  looking,
  deep: Schema.Struct({ root: deep(12) }),
  tree: Tree,
  tuple: Schema.Struct({ pair: Schema.Tuple([Schema.String, Schema.Int]) }),
  [`long_${"n".repeat(80)}`]: Schema.Struct({ inner: Schema.Struct({}) })
}

const made = (name: string, schema: Schema.Constraint): Tool.Any =>
  Tool.make(name, {
    description: `What is special: ${name}`,
    parameters: schema as typeof Schema.Unknown,
    success: Schema.Unknown
  })

const loose = Object.entries(parameters).map(([name, schema]) => made(name, schema))

const strict = Object.entries(parameters).map(([name, schema]) =>
  (made(`strict ${name}`, schema) as Tool.Tool<string, never>).annotate(Tool.Strict, true)
)

/** Tools, strict or not. */
export const tools: ReadonlyArray<Tool.Any> = [
  ...loose,
  ...strict,
  Tool.make("no parameters"),
  Tool.dynamic("dynamic", { parameters: { type: "object", properties: { list: { type: "array" } } } })
]

/** Objects to ask for. */
export const objects: ReadonlyArray<Schema.Codec<unknown, Record<string, unknown>>> = [
  Schema.Struct({ answer: Schema.String, sure: Schema.optionalKey(Schema.Boolean) }),
  Schema.Struct({ a: Named.annotateKey({ description: "the first" }), b: Named }),
  looking,
  Schema.Struct({ pair: Schema.Tuple([Schema.String, Schema.Int]), one: Schema.Literals(["a", "b"]) }),
  Schema.Struct(many),
  Tree
] as ReadonlyArray<unknown> as ReadonlyArray<Schema.Codec<unknown, Record<string, unknown>>>
