// One go at advancing a thread: opens it, takes its input, runs its graph, and journals how that ended.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { OpenAsk } from "../Ask.ts"
import { JournalConflict, RunReplaced, ThreadBusy } from "../Errors.ts"
import type { Event } from "../Event.ts"
import { Journal } from "../Journal.ts"
import { Suspended } from "../Task.ts"
import type { Compiled, Record_ } from "./compile.ts"
import { type Frame, restore, type Run, type RunJournal, startState } from "./frame.ts"
import { keepWarm, open, type Opened } from "./open.ts"
import { emptyFrame, emptyReplay, type Queued, type Replay, replay } from "./replay.ts"
import { describe, isJournalFailure, isTraced, runInTime } from "./runtime.ts"
import * as Writer from "./writer.ts"

export interface Options {
  readonly thread: string
  readonly input?: unknown
  readonly run?: string | undefined
  readonly whenBusy?: "reject" | "queue" | "replace" | undefined
}

/** Who listens to a run. */
export interface Listener {
  readonly emit?: ((event: Event) => Effect.Effect<void>) | undefined
  /** Tell journaled events after this sequence number too, those that stand already. */
  readonly after?: number | undefined
  readonly committed?: ((state: Record_) => Effect.Effect<void>) | undefined
}

export type Outcome =
  | { readonly _tag: "Done"; readonly state: unknown }
  | { readonly _tag: "Waiting"; readonly state: unknown; readonly asks: ReadonlyArray<OpenAsk> }
  | { readonly _tag: "Queued"; readonly seq: number }

/** A run under way, in this process. */
interface Running {
  readonly replaced: Deferred.Deferred<never, RunReplaced>
  readonly ended: Deferred.Deferred<void>
}

const running = new WeakMap<Journal["Service"], Map<string, Set<Running>>>()

/** Advances a thread until it is done, waits, or fails. */
export const advance = (
  graph: Compiled,
  options: Options,
  listener: Listener = {}
): Effect.Effect<Outcome, unknown, unknown> =>
  Effect.flatMap(isTraced, (traced) => {
    const advanced = Effect.flatMap(Journal, (journal) =>
      options.whenBusy === "replace" && options.input !== undefined
        ? Effect.andThen(
            replaceRunning(journal, options.thread),
            replaceable(journal, graph, options, listener, traced)
          )
        : replaceable(journal, graph, options, listener, traced)
    )
    const attributes = { "selvage.thread": options.thread, "selvage.graph": graph.name }
    return traced ? Effect.withSpan(advanced, "thread.run", { attributes }) : advanced
  })

const replaceRunning = Effect.fnUntraced(function* (journal: Journal["Service"], thread: string) {
  const runs = running.get(journal)?.get(thread)
  if (runs === undefined) return
  for (const run of Array.from(runs)) {
    yield* Deferred.fail(run.replaced, new RunReplaced({ thread }))
    yield* Deferred.await(run.ended)
  }
})

/** The run, which another of this process can replace. */
const replaceable = (
  journal: Journal["Service"],
  graph: Compiled,
  options: Options,
  listener: Listener,
  traced: boolean
): Effect.Effect<Outcome, unknown, unknown> =>
  Effect.suspend(() => {
    const { thread } = options
    const run: Running = { replaced: Deferred.makeUnsafe(), ended: Deferred.makeUnsafe() }
    const threads = running.get(journal) ?? new Map<string, Set<Running>>()
    running.set(journal, threads)
    const runs = threads.get(thread) ?? new Set()
    threads.set(thread, runs)
    runs.add(run)
    const ended = Effect.suspend(() => {
      runs.delete(run)
      if (runs.size === 0) threads.delete(thread)
      return Deferred.succeed(run.ended, undefined)
    })
    return Effect.ensuring(
      Effect.raceFirst(once(journal, graph, options, listener, traced), Deferred.await(run.replaced)),
      ended
    )
  })

const once = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  graph: Compiled,
  options: Options,
  { after, committed, emit }: Listener,
  traced: boolean
): Effect.fn.Return<Outcome, unknown, unknown> {
  const { thread } = options
  const opened = yield* open(journal, thread, graph).pipe(
    Effect.catchTag("ThreadNotFound", (error) =>
      options.input === undefined ? Effect.fail(error) : Effect.succeed<Opened>({ id: undefined, log: emptyReplay() })
    )
  )
  const { log } = opened
  if (emit !== undefined && after !== undefined && after < log.head) {
    for (const entry of yield* journal.read(thread, { after, until: log.head })) {
      yield* emit({ _tag: "Journaled", ...entry })
    }
  }
  const writer = Writer.make({ journal, thread, graph, opened, emit, after: after ?? 0 })
  const go = new Go({ journal: writer, emit, committed, traced }, writer, graph, journal)
  return yield* Effect.ensuring(
    Effect.suspend(() => go.run(options)),
    keepWarm(journal, thread, graph, opened)
  )
})

/** Where a run starts, or what there is to say without one. */
type Start =
  | { readonly _tag: "Run"; readonly frame: Frame }
  | { readonly _tag: "Rest" }
  | { readonly _tag: "Queued"; readonly seq: number }

class Go {
  readonly #run: Run
  readonly #writer: RunJournal
  readonly #log: Replay
  readonly #graph: Compiled
  readonly #journal: Journal["Service"]

  constructor(run: Run, writer: RunJournal, graph: Compiled, journal: Journal["Service"]) {
    this.#run = run
    this.#writer = writer
    this.#log = writer.replay
    this.#graph = graph
    this.#journal = journal
  }

  run(options: Options): Effect.Effect<Outcome, unknown, unknown> {
    return Effect.flatMap(this.#start(options, 0), (start) => {
      switch (start._tag) {
        case "Run":
          return this.#finish(start.frame)
        case "Queued":
          return Effect.succeed<Outcome>(start)
        case "Rest":
          return Effect.map(this.#restored(true), ({ state }): Outcome => ({ _tag: "Done", state }))
      }
    })
  }

  get #root() {
    return this.#log.frames.get("") ?? emptyFrame()
  }

  #restored(resting = false) {
    return Effect.suspend(() => Effect.fromResult(restore(this.#run, this.#graph, "", this.#root, resting)))
  }

  /** Takes the input, or goes on where the thread stands. */
  #start(options: Options, collisions: number): Effect.Effect<Start, unknown, unknown> {
    const { input, run: runKey, whenBusy = "reject" } = options
    const log = this.#log
    const known = runKey !== undefined && (log.runs.has(runKey) || log.queue.some(({ run }) => run === runKey))
    if (input === undefined || known) return this.#goOn()
    // What moves the thread while it is decided what to do with an input for it is taken in, and decided anew.
    const decided = this.#take(options, whenBusy)
    return whenBusy === "reject"
      ? decided
      : Effect.catchIf(
          decided,
          (error): error is JournalConflict => error instanceof JournalConflict && collisions < Writer.maxCollisions,
          () =>
            Effect.flatMap(this.#journal.read(this.#writer.thread, { after: log.head }), (between) => {
              replay(log, between, this.#graph)
              return this.#start(options, collisions + 1)
            })
        )
  }

  #goOn(): Effect.Effect<Start, unknown, unknown> {
    const log = this.#log
    const [next] = log.queue
    if (log.outcome === "done") {
      return next === undefined ? Effect.succeed<Start>({ _tag: "Rest" }) : this.#begin(next)
    }
    // From here on what is written has the form of the graph of today.
    const migrated =
      log.migration === undefined
        ? Effect.void
        : Effect.andThen(this.#restored(), this.#writer.append([{ _tag: "Migrated", graph: this.#graph.shape }]))
    return Effect.map(Effect.andThen(migrated, this.#restored()), (frame): Start => ({ _tag: "Run", frame }))
  }

  #take(options: Options, whenBusy: "reject" | "queue" | "replace"): Effect.Effect<Start, unknown, unknown> {
    const { input, run: runKey } = options
    const log = this.#log
    const graph = this.#graph
    const fresh = log.frames.size === 0
    const free = (fresh || log.outcome === "done" || log.outcome === "failed") && log.queue.length === 0
    return Effect.gen({ self: this }, function* () {
      const standing = free || whenBusy === "replace" ? yield* this.#restored(true) : undefined
      const { json } = yield* Effect.fromResult(startState(graph, input, true, standing?.state))
      const unfinished = !fresh && log.outcome !== "done"
      const same = unfinished && (runKey === undefined || runKey === log.runKey) && Equal.equals(json, log.input)
      // The same input again, as after a crash, is not another one.
      if (same) return yield* this.#goOn()
      const named = runKey === undefined ? {} : { run: runKey }
      if (standing !== undefined) return yield* this.#begin({ input: json, run: runKey })
      if (whenBusy === "reject") {
        return yield* new ThreadBusy({ thread: this.#writer.thread, asks: Array.from(log.asks.keys()) })
      }
      yield* this.#writer.append([{ _tag: "InputQueued", graph: graph.shape, input: json, ...named }])
      return { _tag: "Queued", seq: log.head } as const
    })
  }

  /** Starts a run on the state of the last committed step. */
  #begin({ input, run, seq }: Omit<Queued, "seq"> & { readonly seq?: number }): Effect.Effect<Start, unknown, unknown> {
    return Effect.gen({ self: this }, function* () {
      const { arrived, finished, state, step } = yield* this.#restored(true)
      const root = this.#root
      // Folded already; the new run begins from here.
      root.base = { state, step, finished, arrived }
      root.changes.length = 0
      const log = this.#log
      const graph = this.#graph.shape
      const changed = log.migration !== undefined || !Equal.equals(log.shape, graph)
      yield* this.#writer.append([
        {
          _tag: "RunStarted",
          ...(changed ? { graph } : {}),
          input,
          ...(run === undefined ? {} : { run }),
          ...(seq === undefined ? {} : { queued: seq })
        }
      ])
      log.migration = undefined
      return { _tag: "Run", frame: yield* this.#restored() } as const
    })
  }

  /** Runs a frame to where the thread is at rest, and then what is queued behind it. */
  readonly #finish = Effect.fnUntraced({ self: this }, function* (this: Go, start: Frame): Effect.fn.Return<
    Outcome,
    unknown,
    unknown
  > {
    const log = this.#log
    let frame = start
    let failure: Cause.Cause<unknown> | undefined
    while (true) {
      const { committed } = this.#run
      if (committed !== undefined) yield* committed(frame.state)
      const exit = yield* Effect.exit(this.#toRest(frame))
      if (Exit.isFailure(exit)) {
        if (!this.#endsRun(exit.cause)) return yield* exit
        // A defect ends a run as an error does; an interruption leaves it unfinished.
        yield* this.#writer.append([
          { _tag: "RunFinished", outcome: "failed", error: describe(Cause.squash(exit.cause)) }
        ])
        failure ??= exit.cause
      } else if (exit.value._tag === "Waiting") {
        return failure === undefined ? exit.value : yield* Effect.failCause(failure)
      }
      const [next] = log.queue
      if (next === undefined) {
        return failure === undefined && Exit.isSuccess(exit) ? exit.value : yield* Effect.failCause(failure!)
      }
      const begun = yield* this.#begin(next)
      if (begun._tag === "Run") frame = begun.frame
    }
  })

  #endsRun(cause: Cause.Cause<unknown>): boolean {
    return !Cause.hasInterruptsOnly(cause) && !isJournalFailure(Cause.squash(cause), this.#writer.thread)
  }

  /** Runs a frame until it is done or all that is left waits for answers. */
  readonly #toRest = Effect.fnUntraced({ self: this }, function* (this: Go, start: Frame): Effect.fn.Return<
    Exclude<Outcome, { _tag: "Queued" }>,
    unknown,
    unknown
  > {
    const log = this.#log
    let frame = start
    while (true) {
      const now = yield* Clock.currentTimeMillis
      const waited = log.waited + (log.waitingSince === undefined ? 0 : now - log.waitingSince)
      const end = yield* runInTime(frame, this.#root.startedAt, waited).pipe(
        Effect.map(Option.some),
        Effect.catchIf(
          (error) => error instanceof Suspended,
          () => Effect.succeedNone
        )
      )
      if (Option.isSome(end)) {
        if (this.#log.outcome !== "done") yield* this.#writer.append([{ _tag: "RunFinished", outcome: "done" }])
        return { _tag: "Done", state: end.value }
      }
      // Answers may have come in while siblings of the asking tasks were still at work.
      if (!log.answered && log.outcome !== "waiting") {
        yield* this.#writer.append([{ _tag: "RunFinished", outcome: "waiting" }])
      }
      if (!log.answered) {
        return { _tag: "Waiting", state: frame.state, asks: Array.from(log.asks.values(), toOpenAsk) }
      }
      log.answered = false
      frame = yield* this.#restored()
    }
  })
}

export const toOpenAsk = ({ ask, deadline, kind, name, path, question, task }: OpenAsk): OpenAsk => ({
  ask,
  name,
  kind,
  question,
  path,
  task,
  ...(deadline === undefined ? {} : { deadline })
})
