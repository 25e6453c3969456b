/**
 * What `selvage show` tells of a thread: a fold of its entries.
 *
 * @since 0.1.0
 */
import type { Sequenced, TaskResult } from "@selvage/core/Entry"
import type { OpenAsk } from "@selvage/core/Thread"

/** How often the tasks of a node finished, and how often a failure of theirs was routed or ended a run. */
export interface Tasks {
  done: number
  failed: number
}

/** The last task that failed for good. */
export interface Failure {
  readonly seq: number
  readonly at: number
  readonly task: string
  readonly tag: string
  readonly message: string
}

/** A summary under way. It changes in place. */
export interface Summary {
  runs: number
  /** Committed steps of the thread's own graph. */
  steps: number
  /** Committed steps of graphs inside it. */
  innerSteps: number
  /** By node; a node of a graph inside is named with the node that graph ran as: `decide/approve`. */
  readonly nodes: Map<string, Tasks>
  readonly asks: Map<string, OpenAsk>
  failure: Failure | undefined
  forked: { readonly from: string; readonly at: number } | undefined
  /** The names of frames, by path. */
  readonly frames: Map<string, string>
}

/** A summary of no entries. */
export const empty = (): Summary => ({
  runs: 0,
  steps: 0,
  innerSteps: 0,
  nodes: new Map(),
  asks: new Map(),
  failure: undefined,
  forked: undefined,
  frames: new Map([["", ""]])
})

const nodeOf = (task: string): string => task.split("[", 1)[0] ?? task

// The key of a task is free text, so the frame around a path is not found by cutting it at a slash.
const frameName = (summary: Summary, path: string): string => {
  const known = summary.frames.get(path)
  if (known !== undefined) return known
  let around = ""
  for (const frame of summary.frames.keys()) {
    if (path.startsWith(frame) && frame.length > around.length) around = frame
  }
  const name = `${summary.frames.get(around) ?? ""}${nodeOf(path.slice(around.length))}/`
  summary.frames.set(path, name)
  return name
}

const tasksOf = (summary: Summary, path: string, node: string): Tasks => {
  const name = frameName(summary, path) + node
  const tasks = summary.nodes.get(name) ?? { done: 0, failed: 0 }
  summary.nodes.set(name, tasks)
  return tasks
}

const count = (summary: Summary, path: string, { failure, node }: TaskResult) => {
  const tasks = tasksOf(summary, path, node)
  if (failure === undefined) tasks.done++
  else tasks.failed++
}

// A failure inside a graph fails the task around it too, right after; where it began says more.
const innermost = (before: Failure | undefined, failure: Failure): Failure =>
  before !== undefined &&
  before.task.startsWith(`${failure.task}@`) &&
  before.tag === failure.tag &&
  before.message === failure.message
    ? before
    : failure

/** Folds the next entry in. */
export const next = (summary: Summary, { at, entry, seq }: Sequenced): Summary => {
  switch (entry._tag) {
    case "RunStarted":
      summary.runs++
      break
    case "FrameStarted":
      frameName(summary, entry.path)
      break
    case "TaskCompleted":
      count(summary, entry.path, entry.result)
      break
    case "StepCommitted":
      if (entry.path === "") summary.steps++
      else summary.innerSteps++
      for (const result of entry.results) count(summary, entry.path, result)
      break
    case "TaskFailed":
      tasksOf(summary, entry.path, nodeOf(entry.task)).failed++
      summary.failure = innermost(summary.failure, {
        seq,
        at,
        task: entry.path + entry.task,
        tag: entry.tag,
        message: entry.message
      })
      break
    case "AskOpened": {
      const { ask, kind, name, path, question, task } = entry
      summary.asks.set(ask, { ask, kind, name, path, question, task })
      break
    }
    case "AskAnswered":
    case "AskExpired":
      summary.asks.delete(entry.ask)
      break
    case "Forked":
      summary.forked = { from: entry.from, at: entry.at }
      break
    case "Recorded":
    case "Intent":
    case "Patched":
    case "InputQueued":
    case "Migrated":
    case "RunFinished":
      break
  }
  return summary
}
