// Folds a journal into what a run needs to go on: frames with their steps, facts of tasks under way, asks, answers.
import * as Equal from "effect/Equal"
import type * as Schema from "effect/Schema"
import type { OpenAsk } from "../Ask.ts"
import { type Entry, type GraphShape, type Sequenced, statusOf, type TaskResult, type Values } from "../Entry.ts"
import { type Migrate, type Migration, upcast } from "../Migration.ts"
import type { Record_ } from "./compile.ts"
import type { Arrived, Finished } from "./step.ts"

/** What changed a frame's state, in order. */
export type Change =
  | { readonly _tag: "Input"; readonly input: Values }
  | { readonly _tag: "Patch"; readonly updates: Values; readonly node: string | undefined }
  | {
      readonly _tag: "Step"
      readonly step: number
      readonly results: ReadonlyArray<TaskResult>
      readonly arrived: Arrived | undefined
    }

/** Where a frame stands between two steps. */
export interface Standing {
  readonly state: Record_
  readonly step: number
  readonly finished: ReadonlyArray<Finished> | undefined
  readonly arrived: Arrived | undefined
}

/** What the journal holds of one frame. */
export interface FrameLog {
  shape: GraphShape | undefined
  /** When its run began, milliseconds since the epoch. */
  startedAt: number
  /** What a run has folded already; the changes come after it. */
  base: Standing | undefined
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

/** An input that waits for the runs before it. */
export interface Queued {
  readonly seq: number
  readonly input: Values
  readonly run: string | undefined
}

export interface Replay {
  head: number
  readonly frames: Map<string, FrameLog>
  readonly asks: Map<string, OpenAsk>
  readonly answers: Map<string, Schema.Json>
  /** Asks whose deadline passed. */
  readonly expired: Set<string>
  readonly queue: Array<Queued>
  /** The input of the last run, and the keys of all runs. */
  input: Values | undefined
  runKey: string | undefined
  readonly runs: Set<string>
  outcome: "unfinished" | "done" | "failed" | "waiting"
  /** How long the run waited for answers, and since when it does, in milliseconds. */
  waited: number
  waitingSince: number | undefined
  /** An answer came in from outside while a run was under way. */
  answered: boolean
  /** The shape that entries are written in now. */
  shape: GraphShape | undefined
  /** How the entries of the run under way are read, where their shape is not that of the graph. */
  migration: Migration | undefined
}

/** The graph that a replay is for: how its entries are read. */
export interface Reader {
  readonly shape: GraphShape
  readonly migrate: Migrate | undefined
}

export const factKey = (task: string, key: string) => `${task}\u0000${key}`

/** Where the graph runs that is the `count`-th one inside a task. */
export const framePath = (path: string, task: string, step: number, count = 1) =>
  `${path}${task}@${step}${count > 1 ? `#${count}` : ""}/`

export const emptyFrame = (shape?: GraphShape): FrameLog => ({
  shape,
  startedAt: 0,
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
  expired: new Set(),
  queue: [],
  input: undefined,
  runKey: undefined,
  runs: new Set(),
  outcome: "unfinished",
  waited: 0,
  waitingSince: undefined,
  answered: false,
  shape: undefined,
  migration: undefined
})

const frameAt = (replay: Replay, path: string, shape?: GraphShape): FrameLog => {
  let frame = replay.frames.get(path)
  if (frame === undefined) {
    frame = emptyFrame(shape)
    replay.frames.set(path, frame)
  }
  return frame
}

const closeAsk = (replay: Replay, ask: string): void => {
  replay.asks.delete(ask)
  replay.answers.delete(ask)
  replay.expired.delete(ask)
}

/** Forgets the asks of a frame: their tasks are done, or will not be gone on with. */
const closeAsks = (replay: Replay, frame: FrameLog): void => {
  if (frame.opened.length === 0 && frame.closed.size === 0) return
  for (const { ask } of frame.opened) {
    closeAsk(replay, ask)
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
  if (frame.pending.size > 0) frame.pending.clear()
  if (facts === "forget") {
    if (frame.recorded.size > 0) frame.recorded.clear()
    if (frame.intended.size > 0) frame.intended.clear()
  }
  closeAsks(replay, frame)
}

// Come from outside while a run waits; it goes on with what its own process writes next.
const outside = new Set<Entry["_tag"]>(["AskAnswered", "InputQueued", "Forked"])

const apply = (replay: Replay, { at, entry, seq }: Sequenced): void => {
  if (replay.waitingSince !== undefined && !outside.has(entry._tag)) {
    replay.waited += at - replay.waitingSince
    replay.waitingSince = undefined
  }
  replay.outcome = statusOf(entry) ?? replay.outcome
  switch (entry._tag) {
    case "RunStarted": {
      replay.shape = entry.graph ?? replay.shape
      const frame = frameAt(replay, "", replay.shape)
      frame.shape = replay.shape
      frame.startedAt = at
      replay.waited = 0
      abandonStep(replay, frame, "forget")
      closeInside(replay, (path) => path !== "")
      frame.changes.push({ _tag: "Input", input: entry.input })
      replay.input = entry.input
      replay.runKey = entry.run
      if (entry.run !== undefined) replay.runs.add(entry.run)
      if (entry.queued !== undefined) {
        const index = replay.queue.findIndex((queued) => queued.seq === entry.queued)
        if (index >= 0) replay.queue.splice(index, 1)
      }
      return
    }
    case "InputQueued":
      replay.queue.push({ seq, input: entry.input, run: entry.run })
      return
    case "Migrated":
      replay.shape = entry.graph
      frameAt(replay, "").shape = entry.graph
      return
    case "FrameStarted": {
      const frame = frameAt(replay, entry.path, entry.graph)
      frame.startedAt = at
      frame.changes.push({ _tag: "Input", input: entry.input })
      return
    }
    case "TaskCompleted":
      frameAt(replay, entry.path).pending.set(entry.result.task, entry.result)
      return
    case "StepCommitted": {
      const frame = frameAt(replay, entry.path)
      let { results } = entry
      // Those that were done before the others stand in entries of their own.
      if (results.length < entry.tasks.length) {
        for (const result of results) frame.pending.set(result.task, result)
        results = entry.tasks.flatMap((task) => frame.pending.get(task) ?? [])
      }
      frame.changes.push({ _tag: "Step", step: entry.step, results, arrived: entry.arrived })
      abandonStep(replay, frame, "forget")
      // What ran inside the tasks of this step is folded into their updates now.
      if (replay.frames.size > 1) {
        const inside = entry.tasks.map((task) => framePath(entry.path, task, entry.step).slice(0, -1))
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
        closeAsk(replay, open!.ask)
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
    case "AskExpired":
      replay.asks.delete(entry.ask)
      replay.expired.add(entry.ask)
      return
    case "Patched":
      // The state has changed under the step under way, so its tasks are planned anew.
      abandonStep(replay, frameAt(replay, ""), "keep")
      closeInside(replay, (path) => path !== "")
      frameAt(replay, "").changes.push({ _tag: "Patch", updates: entry.updates, node: entry.node })
      return
    case "RunFinished":
      if (entry.outcome === "waiting") replay.waitingSince = at
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

const readAs = (replay: Replay, reader: Reader, entry: Entry): Entry => {
  if (entry._tag === "Migrated" || (entry._tag === "RunStarted" && entry.graph !== undefined)) {
    replay.migration = migrationOf(reader, entry.graph)
  }
  const migration = entry._tag === "InputQueued" ? migrationOf(reader, entry.graph) : replay.migration
  return migration === undefined ? entry : upcast(migration, reader.shape, entry)
}

const migrationOf = ({ migrate, shape }: Reader, stored: GraphShape | undefined): Migration | undefined =>
  migrate === undefined || stored === undefined || Equal.equals(stored, shape) ? undefined : migrate(stored)

/** Folds more entries into a replay; with a reader, in the form of its graph. */
export const replay = (into: Replay, entries: ReadonlyArray<Sequenced>, reader?: Reader): Replay => {
  for (const sequenced of entries) {
    const entry = reader?.migrate === undefined ? sequenced.entry : readAs(into, reader, sequenced.entry)
    apply(into, entry === sequenced.entry ? sequenced : { ...sequenced, entry })
    into.head = sequenced.seq
  }
  return into
}
