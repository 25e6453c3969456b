/**
 * The commands on a journal as a whole: check it, take threads out of it and into it, remove old ones.
 *
 * @since 0.1.0
 */
import * as Journal from "@selvage/core/Journal"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { FileFailed, JournalUnsound } from "./Failure.ts"
import * as Output from "./Output.ts"
import { journal as journalLayer, journalToWrite, jsonFlag } from "./Root.ts"

type Checked = { readonly thread: string; readonly findings: ReadonlyArray<Journal.Finding> }

const findingLines = (json: boolean, { findings, thread }: Checked): ReadonlyArray<string> =>
  findings.map(({ issue, kind, seq }) =>
    json ? Output.json({ thread, seq, kind, issue }) : Output.printable(`${thread}  ${seq}  ${kind}  ${issue}`)
  )

/** `selvage journal check [THREAD]` */
const check = Command.make(
  "check",
  {
    thread: Argument.String("thread").pipe(
      Argument.withDescription("Only this thread; default: all of them"),
      Argument.optional
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ json, thread }) {
    const unsound: Array<string> = []
    let count = 0
    const one = (thread: string) =>
      Stream.fromEffect(
        Effect.flatMap(Journal.Journal, (journal) =>
          Effect.map(journal.check(thread), (findings): Checked => ({ thread, findings }))
        )
      )
    const checked = Option.isSome(thread) ? one(thread.value) : Journal.checkAll
    const lines = Stream.flatMap(checked, (found) => {
      if (found.findings.length > 0) unsound.push(found.thread)
      count += found.findings.length
      return Stream.fromIterable(findingLines(json, found))
    })
    yield* Effect.provide(Output.lines(lines), yield* journalLayer)
    if (count > 0) return yield* new JournalUnsound({ threads: unsound, findings: count })
    if (!json) yield* Output.print(["No findings."])
  })
).pipe(
  Command.withDescription("Look for missing, changed and undecodable entries; exit with 1 if there are any"),
  Command.withExamples([{ command: "selvage journal check t-1", description: "Check one thread" }])
)

/** `selvage journal export THREAD [--out FILE]` */
const exported = Command.make(
  "export",
  {
    thread: Argument.String("thread").pipe(Argument.withDescription("The name of the thread")),
    out: Flag.String("out").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("The file to write, in place of one that is there; default: stdout"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ out, thread }) {
    const lines = Journal.exportThread(thread)
    const layer = yield* journalLayer
    if (Option.isSome(out)) return yield* Effect.provide(writeFile(out.value, lines), layer)
    // As JSON escapes: the same values, and nothing that a terminal takes for a command.
    yield* Effect.provide(Output.lines(Stream.map(lines, Output.printable)), layer)
  })
).pipe(
  Command.withDescription("Write a thread as lines of JSON (NDJSON)"),
  Command.withExamples([{ command: "selvage journal export t-1 --out t-1.ndjson", description: "Into a file" }])
)

const writeFile = Effect.fnUntraced(function* <E, R>(file: string, lines: Stream.Stream<string, E, R>) {
  const fs = yield* FileSystem.FileSystem
  const failed = ({ message }: { readonly message: string }) => new FileFailed({ file, reason: message })
  yield* Effect.scoped(
    Effect.gen(function* () {
      const open = yield* Effect.mapError(fs.open(file, { flag: "w" }), failed)
      const encoder = new TextEncoder()
      yield* Stream.runForEach(Stream.chunks(lines), (chunk) =>
        Effect.mapError(open.writeAll(encoder.encode(`${chunk.join("\n")}\n`)), failed)
      )
    })
  )
})

/** `selvage journal import FILE [--as NAME]` */
const imported = Command.make(
  "import",
  {
    file: Argument.String("file").pipe(Argument.withDescription("What selvage journal export wrote")),
    as: Flag.String("as").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("The name of the thread; default: the one that it had"),
      Flag.withSchema(Schema.NonEmptyString),
      Flag.optional
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ as, file, json }) {
    const fs = yield* FileSystem.FileSystem
    const lines = fs.stream(file).pipe(
      Stream.decodeText,
      Stream.splitLines,
      Stream.mapError(({ message }) => new FileFailed({ file, reason: message }))
    )
    const { head, thread } = yield* Effect.provide(
      Journal.importThread(lines, { as: Option.getOrUndefined(as) }),
      yield* journalToWrite
    )
    yield* Output.print([json ? Output.json({ thread, head }) : Output.printable(thread)])
  })
).pipe(
  Command.withDescription("Make a thread of an exported one, and print its name"),
  Command.withExamples([{ command: "selvage journal import t-1.ndjson --as t-1b", description: "Under another name" }])
)

const Age = Schema.String.check(
  Schema.makeFilter((text) => Option.isSome(parseAge(text)) || 'Expected a time as "30 days", "12 hours", "90 minutes"')
)

const parseAge = (text: string): Option.Option<Duration.Duration> => {
  const [, count, unit] = /^(\d+) *(minute|hour|day|week)s?$/.exec(text.trim()) ?? []
  if (count === undefined) return Option.none()
  switch (unit) {
    case "minute":
      return Option.some(Duration.minutes(Number(count)))
    case "hour":
      return Option.some(Duration.hours(Number(count)))
    case "day":
      return Option.some(Duration.days(Number(count)))
    default:
      return Option.some(Duration.weeks(Number(count)))
  }
}

/** `selvage journal prune --older-than AGE [--status STATUS]...` */
const prune = Command.make(
  "prune",
  {
    olderThan: Flag.String("older-than").pipe(
      Flag.withMetavar("AGE"),
      Flag.withDescription('Threads that were last changed longer ago, as "30 days"'),
      Flag.withSchema(Age)
    ),
    status: Flag.Literals("status", ["unfinished", "waiting", "done", "failed"]).pipe(
      Flag.withDescription("Threads of this status, may be repeated; default: done and failed"),
      Flag.atLeast(0)
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ json, olderThan, status }) {
    const age = Option.getOrElse(parseAge(olderThan), () => Duration.infinity)
    const removed = yield* Effect.provide(
      Journal.retain({ olderThan: age, status: status.length === 0 ? undefined : status }),
      yield* journalToWrite
    )
    yield* Output.print([
      json ? Output.json({ removed }) : `${removed} ${removed === 1 ? "thread" : "threads"} removed.`
    ])
  })
).pipe(
  Command.withDescription("Delete old threads whose last run is over"),
  Command.withExamples([
    { command: 'selvage journal prune --older-than "30 days"', description: "What is done or failed for a month" }
  ])
)

/** `selvage journal` and its parts. */
export const journal = Command.make("journal").pipe(
  Command.withDescription("Check, export, import and prune the journal"),
  Command.withSubcommands([check, exported, imported, prune])
)
