import { time, type Workload } from "../../measure.ts"

export const workloads: Readonly<Record<string, Workload>> = {
  import: async () => ({ ms: await time(() => import("@openai/agents")) })
}
