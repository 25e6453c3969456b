// A graph under way: where it stands, made of an input or of what its journal holds. Pure.
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Bound from "../Bound.ts"
import type { Entry, Posted, TaskResult, Values } from "../Entry.ts"
import {
  type ConcurrentUpdate,
  GraphChanged,
  type JournalConflict,
  NodeContractViolated,
  type ReadFailure
} from "../Errors.ts"
import type { Live } from "../Event.ts"
import type * as Task from "../Task.ts"
import { type Compiled, decodeUpdate, encodeUpdate, missing, type Record_ } from "./compile.ts"
import type { RunLease } from "./lease.ts"
import type { Change, FrameLog, Replay, Standing } from "./replay.ts"
import { type Arrived, type Finished, fold, foldPatch, type Plan, type RouteFailure, type TaskUpdate } from "./step.ts"

/** The journal as a run uses it. */
export interface RunJournal {
  readonly thread: string
  /** The thread's name and its journal's id of it: another for each thread that was ever made under the name. */
  readonly key: string
  readonly replay: Replay
  /** Succeeds with whether a snapshot is due. */
  readonly append: (entries: readonly [Entry, ...ReadonlyArray<Entry>]) => Effect.Effect<boolean, Task.JournalFailure>
  /** Posts entries and takes in all that stands up to the last of them, whose number it gives. */
  readonly post: (
    entries: readonly [Posted, ...ReadonlyArray<Posted>]
  ) => Effect.Effect<number, ReadFailure | JournalConflict>
  /** Takes in what others wrote, and tells it. */
  readonly catchUp: Effect.Effect<void, ReadFailure | JournalConflict>
  /** Keeps a snapshot of the thread as it stands, if it can be cut there. */
  readonly snapshot: Effect.Effect<void>
  readonly lease: RunLease
  /** Ends it: work that outlives its run writes nothing more. */
  readonly close: Effect.Effect<void>
}

/** One go at advancing a thread, or a graph without one (`journal` undefined). */
export interface Run {
  readonly journal: RunJournal | undefined
  readonly emit: ((event: Live) => Effect.Effect<void>) | undefined
  /** Told the state of the thread's own graph after each step. */
  readonly committed: ((state: Record_) => Effect.Effect<void>) | undefined
  /** Whether there is a tracer, so that spans have a reader. */
  readonly traced: boolean
}

/** A graph under way: its state, and what finished last. */
export interface Frame {
  readonly run: Run
  readonly graph: Compiled
  readonly path: string
  readonly log: FrameLog
  state: Record_
  step: number
  finished: ReadonlyArray<Finished> | undefined
  arrived: Arrived | undefined
  /** What comes next, where the commit of the last step has asked already. */
  next: Result.Result<Plan, RouteFailure> | undefined
}

/** A frame that begins with a state. */
export const startFrame = (run: Run, graph: Compiled, path: string, log: FrameLog, state: Record_): Frame => ({
  run,
  graph,
  path,
  log,
  state,
  step: 0,
  finished: undefined,
  arrived: undefined,
  next: undefined
})

/** Checks an input; its updates are folded into the initial values. */
export const startState = (
  graph: Compiled,
  input: unknown,
  journaled: boolean,
  from: Record_ = graph.initial,
  /** Whether it begins a run, and is no change in the middle of one. */
  begins = true
): Result.Result<{ readonly state: Record_; readonly json: Values }, ConcurrentUpdate | NodeContractViolated> =>
  Result.flatMap(encodeUpdate(graph, "start", input, journaled), ({ json, typed }) => {
    if (!begins) return Result.map(foldPatch(graph, from, toUpdate(typed)), (state) => ({ state, json: json ?? {} }))
    return Result.flatMap(fold(graph, from, [toUpdate(typed)]), (state) => {
      const issue = missingInput(graph, state)
      return issue === undefined ? Result.succeed({ state, json: json ?? {} }) : Result.fail(issue)
    })
  })

/** What an input did not give; `undefined`: nothing is missing. */
export const missingInput = (graph: Compiled, state: Record_): NodeContractViolated | undefined => {
  const [name] = missing(graph, state)
  return name === undefined
    ? undefined
    : new NodeContractViolated({
        node: "start",
        part: `channel "${name}"`,
        issue: "the input gives it no value, and it has no initial one"
      })
}

const toUpdate = (update: Record_): TaskUpdate => ({ task: "start", node: "start", update })

/** A frame as its journal left it. */
export const restore = (
  run: Run,
  graph: Compiled,
  path: string,
  log: FrameLog,
  /** Whether the frame is at rest, so that what ran last need not be in the graph any more. */
  resting = false
): Result.Result<Frame, GraphChanged> => {
  const changed = (differences: ReadonlyArray<string>) =>
    Result.fail(new GraphChanged({ thread: run.journal?.thread ?? "", graph: graph.name, differences }))
  const differences = log.shape === undefined ? [] : shapeDifferences(log, graph, resting)
  if (differences.length > 0) return changed(differences)
  let standing: Standing = log.base ?? { state: graph.initial, step: 0, finished: undefined, arrived: undefined }
  let begun = log.base !== undefined
  for (const change of log.changes) {
    const applied = applyChange(graph, standing, change, begun)
    if (Result.isFailure(applied)) return changed(applied.failure)
    standing = applied.success
    begun = true
  }
  const gone = resting ? [] : standingDifferences(graph, standing)
  return gone.length > 0 ? changed(gone) : Result.succeed({ run, graph, path, log, ...standing, next: undefined })
}

/** What the thread has come to and the graph has no place for any more, or the other way round. */
const standingDifferences = (graph: Compiled, { arrived, finished, state }: Standing): ReadonlyArray<string> => {
  const differences = missingValues(graph, state)
  for (const join of Object.keys(arrived ?? {})) {
    if (!Object.hasOwn(graph.nodes, join)) differences.push(`it waits at join "${join}", which the graph does not have`)
  }
  for (const { failure, task } of finished ?? []) {
    if (failure !== undefined && graph.onError[failure.tag] === undefined) {
      differences.push(`task "${task}" failed with ${failure.tag}, which the graph does not route any more`)
    }
  }
  return differences
}

const missingValues = (graph: Compiled, state: Record_): Array<string> =>
  missing(graph, state).map(
    (name) =>
      `it has no value for channel "${name}", which has no initial one: ` +
      `give the channel an initial value, or the thread a value with Thread.patch`
  )

/** The state of a frame at rest, as the graph's type has it. */
export const stateOf = (thread: string, { graph, state }: Frame): Result.Result<Record_, GraphChanged> => {
  const differences = missingValues(graph, state)
  return differences.length === 0
    ? Result.succeed(state)
    : Result.fail(new GraphChanged({ thread, graph: graph.name, differences }))
}

/** Folds what changed a frame into where it stands; fails with what does not fit the graph. */
export const applyChange = (
  graph: Compiled,
  standing: Standing,
  change: Change,
  begun: boolean
): Result.Result<Standing, ReadonlyArray<string>> => {
  const updates: Array<TaskUpdate> = []
  for (const { node, task, update } of change._tag === "Step" ? change.results : [outsideResult(change)]) {
    const decoded = decodeUpdate(graph, update ?? {})
    if (Result.isFailure(decoded)) return Result.fail(decoded.failure)
    updates.push({ task, node, update: decoded.success })
  }
  const folded =
    change._tag === "Patch" ? foldPatch(graph, standing.state, updates[0]!) : fold(graph, standing.state, updates)
  if (Result.isFailure(folded)) return Result.fail([folded.failure.message])
  const state = folded.success
  if (change._tag === "Step") {
    const finished = change.results.map((result) => toFinished(graph, result))
    return Result.succeed({ state, step: change.step, finished, arrived: change.arrived })
  }
  // Names of tasks, asks and calls carry the step: one that was begun and given up must not be taken for a new one.
  const step = begun ? standing.step + 1 : standing.step
  if (change._tag === "Input") return Result.succeed({ state, step, finished: undefined, arrived: undefined })
  const { node } = change
  return Result.succeed({
    ...standing,
    state,
    step,
    ...(node === undefined ? {} : { finished: [{ task: node, node, failure: undefined }] })
  })
}

const outsideResult = (change: Exclude<Change, { readonly _tag: "Step" }>): TaskResult =>
  change._tag === "Input"
    ? { task: "start", node: "start", update: change.input }
    : { task: "patch", node: "patch", update: change.updates }

const shapeDifferences = (log: FrameLog, graph: Compiled, resting: boolean): ReadonlyArray<string> => {
  const shape = log.shape!
  const differences: Array<string> = []
  if (shape.name !== graph.name) differences.push(`it was started with graph "${shape.name}"`)
  const nodes = new Set<string>(resting ? [] : Array.from(log.pending.values(), ({ node }) => node))
  const last = log.changes.findLast((change) => change._tag !== "Patch" || change.node !== undefined)
  if (!resting) {
    if (last?._tag === "Step") for (const { node } of last.results) nodes.add(node)
    if (last?._tag === "Patch") nodes.add(last.node!)
    if (last === undefined) for (const { node } of log.base?.finished ?? []) nodes.add(node)
  }
  for (const node of nodes) {
    if (!Object.hasOwn(graph.nodes, node))
      differences.push(`it stands at node "${node}", which the graph does not have`)
  }
  for (const [name, kind] of Object.entries(shape.channels)) {
    const now = graph.shape.channels[name]
    if (now !== undefined && now !== kind) differences.push(`channel "${name}" was "${kind}" and is "${now}"`)
  }
  return differences
}

/** What planning needs of a journaled result: an error that is routed as the value that it was. */
export const toFinished = (graph: Compiled, { failure, node, task }: Omit<TaskResult, "update">): Finished => {
  if (failure === undefined) return { task, node, failure: undefined }
  const decoded = graph.nodes[graph.onError[failure.tag] ?? ""]?.errorCodec?.decode(failure.error)
  const error = decoded !== undefined && Exit.isSuccess(decoded) ? decoded.value : failure.error
  return { task, node, failure: { tag: failure.tag, error } }
}

// What is kept of a message in the journal, in characters.
const maxMessage = 10_000

/** A text of an error as it is journaled. */
export const cutText = (text: string): string => (text.length <= maxMessage ? text : `${text.slice(0, maxMessage)}…`)

/** What an error says, as it is journaled. */
export const messageOf = (error: unknown): string => {
  try {
    return cutText(error instanceof Error ? error.message : String(error))
  } catch {
    return "it cannot say what it is"
  }
}

// A node that takes the error has a schema for it; any other error route only needs to be told apart in the journal.
export const encodeError = (graph: Compiled, tag: string, error: unknown): Schema.Json => {
  const encoded =
    Bound.issueOf(error) === undefined ? graph.nodes[graph.onError[tag] ?? ""]?.errorCodec?.encode(error) : undefined
  return encoded !== undefined && Exit.isSuccess(encoded) && Bound.issueOf(encoded.value) === undefined
    ? (encoded.value as Schema.Json)
    : { _tag: tag, message: messageOf(error) }
}
