// Folds a journal into what a run needs to go on: frames with their steps, facts of tasks under way, asks, answers.
import * as Equal from "effect/Equal"
import type * as Schema from "effect/Schema"
import type { OpenAsk } from "../Ask.ts"
import {
  type Entry,
  type GraphShape,
  isPosted,
  type Sequenced,
  statusOf,
  type TaskResult,
  type Values
} from "../Entry.ts"
import { type Migrate, type Migration, upcast } from "../Migration.ts"
import * as Mailbox from "./mailbox.ts"
import type { Record_ } from "./compile.ts"
import * as Runs from "./runs.ts"
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
  /** How long the thread's run had waited for answers by then, in milliseconds. */
  waitedBefore: number
  /** What a run has folded already; the changes come after it. */
  base: Standing | undefined
  readonly changes: Array<Change>
  /** Results of tasks of the step under way. */
  readonly pending: Map<string, TaskResult>
  /** Facts of tasks of the step under way, by task and key. */
  readonly recorded: Map<string, Schema.Json>
  readonly intended: Map<string, Intended>
  /** The asks of tasks of the step under way by task, in the order in which they were opened. */
  readonly opened: Map<string, Array<OpenAsk>>
  /** The ids of asks of the step under way that were closed; none is used again. */
  readonly closed: Set<string>
  /** The paths of the frames right inside. */
  readonly inside: Set<string>
}

/** A call that was begun. */
export interface Intended {
  readonly step: number
  readonly task: string
  readonly key: string
  /** The run that made it; `undefined` where the journal does not say. */
  readonly owner: string | undefined
  /** When, milliseconds since the epoch. */
  readonly at: number
}

export interface Replay extends Mailbox.Mailbox {
  head: number
  readonly frames: Map<string, FrameLog>
  readonly asks: Map<string, OpenAsk>
  readonly answers: Map<string, Schema.Json>
  /** Asks whose deadline passed. */
  readonly expired: Set<string>
  /** The input of the last run, its name and its entry, and how the last named runs ended. */
  input: Values | undefined
  runKey: string | undefined
  runSeq: number
  readonly runs: Runs.Ends
  outcome: "unfinished" | "done" | "failed" | "waiting"
  /** A run is under way, or was killed. Else the thread is at rest, whatever came from outside since. */
  working: boolean
  /** How long the run waited for answers, and since when it does, in milliseconds. */
  waited: number
  waitingSince: number | undefined
  /** How long nobody worked on the thread while it waited for answers, or before it was forked, in milliseconds. Only grows. */
  idle: number
  /** When the last entry was written. */
  lastAt: number | undefined
  /** An ask was answered since a run last looked. */
  answered: boolean
  /** The shape that entries are written in now. */
  shape: GraphShape | undefined
  /** How the entries of the run under way are read, where their shape is not that of the graph. */
  migration: Migration | undefined
}

/** The graph that a replay is for: how its entries are read. */
export interface Reader {
  readonly shape: GraphShape
  readonly onError: Readonly<Record<string, string>>
  readonly migrate: Migrate | undefined
}

// Names and keys are free text, a model's among them, so their lengths tell where one ends.
export const factKey = (task: string, key: string, item = "") => `${task.length},${key.length},${task}${key}${item}`

/** Where the graph runs that is the `count`-th one inside a task. */
export const framePath = (path: string, task: string, step: number, count = 1) =>
  `${path}${task}@${step}${count > 1 ? `#${count}` : ""}/`

export const emptyFrame = (shape?: GraphShape): FrameLog => ({
  shape,
  startedAt: 0,
  waitedBefore: 0,
  base: undefined,
  changes: [],
  pending: new Map(),
  recorded: new Map(),
  intended: new Map(),
  opened: new Map(),
  closed: new Set(),
  inside: new Set()
})

export const emptyReplay = (): Replay => ({
  head: 0,
  frames: new Map(),
  ...Mailbox.emptyMailbox(),
  asks: new Map(),
  answers: new Map(),
  expired: new Set(),
  input: undefined,
  runKey: undefined,
  runSeq: 0,
  outcome: "unfinished",
  working: false,
  waited: 0,
  waitingSince: undefined,
  idle: 0,
  lastAt: undefined,
  answered: false,
  shape: undefined,
  migration: undefined
})

const frameAt = (replay: Replay, path: string, shape?: GraphShape): FrameLog => {
  let frame = replay.frames.get(path)
  if (frame === undefined) {
    frame = emptyFrame(shape)
    replay.frames.set(path, frame)
    if (path !== "") replay.frames.get(frameAround(replay, path))?.inside.add(path)
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
  if (frame.opened.size === 0 && frame.closed.size === 0) return
  for (const asks of frame.opened.values()) for (const { ask } of asks) closeAsk(replay, ask)
  frame.opened.clear()
  frame.closed.clear()
}

/** The path of the frame around another, as far as it is known. Names of tasks may have the signs of a path in them. */
export const frameAround = ({ frames }: Replay, path: string): string => {
  for (let end = path.lastIndexOf("/", path.length - 2); end >= 0; end = path.lastIndexOf("/", end - 1)) {
    const around = path.slice(0, end + 1)
    if (frames.has(around)) return around
    if (end === 0) break
  }
  return ""
}

/** Forgets the frames inside another: what ran there is folded into updates, or will not be gone on with. */
const closeInside = (replay: Replay, frame: FrameLog): void => {
  if (frame.inside.size === 0) return
  for (const path of frame.inside) {
    const inner = replay.frames.get(path)
    if (inner === undefined) continue
    closeInside(replay, inner)
    closeAsks(replay, inner)
    replay.frames.delete(path)
  }
  frame.inside.clear()
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

// Comes from outside while a run waits; it goes on with what its own process writes next.
const isOutside = (entry: Entry): boolean =>
  isPosted(entry) ||
  entry._tag === "PatchRefused" ||
  entry._tag === "Forked" ||
  entry._tag === "Migrated" ||
  (entry._tag === "Patched" && entry.node === undefined)

/** Whether a run works after an entry; `undefined`: as before. */
const workingAfter = (entry: Entry): boolean | undefined => {
  switch (entry._tag) {
    case "RunFinished":
    case "Forked":
      return false
    case "Migrated":
    case "Patched":
    case "PatchRefused":
    case "InputRefused":
      return undefined
    default:
      return isPosted(entry) ? undefined : true
  }
}

/** Whether the thread's own graph stands between two steps, with nothing of the next one begun. */
export const isBetweenSteps = ({ inside, intended, opened, pending, recorded }: FrameLog): boolean =>
  pending.size === 0 && recorded.size === 0 && intended.size === 0 && opened.size === 0 && inside.size === 0

/** How long the run has waited for answers by now, in milliseconds. */
export const waitedBy = ({ waited, waitingSince }: Replay, now: number): number =>
  waited + (waitingSince === undefined ? 0 : now - waitingSince)

/** How long nobody worked on the thread by now: see {@link Replay.idle}. */
export const idleBy = ({ idle, waitingSince }: Replay, now: number): number =>
  idle + (waitingSince === undefined ? 0 : Math.max(0, now - waitingSince))

/** A run that begins in the middle of another has the time of a run. */
const restartClock = (replay: Replay, at: number): void => {
  frameAt(replay, "")
  for (const frame of replay.frames.values()) {
    frame.startedAt = at
    frame.waitedBefore = 0
  }
  replay.waited = 0
  if (replay.waitingSince !== undefined) replay.waitingSince = at
}

const apply = (replay: Replay, sequenced: Sequenced): void => {
  const { at, entry, seq } = sequenced
  const since = replay.waitingSince ?? replay.lastAt ?? at
  replay.lastAt = at
  if (replay.waitingSince !== undefined && !isOutside(entry)) {
    replay.waited += at - replay.waitingSince
    replay.idle += Math.max(0, at - since)
    replay.waitingSince = undefined
  } else if (entry._tag === "Forked" || (entry._tag === "Patched" && entry.node !== undefined && !replay.working)) {
    replay.idle += Math.max(0, at - since)
  }
  replay.outcome = statusOf(entry, replay.outcome) ?? replay.outcome
  replay.working = workingAfter(entry) ?? replay.working
  Runs.note(replay.runs, replay.runKey, sequenced)
  Mailbox.fold(replay, entry, seq)
  switch (entry._tag) {
    case "RunStarted": {
      replay.shape = entry.graph ?? replay.shape
      const frame = frameAt(replay, "", replay.shape)
      frame.shape = replay.shape
      frame.startedAt = at
      replay.waited = 0
      abandonStep(replay, frame, "forget")
      closeInside(replay, frame)
      frame.changes.push({ _tag: "Input", input: entry.input })
      replay.input = entry.input
      replay.runKey = entry.run
      replay.runSeq = seq
      return
    }
    case "Migrated":
      replay.shape = entry.graph
      frameAt(replay, "").shape = entry.graph
      return
    case "FrameStarted": {
      const frame = frameAt(replay, entry.path, entry.graph)
      frame.startedAt = at
      frame.waitedBefore = replay.waited
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
      closeInside(replay, frame)
      return
    }
    case "Intent": {
      const frame = frameAt(replay, entry.path)
      const { key, step, task } = entry
      frame.intended.set(factKey(task, key, entry.item), { step, task, key, owner: entry.owner, at })
      // An answer to "was it made?" was about the call before this one.
      const asks = frame.opened.get(task)
      const stale = asks === undefined ? -1 : asks.findIndex((open) => isUncertain(open, key))
      if (stale >= 0) {
        const [open] = asks!.splice(stale, 1)
        closeAsk(replay, open!.ask)
        frame.closed.add(open!.ask)
      }
      return
    }
    case "Recorded":
      frameAt(replay, entry.path).recorded.set(factKey(entry.task, entry.key, entry.item), entry.value)
      return
    case "AskOpened":
      replay.asks.set(entry.ask, entry)
      const { opened } = frameAt(replay, entry.path)
      const asks = opened.get(entry.task)
      if (asks === undefined) opened.set(entry.task, [entry])
      else asks.push(entry)
      return
    case "AskAnswered":
      // The first answer counts.
      if (!replay.asks.has(entry.ask) || !Mailbox.takeKey(replay, entry.key, seq)) return
      replay.asks.delete(entry.ask)
      replay.answers.set(entry.ask, entry.value)
      replay.answered = true
      return
    case "AskExpired":
      // One that was answered in time stays answered.
      if (replay.asks.delete(entry.ask)) replay.expired.add(entry.ask)
      return
    case "Patched":
      // The state has changed under the step under way, so its tasks are planned anew.
      abandonStep(replay, frameAt(replay, ""), "keep")
      closeInside(replay, frameAt(replay, ""))
      frameAt(replay, "").changes.push({ _tag: "Patch", updates: entry.updates, node: entry.node })
      if (entry.node !== undefined) restartClock(replay, at)
      return
    case "RunFinished":
      if (entry.outcome === "waiting") replay.waitingSince = at
      return
    case "Forked":
      restartClock(replay, at)
      // Whoever makes the calls of the original makes none of this thread.
      for (const { intended } of replay.frames.values()) {
        for (const [fact, call] of intended) intended.set(fact, { ...call, owner: undefined, at: -Infinity })
      }
      return
    case "TaskFailed":
    case "InputQueued":
    case "InputRefused":
    case "PatchQueued":
    case "PatchRefused":
      return
  }
}

const isUncertain = ({ kind, question }: OpenAsk, key: string): boolean =>
  kind === "uncertain" && typeof question === "object" && question !== null && "key" in question && question.key === key

const readAs = (replay: Replay, reader: Reader, entry: Entry): Entry => {
  if (entry._tag === "Migrated" || (entry._tag === "RunStarted" && entry.graph !== undefined)) {
    replay.migration = migrationOf(reader, entry.graph)
  }
  const migration =
    entry._tag === "InputQueued" || entry._tag === "PatchQueued" ? migrationOf(reader, entry.graph) : replay.migration
  return migration === undefined ? entry : upcast(migration, reader, entry)
}

const migrationOf = ({ migrate, shape }: Reader, stored: GraphShape | undefined): Migration | undefined =>
  migrate === undefined || stored === undefined || Equal.equals(stored, shape) ? undefined : migrate(stored)

/** Whether from this entry on the entries have the form of the graph that it names. */
const namesShape = (entry: Entry): boolean =>
  entry._tag === "Migrated" || (entry._tag === "RunStarted" && entry.graph !== undefined)

/** Folds more entries into a replay; with a reader, in the form of its graph. Without one they are of its form already. */
export const replay = (into: Replay, entries: ReadonlyArray<Sequenced>, reader?: Reader): Replay => {
  for (const sequenced of entries) {
    const entry = reader?.migrate === undefined ? sequenced.entry : readAs(into, reader, sequenced.entry)
    if (into.migration !== undefined && reader === undefined && namesShape(entry)) into.migration = undefined
    apply(into, entry === sequenced.entry ? sequenced : { ...sequenced, entry })
    into.head = sequenced.seq
  }
  return into
}

/** The calls that were begun in the step under way, also of graphs inside, and of which no result is known. */
export const inFlight = (log: Replay): ReadonlyArray<Intended & { readonly path: string }> =>
  Array.from(log.frames).flatMap(([path, { intended, recorded }]) =>
    Array.from(intended).flatMap(([fact, call]) => (recorded.has(fact) ? [] : [{ path, ...call }]))
  )

/** What is told of an open ask. */
export const toOpenAsk = ({ ask, deadline, kind, name, path, question, task }: OpenAsk): OpenAsk => ({
  ask,
  name,
  kind,
  question,
  path,
  task,
  ...(deadline === undefined ? {} : { deadline })
})
