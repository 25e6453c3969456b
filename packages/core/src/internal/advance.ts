// One go at advancing a thread: opens it, takes its input, runs its graph, and journals how that ended.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { OpenAsk } from "../Ask.ts"
import * as Bound from "../Bound.ts"
import type { Entry, Values } from "../Entry.ts"
import {
  type GraphChanged,
  JournalConflict,
  NodeContractViolated,
  RunFailed,
  RunReplaced,
  ThreadBusy
} from "../Errors.ts"
import type { Event } from "../Event.ts"
import { Journal } from "../Journal.ts"
import { Suspended } from "../Task.ts"
import { type Compiled, decodeUpdate, type Record_ } from "./compile.ts"
import { type Frame, missingInput, restore, type Run, type RunJournal, startState, stateOf } from "./frame.ts"
import { rangeOf } from "./journalFold.ts"
import { isKnown, maxWaiting, type Queued, waiting } from "./mailbox.ts"
import { fold as foldTo, keepWarm, open, type Opened } from "./open.ts"
import { takePatches } from "./patch.ts"
import { emptyFrame, emptyReplay, inFlight, isBetweenSteps, type Replay, toOpenAsk, waitedBy } from "./replay.ts"
import { replaceRunning } from "./replaceRunning.ts"
import * as Runs from "./runs.ts"
import { fold } from "./step.ts"
import { telling } from "./restarts.ts"
import { describe, isJournalFailure, isTraced, runInTime } from "./runtime.ts"
import * as UnderWay from "./underWay.ts"
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

/** Advances a thread until it is done, waits, or fails. */
export const advance = (
  graph: Compiled,
  options: Options,
  listener: Listener = {}
): Effect.Effect<Outcome, unknown, unknown> =>
  Effect.flatMap(isTraced, (traced) => {
    const advanced = Effect.flatMap(Journal, (journal): Effect.Effect<Outcome, unknown, unknown> => {
      const { input, run: name, thread, whenBusy = "reject" } = options
      const issue = Bound.nameIssue(name)
      if (issue !== undefined) {
        return Effect.fail(new NodeContractViolated({ node: "start", part: "the name of the run", issue }))
      }
      const waits = input !== undefined && name !== undefined && whenBusy === "reject"
      const run = UnderWay.register(journal, { thread, name, waits }, once(journal, graph, options, listener, traced))
      return input !== undefined && whenBusy === "replace"
        ? Effect.andThen(replaceRunning(journal, graph, options), run)
        : run
    })
    const attributes = { "selvage.thread": options.thread, "selvage.graph": graph.name }
    return traced ? Effect.withSpan(advanced, "thread.run", { attributes }) : advanced
  })

// How many entries are read at once for who listens.
const page = 256

const once = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  graph: Compiled,
  options: Options,
  { after: known, committed, emit: listener }: Listener,
  traced: boolean
): Effect.fn.Return<Outcome, unknown, unknown> {
  const { thread } = options
  const opened = yield* open(journal, thread, graph).pipe(
    Effect.catchTag("ThreadNotFound", (error) =>
      options.input === undefined ? Effect.fail(error) : Effect.succeed<Opened>({ id: undefined, log: emptyReplay() })
    )
  )
  const { log } = opened
  const emit = listener === undefined ? undefined : telling(listener)
  const after = known === undefined ? undefined : rangeOf({ after: known }).after
  if (emit !== undefined && after !== undefined) {
    for (let from = after; from < log.head; from += page) {
      for (const entry of yield* journal.read(thread, { after: from, until: Math.min(log.head, from + page) })) {
        yield* emit({ _tag: "Journaled", ...entry })
      }
    }
  }
  const writer = Writer.make({ journal, thread, graph, opened, emit, after: after ?? 0 })
  const go = new Go({ journal: writer, emit, committed, traced }, writer, graph, journal)
  return yield* Effect.ensuring(
    Effect.suspend(() => go.run(options)),
    Effect.andThen(Effect.andThen(writer.close, writer.lease.end), keepWarm(journal, thread, graph, opened))
  )
})

/** Where a run starts, or what there is to say without one. */
type Start =
  | { readonly _tag: "Run"; readonly frame: Frame }
  | { readonly _tag: "Rest" }
  | { readonly _tag: "Done"; readonly state: unknown }
  | { readonly _tag: "Queued"; readonly seq: number }

/** What came of the queue: the run that began, and what was refused, of a run of that name too. */
interface Taken {
  readonly begun: Frame | undefined
  readonly refused: Cause.Cause<unknown> | undefined
  readonly own: Cause.Cause<unknown> | undefined
}

class Go {
  readonly #run: Run
  readonly #writer: RunJournal
  readonly #log: Replay
  readonly #graph: Compiled
  readonly #journal: Journal["Service"]

  constructor(run: Run, writer: RunJournal, graph: Compiled, journal: Journal["Service"]) {
    this.#journal = journal
    this.#run = run
    this.#writer = writer
    this.#log = writer.replay
    this.#graph = graph
  }

  run(options: Options): Effect.Effect<Outcome, unknown, unknown> {
    return Effect.flatMap(this.#start(options, 0), (start) => {
      switch (start._tag) {
        case "Run":
          return this.#finish(start.frame, options.run)
        case "Done":
        case "Queued":
          return Effect.succeed<Outcome>(start)
        case "Rest":
          return Effect.flatMap(this.#restored(true), (frame) => this.#atRest(frame))
      }
    })
  }

  /** Whether another run of this process has the thread. */
  get #runsHere() {
    return UnderWay.of(this.#journal, this.#writer.thread).length > 1
  }

  get #root() {
    return this.#log.frames.get("") ?? emptyFrame()
  }

  #atRest(frame: Frame) {
    const state = Effect.fromResult(stateOf(this.#writer.thread, frame))
    return Effect.map(state, (state) => ({ _tag: "Done" as const, state }))
  }

  #restored(resting = false) {
    return Effect.suspend(() => Effect.fromResult(restore(this.#run, this.#graph, "", this.#root, resting)))
  }

  /** Takes the input, or goes on where the thread stands. */
  #start(options: Options, collisions: number): Effect.Effect<Start, unknown, unknown> {
    const { input, run: runKey, whenBusy = "reject" } = options
    const log = this.#log
    if (runKey !== undefined && isKnown(log, runKey)) {
      const waiting = log.queue.find(({ run }) => run === runKey)
      // One that is over does not go on with another, nor has it another's outcome.
      if (waiting === undefined && runKey !== log.runKey) return this.#ended(runKey)
      const ahead = waiting !== undefined || log.outcome !== "done"
      if (whenBusy === "queue" && ahead && this.#runsHere) {
        return Effect.succeed<Start>({ _tag: "Queued", seq: waiting?.seq ?? log.runSeq })
      }
      return this.#goOn()
    }
    if (input === undefined) return this.#goOn()
    // What moves the thread while it is decided what to do with an input for it is taken in, and decided anew.
    const decided = this.#take(options, whenBusy)
    return whenBusy === "reject"
      ? decided
      : Effect.catchIf(
          decided,
          (error): error is JournalConflict => error instanceof JournalConflict && collisions < Writer.maxCollisions,
          () =>
            Effect.andThen(
              this.#writer.catchUp,
              Effect.suspend(() => this.#start(options, collisions + 1))
            )
        )
  }

  /** How a run ended that another followed: the state as of its end, or why there is none. */
  readonly #ended = Effect.fnUntraced({ self: this }, function* (this: Go, run: string): Effect.fn.Return<
    Start,
    unknown,
    unknown
  > {
    const { head, runs } = this.#log
    const { thread } = this.#writer
    const known = runs.get(run)
    const end = known === "unknown" ? yield* Runs.find(this.#journal, thread, run, head) : known
    if (typeof end !== "object" || end.outcome === "replaced") return yield* new RunReplaced({ thread })
    if (end.outcome === "failed") return yield* new RunFailed({ thread, run, error: end.error })
    const log = yield* foldTo(this.#journal, thread, this.#graph, end.seq)
    const frame = restore(this.#run, this.#graph, "", log.frames.get("") ?? emptyFrame(), true)
    return yield* this.#atRest(yield* Effect.fromResult(frame))
  })

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
    // Before anything is written: whoever makes these calls is not to be stopped by a run that cannot go on either.
    const free = this.#writer.lease.takeOver(inFlight(log))
    return Effect.map(Effect.andThen(Effect.andThen(free, migrated), this.#restored()), (frame): Start => ({
      _tag: "Run",
      frame
    }))
  }

  /** What stands in the way of an input. */
  #busy(unfinished: boolean, input: Values): ThreadBusy {
    const { asks, input: own, outcome, queue, runKey } = this.#log
    const thread = this.#writer.thread
    if (!unfinished || outcome === "failed") return new ThreadBusy({ thread, asks: [], ahead: queue.length })
    return new ThreadBusy({
      thread,
      asks: Array.from(asks.keys()),
      differs: Equal.equals(input, own) ? "name" : "input",
      ...(runKey === undefined ? {} : { run: runKey })
    })
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
      // The same input again, as after a crash, is not another one; where an input may stand beside a run, its name tells.
      if (same && whenBusy === "reject") return yield* this.#goOn()
      const named = runKey === undefined ? {} : { run: runKey }
      if (standing !== undefined) return yield* this.#begin({ input: json, run: runKey })
      if (whenBusy === "reject") {
        return yield* this.#busy(unfinished, json)
      }
      const full = () => new ThreadBusy({ thread: this.#writer.thread, asks: [], queued: waiting(log) })
      if (waiting(log) >= maxWaiting) return yield* full()
      const seq = yield* this.#writer.post([{ _tag: "InputQueued", graph: graph.shape, input: json, ...named }])
      if (!log.queue.some((queued) => queued.seq === seq)) {
        // One of its name was quicker.
        if (runKey === undefined || !isKnown(log, runKey)) return yield* full()
        return { _tag: "Queued", seq: log.queue.find(({ run }) => run === runKey)?.seq ?? log.runSeq }
      }
      yield* this.#writer.catchUp
      // The run ended before it could take this up, or its process died: then this one does.
      const [next] = log.queue
      const left = next !== undefined && (log.outcome === "done" || log.outcome === "failed")
      const queued: Start = { _tag: "Queued", seq }
      if (!left) return queued
      // Another may be quicker; then that one runs it.
      return yield* Effect.catchIf(
        this.#begin(next),
        (error) => error instanceof JournalConflict,
        () => Effect.as(this.#writer.catchUp, queued)
      )
    })
  }

  /** Starts a run on the state of the last committed step. A queued input that does not fit that state is refused. */
  #begin(
    { input, run, seq }: Omit<Queued, "seq"> & { readonly seq?: number },
    before: ReadonlyArray<Entry> = []
  ): Effect.Effect<Extract<Start, { readonly _tag: "Run" }>, unknown, unknown> {
    return Effect.gen({ self: this }, function* () {
      const { arrived, finished, state, step } = yield* this.#restored(true)
      if (seq !== undefined) yield* this.#checkQueued(input, seq, state, before)
      const root = this.#root
      // Folded already; the new run begins from here.
      root.base = { state, step, finished, arrived }
      root.changes.length = 0
      const log = this.#log
      const graph = this.#graph.shape
      const changed = log.migration !== undefined || !Equal.equals(log.shape, graph)
      const uncertain = inFlight(log)
      const started: Entry = {
        _tag: "RunStarted",
        ...(changed ? { graph } : {}),
        input,
        ...(run === undefined ? {} : { run }),
        ...(seq === undefined ? {} : { queued: seq }),
        ...(uncertain.length === 0 ? {} : { uncertain })
      }
      const [first = started, ...rest] = [...before, started]
      yield* this.#writer.append([first, ...rest])
      return { _tag: "Run", frame: yield* this.#restored() } as const
    })
  }

  readonly #checkQueued = Effect.fnUntraced(
    { self: this },
    function* (this: Go, input: Values, seq: number, state: Record_, before: ReadonlyArray<Entry>) {
      const decoded = decodeUpdate(this.#graph, input)
      const folded = Result.isFailure(decoded)
        ? Result.fail(decoded.failure.join("; "))
        : Result.mapError(
            fold(this.#graph, state, [{ task: "start", node: "start", update: decoded.success }]),
            ({ message }) => message
          )
      const lacks = Result.isSuccess(folded) ? missingInput(this.#graph, folded.success) : undefined
      if (Result.isSuccess(folded) && lacks === undefined) return
      const issue = Result.isFailure(folded) ? folded.failure : lacks!.message
      const refused: Entry = { _tag: "InputRefused", queued: seq, message: issue }
      const [first = refused, ...rest] = [...before, refused]
      yield* this.#writer.append([first, ...rest])
      return yield* new NodeContractViolated({
        node: "start",
        part: `the input queued as entry ${seq}`,
        issue
      })
    }
  )

  /**
   * Runs a frame to where the thread is at rest, and then what is queued behind it. The outcome is that of the run `name`;
   * without one, that of the last run, or the first failure.
   */
  readonly #finish = Effect.fnUntraced(
    { self: this },
    function* (this: Go, start: Frame, name: string | undefined): Effect.fn.Return<Outcome, unknown, unknown> {
      let frame = start
      let own: Exit.Exit<Outcome, unknown> | undefined
      let failure: Cause.Cause<unknown> | undefined
      while (true) {
        const { committed } = this.#run
        if (committed !== undefined) yield* committed(frame.state)
        const exit = yield* Effect.exit(this.#toRest(frame))
        if (Exit.isFailure(exit) && !this.#endsRun(exit.cause)) return yield* Effect.failCause(exit.cause)
        if (name !== undefined && name === this.#log.runKey) own = exit
        if (Exit.isFailure(exit)) failure ??= exit.cause
        const said = () => own ?? (failure === undefined ? exit : Exit.failCause(failure))
        if (Exit.isSuccess(exit) && exit.value._tag === "Waiting") return yield* said()
        const next = yield* Effect.exit(this.#takeQueued(exit, name))
        if (Exit.isFailure(next)) {
          // What the run failed with is told also where its end could not be journaled.
          return yield* Effect.failCause(failure === undefined ? next.cause : Cause.combine(failure, next.cause))
        }
        const { begun, own: refusedOwn, refused } = next.value
        failure ??= refused
        if (refusedOwn !== undefined) own = Exit.failCause(refusedOwn)
        if (begun === undefined) return yield* said()
        frame = begun
      }
    }
  )

  /** Journals the end of a run and, at once with it, the beginning of the one that is queued behind it. */
  readonly #takeQueued = Effect.fnUntraced(
    { self: this },
    function* (
      this: Go,
      exit: Exit.Exit<unknown, unknown>,
      name: string | undefined
    ): Effect.fn.Return<Taken, unknown, unknown> {
      const log = this.#log
      // A defect ends a run as an error does; an interruption leaves it unfinished.
      let ending: ReadonlyArray<Entry> = Exit.isFailure(exit)
        ? [{ _tag: "RunFinished", outcome: "failed", error: describe(Cause.squash(exit.cause)) }]
        : log.outcome === "done"
          ? []
          : [{ _tag: "RunFinished", outcome: "done" }]
      let refused: Cause.Cause<unknown> | undefined
      let own: Cause.Cause<unknown> | undefined
      while (true) {
        const patches = yield* this.#patches(true)
        if (patches.length > 0) {
          const [first, ...rest] = [...ending, ...patches]
          yield* this.#writer.append([first!, ...rest])
          ending = []
          // As of a node: the run goes on after it.
          if (log.outcome === "unfinished") return { begun: yield* this.#restored(), refused, own }
        }
        const [next] = log.queue
        if (next === undefined) {
          const [last] = ending
          if (last === undefined) return { begun: undefined, refused, own }
          yield* this.#writer.append([last])
          // What was queued in this moment is taken up too.
          ending = []
          continue
        }
        const begun = yield* Effect.exit(this.#begin(next, ending))
        if (Exit.isSuccess(begun)) return { begun: begun.value.frame, refused, own }
        // The end of this run stands, and another takes up what is queued.
        if (ending.length === 0 && Cause.squash(begun.cause) instanceof JournalConflict)
          return { begun: undefined, refused, own }
        // One that is refused is out of the queue and does not hold up those behind it.
        if (log.queue[0] === next) return yield* Effect.failCause(begun.cause)
        refused ??= begun.cause
        if (name !== undefined && name === next.run) own = begun.cause
        ending = []
      }
    }
  )

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
      if (isBetweenSteps(this.#root) && (yield* this.#takePatches())) frame = yield* this.#restored()
      log.answered = false
      const now = yield* Clock.currentTimeMillis
      const end = yield* runInTime(frame, this.#root.startedAt, waitedBy(log, now)).pipe(
        Effect.map(Option.some),
        Effect.catchIf(
          (error) => error instanceof Suspended,
          () => Effect.succeedNone
        )
      )
      // Patches came in, and the run stopped between two steps; or all that is left waits, and nothing holds them up.
      if (yield* this.#takePatches()) {
        frame = yield* this.#restored()
        continue
      }
      if (Option.isSome(end)) {
        return { _tag: "Done", state: end.value }
      }
      // Answers may have come in while siblings of the asking tasks were still at work.
      if (!log.answered && log.outcome !== "waiting") {
        yield* this.#writer.append([{ _tag: "RunFinished", outcome: "waiting" }])
      }
      if (!log.answered && !(yield* this.#takePatches())) {
        return { _tag: "Waiting", state: frame.state, asks: Array.from(log.asks.values(), toOpenAsk) }
      }
      frame = yield* this.#restored()
    }
  })

  /** What becomes of the patches that wait; nothing yet while nobody knows whether a call was made. */
  #patches(resting: boolean): Effect.Effect<ReadonlyArray<Entry>, GraphChanged> {
    const { patches } = this.#log
    if (patches.length === 0 || inFlight(this.#log).length > 0) return Effect.succeed([])
    return Effect.map(this.#restored(resting), ({ state }) => takePatches(this.#graph, state, patches).entries)
  }

  /** Applies the patches that wait; whether there were any. */
  readonly #takePatches = Effect.fnUntraced({ self: this }, function* (this: Go) {
    const [first, ...rest] = yield* this.#patches(false)
    if (first === undefined) return false
    yield* this.#writer.append([first, ...rest])
    const { committed } = this.#run
    if (committed !== undefined) yield* committed((yield* this.#restored()).state)
    return true
  })
}
