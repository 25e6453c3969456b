#!/usr/bin/env node
// The bin of this package.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Stdio from "effect/Stdio"
import * as Cli from "./Cli.ts"

// A reader that went away (`| head`) ends the command quietly.
process.stdout.on("error", () => {})

const main = Stdio.Stdio.pipe(
  Effect.flatMap((stdio) => stdio.args),
  Effect.flatMap(Cli.run),
  Effect.provide(NodeServices.layer)
)

NodeRuntime.runMain(main, {
  teardown: (exit, onExit) => {
    // What an imported module left open must not keep the command alive, and what it printed must be out.
    const end = (code: number) => process.stdout.write("", () => process.exit(code))
    if (Exit.isSuccess(exit) && typeof exit.value === "number") end(exit.value)
    else Runtime.defaultTeardown(exit, (code) => (code === 0 ? end(0) : onExit(code)))
  }
})
