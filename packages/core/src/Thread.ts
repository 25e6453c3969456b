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
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Ask, OpenAsk } from "./Ask.ts"
import * as Bound from "./Bound.ts"
import type { Entry, Sequenced } from "./Entry.ts"
import {
  AnswerInvalid,
  AskNotOpen,
  CallInFlight,
  EntryNotFound,
  type GraphChanged,
  type JournalConflict,
  type JournalCorrupt,
  type JournalUnavailable,
  NodeContractViolated,
  type ReadFailure,
  ThreadBusy,
  type ThreadExists,
  type ThreadFailure,
  type ThreadNotFound,
  type UnknownRoute
} from "./Errors.ts"
import type { Event } from "./Event.ts"
import type { Graph } from "./Graph.ts"
import * as Advance from "./internal/advance.ts"
import { encodeBounded } from "./internal/bounded.ts"
import type { Compiled } from "./internal/compile.ts"
import { entryAt, standing } from "./internal/describe.ts"
import { stateOf } from "./internal/frame.ts"
import { hasEntry, rangeOf } from "./internal/journalFold.ts"
import { maxWaiting, waiting } from "./internal/mailbox.ts"
import { fold, keepWarm, open } from "./internal/open.ts"
import { patchOf, takePatches } from "./internal/patch.ts"
import { inFlight, type Replay, replay, toOpenAsk } from "./internal/replay.ts"
import * as View from "./internal/view.ts"
import { maxCollisions } from "./internal/writer.ts"
import { Journal } from "./Journal.ts"

export type { OpenAsk } from "./Ask.ts"
export { WarmThreads } from "./internal/open.ts"
export { stateJson, summary } from "./internal/describe.ts"
export type { StateJson } from "./internal/shapes.ts"
export type { LastFailure, Summary, Tasks } from "./internal/summary.ts"
export type { Message, Update } from "./internal/view.ts"

/** How a run ended: the graph is done, or every task left waits for an answer. */
export type Outcome<State> =
  | { readonly _tag: "Done"; readonly state: State }
  | { readonly _tag: "Waiting"; readonly state: State; readonly asks: ReadonlyArray<OpenAsk> }

/** The input, or the patch, waits as entry `seq`: a run of the thread takes it up. */
export interface Queued {
  readonly _tag: "Queued"
  readonly seq: number
}

/** What a run of a thread is given. */
export interface RunOptions<Input> {
  readonly thread: string
  /**
   * Starts a run. Not needed to finish one: an unfinished run goes on with the input it has, and the same input again is
   * taken for that (unless it may queue or replace: then only the same name of a run is). A finished thread starts a new
   * run with it, so a program that may be started again after it was done names its run.
   */
  readonly input?: Input | undefined
  /**
   * A name for this run: a run of a name is started once, however often it is asked for, and keeps its outcome. If another run
   * followed it, one that is done gives the state as of its end, and one that failed is a `RunFailed`. A thread knows the
   * names of its last 1,024 named runs.
   */
  readonly run?: string | undefined
  /**
   * What becomes of an input for a thread whose run is not finished:
   *
   * - `reject` (default): `ThreadBusy`.
   * - `replace`: the run under way is interrupted, in this process at once with `RunReplaced` and in another at its next
   *   append with `JournalConflict`, and the new one goes on from the last committed step.
   */
  readonly whenBusy?: "reject" | "replace" | undefined
}

/** A run whose input queues behind the run under way. */
export interface QueueOptions<Input> extends Omit<RunOptions<Input>, "whenBusy"> {
  /**
   * The input is journaled and waits its turn; whoever runs the thread takes it up. A free thread runs it at once. At most
   * 1,024 inputs wait; one more is `ThreadBusy`.
   */
  readonly whenBusy: "queue"
}

/**
 * Starts a run of a thread, or goes on with the unfinished one. A finished thread without an input is left as it is.
 * Runs also what was queued behind it meanwhile. The outcome of a named run is its own. Without a name, if all of these runs are
 * done, the outcome is that of the last; if one fails, those behind it run all the same, and then the first failure is given.
 */
export const run: {
  <Name extends string, State, E, R, Input>(
    graph: Graph<Name, State, E, R, Input>,
    options: RunOptions<NoInfer<Input>>
  ): Effect.Effect<Outcome<State>, E | ThreadFailure, R | Journal>
  <Name extends string, State, E, R, Input>(
    graph: Graph<Name, State, E, R, Input>,
    options: QueueOptions<NoInfer<Input>>
  ): Effect.Effect<Outcome<State> | Queued, E | ThreadFailure, R | Journal>
} = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: RunOptions<NoInfer<Input>> | QueueOptions<NoInfer<Input>>
): never => Advance.advance(graph.compiled, options) as never

/** What a stream of a run is given. */
export interface StreamOptions<Input> extends RunOptions<Input> {
  /** First every journaled event after this sequence number. */
  readonly after?: number | undefined
  /**
   * Leaving the stream leaves the run to this scope, with which it ends. Without one, leaving the stream interrupts the run.
   */
  readonly detach?: Scope.Scope | undefined
}

// How far a run may be ahead of who listens.
const bufferSize = 256

const listen = <A>(
  graph: Compiled,
  { detach, ...options }: Advance.Options & { readonly detach?: Scope.Scope | undefined },
  listener: (offer: (event: A) => Effect.Effect<void>) => Advance.Listener
): Stream.Stream<A, unknown, unknown> =>
  Stream.callback<A, unknown, unknown>(
    (queue) => {
      // An effect that waits is made only where there is no room.
      const offer = (event: A) =>
        Effect.suspend(() => (Queue.offerUnsafe(queue, event) ? Effect.void : Effect.asVoid(Queue.offer(queue, event))))
      // Also where the run is interrupted, or its scope closed before it began: nobody is to wait for more.
      const ended = Effect.onExit(Advance.advance(graph, options, listener(offer)), (exit) =>
        Exit.isSuccess(exit) ? Queue.end(queue) : Queue.failCause(queue, exit.cause)
      )
      return detach === undefined
        ? Effect.ignore(ended)
        : Effect.flatMap(Effect.forkIn(ended, detach, { startImmediately: true }), (fiber) =>
            Effect.asVoid(Effect.flatMap(Fiber.await(fiber), () => Queue.end(queue)))
          )
    },
    { bufferSize }
  )

/**
 * Runs a thread as {@link run} does, and gives its events. With `after`, first every journaled event after that sequence
 * number, so that a listener that comes back misses none and sees none twice. A slow listener slows the run; leaving
 * the stream interrupts it, unless it is detached.
 */
export const stream = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: StreamOptions<NoInfer<Input>>
): Stream.Stream<Event, E | ThreadFailure, R | Journal> =>
  listen<Event>(graph.compiled, options, (emit) => ({ emit, after: options.after })) as Stream.Stream<
    Event,
    E | ThreadFailure,
    R | Journal
  >

/** Runs a thread as {@link run} does, and gives its state: as the run begins, and after each step of its own graph. */
export const values = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: RunOptions<NoInfer<Input>>
): Stream.Stream<State, E | ThreadFailure, R | Journal> =>
  listen<unknown>(graph.compiled, options, (committed) => ({ committed })) as Stream.Stream<
    State,
    E | ThreadFailure,
    R | Journal
  >

/** Runs a thread as {@link stream} does, and gives what the nodes of its own graph wrote, task by task. */
export const updates = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: StreamOptions<NoInfer<Input>>
): Stream.Stream<View.Update<Partial<Input>>, E | ThreadFailure, R | Journal> =>
  Stream.flatMap(stream(graph, options), (event) =>
    Stream.fromIterable(View.updates(graph.compiled, event) as ReadonlyArray<View.Update<Partial<Input>>>)
  )

/**
 * Runs a thread as {@link stream} does, and gives its conversation: pieces of text as models give them, wherever they run,
 * and the messages that the thread's own graph adds to its `Channel.messages`. `Restarted` says that the pieces of a task so
 * far are void: drop them, the task gives its text anew.
 */
export const messages = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: StreamOptions<NoInfer<Input>>
): Stream.Stream<View.Message, E | ThreadFailure, R | Journal> =>
  Stream.flatMap(stream(graph, options), (event) => Stream.fromIterable(View.messages(graph.compiled, event)))

/** The state of a thread, now or as of a sequence number. */
export const state = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: { readonly thread: string; readonly at?: number | undefined }
): Effect.Effect<State, ReadFailure | EntryNotFound | GraphChanged, Journal> =>
  Effect.gen(function* () {
    const { thread } = options
    const journal = yield* Journal
    const { head } = yield* journal.info(thread)
    const at = yield* entryAt(thread, head, options.at)
    const log = yield* fold(journal, thread, graph.compiled, at)
    return (yield* Effect.fromResult(stateOf(thread, yield* standing(thread, graph.compiled, log)))) as State
  })

// How many entries are read at once.
const page = 256

/**
 * The journaled entries of a thread after a sequence number (default 0: all of them). With `follow`, then those to come,
 * whichever process appends them, until the stream is left. Needs no graph.
 */
export const events = (options: {
  readonly thread: string
  readonly after?: number | undefined
  readonly follow?: boolean | undefined
}): Stream.Stream<Sequenced, ReadFailure, Journal> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { follow = false, thread } = options
      const { after } = rangeOf(options)
      const journal = yield* Journal
      if (follow) return journal.tail(thread, after)
      const { head } = yield* journal.info(thread)
      const pages = Math.max(0, Math.ceil((head - after) / page))
      return Stream.range(0, pages - 1).pipe(
        Stream.flatMap((index) =>
          Stream.fromIterableEffect(
            journal.read(thread, { after: after + index * page, until: Math.min(head, after + (index + 1) * page) })
          )
        )
      )
    })
  )

/** The questions of a thread that wait for their answers. Needs no graph. */
export const asks = (options: {
  readonly thread: string
}): Effect.Effect<ReadonlyArray<OpenAsk>, ReadFailure, Journal> =>
  Effect.flatMap(Journal, (journal) =>
    Effect.map(open(journal, options.thread, undefined), ({ log }) => Array.from(log.asks.values(), toOpenAsk))
  )

/**
 * Answers an ask. The answer is checked and journaled; the thread goes on with its next run, and a run under way takes it
 * in. Without `ask` (its id) the thread must have exactly one open ask of that name. Needs no graph.
 *
 * The first answer counts: one that comes after another, or after the deadline was journaled, is `AskNotOpen`. With a `key`
 * an answer can be sent again: one whose key the thread knows (its last 1,024) was given already and is success.
 */
export const answer = <Name extends string, Question, Answer>(
  ask: Ask<Name, Question, Answer, unknown>,
  options: {
    readonly thread: string
    readonly ask?: string | undefined
    readonly value: NoInfer<Answer>
    /** Names this answer, so that it counts once however often it is sent. Another answer has another key. */
    readonly key?: string | undefined
  }
): Effect.Effect<void, ReadFailure | JournalConflict | AskNotOpen | AnswerInvalid, Journal> =>
  Effect.gen(function* () {
    const { key, thread } = options
    const issue = Bound.nameIssue(key)
    if (issue !== undefined)
      return yield* new AnswerInvalid({ ask: options.ask ?? ask.name, issue: `its key: ${issue}` })
    const journal = yield* Journal
    const { id, log, shared } = yield* open(journal, thread, undefined)
    if (key !== undefined && log.keys.has(key)) return
    const now = yield* Clock.currentTimeMillis
    const { head } = log
    const candidates = Array.from(log.asks.values()).filter(
      (asked) =>
        asked.name === ask.name &&
        (options.ask === undefined || asked.ask === options.ask) &&
        (asked.deadline === undefined || now < asked.deadline)
    )
    const notOpen = (log: Replay) =>
      new AskNotOpen({ thread, ask: options.ask ?? ask.name, open: Array.from(log.asks.keys()) })
    const asked = candidates[0]
    if (asked === undefined || candidates.length > 1) return yield* notOpen(log)
    const value = yield* Effect.mapError(
      encodeBounded(ask.answer, options.value),
      (error) => new AnswerInvalid({ ask: asked.ask, issue: error.message })
    )
    const answered = { _tag: "AskAnswered", ask: asked.ask, value, ...(key === undefined ? {} : { key }) } as const
    const { written } = yield* journal.post(thread, [answered], { id })
    const before = written[0]!.seq - 1
    if (before === head) return
    // What came in between decides whether it counts.
    const then = shared
      ? yield* fold(journal, thread, undefined, before)
      : replay(log, yield* journal.read(thread, { after: head, until: before }))
    if (!then.asks.has(asked.ask) && (key === undefined || !then.keys.has(key))) return yield* notOpen(then)
  })

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
    /** With an update: goes on after this node, as if it had just made it. */
    readonly node?: string | undefined
  }
): Effect.Effect<
  void,
  | JournalUnavailable
  | JournalConflict
  | JournalCorrupt
  | ThreadNotFound
  | ThreadExists
  | EntryNotFound
  | NodeContractViolated
  | UnknownRoute
  | CallInFlight
  | GraphChanged,
  Journal
> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const { as, at, node, thread, update } = options
    if (update === undefined) return yield* Effect.asVoid(journal.fork(thread, at, as))
    const { head } = yield* journal.info(thread)
    if (!hasEntry(head, at)) return yield* new EntryNotFound({ thread, seq: at, head })
    // Checked before the fork is made, so that a bad patch leaves nothing behind.
    const log = yield* fold(journal, thread, graph.compiled, at)
    const [call] = inFlight(log)
    if (call !== undefined) return yield* new CallInFlight({ thread, task: call.path + call.task, key: call.key })
    const patched = yield* patchOf(graph.compiled, update, node, (yield* standing(thread, graph.compiled, log)).state)
    yield* journal.fork(
      thread,
      at,
      as,
      log.migration === undefined ? patched : { ...patched, graph: graph.compiled.shape }
    )
  })

/** What became of a patch: it is entry `seq`, or it waits as entry `seq` for the run under way. */
export type PatchOutcome = { readonly _tag: "Patched"; readonly seq: number } | Queued

/** What a patch is given. */
export interface PatchOptions<Input> {
  readonly thread: string
  readonly update: Partial<Input>
  /** Goes on after this node. */
  readonly node?: string | undefined
  /** Names this patch, so that it counts once however often it is sent. Another patch has another key. */
  readonly key?: string | undefined
}

/**
 * Changes the state of a thread from outside. The updates go through the channels' schemas and reducers and are an entry of
 * their own. With `node`, the thread goes on as if that node had just made the change.
 *
 * A thread at rest is patched at once (`Patched`). The step under way, if there is one, is planned anew: its tasks begin
 * again, also those that were done, and graphs inside them from their start. What `Durable` recorded in a task of the
 * thread's own graph is found again by the task's name and item. While a call is in flight of which nobody knows whether it
 * was made, a patch is refused: run the thread first.
 *
 * If a run is under way, or was killed, the patch is journaled (`Queued`), and the run applies it between two of its steps,
 * or when it comes to rest. One that does not fit the state it finds is refused in the journal (`PatchRefused`) and holds
 * nothing up. At most 1,024 inputs and patches wait; one more is `ThreadBusy`.
 */
export const patch = <Name extends string, State, E, R, Input>(
  graph: Graph<Name, State, E, R, Input>,
  options: PatchOptions<NoInfer<Input>>
): Effect.Effect<
  PatchOutcome,
  ReadFailure | JournalConflict | NodeContractViolated | UnknownRoute | CallInFlight | GraphChanged | ThreadBusy,
  Journal
> =>
  Effect.suspend(() => patchOnce(graph.compiled, options)).pipe(
    // The thread moved between the look at it and the append.
    Effect.retry({ while: (error) => error._tag === "JournalConflict", times: maxCollisions })
  )

const patchOnce = Effect.fnUntraced(function* (
  graph: Compiled,
  { key, node, thread, update }: PatchOptions<object>
): Effect.fn.Return<
  PatchOutcome,
  ReadFailure | JournalConflict | NodeContractViolated | UnknownRoute | CallInFlight | GraphChanged | ThreadBusy,
  Journal
> {
  const issue = Bound.nameIssue(key)
  if (issue !== undefined) return yield* new NodeContractViolated({ node: "patch", part: "its key", issue })
  const journal = yield* Journal
  const opened = yield* open(journal, thread, graph)
  const { id, log } = opened
  const known = (): PatchOutcome | undefined => {
    const seq = key === undefined ? undefined : log.keys.get(key)
    if (seq === undefined) return undefined
    return { _tag: log.patches.some((patch) => patch.seq === seq) ? "Queued" : "Patched", seq }
  }
  const sentBefore = known()
  if (sentBefore !== undefined) return yield* Effect.as(keepWarm(journal, thread, graph, opened), sentBefore)
  const busy = () => new ThreadBusy({ thread, asks: [], queued: waiting(log) })
  const keyed = key === undefined ? {} : { key }
  const atRest = Effect.gen(function* () {
    const [call] = inFlight(log)
    if (call !== undefined) return yield* new CallInFlight({ thread, task: call.path + call.task, key: call.key })
    return takePatches(graph, (yield* standing(thread, graph, log)).state, log.patches)
  })
  const migrated: ReadonlyArray<Entry> = log.migration === undefined ? [] : [{ _tag: "Migrated", graph: graph.shape }]
  if (!log.working) {
    // Those that wait come first.
    const { entries, state } = yield* atRest
    const patched: Entry = { _tag: "Patched", ...(yield* patchOf(graph, update, node, state)), ...keyed }
    const [first = patched, ...rest] = [...migrated, ...entries, patched]
    const { written } = yield* journal.append(thread, log.head, [first, ...rest], { id, hash: opened.hash })
    yield* keepWarm(journal, thread, graph, opened)
    return { _tag: "Patched", seq: written.at(-1)!.seq }
  }
  const change = yield* patchOf(graph, update, node, (yield* standing(thread, graph, log)).state)
  if (waiting(log) >= maxWaiting) return yield* busy()
  const posted = yield* journal.post(thread, [{ _tag: "PatchQueued", graph: graph.shape, ...change, ...keyed }], { id })
  const { seq } = posted.written[0]!
  replay(log, yield* journal.read(thread, { after: log.head, until: seq }), graph)
  const queued = log.patches.some((patch) => patch.seq === seq)
  if (!queued) return known() ?? (yield* busy())
  const outcome: PatchOutcome = { _tag: "Queued", seq }
  if (log.working || inFlight(log).length > 0)
    return yield* Effect.as(keepWarm(journal, thread, graph, opened), outcome)
  // The run came to rest before it could take it up.
  const { entries } = yield* atRest
  const [first, ...rest] = [...migrated, ...entries]
  const taken = journal.append(thread, log.head, [first!, ...rest], { id, past: "posted" })
  const { written } = yield* Effect.catchTag(taken, "JournalConflict", () => Effect.succeed({ written: [] }))
  const end = written.find(({ entry }) => "queued" in entry && entry.queued === seq)
  // Another took it up, or will.
  if (end === undefined) return outcome
  if (end.entry._tag === "PatchRefused") {
    return yield* new NodeContractViolated({ node: "patch", part: "its update", issue: end.entry.message })
  }
  return { _tag: "Patched", seq: end.seq }
})
