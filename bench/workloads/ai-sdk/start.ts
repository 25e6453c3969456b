import { bundledStart } from "../../bundle.ts"
import { time, type Workload } from "../../measure.ts"

export const workloads: Readonly<Record<string, Workload>> = {
  import: async () => ({ ms: await time(() => import("ai")) }),
  "bundled agent": (file) => bundledStart("ai-sdk.ts", file)
}
