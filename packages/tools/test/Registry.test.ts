import * as Policy from "@selvage/core/Policy"
import { Dispatcher, type Errors, Plugin, Registry } from "@selvage/tools"
import { assert, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { CheckStock, Warehouse } from "./warehouse.ts"

const ListOffers = Tool.make("list_offers", { success: Schema.Array(Schema.String) }).annotate(Tool.Readonly, true)
const Suppliers = Plugin.make("suppliers", { version: "2.0.0", toolkit: Toolkit.make(ListOffers) })
const SuppliersLive = Suppliers.toLayer({ list_offers: () => Effect.succeed(["acme"]) })

it.effect("brings plugins together, and needs each of them by its name", () => {
  const registry: Effect.Effect<
    Registry.Registry,
    Errors.RegistryInvalid,
    Plugin.Live<"warehouse"> | Plugin.Live<"suppliers">
  > = Registry.make([Warehouse, Suppliers])
  return Effect.gen(function* () {
    const { plugins, toolkit, tools } = yield* registry
    assert.deepStrictEqual(plugins, [
      { name: "warehouse", version: "1.0.0" },
      { name: "suppliers", version: "2.0.0" }
    ])
    assert.deepStrictEqual(Object.keys(toolkit.tools), Array.from(tools.keys()))
    assert.strictEqual(tools.get("list_offers")?.plugin.name, "suppliers")
    assert.isTrue(tools.get("list_offers")?.repeatable)
    assert.isFalse(tools.get("place_order")?.repeatable)
    const results = yield* Effect.flatMap(toolkit.handle("list_offers", {}), Stream.runCollect)
    assert.deepStrictEqual(results.at(-1)?.encodedResult, ["acme"])
  }).pipe(Effect.provide([Warehouse.fake({}), SuppliersLive]))
})

it.effect("says everything that is wrong at once", () => {
  const Copy = Plugin.make("copy", { version: "1.0.0", toolkit: Toolkit.make(CheckStock) })
  const Newer = Plugin.make("suppliers", { version: "3.0.0", toolkit: Toolkit.make(ListOffers) })
  const policies = { list_ofers: Policy.transient }
  const misspelt = Suppliers.toLayer({ list_offers: () => Effect.succeed([]) }, { policies } as never)
  return Effect.gen(function* () {
    const error = yield* Effect.flip(Registry.make([Warehouse, Copy, Newer, Warehouse]))
    assert.deepStrictEqual(error.findings, [
      `plugins "warehouse" and "copy" both have a tool "check_stock"; rename one of them`,
      `plugin "suppliers" is used in version 3.0.0, but its layer implements version 2.0.0`,
      `plugin "suppliers" has a policy for "list_ofers", which is not one of its tools`,
      `plugin "warehouse" is given more than once`
    ])
  }).pipe(Effect.provide([Warehouse.fake({}), Copy.fake({}), misspelt]))
})

it.effect("finds a tool without a name, and takes any name and shape that adapters map", () => {
  const Odd = Plugin.make("odd", { version: "1.0.0", toolkit: Toolkit.make(Tool.make(" ")) })
  const Mapped = Plugin.make("mapped", {
    version: "1.0.0",
    toolkit: Toolkit.make(
      Tool.make("fs.read/all", { parameters: Schema.Array(Schema.String) as Schema.Codec<unknown, unknown> }),
      Tool.make("n".repeat(80), { parameters: Schema.Struct({ any: Schema.Unknown }) })
    )
  })
  return Effect.gen(function* () {
    const error = yield* Effect.flip(Registry.make([Odd]))
    assert.deepStrictEqual(error.findings, ['plugin "odd" has a tool without a name; name it'])
    assert.strictEqual((yield* Registry.make([Mapped])).tools.size, 2)
  }).pipe(Effect.provide([Odd.fake({}), Mapped.fake({})]))
})

it.effect("takes handlers from any layer of a toolkit", () => {
  const live = Layer.provide(
    Suppliers.layerToolkit(),
    Suppliers.toolkit.toLayer({ list_offers: () => Effect.succeed(["bolts"]) })
  )
  return Effect.gen(function* () {
    const registry = yield* Registry.make([Suppliers])
    const outcome = yield* Dispatcher.dispatch(registry, { id: "1", name: "list_offers", params: {} })
    assert.deepStrictEqual(outcome.result, ["bolts"])
  }).pipe(Effect.provide(live))
})

it.effect("may be empty", () =>
  Effect.gen(function* () {
    const registry = yield* Registry.make([])
    const outcome = yield* Dispatcher.dispatch(registry, { id: "1", name: "x", params: {} })
    assert.strictEqual(outcome.category, "ToolNotFound")
  })
)

it.effect("hands a model's calls over as the model made them, without other requirements", () => {
  const model = LanguageModel.make({
    generateText: () =>
      Effect.succeed([
        { type: "tool-call", id: "1", name: "list_offers", params: {} },
        { type: "tool-call", id: "2", name: "made_up", params: "{oops" }
      ]),
    streamText: () => Stream.empty
  })
  const turn = Effect.gen(function* () {
    const registry = yield* Registry.make([Suppliers])
    const { toolCalls } = yield* LanguageModel.generateText({
      prompt: "offers?",
      toolkit: registry.toolkit,
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    })
    return yield* Effect.forEach(toolCalls, (call) => Dispatcher.dispatch(registry, call))
  }).pipe(Effect.provide(SuppliersLive), Effect.provideServiceEffect(LanguageModel.LanguageModel, model))
  return Effect.gen(function* () {
    const outcomes = yield* turn
    assert.deepStrictEqual(
      outcomes.map(({ category, id }) => [id, category]),
      [
        ["1", undefined],
        ["2", "ToolNotFound"]
      ]
    )
  })
})

it.effect("is made once for the same live plugins, and anew for others", () =>
  Effect.gen(function* () {
    const registry = Registry.make([Suppliers])
    const call = { id: "1", name: "list_offers", params: {} }
    const live = (offer: string) => Effect.provide(Suppliers.fake({ list_offers: () => Effect.succeed([offer]) }))
    const twice = Effect.all([registry, registry])
    const [bolts, again] = yield* twice.pipe(live("bolts"))
    const [nuts] = yield* twice.pipe(live("nuts"))
    assert.strictEqual(bolts, again)
    assert.notStrictEqual(bolts, nuts)
    assert.deepStrictEqual((yield* Dispatcher.dispatch(bolts, call)).result, ["bolts"])
    assert.deepStrictEqual((yield* Dispatcher.dispatch(nuts, call)).result, ["nuts"])
  })
)
