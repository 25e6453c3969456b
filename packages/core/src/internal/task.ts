// What a node sees of the runtime around it.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type { Entry } from "../Entry.ts"
import * as Task from "../Task.ts"
import type { Frame } from "./frame.ts"
import { factKey, framePath, idleBy } from "./replay.ts"

/** 53 bits of a text (cyrb53). */
const fingerprint = (text: string): string => {
  let [a, b] = [0xdeadbeef, 0x41c6ce57]
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    a = Math.imul(a ^ code, 2654435761)
    b = Math.imul(b ^ code, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36)
}

/** The task a node sees; one per attempt. */
export class RunningTask implements Task.Task {
  readonly frame: Frame
  readonly task: string
  readonly node: string
  readonly attempt: number
  readonly input: unknown
  readonly #claimed: Array<string> = []
  #frames = 0
  #fingerprint: string | undefined

  constructor(
    frame: Frame,
    { input, node, task }: { readonly task: string; readonly node: string; readonly input: unknown },
    attempt: number
  ) {
    this.frame = frame
    this.task = task
    this.node = node
    this.input = input
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
    return `${this.frame.run.journal?.key ?? ""}:${framePath(this.path, this.task, this.step)}`
  }
  next() {
    return new RunningTask(this.frame, this, this.attempt + 1)
  }
  waited(now: number) {
    const { journal } = this.frame.run
    return journal === undefined ? 0 : idleBy(journal.replay, now)
  }
  recorded(key: string) {
    const { recorded } = this.frame.log
    return recorded.size === 0 ? undefined : recorded.get(factKey(this.task, key, this.#item))
  }
  intended(key: string) {
    const { intended } = this.frame.log
    return intended.size > 0 && intended.has(factKey(this.task, key, this.#item))
  }
  record(key: string, value: Schema.Json) {
    const { path, step, task } = this
    return this.#write({ _tag: "Recorded", path, step, task, key, value, ...this.#ofItem })
  }
  intend(key: string, detail: Schema.Json) {
    const { path, step, task } = this
    const lease = this.frame.run.journal?.lease
    if (lease === undefined) return Effect.void
    const { owner } = lease
    const written = this.#write({ _tag: "Intent", path, step, task, key, detail, owner, ...this.#ofItem })
    return Effect.andThen(lease.hold, written)
  }
  /** The call's key in the whole run, and its intent. */
  #call(key: string) {
    const fact = factKey(this.task, key, this.#item)
    return { fact: this.path + fact, intended: this.frame.log.intended.get(fact) }
  }
  takeOver(key: string): Effect.Effect<void, Task.JournalFailure> {
    const lease = this.frame.run.journal?.lease
    const { intended } = this.#call(key)
    return lease === undefined || intended === undefined ? Effect.void : lease.takeOver([intended])
  }
  unsettled(key: string): Effect.Effect<number> {
    const lease = this.frame.run.journal?.lease
    const { fact, intended } = this.#call(key)
    return lease === undefined || intended === undefined ? Effect.succeed(0) : lease.unsettled(fact, intended)
  }
  calling<A, E, R>(key: string, call: Effect.Effect<A, E, R>): Effect.Effect<A, E | Task.JournalFailure, R> {
    return this.frame.run.journal?.lease.during(this.#call(key).fact, call) ?? call
  }
  get #ofItem() {
    const item = this.#item
    return item === undefined ? {} : { item }
  }
  /** What tells a task of a fan-out from one of the same name for another item, after a patch. */
  get #item(): string | undefined {
    if (this.task === this.node) return undefined
    if (this.#fingerprint === undefined) {
      const encoded = this.frame.graph.nodes[this.node]?.errorCodec?.encode(this.input)
      this.#fingerprint = fingerprint(
        JSON.stringify(encoded !== undefined && Exit.isSuccess(encoded) ? encoded.value : null) ?? ""
      )
    }
    return this.#fingerprint
  }
  asked(name: string) {
    const opened = this.frame.log.opened.get(this.task) ?? []
    return opened.flatMap((open) => (open.name === name ? [open.question] : []))
  }
  ask({
    kind,
    millis,
    name,
    question
  }: Task.Question): Effect.Effect<Task.Reply, Task.JournalFailure | Task.Suspended> {
    const { path, step, task } = this
    const replay = this.frame.run.journal?.replay
    const opened = this.frame.log.opened.get(task) ?? []
    // An answer belongs to its question: an attempt that asks less, or something else, must not take another's.
    const known = opened.find(
      (open) => open.name === name && !this.#claimed.includes(open.ask) && Equal.equals(open.question, question)
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
        now < deadline
          ? suspended
          : Effect.map(this.#write({ _tag: "AskExpired", ask }), () => {
              // It may have been answered between the look at the clock and the append.
              const value = replay.answers.get(ask)
              return value === undefined ? expired : { _tag: "Answered", value }
            })
    )
  }
  #askId(name: string) {
    const base = `${framePath(this.path, this.task, this.step)}${name}`
    const { closed, opened } = this.frame.log
    const own = opened.get(this.task) ?? []
    const isTaken = (id: string) => closed.has(id) || this.#claimed.includes(id) || own.some(({ ask }) => ask === id)
    let ask = base
    for (let count = 2; isTaken(ask); count++) ask = `${base}#${count}`
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
