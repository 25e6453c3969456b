import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Middleware, Models, Prices, type Providers, Routing } from "../src/index.ts"
import { fake, text, unavailable } from "./fakes.ts"

interface Seen {
  readonly route: unknown
  readonly by: unknown
  readonly reason: unknown
}

/** A model that answers with its name, and keeps what the span of the call says. */
const named = (name: string, seen: Array<Seen> = []) =>
  Middleware.apply(
    fake([text(name)]).model,
    Middleware.mapCall((call) =>
      Effect.sync(() => {
        const of = (key: string) => call.span.attributes.get(key)
        seen.push({ route: of("selvage.route"), by: of("selvage.route.by"), reason: of("selvage.route.reason") })
        return call
      })
    ),
    Middleware.named({ models: [name] })
  )

const ask = (model: LanguageModel.LanguageModel, prompt: Prompt.RawInput) =>
  Effect.map(model.generateText({ prompt }), (response) => response.text)

const classifier = (complexity: string) => fake([text(JSON.stringify({ complexity }))])

describe("Routing", () => {
  it.effect("by a rule, for whole answers and streams, with the decision in the span", () =>
    Effect.gen(function* () {
      const seen: Array<Seen> = []
      const model = yield* Routing.make({
        router: Routing.rule(["plain", "tools"], (call) => (call.tools.length > 0 ? "tools" : "plain")),
        routes: { plain: yield* named("a", seen), tools: yield* named("b", seen) }
      })
      assert.strictEqual(yield* ask(model, "hi"), "a")
      const parts = yield* Stream.runCollect(model.streamText({ prompt: "hi" }))
      assert.isTrue(parts.some((part) => part.type === "text-delta" && part.delta === "a"))
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 2 }, () => ({ route: "plain", by: "rule", reason: "the rule says so" }))
      )
      assert.deepStrictEqual(Middleware.subjectOf(model).models, ["a", "b"])
    })
  )

  it.effect("by length", () =>
    Effect.gen(function* () {
      const seen: Array<Seen> = []
      const model = yield* Routing.make({
        router: Routing.byLength({
          upTo: [
            { tokens: 1000, route: "medium" },
            { tokens: 50, route: "short" }
          ],
          beyond: "long"
        }),
        routes: { short: yield* named("s", seen), medium: yield* named("m", seen), long: yield* named("l", seen) }
      })
      const words = (count: number) => "word ".repeat(count)
      assert.deepStrictEqual(
        yield* Effect.forEach([words(2), words(200), words(5000)], (prompt) => ask(model, prompt)),
        ["s", "m", "l"]
      )
      assert.deepStrictEqual(
        seen.map(({ by }) => by),
        ["length", "length", "length"]
      )
    })
  )

  it.effect("by cost: the preferred one that is within it, else the cheapest, never one whose price is unknown", () =>
    Effect.gen(function* () {
      const price = (output: number): Prices.Price => ({
        input: 0,
        cachedInput: 0,
        output,
        source: "the test",
        asOf: "2026-01-01"
      })
      const routes = {
        unknown: yield* named("mystery"),
        dear: yield* named("dear"),
        cheap: yield* named("cheap")
      }
      const chosen = (
        dollars: number,
        prefer: readonly ["unknown" | "dear" | "cheap", ...Array<"unknown" | "dear" | "cheap">]
      ) =>
        Effect.flatMap(
          Routing.make({ router: Routing.byCost({ prefer, dollars, outputTokens: 1000 }), routes }),
          (model) => ask(model, "hi")
        ).pipe(Effect.provide(Prices.layer({ dear: price(10), cheap: price(1) })))
      assert.strictEqual(yield* chosen(1, ["unknown", "dear", "cheap"]), "dear")
      assert.strictEqual(yield* chosen(0.005, ["dear", "cheap"]), "cheap")
      assert.strictEqual(yield* chosen(0.0001, ["dear", "cheap", "unknown"]), "cheap")
      assert.strictEqual(yield* chosen(1, ["unknown"]), "mystery")
    })
  )

  describe("by complexity", () => {
    const routed = Effect.fnUntraced(function* (model: LanguageModel.LanguageModel, seen: Array<Seen> = []) {
      return yield* Routing.make({
        router: Routing.byComplexity({
          model,
          routes: { simple: "small", medium: "small", complex: "big" },
          otherwise: "big",
          timeout: "2 seconds"
        }),
        routes: { small: yield* named("small", seen), big: yield* named("big", seen) }
      })
    })

    it.effect("as a cheap model says, which reads only what the user said last", () =>
      Effect.gen(function* () {
        const simple = classifier("simple")
        const prompt = Prompt.make([
          { role: "system", content: "SECRET" },
          { role: "user", content: [{ type: "text", text: "FIRST" }] },
          { role: "assistant", content: [{ type: "text", text: "ANSWER" }] },
          { role: "user", content: [{ type: "text", text: `LAST ${"x".repeat(10_000)} END` }] }
        ])
        assert.strictEqual(yield* ask(yield* routed(simple.model), prompt), "small")
        const sent = JSON.stringify(simple.asked[0]?.prompt)
        for (const part of ["LAST", "END"]) assert.include(sent, part)
        for (const part of ["SECRET", "FIRST", "ANSWER"]) assert.notInclude(sent, part)
        assert.isBelow(sent.length, 6000)
        assert.strictEqual(yield* ask(yield* routed(classifier("complex").model), "prove it"), "big")
      })
    )

    it.effect("goes elsewhere when the classifier fails, answers something else or is late, and says so", () =>
      Effect.gen(function* () {
        const seen: Array<Seen> = []
        assert.strictEqual(yield* ask(yield* routed(fake([unavailable]).model, seen), "hi"), "big")
        assert.strictEqual(yield* ask(yield* routed(classifier("impossible").model, seen), "hi"), "big")
        const late = yield* routed(fake([Effect.never]).model, seen)
        const fiber = yield* Effect.forkChild(ask(late, "hi"), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), "big")
        assert.match(String(seen[0]?.reason), /^the classifier failed: .*out of order/)
        assert.match(String(seen[1]?.reason), /^the classifier failed: /)
        assert.strictEqual(seen[2]?.reason, "the classifier did not answer within 2s")
      })
    )
  })

  it.effect("as a layer over the roles of an application", () =>
    Effect.gen(function* () {
      const acme: Providers.Provider = {
        name: "acme",
        local: true,
        layer: (model) => Layer.succeed(LanguageModel.LanguageModel, fake([text(model)]).model)
      }
      const roles = Models.layerWith({
        providers: [acme],
        roles: { smart: { model: "acme:big" }, fast: { model: "acme:small" } }
      }).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))))
      const routed = Routing.layer({
        router: Routing.byLength({ upTo: [{ tokens: 50, route: "quick" }], beyond: "thorough" }),
        routes: { quick: "fast", thorough: "smart" }
      })
      const asked = Effect.forEach(["hi", "word ".repeat(500)], (prompt) =>
        Effect.map(LanguageModel.generateText({ prompt }), (response) => response.text)
      )
      assert.deepStrictEqual(yield* Effect.provide(asked, routed.pipe(Layer.provide(roles))), ["small", "big"])
    })
  )
})
