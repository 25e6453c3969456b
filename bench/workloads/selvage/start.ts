import { bundle, bundledStart } from "../../bundle.ts"
import { time, type Workload } from "../../measure.ts"

export const workloads: Readonly<Record<string, Workload>> = {
  "import core": async () => ({ ms: await time(() => import("@selvage/core")) }),
  "import agent": async () => ({ ms: await time(() => import("@selvage/agent")) }),
  bundle: (file) => bundle("selvage.ts", file),
  "bundled graph": (file) => bundledStart("selvage.ts", file),
  "bundled agent": (file) => bundledStart("selvage-agent.ts", file)
}
