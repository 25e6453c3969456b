// What a thread has done so far: a fold of its entries beside the replay, which knows what is open.
import type { OpenAsk } from "../Ask.ts"
import type { Sequenced, TaskResult } from "../Entry.ts"
import { emptyReplay, frameAround, type Replay, replay } from "./replay.ts"

/** How often the tasks of a node finished, and how often a failure of theirs was routed or ended a run. */
export interface Tasks {
  readonly done: number
  readonly failed: number
}

/** The last task that failed for good. */
export interface LastFailure {
  readonly seq: number
  /** Milliseconds since the epoch. */
  readonly at: number
  /** With the path of the graph that it ran in. */
  readonly task: string
  readonly tag: string
  readonly message: string
}

/** What a thread has done so far. */
export interface Summary {
  readonly runs: number
  /** Committed steps of the thread's own graph. */
  readonly steps: number
  /** Committed steps of graphs inside it. */
  readonly innerSteps: number
  /** By node; a node of a graph inside is named with the node that graph ran as: `decide/approve`. */
  readonly tasks: { readonly [node: string]: Tasks }
  /** The questions that wait for an answer, as `Thread.asks` gives them. */
  readonly asks: ReadonlyArray<OpenAsk>
  readonly failure: LastFailure | undefined
  /** Where the thread was forked from, the last time. */
  readonly forked: { readonly from: string; readonly at: number } | undefined
}

const nodeOf = (task: string): string => task.split("[", 1)[0] ?? task

/** A summary under way. It changes in place. */
export class SummaryFold {
  readonly log: Replay = emptyReplay()
  readonly #tasks = new Map<string, { done: number; failed: number }>()
  #runs = 0
  #steps = 0
  #innerSteps = 0
  #failure: LastFailure | undefined
  #forked: Summary["forked"]

  /** Folds the next entry in. */
  next(sequenced: Sequenced): void {
    const { at, entry, seq } = sequenced
    replay(this.log, [sequenced])
    // Nobody asks for the state.
    for (const frame of this.log.frames.values()) frame.changes.length = 0
    switch (entry._tag) {
      case "RunStarted":
        this.#runs++
        return
      case "TaskCompleted":
        this.#count(entry.path, entry.result)
        return
      case "StepCommitted":
        if (entry.path === "") this.#steps++
        else this.#innerSteps++
        for (const result of entry.results) this.#count(entry.path, result)
        return
      case "TaskFailed": {
        this.#of(entry.path, nodeOf(entry.task)).failed++
        const { message, path, tag, task } = entry
        this.#failure = innermost(this.#failure, { seq, at, task: path + task, tag, message })
        return
      }
      case "Forked":
        this.#forked = { from: entry.from, at: entry.at }
        return
      default:
        return
    }
  }

  result(asks: ReadonlyArray<OpenAsk>): Summary {
    return {
      runs: this.#runs,
      steps: this.#steps,
      innerSteps: this.#innerSteps,
      tasks: Object.fromEntries(this.#tasks),
      asks,
      failure: this.#failure,
      forked: this.#forked
    }
  }

  #count(path: string, { failure, node }: TaskResult) {
    const tasks = this.#of(path, node)
    if (failure === undefined) tasks.done++
    else tasks.failed++
  }

  #of(path: string, node: string) {
    const name = this.#frameName(path) + node
    const tasks = this.#tasks.get(name) ?? { done: 0, failed: 0 }
    this.#tasks.set(name, tasks)
    return tasks
  }

  // The key of a task is free text, so the frame around a path is not found by cutting it at a slash.
  #frameName(path: string): string {
    if (path === "") return ""
    const around = frameAround(this.log, path)
    const task = path.slice(around.length).replace(/@\d+(?:#\d+)?\/$/, "")
    return `${this.#frameName(around)}${nodeOf(task)}/`
  }
}

// A failure inside a graph fails the task around it too, right after; where it began says more.
const innermost = (before: LastFailure | undefined, failure: LastFailure): LastFailure =>
  before !== undefined &&
  before.task.startsWith(`${failure.task}@`) &&
  before.tag === failure.tag &&
  before.message === failure.message
    ? before
    : failure
