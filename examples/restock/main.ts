/** The main job as a program: `pnpm demo`. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import { run } from "./Demo.ts"

NodeRuntime.runMain(
  Stdio.Stdio.pipe(
    Effect.flatMap((stdio) => stdio.args),
    Effect.flatMap(run),
    Effect.tap((code) =>
      Effect.sync(() => {
        process.exitCode = code
      })
    ),
    Effect.provide(NodeServices.layer)
  )
)
