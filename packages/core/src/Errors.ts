/**
 * The typed failures of the runtime. Each crosses processes (a `Schema.TaggedError`) and says what happened, to what,
 * and what to do. A node's own errors are not here: they stand in the graph's type.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { tellCause } from "./internal/cause.ts"

const list = (items: ReadonlyArray<string>) => (items.length === 0 ? "none" : items.join(", "))

export { plainCause } from "./internal/cause.ts"

/** A graph that cannot work, found when it is built; all findings at once. */
export class GraphInvalid extends Schema.TaggedError<GraphInvalid>()("GraphInvalid", {
  graph: Schema.String,
  findings: Schema.Array(Schema.String)
}) {
  override get message() {
    return `Graph "${this.graph}" cannot be built: ${this.findings.join("; ")}`
  }
}

/** Two tasks of one step wrote a channel that keeps only one value. Nothing of the step was committed. */
export class ConcurrentUpdate extends Schema.TaggedError<ConcurrentUpdate>()("ConcurrentUpdate", {
  channel: Schema.String,
  tasks: Schema.Array(Schema.String)
}) {
  override get message() {
    return (
      `Tasks ${list(this.tasks)} wrote channel "${this.channel}" in one step, which keeps one value. ` +
      `Give the channel a reducer (Channel.append, Channel.map, Channel.reduce) or let only one of them write it.`
    )
  }
}

/** A route returned a target that the graph does not have. */
export class UnknownRoute extends Schema.TaggedError<UnknownRoute>()("UnknownRoute", {
  node: Schema.String,
  target: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The route after "${this.node}" leads to "${this.target}", which is no node of the graph. Known: ${list(this.known)}, end.`
  }
}

/** A value did not fit the schema that a node, a channel or an answer promised. */
export class NodeContractViolated extends Schema.TaggedError<NodeContractViolated>()("NodeContractViolated", {
  node: Schema.String,
  part: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `Node "${this.node}" broke its contract at ${this.part}: ${this.issue}`
  }
}

/** Another process advanced the thread. This run changed nothing after the entry it saw last. */
export class JournalConflict extends Schema.TaggedError<JournalConflict>()("JournalConflict", {
  thread: Schema.String,
  expected: Schema.Int,
  actual: Schema.Int,
  /** Why, where the sequence numbers do not say it. */
  reason: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    const stands =
      this.reason !== undefined
        ? this.reason
        : this.actual === this.expected
          ? "is another one than the caller knows: it was deleted and made again under its name, or its database was set back"
          : `stands at entry ${this.actual}, not at ${this.expected}: another process runs it`
    return (
      `Thread "${this.thread}" ${stands}. ` +
      `Let that one finish, or run the thread again to continue from where it stands.`
    )
  }
}

/**
 * The journal could not be read or written. Whether an append that failed so stands is not known: the next run reads where
 * the thread stands.
 */
export class JournalUnavailable extends Schema.TaggedError<JournalUnavailable>()("JournalUnavailable", {
  operation: Schema.String,
  /** Which store: its file, or its host and port. Never a user or a password. */
  store: Schema.optionalKey(Schema.String),
  /** What the store said, see {@link plainCause}. */
  cause: Schema.Defect()
}) {
  override get message() {
    const reason = tellCause(this.cause)
    const store = this.store === undefined || reason.includes(this.store) ? "" : ` (${this.store})`
    return `The journal${store} failed to ${this.operation}: ${reason}. Nothing uncommitted was kept; run the thread again once it is back.`
  }
}

/** An entry of the journal cannot be read as one. Other threads are not affected. */
export class JournalCorrupt extends Schema.TaggedError<JournalCorrupt>()("JournalCorrupt", {
  thread: Schema.String,
  seq: Schema.Int,
  issue: Schema.String
}) {
  override get message() {
    return (
      `Entry ${this.seq} of thread "${this.thread}" cannot be read: ${this.issue}. ` +
      `Fork the thread before it (at ${Math.max(0, this.seq - 1)}) to go on from the last good entry.`
    )
  }
}

/** There is no such thread. */
export class ThreadNotFound extends Schema.TaggedError<ThreadNotFound>()("ThreadNotFound", {
  thread: Schema.String
}) {
  override get message() {
    return `There is no thread "${this.thread}" in this journal. List the threads, or start it with an input.`
  }
}

/** A thread of that name stands already. */
export class ThreadExists extends Schema.TaggedError<ThreadExists>()("ThreadExists", {
  thread: Schema.String
}) {
  override get message() {
    return `There is a thread "${this.thread}" already. Choose another name.`
  }
}

/** A sequence number that the thread does not have. */
export class EntryNotFound extends Schema.TaggedError<EntryNotFound>()("EntryNotFound", {
  thread: Schema.String,
  /** As it was given, which need not be a whole number. */
  seq: Schema.Number,
  head: Schema.Int
}) {
  override get message() {
    return `Thread "${this.thread}" has entries 1 to ${this.head}; there is no entry ${this.seq}.`
  }
}

/** The thread has unfinished work and was given another input, or the same under another name. */
export class ThreadBusy extends Schema.TaggedError<ThreadBusy>()("ThreadBusy", {
  thread: Schema.String,
  asks: Schema.Array(Schema.String),
  /** How many inputs and patches wait for a run, where no more may. */
  queued: Schema.optionalKey(Schema.Int),
  /** How many inputs queue before this one, where no run is under way. */
  ahead: Schema.optionalKey(Schema.Int),
  /** What of the call is not that of the unfinished run. */
  differs: Schema.optionalKey(Schema.Literals(["input", "name"])),
  /** The name of the unfinished run, if it has one. */
  run: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    const thread = `Thread "${this.thread}"`
    if (this.queued !== undefined) {
      return `${thread} has ${this.queued} inputs and patches that wait for a run, and takes no more. Run it until there is room.`
    }
    if (this.ahead !== undefined) {
      return `${thread} has ${this.ahead} inputs in its queue that no run has taken up. Run it without an input first.`
    }
    const { first, waits } =
      this.asks.length > 0
        ? { waits: `waits for an answer to ${list(this.asks)}`, first: "Answer it first" }
        : { waits: "has an unfinished run", first: "Run it without an input to finish it first" }
    if (this.differs !== "name") return `${thread} ${waits} and cannot take another input. ${first}.`
    const own = this.run === undefined ? "has no name" : `is named "${this.run}"`
    const under = this.run === undefined ? "without a name" : "under that name"
    return `${thread} ${waits}. Its run ${own} and has the same input. ${first}, or run it ${under}.`
  }
}

/** A change from outside while nobody knows whether a call was made. */
export class CallInFlight extends Schema.TaggedError<CallInFlight>()("CallInFlight", {
  thread: Schema.String,
  task: Schema.String,
  key: Schema.String
}) {
  override get message() {
    return (
      `Task "${this.task}" of thread "${this.thread}" began the call "${this.key}" whose result is not known, and a patch would forget it. ` +
      `Run the thread until the call is settled, then patch it.`
    )
  }
}

/** The stored thread no longer fits the graph. */
export class GraphChanged extends Schema.TaggedError<GraphChanged>()("GraphChanged", {
  thread: Schema.String,
  graph: Schema.String,
  differences: Schema.Array(Schema.String)
}) {
  override get message() {
    return (
      `Thread "${this.thread}" does not fit graph "${this.graph}": ${this.differences.join("; ")}. ` +
      `Run it with the graph it was started with, or start a new thread.`
    )
  }
}

/** An entry of a thread changes the state in a way that its channels cannot take. */
export class StateUnreadable extends Schema.TaggedError<StateUnreadable>()("StateUnreadable", {
  thread: Schema.String,
  seq: Schema.Int,
  issues: Schema.Array(Schema.String)
}) {
  override get message() {
    return (
      `Entry ${this.seq} of thread "${this.thread}" does not fit the channels that the journal names: ${this.issues.join("; ")}. ` +
      `Read the state as of entry ${this.seq - 1}, or look at the entry itself.`
    )
  }
}

/** An answer to an ask that is not open. */
export class AskNotOpen extends Schema.TaggedError<AskNotOpen>()("AskNotOpen", {
  thread: Schema.String,
  ask: Schema.String,
  open: Schema.Array(Schema.String)
}) {
  override get message() {
    return `Thread "${this.thread}" has no open ask "${this.ask}". Open: ${list(this.open)}.`
  }
}

/** An answer that does not fit the schema of its ask. The ask stays open. */
export class AnswerInvalid extends Schema.TaggedError<AnswerInvalid>()("AnswerInvalid", {
  ask: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `The answer to ask "${this.ask}" does not fit its schema: ${this.issue}. The ask stays open.`
  }
}

/** The deadline of an ask passed before it was answered, and the ask has no answer for that. */
export class AskExpired extends Schema.TaggedError<AskExpired>()("AskExpired", {
  ask: Schema.String,
  /** The name that the ask was declared with. */
  asked: Schema.String,
  /** Milliseconds since the epoch. */
  deadline: Schema.Finite
}) {
  override get message() {
    return (
      `Nobody answered ask "${this.ask}" until ${new Date(this.deadline).toISOString()}. ` +
      `Route AskExpired with onError, or give the ask an answer for that with \`otherwise\`.`
    )
  }
}

/** A run took longer than its graph allows. Its running tasks were interrupted. */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", {
  graph: Schema.String,
  path: Schema.String,
  millis: Schema.Finite
}) {
  override get message() {
    return `A run of graph "${this.graph}" took longer than its ${this.millis} ms and was stopped. Give it more time, or start a new run with less work.`
  }
}

/** Another input took the place of this run. */
export class RunReplaced extends Schema.TaggedError<RunReplaced>()("RunReplaced", {
  thread: Schema.String
}) {
  override get message() {
    return `The run of thread "${this.thread}" was interrupted because a new input replaced it. The new run goes on from the last committed step.`
  }
}

/** A named run that was asked for again had failed, and another run followed it. */
export class RunFailed extends Schema.TaggedError<RunFailed>()("RunFailed", {
  thread: Schema.String,
  /** Its name. */
  run: Schema.String,
  /** What it failed with. */
  error: Schema.Struct({ tag: Schema.String, message: Schema.String })
}) {
  override get message() {
    return (
      `Run "${this.run}" of thread "${this.thread}" failed with ${this.error.tag} (${this.error.message}), ` +
      `and another run followed it, so it cannot go on. Start it under another name to try its input again.`
    )
  }
}

/** A limit ended the work before the next turn. */
export class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", {
  limit: Schema.String,
  turns: Schema.Int
}) {
  override get message() {
    return `The limit "${this.limit}" was reached after ${this.turns} turns. Raise it, or run with a smaller task.`
  }
}

/** What a graph can fail with besides the errors of its own nodes. */
export type GraphFailure = ConcurrentUpdate | UnknownRoute | NodeContractViolated

/** What reading a journal can fail with. */
export type ReadFailure = JournalUnavailable | JournalCorrupt | ThreadNotFound

/** What a durable run can fail with besides the errors of its own nodes. */
export type ThreadFailure =
  | GraphFailure
  | JournalConflict
  | JournalUnavailable
  | JournalCorrupt
  | ThreadNotFound
  | ThreadBusy
  | RunReplaced
  | RunFailed
  | GraphChanged

/** Entries that are no thread: one is missing or out of its place. Nothing was restored. */
export class RestoreInvalid extends Schema.TaggedError<RestoreInvalid>()("RestoreInvalid", {
  thread: Schema.String,
  seq: Schema.Int,
  issue: Schema.String
}) {
  override get message() {
    return `Thread "${this.thread}" cannot be restored at entry ${this.seq}: ${this.issue}. Restore all its entries, 1 to the last, in order.`
  }
}

/** A line of an exported thread that cannot be read. Nothing was imported. */
export class ImportInvalid extends Schema.TaggedError<ImportInvalid>()("ImportInvalid", {
  line: Schema.Int,
  issue: Schema.String
}) {
  override get message() {
    return `Line ${this.line} of the exported thread cannot be read: ${this.issue}. Nothing was imported; export the thread again.`
  }
}
