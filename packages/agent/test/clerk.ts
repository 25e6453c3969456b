// An agent whose tool must not be repeated, on a store and a bank that several processes share. As a program it is one of them.
import { type Journal, Lease, Thread } from "@selvage/core"
import { ScriptedModel } from "@selvage/testing"
import { Plugin, ToolCall } from "@selvage/tools"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { journalAt } from "../../sqlite/test/stores.ts"
import { Agent } from "../src/index.ts"

/** Where a thread runs, and for how long its leases are valid, in milliseconds. */
export const Place = Schema.Struct({
  store: Schema.Union([
    Schema.TaggedStruct("sqlite", { filename: Schema.String }),
    Schema.TaggedStruct("postgres", { schema: Schema.String })
  ]),
  bank: Schema.String,
  ttl: Schema.Finite
})
export type Place = typeof Place.Type

/** A journal of a process's own on the store. */
export const journalOf = ({ store }: Place): Layer.Layer<Journal.Journal> => Layer.fresh(journalAt(store))

/** What the bank knows: the calls that were begun, and the payments that it made, by key. */
export const bookOf = ({ bank }: Place) => {
  const lines = existsSync(bank) ? readFileSync(bank, "utf8").split("\n") : []
  const of = (what: string) => lines.filter((line) => line.startsWith(what)).map((line) => line.slice(what.length + 1))
  return { begun: of("begun"), paid: of("paid") }
}

/** Whether the request reaches the bank as soon as the call begins, or when it ends. */
const Arrives = Schema.Literals(["at once", "late"])
export type Arrives = typeof Arrives.Type

const Pay = Tool.make("pay", { parameters: Schema.Struct({ arrives: Arrives }), success: Schema.String }).annotate(
  Tool.Destructive,
  true
)
const Payments = Plugin.make("payments", { version: "1.0.0", toolkit: Toolkit.make(Pay) })
const Clerk = Agent.make("clerk", { instructions: "You pay.", tools: [Payments] })

/** Runs the clerk; a call takes as long as `call`. */
export const pay = (place: Place, thread: string, arrives: Arrives, call: Effect.Effect<void>) => {
  const write = (line: string) => Effect.sync(() => appendFileSync(place.bank, `${line}\n`))
  const live = Payments.toLayer(
    {
      pay: Effect.fnUntraced(function* ({ arrives }) {
        const key = (yield* ToolCall.Current)?.key
        yield* write(`begun ${key}`)
        if (arrives === "at once") yield* write(`paid ${key}`)
        yield* call
        if (arrives === "late") yield* write(`paid ${key}`)
        return "receipt"
      })
    },
    {
      reconcile: {
        pay: (_, { key }) =>
          Effect.sync(() => (bookOf(place).paid.includes(key) ? Option.some("receipt") : Option.none()))
      }
    }
  )
  // A run that takes the call over does not ask for it: that turn stands in the journal.
  const turn = ScriptedModel.respond(({ prompt }) =>
    JSON.stringify(prompt).includes("receipt") ? ScriptedModel.text("paid") : ScriptedModel.call("pay", { arrives })
  )
  return Thread.run(Clerk, { thread, input: { prompt: "Pay." } }).pipe(
    Effect.provide([live, ScriptedModel.layer([turn, turn])]),
    Effect.provideService(Lease.Ttl, place.ttl)
  )
}

/** How a run ended: its outcome, or its error. */
export const endOf = (exit: Exit.Exit<{ readonly _tag: string }, { readonly _tag: string }>): string =>
  Exit.match(exit, {
    onSuccess: ({ _tag }) => _tag,
    onFailure: (cause) =>
      cause.reasons.map((reason) => (reason._tag === "Fail" ? reason.error._tag : reason._tag)).join()
  })

if (import.meta.main) {
  const place = Schema.decodeUnknownSync(Schema.fromJsonString(Place))(process.argv[2])
  const one = (arrives: Arrives) =>
    Effect.exit(
      pay(
        place,
        arrives,
        arrives,
        Effect.andThen(
          Effect.sync(() => console.log("begun")),
          Effect.sleep(20 * place.ttl)
        )
      )
    )
  const ends = await Effect.runPromise(
    Effect.provide(Effect.all([one("at once"), one("late")], { concurrency: "unbounded" }), journalOf(place))
  )
  console.log(ends.map(endOf).join(" "))
}
