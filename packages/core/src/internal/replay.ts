// Folds a journal into what a run needs to go on: frames with their steps, facts of tasks under way, asks, answers.
import type { OpenAsk } from "../Ask.ts"
import type { Entry, GraphShape, Sequenced, TaskResult, Values } from "../Entry.ts"
import type * as Schema from "effect/Schema"
import type { Record_ } from "./compile.ts"
import type { Finished } from "./step.ts"

/** What changed a frame's state, in order. */
export type Change =
  | { readonly _tag: "Input"; readonly input: Values }
  | { readonly _tag: "Patch"; readonly updates: Values }
  | { readonly _tag: "Step"; readonly step: number; readonly results: ReadonlyArray<TaskResult> }

/** What the journal holds of one frame. */
export interface FrameLog {
  readonly shape: GraphShape | undefined
  /** What a run has folded already; the changes come after it. */
  base:
    | { readonly state: Record_; readonly step: number; readonly finished: ReadonlyArray<Finished> | undefined }
    | undefined
  readonly changes: Array<Change>
  /** Results of tasks of the step under way. */
  readonly pending: Map<string, TaskResult>
  /** Facts of tasks of the step under way, by task and key. */
  readonly recorded: Map<string, Schema.Json>
  readonly intended: Set<string>
  /** The asks of tasks of the step under way, in the order in which they were opened. */
  readonly opened: Array<OpenAsk>
  /** The ids of asks of the step under way that were closed; none is used again. */
  readonly closed: Set<string>
}

export interface Replay {
  head: number
  readonly frames: Map<string, FrameLog>
  readonly asks: Map<string, OpenAsk>
  readonly answers: Map<string, Schema.Json>
  /** The input of the last run, and the keys of all runs. */
  input: Values | undefined
  runKey: string | undefined
  readonly runs: Set<string>
  outcome: "unfinished" | "done" | "failed" | "waiting"
  /** An answer came in from outside while a run was under way. */
  answered: boolean
}

export const factKey = (task: string, key: string) => `${task}\u0000${key}`

/** Where the graph runs that is the `count`-th one inside a task. */
export const framePath = (path: string, task: string, step: number, count = 1) =>
  `${path}${task}@${step}${count > 1 ? `#${count}` : ""}/`

export const emptyFrame = (shape?: GraphShape): FrameLog => ({
  shape,
  base: undefined,
  changes: [],
  pending: new Map(),
  recorded: new Map(),
  intended: new Set(),
  opened: [],
  closed: new Set()
})

export const emptyReplay = (): Replay => ({
  head: 0,
  frames: new Map(),
  asks: new Map(),
  answers: new Map(),
  input: undefined,
  runKey: undefined,
  runs: new Set(),
  outcome: "unfinished",
  answered: false
})

const frameAt = (replay: Replay, path: string, shape?: GraphShape): FrameLog => {
  let frame = replay.frames.get(path)
  if (frame === undefined) {
    frame = emptyFrame(shape)
    replay.frames.set(path, frame)
  }
  return frame
}

/** Forgets the asks of a frame: their tasks are done, or will not be gone on with. */
const closeAsks = (replay: Replay, frame: FrameLog): void => {
  for (const { ask } of frame.opened) {
    replay.asks.delete(ask)
    replay.answers.delete(ask)
  }
  frame.opened.length = 0
  frame.closed.clear()
}

/** Forgets the frames inside another: what ran there is folded into updates, or will not be gone on with. */
const closeInside = (replay: Replay, isInside: (path: string) => boolean): void => {
  for (const [path, frame] of replay.frames) {
    if (!isInside(path)) continue
    closeAsks(replay, frame)
    replay.frames.delete(path)
  }
}

/** Forgets a step under way; `facts` of its tasks stay where a call may have been made. */
const abandonStep = (replay: Replay, frame: FrameLog, facts: "forget" | "keep"): void => {
  frame.pending.clear()
  if (facts === "forget") {
    frame.recorded.clear()
    frame.intended.clear()
  }
  closeAsks(replay, frame)
}

const apply = (replay: Replay, entry: Entry): void => {
  // A fork or a patch says nothing of whether the thread is done.
  if (entry._tag !== "RunFinished" && entry._tag !== "Forked" && entry._tag !== "Patched") replay.outcome = "unfinished"
  switch (entry._tag) {
    case "RunStarted": {
      const frame = frameAt(replay, "", entry.graph)
      abandonStep(replay, frame, "forget")
      closeInside(replay, (path) => path !== "")
      frame.changes.push({ _tag: "Input", input: entry.input })
      replay.input = entry.input
      replay.runKey = entry.run
      if (entry.run !== undefined) replay.runs.add(entry.run)
      return
    }
    case "FrameStarted":
      frameAt(replay, entry.path, entry.graph).changes.push({ _tag: "Input", input: entry.input })
      return
    case "TaskCompleted":
      frameAt(replay, entry.path).pending.set(entry.result.task, entry.result)
      return
    case "StepCommitted": {
      const frame = frameAt(replay, entry.path)
      for (const result of entry.results) frame.pending.set(result.task, result)
      const results = entry.tasks.flatMap((task) => frame.pending.get(task) ?? [])
      frame.changes.push({ _tag: "Step", step: entry.step, results })
      abandonStep(replay, frame, "forget")
      // What ran inside the tasks of this step is folded into their updates now.
      const inside = entry.tasks.map((task) => framePath(entry.path, task, entry.step).slice(0, -1))
      if (replay.frames.size > 1) {
        closeInside(replay, (path) =>
          inside.some((prefix) => path.startsWith(`${prefix}/`) || path.startsWith(`${prefix}#`))
        )
      }
      return
    }
    case "Intent": {
      const frame = frameAt(replay, entry.path)
      frame.intended.add(factKey(entry.task, entry.key))
      // An answer to "was it made?" was about the call before this one.
      const stale = frame.opened.findIndex((open) => isUncertain(open, entry.task, entry.key))
      if (stale >= 0) {
        const [open] = frame.opened.splice(stale, 1)
        replay.asks.delete(open!.ask)
        replay.answers.delete(open!.ask)
        frame.closed.add(open!.ask)
      }
      return
    }
    case "Recorded":
      frameAt(replay, entry.path).recorded.set(factKey(entry.task, entry.key), entry.value)
      return
    case "AskOpened":
      replay.asks.set(entry.ask, entry)
      frameAt(replay, entry.path).opened.push(entry)
      return
    case "AskAnswered":
      replay.asks.delete(entry.ask)
      replay.answers.set(entry.ask, entry.value)
      return
    case "Patched":
      // The state has changed under the step under way, so its tasks are planned anew.
      abandonStep(replay, frameAt(replay, ""), "keep")
      closeInside(replay, (path) => path !== "")
      frameAt(replay, "").changes.push({ _tag: "Patch", updates: entry.updates })
      return
    case "RunFinished":
      replay.outcome = entry.outcome
      return
    case "TaskFailed":
    case "Forked":
      return
  }
}

const isUncertain = ({ kind, question, task }: OpenAsk, ofTask: string, key: string): boolean =>
  kind === "uncertain" &&
  task === ofTask &&
  typeof question === "object" &&
  question !== null &&
  "key" in question &&
  question.key === key

/** Folds more entries into a replay. */
export const replay = (into: Replay, entries: ReadonlyArray<Sequenced>): Replay => {
  for (const { entry, seq } of entries) {
    apply(into, entry)
    into.head = seq
  }
  return into
}
