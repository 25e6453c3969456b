// What a node sees of the runtime around it.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Schema from "effect/Schema"
import type { Entry } from "../Entry.ts"
import * as Task from "../Task.ts"
import type { Frame } from "./frame.ts"
import { factKey, framePath } from "./replay.ts"

/** The task a node sees; one per attempt. */
export class RunningTask implements Task.Task {
  readonly frame: Frame
  readonly task: string
  readonly node: string
  readonly attempt: number
  readonly #claimed: Array<string> = []
  #frames = 0

  constructor(frame: Frame, { node, task }: { readonly task: string; readonly node: string }, attempt: number) {
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
  next() {
    return new RunningTask(this.frame, this, this.attempt + 1)
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
  ask({
    kind,
    millis,
    name,
    question
  }: Task.Question): Effect.Effect<Task.Reply, Task.JournalFailure | Task.Suspended> {
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
      const open = { _tag: "AskOpened", path, step, task, ask, name, kind, question } as const
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.andThen(this.#write(millis === undefined ? open : { ...open, deadline: now + millis }), suspended)
      )
    }
    const answer = replay.answers.get(ask)
    if (answer !== undefined) return Effect.succeed({ _tag: "Answered", value: answer })
    const { deadline } = known
    if (deadline === undefined) return suspended
    const expired: Task.Reply = { _tag: "Expired", ask, deadline }
    if (replay.expired.has(ask)) return Effect.succeed(expired)
    return Effect.flatMap(
      Clock.currentTimeMillis,
      (now): Effect.Effect<Task.Reply, Task.JournalFailure | Task.Suspended> =>
        now < deadline ? suspended : Effect.as(this.#write({ _tag: "AskExpired", ask }), expired)
    )
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
  #write(entry: Entry): Effect.Effect<void, Task.JournalFailure> {
    const { journal } = this.frame.run
    return journal === undefined ? Effect.void : Effect.asVoid(journal.append([entry]))
  }
}
