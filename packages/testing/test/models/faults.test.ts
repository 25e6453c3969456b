// Every fault × every wire × whole or streamed, over HTTP: the outcome is the documented one.
import { ModelPolicy } from "@selvage/models"
import { assert, describe, it } from "@effect/vitest"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Fault, faults, type Outcome, table, text } from "./faults.ts"
import { listen, shown } from "./stages.ts"
import { type Wire, wires } from "./wires.ts"
import { patiently } from "../measures.ts"

const toolkit = Toolkit.make(
  Tool.make("check_stock", { parameters: Schema.Struct({ sku: Schema.String }), success: Schema.Int })
)
const handlers = toolkit.toLayer({ check_stock: () => Effect.succeed(7) })
const asked = { prompt: "How many?", toolkit } as const

const isStreaming = (body: string) => /"stream":\s*true/.test(body)

type Model = LanguageModel.LanguageModel

const whole: Readonly<Record<NonNullable<Fault["asks"]>, Effect.Effect<string, AiError.AiError, Model>>> = {
  text: Effect.map(LanguageModel.generateText({ prompt: "How many?" }), ({ finishReason }) => finishReason),
  tools: Effect.provide(
    Effect.map(LanguageModel.generateText(asked), ({ finishReason }) => finishReason),
    handlers
  ),
  object: Effect.map(
    LanguageModel.generateObject({ prompt: "How many?", schema: Schema.Struct({ units: Schema.Int }) }),
    ({ finishReason }) => finishReason
  )
}

const streamed = (tools: boolean, heard: (text: string) => void): Effect.Effect<string, AiError.AiError, Model> => {
  const hear = Stream.runFold(
    () => "no end",
    (reason: string, part: { readonly type: string; readonly delta?: string; readonly reason?: string }) => {
      if (part.type === "text-delta") heard(part.delta ?? "")
      return part.type === "finish" ? (part.reason ?? reason) : reason
    }
  )
  return tools
    ? Effect.provide(hear(LanguageModel.streamText(asked)), handlers)
    : hear(LanguageModel.streamText({ prompt: "How many?" }))
}

const outcome = (effect: Effect.Effect<string, AiError.AiError>): Effect.Effect<Outcome> =>
  Effect.match(effect, {
    onSuccess: (reason) => ({ reason: `answer, \`${reason}\``, retryable: false, retryAfter: undefined, fault: false }),
    onFailure: (error) => ({ ...shown(error), fault: ModelPolicy.isFault(error) })
  })

/** Asks once, and compares how it ended and what was heard until then. */
const meets = (
  wire: Wire,
  fault: Fault,
  asking: (heard: (text: string) => void) => Effect.Effect<string, AiError.AiError, Model>,
  expected: Outcome,
  partial: string
) => {
  const attempt = (limit: number) =>
    Effect.gen(function* () {
      let requests = 0
      let heard = ""
      const { underWay, until, url } = yield* listen((response, body) => {
        requests++
        fault.serve(wire, response, isStreaming(body))
      })
      const ask = asking((delta) => void (heard += delta))
      const actual = yield* outcome(Effect.provide(ask, wire.model(fault.url ?? url, limit)))
      assert.deepStrictEqual(actual, { retryAfter: undefined, ...expected })
      assert.strictEqual(requests, fault.url === undefined ? 1 : 0)
      assert.strictEqual(heard, partial)
      yield* until(() => underWay.size === 0)
    }).pipe(Effect.scoped)
  return fault.silent === true ? patiently(attempt) : attempt(300_000)
}

for (const wire of wires) {
  describe(`faults of ${wire.name}`, () => {
    for (const fault of faults) {
      const { asks = "text" } = fault
      it.live(`${fault.name}, whole`, () => meets(wire, fault, () => whole[asks], fault.call, ""))
      if (asks === "object") continue
      it.live(`${fault.name}, streamed`, () =>
        meets(
          wire,
          fault,
          (heard) => streamed(asks === "tools", heard),
          fault.stream ?? fault.call,
          fault.partial === true ? text : ""
        )
      )
    }
  })
}

it("docs/models.md shows the matrix as it is tested", () => {
  const document = readFileSync(join(import.meta.dirname, "../../../../docs/models.md"), "utf8")
  const [, shown = ""] = /<!-- faults: begin -->\n+([\s\S]*?)\n+<!-- faults: end -->/.exec(document) ?? []
  assert.strictEqual(shown, table())
})
