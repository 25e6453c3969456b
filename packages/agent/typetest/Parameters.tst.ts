// Functions that an application gives to plugins, agents and scripts: no parameter of theirs is `any` in silence.
import * as Agent from "@selvage/agent/Agent"
import * as ScriptedModel from "@selvage/testing/ScriptedModel"
import * as Plugin from "@selvage/tools/Plugin"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { describe, expect, test } from "tstyche"

const Pay = Tool.make("pay", {
  parameters: Schema.Struct({ usd: Schema.Finite }),
  success: Schema.Struct({ receipt: Schema.String }),
  needsApproval: ({ usd }) => {
    expect(usd).type.toBe<number>()
    return usd > 100
  }
})
const Payments = Plugin.make("payments", { version: "1.0.0", toolkit: Toolkit.make(Pay) })
const handlers = { pay: () => Effect.succeed({ receipt: "r" }) }

describe("handlers of a plugin", () => {
  test("arrows and generators, in a layer, in an effect that makes them, in a fake", () => {
    Payments.toLayer({
      pay: ({ usd }) => {
        expect(usd).type.toBe<number>()
        return Effect.succeed({ receipt: `${usd}` })
      }
    })
    Payments.toLayer({
      pay: Effect.fnUntraced(function* ({ usd }) {
        expect(usd).type.toBe<number>()
        return { receipt: `${usd}` }
      })
    })
    Payments.toLayer(
      Effect.gen(function* () {
        return {
          pay: Effect.fn("pay")(function* ({ usd }) {
            expect(usd).type.toBe<number>()
            return { receipt: `${usd}` }
          })
        }
      })
    )
    Payments.fake({
      pay: Effect.fnUntraced(function* ({ usd }) {
        expect(usd).type.toBe<number>()
        return { receipt: `${usd}` }
      })
    })
  })

  test("reconcile", () => {
    Payments.toLayer(handlers, {
      reconcile: {
        pay: ({ usd }, { key }) => {
          expect(usd).type.toBe<number>()
          expect(key).type.toBe<string>()
          return Effect.succeed(Option.none())
        }
      }
    })
    Payments.layerToolkit({
      reconcile: {
        pay: Effect.fnUntraced(function* ({ usd }, { key }) {
          expect(usd).type.toBe<number>()
          expect(key).type.toBe<string>()
          return Option.none()
        })
      }
    })
  })

  test("what does not fit", () => {
    expect(Payments.toLayer({ pay: ({ eur }) => Effect.succeed({ receipt: `${eur}` }) })).type.toRaiseError(
      "'eur' does not exist"
    )
    expect(Payments.toLayer({ pay: () => Effect.succeed({ recipe: "r" }) })).type.toRaiseError("recipe")
    expect(Payments.fake({ payy: () => Effect.succeed({ receipt: "r" }) })).type.toRaiseError("payy")
  })
})

describe("an agent as a node", () => {
  const Critic = Agent.make("critic", { instructions: "x", output: Schema.Struct({ score: Schema.Int }) })

  test("takes a state whose type is written, and gives its own output", () => {
    Agent.node(Critic, {
      prompt: ({ draft }: { readonly draft: string }) => draft,
      update: ({ output, text }, { draft }) => {
        expect(output).type.toBe<{ readonly score: number } | undefined>()
        expect(text).type.toBe<string>()
        expect(draft).type.toBe<string>()
        return { score: output?.score }
      }
    })
    expect(Agent.node(Critic, { prompt: ({ draft }) => draft, update: () => ({}) })).type.toRaiseError()
  })
})

test("a turn of a script that depends on the request", () => {
  ScriptedModel.respond((request) => {
    expect(request).type.toBe<ScriptedModel.Request>()
    return ScriptedModel.text(request.tools.join())
  })
  ScriptedModel.respond(
    Effect.fnUntraced(function* (request) {
      expect(request).type.toBe<ScriptedModel.Request>()
      return ScriptedModel.text(request.tools.join())
    })
  )
})
