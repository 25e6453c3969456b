/**
 * The entries of a journal. A thread is nothing but these, in order, with a gapless sequence number that starts at 1.
 *
 * Values (inputs, updates, questions, answers) are kept as the JSON their schemas encode to. `path` names the frame an
 * entry belongs to: empty for the thread's own graph, `"decide[3]@2/"` for the graph that runs as the fourth `decide`
 * task of step 2, and so on inward.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Values = Schema.Record(Schema.String, Schema.Json)

/** What a finished task left: its update, or the error that an `onError` route takes. */
export const TaskResult = Schema.Struct({
  /** The task's name in its step: the node, and for a fan-out the item's key in brackets. */
  task: Schema.String,
  node: Schema.String,
  update: Schema.optionalKey(Values),
  failure: Schema.optionalKey(Schema.Struct({ tag: Schema.String, error: Schema.Json }))
})
export type TaskResult = typeof TaskResult.Type

/** What a thread stores of the graph it was started with, to notice when the graph no longer fits. */
export const GraphShape = Schema.Struct({
  name: Schema.String,
  channels: Schema.Record(Schema.String, Schema.String),
  nodes: Schema.Array(Schema.String)
})
export type GraphShape = typeof GraphShape.Type

export const Entry = Schema.TaggedUnion({
  /** A run began with an input. */
  RunStarted: {
    /** Kept where it differs from that of the run before. */
    graph: Schema.optionalKey(GraphShape),
    input: Values,
    run: Schema.optionalKey(Schema.String),
    /** The sequence number of the `InputQueued` that it takes up. */
    queued: Schema.optionalKey(Schema.Int),
    /** Calls of the run that it replaces of which nobody knows whether they were made. */
    uncertain: Schema.optionalKey(
      Schema.Array(Schema.Struct({ path: Schema.String, step: Schema.Int, task: Schema.String, key: Schema.String }))
    )
  },
  /**
   * An input came while a run was under way; a run of its own takes it up afterwards. One whose run is known already, or
   * that finds the mailbox full, counts as not there.
   */
  InputQueued: { graph: GraphShape, input: Values, run: Schema.optionalKey(Schema.String) },
  /** A queued input did not fit the state that it found. */
  InputRefused: { queued: Schema.Int, message: Schema.String },
  /** A frame began: the state of a graph inside a graph. */
  FrameStarted: { path: Schema.String, graph: GraphShape, input: Values },
  /** A task finished while others of its step still run. */
  TaskCompleted: { path: Schema.String, step: Schema.Int, result: TaskResult },
  /** All tasks of a step are done and their updates are folded; `results` holds those not yet in a TaskCompleted. */
  StepCommitted: {
    path: Schema.String,
    step: Schema.Int,
    tasks: Schema.Array(Schema.String),
    results: Schema.Array(TaskResult),
    /** For each join that still waits, the nodes that arrived at it. */
    arrived: Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Schema.String)))
  },
  /** A task failed for good; the run ends with its error. */
  TaskFailed: {
    path: Schema.String,
    step: Schema.Int,
    task: Schema.String,
    tag: Schema.String,
    message: Schema.String,
    attempt: Schema.optionalKey(Schema.Int)
  },
  /** A call that must not be repeated in silence is about to be made. */
  Intent: {
    path: Schema.String,
    step: Schema.Int,
    task: Schema.String,
    key: Schema.String,
    detail: Schema.Json,
    /** The run that makes it; its lease tells whether it may still be at it. */
    owner: Schema.optionalKey(Schema.String),
    /** A fingerprint of the item of a fan-out: a task of its name with another item is another one. */
    item: Schema.optionalKey(Schema.String)
  },
  /** The result of a piece of a task that is made once. */
  Recorded: {
    path: Schema.String,
    step: Schema.Int,
    task: Schema.String,
    key: Schema.String,
    value: Schema.Json,
    item: Schema.optionalKey(Schema.String)
  },
  /** A question to the outside suspends the task. */
  AskOpened: {
    path: Schema.String,
    step: Schema.Int,
    task: Schema.String,
    ask: Schema.String,
    name: Schema.String,
    kind: Schema.Literals(["question", "uncertain"]),
    question: Schema.Json,
    /** Until when it can be answered, milliseconds since the epoch. */
    deadline: Schema.optionalKey(Schema.Finite)
  },
  /** An answer; one to an ask that is not open, or with a key that was used before, counts as not there. */
  AskAnswered: { ask: Schema.String, value: Schema.Json, key: Schema.optionalKey(Schema.String) },
  /** The deadline of an ask passed without an answer. */
  AskExpired: { ask: Schema.String },
  /** A change made from outside, through the reducers; with `node`, as if that node had just made it. */
  Patched: {
    updates: Values,
    node: Schema.optionalKey(Schema.String),
    /** The sequence number of the `PatchQueued` that it takes up. */
    queued: Schema.optionalKey(Schema.Int),
    key: Schema.optionalKey(Schema.String)
  },
  /** A patch came while a run was under way, which applies it between two of its steps. */
  PatchQueued: {
    graph: GraphShape,
    updates: Values,
    node: Schema.optionalKey(Schema.String),
    key: Schema.optionalKey(Schema.String)
  },
  /** A queued patch did not fit the state that it found. */
  PatchRefused: { queued: Schema.Int, message: Schema.String },
  /** From here on the entries of the run under way have the form of this graph; those before are read by its migration. */
  Migrated: { graph: GraphShape },
  /** The thread was forked from another at a sequence number. */
  Forked: { from: Schema.String, at: Schema.Int },
  /** A run came to its end: the graph is done, a task failed, or every task left waits for an answer. */
  RunFinished: {
    outcome: Schema.Literals(["done", "failed", "waiting"]),
    /** Why it failed. */
    error: Schema.optionalKey(Schema.Struct({ tag: Schema.String, message: Schema.String }))
  }
})
export type Entry = typeof Entry.Type

/**
 * An entry from outside of the run: `Journal.post` appends it wherever the thread stands, and the run under way takes it in.
 */
export type Posted = Extract<Entry, { readonly _tag: (typeof postedTags)[number] }>

/** The tags of {@link Posted}. */
export const postedTags = ["AskAnswered", "InputQueued", "PatchQueued"] as const

const posted = new Set<string>(postedTags)

/** Whether an entry is from outside of the run. */
export const isPosted = (entry: Entry): entry is Posted => posted.has(entry._tag)

/**
 * What an entry makes of the status of its thread, given the status before; `undefined`: it says nothing of that. Pure.
 */
export const statusOf = (
  entry: Entry,
  before: "unfinished" | "done" | "failed" | "waiting" | undefined
): "unfinished" | "done" | "failed" | "waiting" | undefined => {
  switch (entry._tag) {
    case "RunFinished":
      return entry.outcome
    case "Forked":
    case "InputQueued":
    case "InputRefused":
    case "PatchQueued":
    case "PatchRefused":
    case "Migrated":
      return undefined
    case "AskAnswered":
      // One that came too late to count does not start a thread that is done.
      return before === "done" ? undefined : "unfinished"
    case "Patched":
      // As of a node, the run goes on after it, also one that had come to its end.
      return entry.node === undefined ? undefined : "unfinished"
    default:
      return "unfinished"
  }
}

/** An entry in its place: the thread's sequence number and when it was written (milliseconds since the epoch). */
export interface Sequenced {
  readonly seq: number
  readonly at: number
  readonly entry: Entry
}

/** A record of JSON values by channel. */
export type Values = typeof Values.Type
