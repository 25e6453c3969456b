import * as Channel from "@selvage/core/Channel"
import * as Graph from "@selvage/core/Graph"
import { Dispatcher, Plugin, type Registry, ToolOutcome } from "@selvage/tools"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export class Busy extends Schema.TaggedError<Busy>()("Busy", { isRetryable: Schema.Boolean }) {
  override get message() {
    return "The warehouse is busy."
  }
}

const Order = { sku: Schema.String, units: Schema.Int }

export const CheckStock = Tool.make("check_stock", {
  parameters: Schema.Struct({ sku: Schema.String }),
  success: Schema.Struct({ units: Schema.Int, since: Schema.optionalKey(Schema.DateTimeUtc) }),
  failure: Busy
}).annotate(Tool.Readonly, true)

export const Reserve = Tool.make("reserve", {
  parameters: Schema.Struct(Order),
  success: Schema.Void,
  failure: Busy,
  failureMode: "return"
}).annotate(Tool.Idempotent, true)

export const PlaceOrder = Tool.make("place_order", {
  parameters: Schema.Struct(Order),
  success: Schema.Struct({ order: Schema.String }),
  failure: Busy
})

export const Refund = Tool.make("refund", {
  parameters: Schema.Struct({ usd: Schema.Finite }),
  success: Schema.String,
  needsApproval: ({ usd }) => Effect.succeed(usd > 100)
})

export const Warehouse = Plugin.make("warehouse", {
  version: "1.0.0",
  toolkit: Toolkit.make(CheckStock, Reserve, PlaceOrder, Refund)
})

/** A graph whose one node dispatches the calls, one after the other. */
export const dispatching = (registry: Registry.Registry, calls: ReadonlyArray<Dispatcher.Call>) =>
  Graph.make("calls", {
    state: { outcomes: Channel.append(ToolOutcome.ToolOutcome) },
    nodes: {
      act: () =>
        Effect.map(
          Effect.forEach(calls, (call) => Dispatcher.dispatch(registry, call)),
          (outcomes) => ({ outcomes })
        )
    },
    edges: { start: "act", act: "end" }
  })
