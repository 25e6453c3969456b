// The effectful shell: runs the tasks that the pure core plans, journals what they leave, and folds it.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import type { Entry, TaskResult } from "../Entry.ts"
import { GraphChanged, JournalConflict, JournalUnavailable, NodeContractViolated } from "../Errors.ts"
import type { Live } from "../Event.ts"
import * as Policy from "../Policy.ts"
import * as Task from "../Task.ts"
import { type Compiled, decodeUpdate, encodeUpdate, type Record_ } from "./compile.ts"
import { emptyFrame, factKey, type FrameLog, framePath, type Replay } from "./replay.ts"
import { type Finished, fold, plan, type Ready, type TaskUpdate } from "./step.ts"

/** One go at advancing a thread, or a graph without one (`journal` undefined). */
export interface Run {
  readonly journal:
    | {
        readonly thread: string
        readonly replay: Replay
        readonly append: (
          entries: readonly [Entry, ...ReadonlyArray<Entry>]
        ) => Effect.Effect<void, Task.JournalFailure>
      }
    | undefined
  readonly emit: ((event: Live) => Effect.Effect<void>) | undefined
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
}

/** How a task ended: with a result, waiting for answers, or with a failure that nothing routes. */
type TaskEnd =
  | TaskDone
  | { readonly _tag: "Waiting"; readonly asks: ReadonlyArray<string> }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown> }

/** A task with its result: as it is journaled, as planning sees it, and its update. */
interface TaskDone extends Finished {
  readonly _tag: "Result"
  readonly result: TaskResult
  readonly update: Record_
}

export const runEphemeral = (graph: Compiled, input: unknown): Effect.Effect<unknown, unknown, unknown> =>
  runRoot(graph, input, { journal: undefined, emit: undefined })

const runRoot = (graph: Compiled, input: unknown, run: Run) =>
  Effect.flatMap(Effect.fromResult(startState(graph, input, false)), ({ state }) =>
    runFrame({ run, graph, path: "", log: emptyFrame(), state, step: 0, finished: undefined })
  )

/** Checks an input; its updates are folded into the initial values. */
export const startState = (graph: Compiled, input: unknown, journaled: boolean, from: Record_ = graph.initial) =>
  Result.flatMap(encodeUpdate(graph, "start", input, journaled), ({ json, typed }) =>
    Result.map(fold(graph, from, [{ task: "start", node: "start", update: typed }]), (state) => ({
      state,
      json: json ?? {}
    }))
  )

/** Runs a graph inside the current task, in a frame of its own. */
export const runNested = Effect.fnUntraced(function* (
  graph: Compiled,
  input: unknown
): Effect.fn.Return<unknown, unknown, unknown> {
  const task = yield* Task.Current
  // A task made by a test, and not by a run, has no frame to run in.
  if (!(task instanceof RunningTask)) return yield* runEphemeral(graph, input)
  const parent = task.frame
  const path = task.nextFrame()
  const journal = parent.run.journal
  if (journal === undefined) {
    const { state } = yield* Effect.fromResult(startState(graph, input, false))
    return yield* runFrame({ run: parent.run, graph, path, log: emptyFrame(), state, step: 0, finished: undefined })
  }
  const log = journal.replay.frames.get(path)
  if (log !== undefined) return yield* runFrame(yield* Effect.fromResult(restore(parent.run, graph, path, log)))
  const { json, state } = yield* Effect.fromResult(startState(graph, input, true))
  yield* journal.append([{ _tag: "FrameStarted", path, graph: graph.shape, input: json }])
  const started = journal.replay.frames.get(path) ?? emptyFrame(graph.shape)
  return yield* runFrame({ run: parent.run, graph, path, log: started, state, step: 0, finished: undefined })
})

/** A frame as its journal left it. Pure. */
export const restore = (
  run: Run,
  graph: Compiled,
  path: string,
  log: FrameLog,
  /** Whether the frame is at rest, so that what ran last need not be in the graph any more. */
  resting = false
): Result.Result<Frame, GraphChanged> => {
  const thread = run.journal?.thread ?? ""
  const changed = (differences: ReadonlyArray<string>) =>
    Result.fail(new GraphChanged({ thread, graph: graph.name, differences }))
  const differences = log.shape === undefined ? [] : shapeDifferences(log, graph, resting)
  if (differences.length > 0) return changed(differences)
  let { finished, state, step } = log.base ?? { state: graph.initial, step: 0, finished: undefined }
  for (const change of log.changes) {
    const updates: Array<TaskUpdate> = []
    const results =
      change._tag === "Step"
        ? change.results
        : [
            {
              task: change._tag,
              node: change._tag,
              update: change._tag === "Input" ? change.input : change.updates
            }
          ]
    for (const { node, task, update } of results) {
      const decoded = decodeUpdate(graph, update ?? {})
      if (Result.isFailure(decoded)) return changed(decoded.failure)
      updates.push({ task, node, update: decoded.success })
    }
    const folded = fold(graph, state, updates)
    if (Result.isFailure(folded)) return changed([folded.failure.message])
    state = folded.success
    if (change._tag === "Step") {
      step = change.step
      finished = change.results.map((result) => toFinished(graph, result))
    } else {
      // Names of tasks, asks and calls carry the step: one that was begun and given up must not be taken for a new one.
      if (log.base !== undefined || change !== log.changes[0]) step++
      if (change._tag === "Input") finished = undefined
    }
  }
  return Result.succeed({ run, graph, path, log, state, step, finished })
}

const shapeDifferences = (log: FrameLog, graph: Compiled, resting: boolean): ReadonlyArray<string> => {
  const shape = log.shape!
  const differences: Array<string> = []
  if (shape.name !== graph.name) differences.push(`it was started with graph "${shape.name}"`)
  const nodes = new Set<string>(log.pending.size === 0 ? [] : Array.from(log.pending.values(), ({ node }) => node))
  const last = log.changes.findLast((change) => change._tag !== "Patch")
  if (last?._tag === "Step" && !resting) for (const { node } of last.results) nodes.add(node)
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

const toFinished = (graph: Compiled, { failure, node, task }: TaskResult): Finished => {
  if (failure === undefined) return { task, node, failure: undefined }
  const decoded = graph.nodes[graph.onError[failure.tag] ?? ""]?.errorCodec?.decode(failure.error)
  const error = decoded !== undefined && Exit.isSuccess(decoded) ? decoded.value : failure.error
  return { task, node, failure: { tag: failure.tag, error } }
}

/** Runs a frame to its end and succeeds with its state. */
export const runFrame = Effect.fnUntraced(function* (frame: Frame): Effect.fn.Return<Record_, unknown, unknown> {
  while (true) {
    const planned = plan(frame.graph, frame.state, frame.finished)
    if (Result.isFailure(planned)) return yield* planned.failure
    const ready = planned.success
    if (ready.length === 0) return frame.state
    frame.step++
    const ends = yield* runTasks(frame, ready)
    const results: Array<TaskDone> = []
    const waiting: Array<string> = []
    for (const end of ends) {
      if (end._tag === "Failed") return yield* Effect.failCause(end.cause)
      if (end._tag === "Waiting") waiting.push(...end.asks)
      else results.push(end)
    }
    if (waiting.length > 0) return yield* new Task.Suspended({ asks: waiting })
    const folded = fold(frame.graph, frame.state, results)
    if (Result.isFailure(folded)) return yield* folded.failure
    frame.state = folded.success
    frame.finished = results
    if (frame.run.journal !== undefined) yield* commit(frame, frame.run.journal, results)
  }
})

const commit = (frame: Frame, journal: NonNullable<Run["journal"]>, ends: ReadonlyArray<TaskDone>) => {
  const { log, path, state, step } = frame
  const tasks: Array<string> = []
  const results: Array<TaskResult> = []
  for (const { result, task } of ends) {
    tasks.push(task)
    if (!log.pending.has(task)) results.push(result)
  }
  return Effect.map(journal.append([{ _tag: "StepCommitted", path, step, tasks, results }]), () => {
    // The state stands for everything before it, so that a long run does not keep its history in memory.
    log.base = { state, step, finished: ends }
    log.changes.length = 0
  })
}

/** How far a step is: how many tasks are not done, and whether all that are done have a result. */
interface Progress {
  left: number
  whole: boolean
}

/** Runs the tasks of a step; siblings of a failed task finish, and what finished before the last is journaled at once. */
const runTasks = (
  frame: Frame,
  ready: ReadonlyArray<Ready>
): Effect.Effect<ReadonlyArray<TaskEnd>, Task.JournalFailure, unknown> => {
  const progress: Progress = { left: ready.length, whole: true }
  if (ready.length === 1) return Effect.map(settle(frame, progress, ready[0]!), (end) => [end])
  const groups = new Map<object, Semaphore.Semaphore>()
  for (const { group } of ready) {
    if (group !== undefined && !groups.has(group)) {
      groups.set(group, Semaphore.makeUnsafe(Math.max(1, group.concurrency)))
    }
  }
  return Effect.forEach(
    ready,
    (task) => {
      const semaphore = task.group === undefined ? undefined : groups.get(task.group)
      const settled = settle(frame, progress, task)
      return semaphore === undefined ? settled : semaphore.withPermits(1)(settled)
    },
    { concurrency: "unbounded" }
  )
}

const settle = (frame: Frame, progress: Progress, ready: Ready): Effect.Effect<TaskEnd, Task.JournalFailure, unknown> =>
  Effect.flatMap(runTask(frame, ready), (end): Effect.Effect<TaskEnd, Task.JournalFailure> => {
    progress.left--
    if (end._tag !== "Result") {
      progress.whole = false
      return end._tag === "Failed" ? Effect.as(journalFailure(frame, ready, end.cause), end) : Effect.succeed(end)
    }
    // The last result of a step goes into its commit; only if there will be none, it stands on its own.
    const { log, path, run, step } = frame
    return run.journal !== undefined && (progress.left > 0 || !progress.whole) && !log.pending.has(ready.task)
      ? Effect.as(run.journal.append([{ _tag: "TaskCompleted", path, step, result: end.result }]), end)
      : Effect.succeed(end)
  })

const journalFailure = (frame: Frame, { task }: Ready, cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  // A journal that failed or moved on cannot be told about it.
  if (frame.run.journal === undefined || isJournalFailure(error, frame.run.journal.thread)) return Effect.void
  const message = error instanceof Error ? error.message : String(error)
  return frame.run.journal.append([
    { _tag: "TaskFailed", path: frame.path, step: frame.step, task, tag: tagOf(error) ?? "Defect", message }
  ])
}

/** Whether it is the failure of this thread's journal, and not of another thread that a node runs. */
export const isJournalFailure = (error: unknown, thread: string): boolean =>
  error instanceof JournalUnavailable || (error instanceof JournalConflict && error.thread === thread)

const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? error._tag
    : undefined

const runTask = (frame: Frame, ready: Ready): Effect.Effect<TaskEnd, never, unknown> => {
  const kept = frame.log.pending.get(ready.task)
  if (kept !== undefined) return Effect.succeed(keptEnd(frame, kept))
  const { policy, run } = frame.graph.nodes[ready.node]!
  const { emit } = frame.run
  let attempt = 0
  const tried = Effect.suspend(() => {
    const task = new RunningTask(frame, ready, ++attempt)
    const one = Effect.provideService(
      Effect.suspend(() => run(ready.input)),
      Task.Current,
      task
    )
    if (emit === undefined) return one
    const { path, step } = frame
    return Effect.andThen(emit({ _tag: "TaskStarted", path, step, task: ready.task, node: ready.node, attempt }), one)
  })
  return Effect.map(Effect.exit(policy === undefined ? tried : Policy.apply(tried, policy)), (exit) =>
    toEnd(frame, ready, exit)
  )
}

const keptEnd = (frame: Frame, result: TaskResult): TaskEnd => {
  const decoded = decodeUpdate(frame.graph, result.update ?? {})
  if (Result.isFailure(decoded)) {
    const thread = frame.run.journal?.thread ?? ""
    return failed(new GraphChanged({ thread, graph: frame.graph.name, differences: decoded.failure }))
  }
  return { _tag: "Result", ...toFinished(frame.graph, result), result, update: decoded.success }
}

const failed = (error: unknown): TaskEnd => ({ _tag: "Failed", cause: Cause.fail(error) })

const toEnd = (frame: Frame, { node, task }: Ready, exit: Exit.Exit<unknown, unknown>): TaskEnd => {
  if (Exit.isSuccess(exit)) {
    const checked = encodeUpdate(frame.graph, node, exit.value, frame.run.journal !== undefined)
    if (Result.isFailure(checked)) return failed(checked.failure)
    const { json = {}, typed } = checked.success
    return { _tag: "Result", task, node, failure: undefined, result: { task, node, update: json }, update: typed }
  }
  const error =
    exit.cause.reasons.length === 1 && exit.cause.reasons[0]!._tag === "Fail" ? exit.cause.reasons[0]!.error : undefined
  if (error instanceof Task.Suspended) return suspendedEnd(frame, node, error)
  const tag = tagOf(error)
  if (tag === undefined || !Object.hasOwn(frame.graph.onError, tag)) return { _tag: "Failed", cause: exit.cause }
  const failure = { tag, error: encodeError(frame.graph, tag, error) }
  return { _tag: "Result", task, node, failure: { tag, error }, result: { task, node, failure }, update: {} }
}

// Only asks of this thread can be answered; one made by a graph that runs on its own inside a node cannot.
const suspendedEnd = (frame: Frame, node: string, { asks }: Task.Suspended): TaskEnd => {
  const replay = frame.run.journal?.replay
  if (replay === undefined || asks.every((ask) => replay.asks.has(ask) || replay.answers.has(ask))) {
    return { _tag: "Waiting", asks }
  }
  const issue = `it waits for ${asks.join(", ")}, which this thread did not ask; use Graph.node for a graph that asks`
  return failed(new NodeContractViolated({ node, part: "an ask", issue }))
}

// A node that takes the error has a schema for it; any other error route only needs to be told apart in the journal.
const encodeError = (graph: Compiled, tag: string, error: unknown): Schema.Json => {
  const encoded = graph.nodes[graph.onError[tag]!]?.errorCodec?.encode(error)
  return encoded !== undefined && Exit.isSuccess(encoded)
    ? (encoded.value as Schema.Json)
    : { _tag: tag, message: error instanceof Error ? error.message : String(error) }
}

/** The task a node sees; one per attempt. */
class RunningTask implements Task.Task {
  readonly frame: Frame
  readonly task: string
  readonly node: string
  readonly attempt: number
  readonly #claimed: Array<string> = []
  #frames = 0

  constructor(frame: Frame, { node, task }: Ready, attempt: number) {
    this.frame = frame
    this.task = task
    this.node = node
    this.attempt = attempt
  }
  get thread() {
    return this.frame.run.journal?.thread
  }
  get path() {
    return this.frame.path
  }
  get step() {
    return this.frame.step
  }
  get emit() {
    return this.frame.run.emit
  }
  get key() {
    return `${this.thread ?? ""}:${framePath(this.path, this.task, this.step)}`
  }
  recorded(key: string) {
    return this.frame.log.recorded.get(factKey(this.task, key))
  }
  intended(key: string) {
    return this.frame.log.intended.has(factKey(this.task, key))
  }
  record(key: string, value: Schema.Json) {
    const { path, step, task } = this
    return this.#write({ _tag: "Recorded", path, step, task, key, value })
  }
  intend(key: string, detail: Schema.Json) {
    const { path, step, task } = this
    return this.#write({ _tag: "Intent", path, step, task, key, detail })
  }
  ask(
    name: string,
    kind: "question" | "uncertain",
    question: Schema.Json
  ): Effect.Effect<Schema.Json, Task.JournalFailure | Task.Suspended> {
    const { path, step, task } = this
    const replay = this.frame.run.journal?.replay
    const { opened } = this.frame.log
    // An answer belongs to its question: an attempt that asks less, or something else, must not take another's.
    const known = opened.find(
      (open) =>
        open.task === task &&
        open.name === name &&
        !this.#claimed.includes(open.ask) &&
        Equal.equals(open.question, question)
    )
    const ask = known?.ask ?? this.#askId(name)
    this.#claimed.push(ask)
    const suspended = Effect.fail(new Task.Suspended({ asks: [ask] }))
    if (replay === undefined) return suspended
    if (known === undefined) {
      return Effect.andThen(this.#write({ _tag: "AskOpened", path, step, task, ask, name, kind, question }), suspended)
    }
    const answer = replay.answers.get(ask)
    return answer === undefined ? suspended : Effect.succeed(answer)
  }
  #askId(name: string) {
    const base = `${framePath(this.path, this.task, this.step)}${name}`
    const taken = new Set([...this.frame.log.opened.map(({ ask }) => ask), ...this.frame.log.closed, ...this.#claimed])
    let ask = base
    for (let count = 2; taken.has(ask); count++) ask = `${base}#${count}`
    return ask
  }
  /** Where the next graph inside this task runs. */
  nextFrame() {
    return framePath(this.path, this.task, this.step, ++this.#frames)
  }
  #write(entry: Entry) {
    const { journal } = this.frame.run
    return journal === undefined ? Effect.void : journal.append([entry])
  }
}
