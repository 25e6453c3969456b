// The effectful shell: runs the tasks that the pure core plans, journals what they leave, and folds it.
//
// A node whose effect is done when it is made (`Effect.succeed`) costs no fiber: its step is plain JavaScript.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import type { Entry, TaskResult } from "../Entry.ts"
import { DeadlineExceeded, GraphChanged, JournalConflict, JournalUnavailable, NodeContractViolated } from "../Errors.ts"
import * as Policy from "../Policy.ts"
import * as Task from "../Task.ts"
import { type Compiled, decodeUpdate, encodeUpdate, type Record_ } from "./compile.ts"
import {
  cutText,
  encodeError,
  messageOf,
  type Frame,
  restore,
  type Run,
  type RunJournal,
  startFrame,
  startState,
  toFinished
} from "./frame.ts"
import { waiting } from "./mailbox.ts"
import { emptyFrame, isBetweenSteps, waitedBy } from "./replay.ts"
import { type Finished, fold, plan, type Ready } from "./step.ts"
import { RunningTask } from "./task.ts"
import { giveWay, isOver, pause } from "./turns.ts"
import * as Wide from "./wide.ts"

// How many steps may go by before other fibers have their turn, where time does not tell.
const stepsBeforeYield = 256

// How many results a commit has in it at most, and how many are journaled at once where there are more.
const maxResults = 1024
const slice = 256

// How many tasks are started between two looks at the time.
const startedAtOnce = 64

/** How a task ended: with a result, waiting for answers, or with a failure that nothing routes. */
type TaskEnd =
  | TaskDone
  | { readonly _tag: "Waiting"; readonly asks: ReadonlyArray<string> }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown>; readonly ready: Ready; readonly attempt: number }

/** A task with its result: as it is journaled, as planning sees it, and its update. */
interface TaskDone extends Finished {
  readonly _tag: "Result"
  readonly result: TaskResult
  readonly update: Record_
}

/** Whether spans have a reader here. */
export const isTraced: Effect.Effect<boolean> = Effect.contextWith((context: Context.Context<never>) =>
  Effect.succeed(context.mapUnsafe.has(Tracer.TracerKey) && Context.get(context, References.TracerEnabled))
)

export const runEphemeral = (graph: Compiled, input: unknown): Effect.Effect<unknown, unknown, unknown> =>
  Effect.flatMap(isTraced, (traced) => {
    const run: Run = { journal: undefined, emit: undefined, committed: undefined, traced }
    const started = startState(graph, input, false)
    return Result.isFailure(started)
      ? Effect.fail(started.failure)
      : runInTime(startFrame(run, graph, "", emptyFrame(), started.success.state))
  })

/** Runs a graph inside the current task, in a frame of its own. */
export const runNested = Effect.fnUntraced(function* (
  graph: Compiled,
  input: unknown
): Effect.fn.Return<unknown, unknown, unknown> {
  const task = yield* Task.Current
  // A task made by a test, and not by a run, has no frame to run in.
  if (!(task instanceof RunningTask)) return yield* runEphemeral(graph, input)
  const { run } = task.frame
  const path = task.nextFrame()
  const { journal } = run
  const log = journal?.replay.frames.get(path)
  if (log !== undefined) {
    const frame = yield* Effect.fromResult(restore(run, graph, path, log))
    const waited = waitedBy(journal!.replay, yield* Clock.currentTimeMillis) - log.waitedBefore
    return yield* runInTime(frame, log.startedAt, waited)
  }
  const { json, state } = yield* Effect.fromResult(startState(graph, input, journal !== undefined))
  if (journal === undefined) return yield* runInTime(startFrame(run, graph, path, emptyFrame(), state))
  yield* journal.append([{ _tag: "FrameStarted", path, graph: graph.shape, input: json }])
  const started = journal.replay.frames.get(path) ?? emptyFrame(graph.shape)
  return yield* runInTime(startFrame(run, graph, path, started, state))
})

/** Runs a frame to its end, or to the deadline of its graph. */
export const runInTime = (frame: Frame, startedAt?: number, waited = 0): Effect.Effect<Record_, unknown, unknown> => {
  const { graph, path } = frame
  const { deadline } = graph
  if (deadline === undefined) return runFrame(frame)
  return Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const until = (startedAt ?? now) + waited + deadline
    const outer = yield* Policy.Deadline
    const exceeded = Effect.fail(new DeadlineExceeded({ graph: graph.name, path, millis: deadline }))
    if (until <= now) return yield* exceeded
    return yield* Effect.provideService(runFrame(frame), Policy.Deadline, Math.min(until, outer ?? until)).pipe(
      Effect.timeoutOrElse({ duration: until - now, orElse: () => exceeded })
    )
  })
}

/** Runs a frame to its end and succeeds with its state. */
const runFrame = (frame: Frame): Effect.Effect<Record_, unknown, unknown> => {
  const span = { attributes: { "selvage.graph": frame.graph.name, "selvage.path": frame.path } }
  const advanced = Effect.suspend(() => advance(frame))
  return frame.run.traced ? Effect.withSpan(advanced, "graph.run", span) : advanced
}

const advance = (frame: Frame): Effect.Effect<Record_, unknown, unknown> => {
  const { journal } = frame.run
  for (let count = 0; count < stepsBeforeYield && !isOver(); count++) {
    // The run applies the patches that wait, and then goes on.
    if (frame.path === "" && journal !== undefined && journal.replay.patches.length > 0 && isBetweenSteps(frame.log)) {
      return Effect.succeed(frame.state)
    }
    const planned = frame.next ?? plan(frame.graph, frame.state, frame.finished, frame.arrived)
    frame.next = undefined
    if (Result.isFailure(planned)) return Effect.fail(planned.failure)
    const { arrived, ready } = planned.success
    frame.arrived = arrived
    if (ready.length === 0) return Effect.succeed(frame.state)
    frame.step++
    const ends = frame.run.traced ? tracedStep(frame, ready) : runStep(frame, ready)
    if (Effect.isEffect(ends)) return Effect.flatMap(ends, (ends) => conclude(frame, ends) ?? advance(frame))
    const rest = conclude(frame, ends)
    if (rest !== undefined) return rest
  }
  return Effect.flatMap(isOver() ? giveWay : Effect.yieldNow, () => advance(frame))
}

/** Folds what a step left. `undefined`: the frame goes on at once. */
const conclude = (frame: Frame, ends: ReadonlyArray<TaskEnd>): Effect.Effect<Record_, unknown, unknown> | undefined => {
  const results: Array<TaskDone> = []
  const waiting: Array<string> = []
  for (const end of ends) {
    if (end._tag === "Failed") return Effect.failCause(placed(frame, end))
    if (end._tag === "Waiting") waiting.push(...end.asks)
    else results.push(end)
  }
  if (waiting.length > 0) return Effect.fail(new Task.Suspended({ asks: waiting }))
  const folded = fold(frame.graph, frame.state, results)
  if (Result.isFailure(folded)) return Effect.fail(folded.failure)
  frame.state = folded.success
  frame.finished = results
  const { committed, journal } = frame.run
  const told = committed !== undefined && frame.path === "" ? committed(frame.state) : undefined
  if (journal === undefined) return told === undefined ? undefined : Effect.flatMap(told, () => advance(frame))
  const written =
    results.length > maxResults
      ? Effect.flatMap(journalSlices(frame, journal, results), () => commit(frame, journal, results))
      : commit(frame, journal, results)
  return Effect.flatMap(told === undefined ? written : Effect.andThen(written, told), () => advance(frame))
}

/** Journals the results of a wide step in pieces, so that its commit has only their names. */
const journalSlices = (frame: Frame, journal: RunJournal, results: ReadonlyArray<TaskDone>) =>
  Effect.forEach(
    Array.from({ length: Math.ceil(results.length / slice) }, (_, index) => index * slice),
    (from) => Effect.andThen(pause, journalEnds(frame, journal, results.slice(from, from + slice))),
    { discard: true }
  )

const commit = (frame: Frame, journal: RunJournal, done: ReadonlyArray<TaskDone>) => {
  const { arrived, finished, graph, log, path, state, step } = frame
  const tasks: Array<string> = []
  const results: Array<TaskResult> = []
  for (const { result, task } of done) {
    tasks.push(task)
    if (!log.pending.has(task)) results.push(result)
  }
  const committed: Entry = {
    _tag: "StepCommitted",
    path,
    step,
    tasks,
    results,
    ...(arrived === undefined ? {} : { arrived })
  }
  frame.next = plan(graph, state, finished, arrived)
  // The last step of a thread and its end are one append.
  const ends = Result.isSuccess(frame.next) && frame.next.success.ready.length === 0
  const last = path === "" && ends && waiting(journal.replay) === 0
  return Effect.flatMap(
    journal.append(last ? [committed, { _tag: "RunFinished", outcome: "done" }] : [committed]),
    (snapshotDue) => {
      // The state stands for everything before it, so that a long run does not keep its history in memory.
      log.base = { state, step, finished, arrived }
      log.changes.length = 0
      return snapshotDue ? journal.snapshot : Effect.void
    }
  )
}

const placed = (frame: Frame, { attempt, cause, ready }: Extract<TaskEnd, { readonly _tag: "Failed" }>) => {
  if (Task.placeOf(cause) !== undefined) return cause
  const { graph, path, run, step } = frame
  const { node, task } = ready
  const place: Task.Place = { thread: run.journal?.thread, graph: graph.name, path, step, node, task, attempt }
  return Cause.annotate(cause, Context.make(Task.FailedAt, place))
}

type Ends = ReadonlyArray<TaskEnd> | Effect.Effect<ReadonlyArray<TaskEnd>, Task.JournalFailure, unknown>

const tracedStep = (frame: Frame, ready: ReadonlyArray<Ready>) =>
  Effect.withSpan(
    Effect.suspend(() => toEffect(runStep(frame, ready))),
    "graph.step",
    { attributes: { "selvage.graph": frame.graph.name, "selvage.path": frame.path, "selvage.step": frame.step } }
  )

/** A task that has still to run. */
interface Running {
  readonly index: number
  readonly ready: Ready
  readonly end: Effect.Effect<TaskEnd, never, unknown>
}

/** Runs the tasks of a step; what finished before the last is journaled at once. */
const runStep = (frame: Frame, ready: ReadonlyArray<Ready>): Ends => startFrom(frame, ready, [], [], 0)

/** Starts the tasks from `from` on: in one go, or with pauses where there are many. */
const startFrom = (
  frame: Frame,
  ready: ReadonlyArray<Ready>,
  ends: Array<TaskEnd>,
  running: Array<Running>,
  from: number
): Ends => {
  for (let index = from; index < ready.length; index++) {
    if (index > from && index % startedAtOnce === 0 && isOver()) {
      return Effect.flatMap(giveWay, () => toEffect(startFrom(frame, ready, ends, running, index)))
    }
    const task = ready[index]!
    const end = startTask(frame, task, ready.length)
    if (Effect.isEffect(end)) running.push({ index, ready: task, end })
    else ends[index] = end
  }
  return runStarted(frame, ready, ends, running)
}

const toEffect = (ends: Ends) => (Effect.isEffect(ends) ? ends : Effect.succeed(ends))

const runStarted = (
  frame: Frame,
  ready: ReadonlyArray<Ready>,
  ends: Array<TaskEnd>,
  running: ReadonlyArray<Running>
): Ends => {
  const { journal } = frame.run
  const done = Object.values(ends)
  const whole = done.every((end) => end._tag === "Result")
  if (running.length === 0) {
    return whole || journal === undefined ? ends : Effect.as(journalEnds(frame, journal, done), ends)
  }
  if (!whole && frame.graph.siblings === "interrupt" && done.some((end) => end._tag === "Failed")) {
    return journal === undefined ? done : Effect.as(journalEnds(frame, journal, done), done)
  }
  if (ready.length === 1) return Effect.map(settle(frame, { left: 0, whole }, running[0]!), (end) => [end])
  const rest = runRest(frame, ends, running, { left: running.length - 1, whole })
  return journal === undefined || done.length === 0 ? rest : Effect.andThen(journalEnds(frame, journal, done), rest)
}

/** How far a step is: how many tasks are not done besides the one that is next, and whether all that are done have a result. */
interface Progress {
  left: number
  whole: boolean
}

const runRest = (frame: Frame, ends: Array<TaskEnd>, running: ReadonlyArray<Running>, progress: Progress) => {
  const one = (task: Running) =>
    Effect.flatMap(settle(frame, progress, task), (end) => {
      ends[task.index] = end
      return end._tag === "Failed" && frame.graph.siblings === "interrupt" ? interruptSiblings : Effect.void
    })
  return Wide.forEach(running, one, { concurrency: frame.graph.concurrency, group: ({ ready }) => ready.group }).pipe(
    Effect.catchTag("SiblingFailed", () => Effect.void),
    Effect.map((): ReadonlyArray<TaskEnd> => Object.values(ends))
  )
}

const interruptSiblings = Effect.fail({ _tag: "SiblingFailed" } as const)

const settle = (
  frame: Frame,
  progress: Progress,
  { end }: Running
): Effect.Effect<TaskEnd, Task.JournalFailure, unknown> =>
  Effect.flatMap(end, (end): Effect.Effect<TaskEnd, Task.JournalFailure> => {
    const others = progress.left-- > 0
    if (end._tag !== "Result") progress.whole = false
    const { journal } = frame.run
    // Nothing more can be written: the siblings of a task that found that out are not waited for.
    if (end._tag === "Failed" && journal !== undefined) {
      const error = Cause.squash(end.cause)
      if (isJournalFailure(error, journal.thread)) {
        return Effect.failCause(placed(frame, end) as Cause.Cause<Task.JournalFailure>)
      }
    }
    // The last result of a step goes into its commit; only if there will be none, it stands on its own.
    return journal === undefined || (end._tag === "Result" && !others && progress.whole)
      ? Effect.succeed(end)
      : Effect.as(told(frame, end, journalEnds(frame, journal, [end])), end)
  })

/** What a task failed with is told also where its end could not be journaled. */
const told = (frame: Frame, end: TaskEnd, journaled: Effect.Effect<void, Task.JournalFailure>) =>
  end._tag !== "Failed"
    ? journaled
    : Effect.catchCause(journaled, (cause) =>
        Effect.failCause(Cause.combine(placed(frame, end) as Cause.Cause<Task.JournalFailure>, cause))
      )

/** Journals ends of tasks whose step has others that run, or will not be committed. */
const journalEnds = (frame: Frame, journal: RunJournal, ends: ReadonlyArray<TaskEnd>) => {
  const { log, path, step } = frame
  const entries: Array<Entry> = []
  for (const end of ends) {
    if (end._tag === "Result" && !log.pending.has(end.task)) {
      entries.push({ _tag: "TaskCompleted", path, step, result: end.result })
    }
    if (end._tag === "Failed") {
      const error = Cause.squash(end.cause)
      // A journal that failed or moved on cannot be told about it.
      if (isJournalFailure(error, journal.thread)) continue
      const { task } = end.ready
      entries.push({ _tag: "TaskFailed", path, step, task, ...describe(error), attempt: end.attempt })
    }
  }
  const [first, ...rest] = entries
  return first === undefined ? Effect.void : Effect.asVoid(journal.append([first, ...rest]))
}

/** What is kept of an error in the journal. */
export const describe = (error: unknown) => ({
  tag: cutText(tagOf(error) ?? "Defect"),
  message: messageOf(error)
})

/** Whether it is the failure of this thread's journal, and not of another thread that a node runs. */
export const isJournalFailure = (error: unknown, thread: string): boolean =>
  error instanceof JournalUnavailable || (error instanceof JournalConflict && error.thread === thread)

const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? error._tag
    : undefined

/** The end of a task, or the effect that comes to it. */
const startTask = (frame: Frame, ready: Ready, width: number): TaskEnd | Effect.Effect<TaskEnd, never, unknown> => {
  const kept = frame.log.pending.get(ready.task)
  if (kept !== undefined) return keptEnd(frame, ready, kept)
  const { policy, run } = frame.graph.nodes[ready.node]!
  const { emit, traced } = frame.run
  // A task that has to wait for its turn is not begun here.
  const waits = width > 1 && (ready.group !== undefined || frame.graph.concurrency !== "unbounded")
  if (policy !== undefined || emit !== undefined || traced || waits) return attempts(frame, ready)
  const effect = begin(run, ready)
  return Exit.isExit(effect)
    ? toEnd(frame, ready, effect, 1)
    : Effect.flatMap(
        Effect.exit(Effect.provideService(effect, Task.Current, new RunningTask(frame, ready, 1))),
        (exit) => ended(frame, ready, exit, 1)
      )
}

const begin = (
  run: Compiled["nodes"][string]["run"],
  { input, node }: Ready
): Effect.Effect<unknown, unknown, unknown> => {
  try {
    const effect: unknown = run(input)
    return Effect.isEffect(effect)
      ? (effect as Effect.Effect<unknown>)
      : Effect.fail(
          new NodeContractViolated({
            node,
            part: "what it returns",
            issue: `a node returns an Effect, not ${String(effect)}`
          })
        )
  } catch (defect) {
    return Effect.die(defect)
  }
}

/** The attempts of a task under its policy, seen by who listens. */
const attempts = (frame: Frame, ready: Ready): Effect.Effect<TaskEnd, never, unknown> => {
  const { policy, run } = frame.graph.nodes[ready.node]!
  const { emit, traced } = frame.run
  const { path, step } = frame
  const { node, task } = ready
  let attempt = 0
  const tried = Effect.suspend(() => {
    const current = new RunningTask(frame, ready, ++attempt)
    const one = Effect.provideService(begin(run, ready), Task.Current, current)
    const told =
      emit === undefined ? one : Effect.andThen(emit({ _tag: "TaskStarted", path, step, task, node, attempt }), one)
    if (!traced) return told
    const place = { "selvage.path": path, "selvage.step": step, "selvage.node": node, "selvage.task": task }
    return Effect.withSpan(told, "graph.task", { attributes: { ...place, "selvage.attempt": attempt } })
  })
  return Effect.flatMap(Effect.exit(policy === undefined ? tried : Policy.apply(tried, policy)), (exit) =>
    ended(frame, ready, exit, Math.max(1, attempt))
  )
}

const keptEnd = (frame: Frame, ready: Ready, result: TaskResult): TaskEnd => {
  const decoded = decodeUpdate(frame.graph, result.update ?? {})
  if (Result.isFailure(decoded)) {
    const thread = frame.run.journal?.thread ?? ""
    return failed(ready, 1, new GraphChanged({ thread, graph: frame.graph.name, differences: decoded.failure }))
  }
  return { _tag: "Result", ...toFinished(frame.graph, result), result, update: decoded.success }
}

const failed = (ready: Ready, attempt: number, error: unknown): TaskEnd => ({
  _tag: "Failed",
  cause: Cause.fail(error),
  ready,
  attempt
})

/** {@link toEnd}, in turn: many tasks of a step may come to their end at once. */
const ended = (frame: Frame, ready: Ready, exit: Exit.Exit<unknown, unknown>, attempt: number) =>
  isOver()
    ? Effect.map(giveWay, () => toEnd(frame, ready, exit, attempt))
    : Effect.succeed(toEnd(frame, ready, exit, attempt))

const toEnd = (frame: Frame, ready: Ready, exit: Exit.Exit<unknown, unknown>, attempt: number): TaskEnd => {
  const { node, task } = ready
  if (Exit.isSuccess(exit)) {
    const journaled = frame.run.journal !== undefined
    const checked = encodeUpdate(frame.graph, node, exit.value, journaled)
    if (Result.isFailure(checked)) return failed(ready, attempt, checked.failure)
    const { json = {}, typed } = checked.success
    return { _tag: "Result", task, node, failure: undefined, result: { task, node, update: json }, update: typed }
  }
  const error =
    exit.cause.reasons.length === 1 && exit.cause.reasons[0]!._tag === "Fail" ? exit.cause.reasons[0]!.error : undefined
  if (error instanceof Task.Suspended) return suspendedEnd(frame, ready, error, attempt)
  const tag = tagOf(error)
  if (tag === undefined || !Object.hasOwn(frame.graph.onError, tag)) {
    return { _tag: "Failed", cause: exit.cause, ready, attempt }
  }
  if (ready.rescues !== undefined) {
    // The graph's type says that this error does not leave it.
    const issue = `it failed with ${tag} itself: ${error instanceof Error ? error.message : String(error)}`
    return failed(
      ready,
      attempt,
      new NodeContractViolated({ node, part: `the error route of ${ready.rescues}`, issue })
    )
  }
  const failure = { tag, error: encodeError(frame.graph, tag, error) }
  return { _tag: "Result", task, node, failure: { tag, error }, result: { task, node, failure }, update: {} }
}

// Only asks of this thread can be answered; one made by a graph that runs on its own inside a node cannot.
const suspendedEnd = (frame: Frame, ready: Ready, { asks }: Task.Suspended, attempt: number): TaskEnd => {
  const replay = frame.run.journal?.replay
  if (replay === undefined || asks.every((ask) => replay.asks.has(ask) || replay.answers.has(ask))) {
    return { _tag: "Waiting", asks }
  }
  const issue = `it waits for ${asks.join(", ")}, which this thread did not ask; use Graph.node for a graph that asks`
  return failed(ready, attempt, new NodeContractViolated({ node: ready.node, part: "an ask", issue }))
}
