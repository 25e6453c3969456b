import { bundle, bundledStart } from "../../bundle.ts"
import { time, type Workload } from "../../measure.ts"

export const workloads: Readonly<Record<string, Workload>> = {
  import: async () => ({ ms: await time(() => import("@langchain/langgraph")) }),
  bundle: (file) => bundle("langgraph.ts", file),
  "bundled graph": (file) => bundledStart("langgraph.ts", file)
}
