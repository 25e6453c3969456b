/**
 * A thread is a durable, named line of work. Its journal is its only truth: a run that was killed at any instant goes on
 * where it stood, and no finished task runs again.
 *
 * **Example**
 *
 * ```ts
 * import { Channel, Graph, Journal, Thread } from "@selvage/core"
 * import { Effect, Schema } from "effect"
 *
 * const Greet = Graph.make("greet", {
 *   state: { name: Channel.last(Schema.String), greeting: Channel.optional(Schema.String) },
 *   nodes: { greet: ({ name }) => Effect.succeed({ greeting: `Hello, ${name}` }) },
 *   edges: { start: "greet", greet: "end" }
 * })
 *
 * export const program = Thread.run(Greet, { thread: "t-1", input: { name: "Ada" } }).pipe(
 *   Effect.provide(Journal.layerMemory)
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Ask, OpenAsk } from "./Ask.ts"
import type { Entry, Sequenced, Values } from "./Entry.ts"
import {
  AnswerInvalid,
  AskNotOpen,
  EntryNotFound,
  type JournalConflict,
  type JournalCorrupt,
  type JournalUnavailable,
  NodeContractViolated,
  type ReadFailure,
  ThreadBusy,
  type ThreadExists,
  type ThreadFailure,
  type ThreadNotFound,
  type GraphChanged
} from "./Errors.ts"
import type { Event } from "./Event.ts"
import type { Graph } from "./Graph.ts"
import type { Compiled, Record_ } from "./internal/compile.ts"
import { emptyFrame, emptyReplay, type Replay, replay } from "./internal/replay.ts"
import { type Frame, isJournalFailure, restore, type Run, runFrame, startState } from "./internal/runtime.ts"
import { Journal } from "./Journal.ts"
import { type JournalFailure, Suspended } from "./Task.ts"

export type { OpenAsk } from "./Ask.ts"

/** How a run ended: the graph is done, or every task left waits for an answer. */
export type Outcome<State> =
  | { readonly _tag: "Done"; readonly state: State }
  | { readonly _tag: "Waiting"; readonly state: State; readonly asks: ReadonlyArray<OpenAsk> }

/** What a run of a thread is given. */
export interface RunOptions<Input> {
  readonly thread: string
  /**
   * Starts a run. Not needed to finish one: an unfinished run goes on with the input it has, and the same input again is
   * taken for that. A different input while a run is unfinished is a `ThreadBusy`. A finished thread starts a new run
   * with it, so a program that may be started again after it was done names its run.
   */
  readonly input?: Input | undefined
  /** A name for this run: a run of a name is started once, however often it is asked for. */
  readonly run?: string | undefined
}

// How often an append or an answer looks again when an answer came in between.
const maxCollisions = 64

/**
 * Starts a run of a thread, or goes on with the unfinished one. A finished thread without an input is left as it is.
 */
export const run = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: RunOptions<NoInfer<Input>>
): Effect.Effect<Outcome<State>, E | ThreadFailure, R | Journal> =>
  advance(graph.compiled, options, undefined, undefined) as Effect.Effect<
    Outcome<State>,
    E | ThreadFailure,
    R | Journal
  >

/**
 * Runs a thread as {@link run} does, and gives its events. With `after`, first every journaled event after that sequence
 * number, so that a listener that comes back misses none and sees none twice. A slow listener slows the run; leaving
 * the stream interrupts it.
 */
export const stream = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: RunOptions<NoInfer<Input>> & { readonly after?: number | undefined }
): Stream.Stream<Event, E | ThreadFailure, R | Journal> =>
  Stream.callback<Event, unknown, R | Journal>(
    (queue) =>
      Effect.andThen(
        advance(
          graph.compiled,
          options,
          (event) => Effect.asVoid(Queue.offer(queue, event)),
          options.after
        ) as Effect.Effect<unknown, unknown, R | Journal>,
        Queue.end(queue)
      ),
    { bufferSize: 16 }
  ) as Stream.Stream<Event, E | ThreadFailure, R | Journal>

const advance = Effect.fnUntraced(function* (
  graph: Compiled,
  options: RunOptions<unknown>,
  emit: ((event: Event) => Effect.Effect<void>) | undefined,
  after: number | undefined
): Effect.fn.Return<Outcome<unknown>, unknown, unknown> {
  const { thread } = options
  const journal = yield* Journal
  const entries = yield* journal
    .read(thread)
    .pipe(
      Effect.catchTag("ThreadNotFound", (error) =>
        options.input === undefined ? Effect.fail(error) : Effect.succeed([])
      )
    )
  const log = replay(emptyReplay(), entries)
  if (emit !== undefined && after !== undefined) {
    for (const entry of entries.slice(after)) yield* emit({ _tag: "Journaled", ...entry })
  }
  const append = makeAppend(journal, thread, log, emit, after ?? 0)
  const run: Run = { journal: { thread, replay: log, append }, emit }

  const frame = yield* begin(graph, options, run, log, append)
  if (frame === undefined) {
    const { state } = yield* Effect.fromResult(restore(run, graph, "", log.frames.get("") ?? emptyFrame(), true))
    return { _tag: "Done", state }
  }
  return yield* finish(graph, run, log, append, frame)
})

/** Where the run starts: at a new input, or where the thread stands. `undefined`: there is nothing to do. */
const begin = Effect.fnUntraced(function* (
  graph: Compiled,
  { input, run: runKey, thread }: RunOptions<unknown>,
  run: Run,
  log: Replay,
  append: Append
) {
  const root = log.frames.get("") ?? emptyFrame()
  const known = runKey !== undefined && log.runs.has(runKey)
  const closed = log.frames.size === 0 || log.outcome === "done"
  if (input !== undefined && !known) {
    const standing =
      closed || log.outcome === "failed" ? yield* Effect.fromResult(restore(run, graph, "", root, closed)) : undefined
    const { json } = yield* Effect.fromResult(startState(graph, input, true, standing?.state))
    const same = !closed && (runKey === undefined || runKey === log.runKey) && Equal.equals(json, log.input)
    if (!same) {
      if (standing === undefined) {
        return yield* new ThreadBusy({ thread, asks: Array.from(log.asks.keys()) })
      }
      // Folded already; the new run begins from here.
      root.base = { state: standing.state, step: standing.step, finished: standing.finished }
      root.changes.length = 0
      yield* append([
        {
          _tag: "RunStarted",
          graph: graph.shape,
          input: json,
          ...(runKey === undefined ? {} : { run: runKey })
        }
      ])
      return yield* restored(graph, run, log)
    }
  }
  return log.outcome === "done" ? undefined : yield* restored(graph, run, log)
})

const restored = (graph: Compiled, run: Run, log: Replay) =>
  Effect.suspend(() => Effect.fromResult(restore(run, graph, "", log.frames.get("") ?? emptyFrame())))

const finish = Effect.fnUntraced(function* (
  graph: Compiled,
  run: Run,
  log: Replay,
  append: Append,
  start: Frame
): Effect.fn.Return<Outcome<unknown>, unknown, unknown> {
  const thread = run.journal?.thread ?? ""
  let frame = start
  while (true) {
    const end = yield* runFrame(frame).pipe(
      Effect.map(Option.some),
      Effect.catchIf(
        (error) => error instanceof Suspended,
        () => Effect.succeedNone
      ),
      // A defect ends a run as an error does; an interruption leaves it unfinished.
      Effect.tapCause((cause) =>
        Cause.hasInterruptsOnly(cause) || isJournalFailure(Cause.squash(cause), thread)
          ? Effect.void
          : append([{ _tag: "RunFinished", outcome: "failed" }])
      )
    )
    if (Option.isSome(end)) {
      yield* append([{ _tag: "RunFinished", outcome: "done" }])
      return { _tag: "Done", state: end.value }
    }
    // Answers may have come in while siblings of the asking tasks were still at work.
    if (!log.answered && log.outcome !== "waiting") yield* append([{ _tag: "RunFinished", outcome: "waiting" }])
    if (!log.answered) {
      return { _tag: "Waiting", state: frame.state, asks: Array.from(log.asks.values(), toOpenAsk) }
    }
    log.answered = false
    frame = yield* restored(graph, run, log)
  }
})

const toOpenAsk = ({ ask, kind, name, path, question, task }: OpenAsk): OpenAsk => ({
  ask,
  name,
  kind,
  question,
  path,
  task
})

type Entries = readonly [Entry, ...ReadonlyArray<Entry>]

type Append = (entries: Entries) => Effect.Effect<void, JournalFailure>

/**
 * One append at a time, each after the one before. Answers that came from outside in between are taken in; any other
 * entry means that somebody else runs the thread, and is a conflict.
 */
const makeAppend = (
  journal: Journal["Service"],
  thread: string,
  log: Replay,
  emit: ((event: Event) => Effect.Effect<void>) | undefined,
  after: number
): Append => {
  const one = Semaphore.makeUnsafe(1)
  const tell = Effect.fnUntraced(function* (written: ReadonlyArray<Sequenced>) {
    for (const entry of written)
      if (emit !== undefined && entry.seq > after) yield* emit({ _tag: "Journaled", ...entry })
  })
  const write = (entries: Entries, collisions: number): Effect.Effect<ReadonlyArray<Sequenced>, JournalFailure> =>
    Effect.suspend(() => journal.append(thread, log.head, entries)).pipe(
      Effect.map((written) => {
        replay(log, written)
        return written
      }),
      Effect.catchTag("JournalConflict", (conflict) =>
        collisions >= maxCollisions ? Effect.fail(conflict) : collide(entries, conflict, collisions)
      )
    )
  const collide = Effect.fnUntraced(function* (entries: Entries, conflict: JournalConflict, collisions: number) {
    const between = yield* journal
      .read(thread, { after: log.head })
      .pipe(Effect.catchTag(["JournalCorrupt", "ThreadNotFound"], () => Effect.succeed([])))
    if (between.length === 0 || !between.every(({ entry }) => entry._tag === "AskAnswered")) return yield* conflict
    replay(log, between)
    log.answered = true
    yield* tell(between)
    return yield* write(entries, collisions + 1)
  })
  // Once an append is under way it is seen through: an interruption must not lose where the thread stands.
  return (entries) => {
    const written = Effect.uninterruptible(write(entries, 0))
    return one.withPermits(1)(emit === undefined ? Effect.asVoid(written) : Effect.flatMap(written, tell))
  }
}

/** The state of a thread, now or as of a sequence number. */
export const state = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: { readonly thread: string; readonly at?: number | undefined }
): Effect.Effect<State, ReadFailure | EntryNotFound | GraphChanged, Journal> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const { head } = yield* journal.info(options.thread)
    const at = options.at ?? head
    if (at < 1 || at > head) return yield* new EntryNotFound({ thread: options.thread, seq: at, head })
    const log = replay(emptyReplay(), yield* journal.read(options.thread, { until: at }))
    const frame = yield* restored(graph.compiled, { journal: undefined, emit: undefined }, log)
    return frame.state as State
  })

/** The journaled entries of a thread after a sequence number (default 0: all of them). Needs no graph. */
export const events = (options: {
  readonly thread: string
  readonly after?: number | undefined
}): Stream.Stream<Sequenced, ReadFailure, Journal> =>
  Stream.unwrap(
    Effect.map(
      Effect.flatMap(Journal, (journal) => journal.read(options.thread, { after: options.after })),
      Stream.fromIterable
    )
  )

/** The questions of a thread that wait for their answers. Needs no graph. */
export const asks = (options: {
  readonly thread: string
}): Effect.Effect<ReadonlyArray<OpenAsk>, ReadFailure, Journal> =>
  Effect.flatMap(Journal, (journal) =>
    Effect.map(journal.read(options.thread), (entries) =>
      Array.from(replay(emptyReplay(), entries).asks.values(), toOpenAsk)
    )
  )

/**
 * Answers an ask. The answer is checked and journaled; the thread goes on with its next run. Without `ask` (its id) the
 * thread must have exactly one open ask of that name. Needs no graph.
 */
export const answer = <Name extends string, Question, Answer>(
  ask: Ask<Name, Question, Answer>,
  options: { readonly thread: string; readonly ask?: string | undefined; readonly value: NoInfer<Answer> }
): Effect.Effect<void, ReadFailure | JournalConflict | AskNotOpen | AnswerInvalid, Journal> =>
  Effect.gen(function* () {
    const { thread } = options
    const journal = yield* Journal
    const entries = yield* journal.read(thread)
    const log = replay(emptyReplay(), entries)
    const candidates = Array.from(log.asks.values()).filter(
      (open) => open.name === ask.name && (options.ask === undefined || open.ask === options.ask)
    )
    const open = candidates[0]
    if (open === undefined || candidates.length > 1) {
      return yield* new AskNotOpen({ thread, ask: options.ask ?? ask.name, open: Array.from(log.asks.keys()) })
    }
    const value = yield* Effect.mapError(
      Schema.encodeEffect(ask.answer)(options.value),
      (error) => new AnswerInvalid({ ask: open.ask, issue: error.message })
    )
    yield* journal.append(thread, log.head, [{ _tag: "AskAnswered", ask: open.ask, value }])
  }).pipe(Effect.retry({ while: (error) => error._tag === "JournalConflict", times: maxCollisions }))

/**
 * Makes a new thread `as` of the entries 1 to `at` of another, and patches its state if asked to. The original is not
 * touched. A fork before an ask asks again.
 */
export const fork = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: {
    readonly thread: string
    readonly at: number
    readonly as: string
    /** Updates of channels, folded through their reducers. */
    readonly update?: Partial<NoInfer<Input>> | undefined
  }
): Effect.Effect<
  void,
  | JournalUnavailable
  | JournalConflict
  | JournalCorrupt
  | ThreadNotFound
  | ThreadExists
  | EntryNotFound
  | NodeContractViolated,
  Journal
> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    // Checked before the fork is made, so that a bad patch leaves nothing behind.
    const updates: Values | undefined =
      options.update === undefined ? undefined : yield* patch(graph.compiled, options.update)
    const head = yield* journal.fork(options.thread, options.at, options.as)
    if (updates !== undefined) yield* journal.append(options.as, head, [{ _tag: "Patched", updates }])
  })

const patch = (graph: Compiled, update: Record_) =>
  Effect.mapError(Effect.fromResult(startState(graph, update, true)), (error) =>
    error._tag === "NodeContractViolated"
      ? error
      : new NodeContractViolated({ node: "fork", part: "its update", issue: error.message })
  ).pipe(Effect.map(({ json }) => json))
