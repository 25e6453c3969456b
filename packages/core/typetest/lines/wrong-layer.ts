import { Effect } from "effect"
import { Plan } from "./shared.ts"

export const PlanLive = Plan.toLayer(
  () => Effect.succeed({ topics: [1] }) // error
)
