/**
 * The `selvage` command.
 *
 * @since 0.1.0
 */
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { graph } from "./GraphCommand.ts"
import { journal } from "./JournalCommands.ts"
import * as Output from "./Output.ts"
import { root } from "./Root.ts"
import { events, fork, show, state, threads } from "./ThreadCommands.ts"

/** The version of this package. */
export const version = "0.1.0"

/** How a run of the command ends: done, failed as the message on stderr says, or used wrongly. */
export type ExitCode = 0 | 1 | 2

/** The command with all its parts. */
export const command = root.pipe(Command.withSubcommands([threads, show, events, state, fork, graph, journal]))

// A wrong use gets one clear message; the whole help would push it off the screen.
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag !== "InvalidInvocation"
      ? CliOutput.defaultPresenter.present(event)
      : Effect.andThen(
          Effect.forEach(event.errors, ({ message }) => Output.tell(message.replaceAll(/\s*\n\s*/g, " "))),
          Console.error(`See ${event.commandPath.join(" ")} --help`)
        )
}

const main = Command.runWith(command, { version })

/**
 * Runs the command on arguments. What went wrong stands on stderr; the exit code is 1 for it, and 2 for a wrong use.
 */
export const run = (args: ReadonlyArray<string>): Effect.Effect<ExitCode, never, Command.Environment> =>
  main(args).pipe(
    Effect.as<ExitCode>(0),
    Effect.catch((error): Effect.Effect<ExitCode> => {
      if (error._tag === "ShowHelp") return Effect.succeed(error.errors.length === 0 ? 0 : 2)
      return Effect.as(Output.tell(error.message), 1)
    }),
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideService(
      CliConfig.CliConfig,
      CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
    )
  )
