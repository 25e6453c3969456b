// Folds a journal into what a run needs to go on: frames with their steps, facts of tasks under way, asks, answers.
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
}

export interface OpenAsk {
  readonly ask: string
  readonly name: string
  readonly kind: "question" | "uncertain"
  readonly question: Schema.Json
  readonly path: string
  readonly task: string
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

export const framePath = (path: string, task: string, step: number) => `${path}${task}@${step}/`

export const emptyFrame = (shape?: GraphShape): FrameLog => ({
  shape,
  base: undefined,
  changes: [],
  pending: new Map(),
  recorded: new Map(),
  intended: new Set()
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

const apply = (replay: Replay, entry: Entry): void => {
  if (entry._tag !== "RunFinished") replay.outcome = "unfinished"
  switch (entry._tag) {
    case "RunStarted": {
      const frame = frameAt(replay, "", entry.graph)
      frame.pending.clear()
      frame.recorded.clear()
      frame.intended.clear()
      frame.changes.push({ _tag: "Input", input: entry.input })
      for (const path of replay.frames.keys()) if (path !== "") replay.frames.delete(path)
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
      frame.pending.clear()
      frame.recorded.clear()
      frame.intended.clear()
      // What ran inside the tasks of this step is folded into their updates now.
      const inside = entry.tasks.map((task) => framePath(entry.path, task, entry.step))
      for (const path of replay.frames.keys()) {
        if (path.length > entry.path.length && inside.some((prefix) => path.startsWith(prefix)))
          replay.frames.delete(path)
      }
      return
    }
    case "Intent":
      frameAt(replay, entry.path).intended.add(factKey(entry.task, entry.key))
      return
    case "Recorded":
      frameAt(replay, entry.path).recorded.set(factKey(entry.task, entry.key), entry.value)
      return
    case "AskOpened":
      replay.asks.set(entry.ask, entry)
      return
    case "AskAnswered":
      replay.asks.delete(entry.ask)
      replay.answers.set(entry.ask, entry.value)
      return
    case "Patched":
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

/** Folds more entries into a replay. */
export const replay = (into: Replay, entries: ReadonlyArray<Sequenced>): Replay => {
  for (const { entry, seq } of entries) {
    apply(into, entry)
    into.head = seq
  }
  return into
}
