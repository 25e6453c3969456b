/**
 * The command that all others are part of, and what they share: where the journal is.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as JournalFile from "./JournalFile.ts"

/** `selvage` and its shared flags. */
export const root = Command.make("selvage").pipe(
  Command.withSharedFlags({
    journal: Flag.String("journal").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("The journal file; else SELVAGE_JOURNAL, else .selvage/journal.db"),
      Flag.withFallbackConfig(Config.String("SELVAGE_JOURNAL")),
      Flag.withDefault(".selvage/journal.db")
    )
  }),
  Command.withDescription("Look at the threads of a journal, fork them, and draw graphs")
)

/** Whether a command prints JSON. */
export const jsonFlag = Flag.Boolean("json").pipe(
  Flag.withDescription("Print JSON, one value a line"),
  Flag.withDefault(false)
)

/** The journal that the shared flags name, to read: it changes nothing, and reads beside a writer. */
export const journal = Effect.map(root, ({ journal }) => JournalFile.layer(journal, { readonly: true }))

/** The journal that the shared flags name, to write. */
export const journalToWrite = Effect.map(root, ({ journal }) => JournalFile.layer(journal, { readonly: false }))
