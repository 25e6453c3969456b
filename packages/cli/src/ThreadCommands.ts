/**
 * The commands on the threads of a journal.
 *
 * @since 0.1.0
 */
import type { Entry, Sequenced } from "@selvage/core/Entry"
import { ThreadExists } from "@selvage/core/Errors"
import { Journal, type ThreadInfo } from "@selvage/core/Journal"
import * as Thread from "@selvage/core/Thread"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Entries from "./Entries.ts"
import * as GraphModule from "./GraphModule.ts"
import * as Output from "./Output.ts"
import { journal, journalToWrite, jsonFlag, root } from "./Root.ts"

const thread = Argument.String("thread").pipe(Argument.withDescription("The name of the thread"))

const sequenceNumber = (name: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withSchema(
      Schema.Int.check(Schema.isGreaterThanOrEqualTo(0, { message: "Expected a sequence number: 0 or more" }))
    )
  )

const infoJson = (info: ThreadInfo) => ({
  thread: info.thread,
  graph: info.graph,
  status: info.status,
  entries: info.head,
  created: Output.time(info.createdAt),
  changed: Output.time(info.updatedAt)
})

/** `selvage threads` */
export const threads = Command.make(
  "threads",
  { json: jsonFlag },
  Effect.fnUntraced(function* ({ json }) {
    const { journal: file } = yield* root
    const listed = Stream.unwrap(Effect.map(Journal, (service) => service.threads()))
    if (json) {
      const lines = Output.lines(Stream.map(listed, (info) => Output.json(infoJson(info))))
      return yield* Effect.provide(lines, yield* journal)
    }
    // The columns are as wide as their widest cell, so all rows must be known.
    const all = yield* Effect.provide(Stream.runCollect(listed), yield* journal)
    if (all.length === 0) return yield* Output.tell(`The journal "${file}" has no threads yet.`)
    const rows = all.map((info) => [
      info.thread,
      info.graph,
      info.status,
      String(info.head),
      Output.time(info.updatedAt)
    ])
    yield* Output.print(Output.table([["THREAD", "GRAPH", "STATUS", "ENTRIES", "LAST CHANGE"], ...rows]))
  })
).pipe(Command.withDescription("List the threads, the one changed last first"))

/** `selvage show THREAD` */
export const show = Command.make(
  "show",
  { thread, json: jsonFlag },
  Effect.fnUntraced(function* ({ json, thread }) {
    const { info, summary } = yield* Effect.all({
      info: Effect.flatMap(Journal, (service) => service.info(thread)),
      summary: Thread.summary({ thread })
    }).pipe(Effect.provide(yield* journal))
    yield* Output.print(json ? [Output.json(summaryJson(info, summary))] : summaryLines(info, summary))
  })
).pipe(Command.withDescription("Sum up a thread: status, runs, steps, tasks, open asks, the last failure"))

const summaryJson = (info: ThreadInfo, summary: Thread.Summary) => ({
  ...infoJson(info),
  ...summary,
  failure: summary.failure && { ...summary.failure, at: Output.time(summary.failure.at) }
})

const summaryLines = (info: ThreadInfo, summary: Thread.Summary): ReadonlyArray<string> => {
  const { asks, failure, forked, innerSteps, runs, steps, tasks } = summary
  const nodes = Object.entries(tasks)
  const lines = Output.table([
    ["thread", info.thread],
    ["graph", info.graph],
    ["status", info.status],
    ["head", String(info.head)],
    ["created", Output.time(info.createdAt)],
    ["changed", Output.time(info.updatedAt)],
    ...(forked === undefined ? [] : [["forked", `from ${forked.from} at ${forked.at}`]]),
    ["runs", String(runs)],
    ["steps", innerSteps === 0 ? String(steps) : `${steps}, and ${innerSteps} in graphs inside`]
  ]).slice()
  if (nodes.length > 0) {
    const rows = nodes.map(([node, { done, failed }]) => [node, String(done), String(failed)])
    lines.push("", ...Output.table([["NODE", "DONE", "FAILED"], ...rows]))
  }
  if (asks.length > 0) {
    const rows = asks.map(({ ask, kind, question }) => [ask, kind, JSON.stringify(question)])
    lines.push("", ...Output.table([["OPEN ASK", "KIND", "QUESTION"], ...rows]))
  }
  if (failure !== undefined) {
    const where = `last failure at entry ${failure.seq} (${Output.time(failure.at)})`
    lines.push("", Output.printable(`${where}: ${failure.task}: ${reason(failure)}`))
  }
  return lines
}

const reason = ({ message, tag }: { readonly message: string; readonly tag: string }): string =>
  message === "" ? tag : `${tag}: ${message}`

/** `selvage events THREAD [--after N]` */
export const events = Command.make(
  "events",
  {
    thread,
    after: sequenceNumber("after").pipe(
      Flag.withDescription("Only entries after this sequence number"),
      Flag.withDefault(0)
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ after, json, thread }) {
    yield* Effect.gen(function* () {
      const until = yield* Entries.position(thread, undefined)
      const entries = Entries.read(thread, { after, until })
      yield* Output.lines(Stream.map(entries, json ? entryJson : entryLine))
    }).pipe(Effect.provide(yield* journal))
  })
).pipe(
  Command.withDescription("Print the entries of a thread, one a line"),
  Command.withExamples([{ command: "selvage events t-1 --after 40 --json", description: "Entries 41 and on, in full" }])
)

const entryJson = ({ at, entry, seq }: Sequenced) => Output.json({ seq, at: Output.time(at), entry })

const contentWidth = 120

const entryLine = ({ at, entry, seq }: Sequenced): string => {
  const { content, where } = describe(entry)
  const text = Output.shorten(Output.printable(content), contentWidth)
  return [String(seq).padStart(6), Output.time(at), entry._tag.padEnd(13), Output.printable(where), text]
    .filter((part) => part !== "")
    .join("  ")
}

const describe = (entry: Entry): { readonly where: string; readonly content: string } => {
  const json = (value: Schema.Json | undefined) => JSON.stringify(value) ?? ""
  switch (entry._tag) {
    case "RunStarted":
      return { where: entry.graph?.name ?? "", content: json(entry.input) }
    case "InputQueued":
      return { where: entry.graph.name, content: json(entry.input) }
    case "PatchQueued":
      return { where: entry.graph.name, content: json(entry.updates) }
    case "InputRefused":
    case "PatchRefused":
      return { where: `entry ${entry.queued}`, content: entry.message }
    case "Migrated":
      return { where: entry.graph.name, content: "" }
    case "FrameStarted":
      return { where: entry.path, content: `${entry.graph.name} ${json(entry.input)}` }
    case "TaskCompleted":
      return { where: entry.path + entry.result.task, content: json(entry.result.failure ?? entry.result.update) }
    case "StepCommitted":
      return { where: `${entry.path}step ${entry.step}`, content: entry.tasks.join(", ") }
    case "TaskFailed":
      return { where: entry.path + entry.task, content: reason(entry) }
    case "Intent":
      return { where: entry.path + entry.task, content: `${entry.key} ${json(entry.detail)}` }
    case "Recorded":
      return { where: entry.path + entry.task, content: `${entry.key} ${json(entry.value)}` }
    case "AskOpened":
      return { where: entry.ask, content: `${entry.kind} ${json(entry.question)}` }
    case "AskAnswered":
      return { where: entry.ask, content: json(entry.value) }
    case "AskExpired":
      return { where: entry.ask, content: "" }
    case "Patched":
      return { where: "", content: json(entry.updates) }
    case "Forked":
      return { where: "", content: `from ${entry.from} at ${entry.at}` }
    case "RunFinished":
      return { where: "", content: entry.outcome }
  }
}

/** `selvage state THREAD [--at N] [--graph MODULE]` */
export const state = Command.make(
  "state",
  {
    thread,
    at: sequenceNumber("at").pipe(
      Flag.withDescription("The state as of this sequence number; default: now"),
      Flag.optional
    ),
    graph: Flag.String("graph").pipe(
      Flag.withMetavar("MODULE"),
      Flag.withDescription("The module that exports the thread's graph, for initial values and reducers of its own"),
      Flag.optional
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ at, graph, json, thread }) {
    const print = (value: unknown) => Output.print([Output.json(value, json ? undefined : 2)])
    yield* Effect.gen(function* () {
      const info = yield* Effect.flatMap(Journal, (service) => service.info(thread))
      const loaded = Option.isSome(graph) ? yield* GraphModule.load(graph.value, info.graph) : undefined
      const folded = yield* Thread.stateJson({
        thread,
        at: Option.getOrElse(at, () => info.head),
        graph: loaded?.[0].graph
      })
      yield* print(folded.state)
      for (const channel of folded.unfolded) {
        yield* Output.tell(
          `Channel "${channel}" has a reducer of its own and is shown as the list of its updates; --graph MODULE folds it.`
        )
      }
      for (const channel of folded.unwritten) {
        yield* Output.tell(`Channel "${channel}" was never written; --graph MODULE shows its initial value.`)
      }
    }).pipe(Effect.provide(yield* journal))
  })
).pipe(
  Command.withDescription("Print the state of a thread as JSON, now or as of a sequence number"),
  Command.withExamples([{ command: "selvage state t-1 --at 12", description: "The state after entry 12" }])
)

const maxForkNames = 1000

/** `selvage fork THREAD --at N [--as NAME]` */
export const fork = Command.make(
  "fork",
  {
    thread,
    at: sequenceNumber("at").pipe(Flag.withDescription("The last entry that the fork has in common")),
    as: Flag.String("as").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("The name of the fork; default: THREAD-fork-N"),
      Flag.withSchema(Schema.NonEmptyString),
      Flag.optional
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function* ({ as, at, json, thread }) {
    const forked = yield* Effect.gen(function* () {
      const service = yield* Journal
      if (Option.isSome(as)) return { thread: as.value, head: yield* service.fork(thread, at, as.value) }
      const name = `${thread}-fork-${at}`
      for (let count = 1; count <= maxForkNames; count++) {
        const unique = count === 1 ? name : `${name}-${count}`
        const made = yield* Effect.result(service.fork(thread, at, unique))
        if (Result.isSuccess(made)) return { thread: unique, head: made.success }
        if (made.failure._tag !== "ThreadExists") return yield* made.failure
      }
      return yield* new ThreadExists({ thread: name })
    }).pipe(Effect.provide(yield* journalToWrite))
    yield* Output.print([json ? Output.json(forked) : Output.printable(forked.thread)])
  })
).pipe(
  Command.withDescription("Make a new thread of the first entries of another, and print its name"),
  Command.withExamples([{ command: "selvage fork t-1 --at 12 --as t-1b", description: "Go on from entry 12 as t-1b" }])
)
