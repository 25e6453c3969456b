/**
 * Grouped commits: appends queue, and one fiber writes those that wait in one transaction, so that a thousand threads
 * share a commit. An append is done when its transaction is.
 *
 * At most {@link maxWaiting} appends are encoded and wait; more callers wait before they encode. A transaction holds at
 * most {@link maxBatch} appends of different threads and {@link maxBatchSize} characters, but at least one append.
 *
 * If a transaction fails, nothing of it stands. One that the database refused for something in it is tried again append
 * by append, so that one bad append does not fail the others; one that the database could not do fails as a whole.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isSqlError } from "effect/sql/SqlError"
import * as Tracer from "effect/Tracer"
import { type Entry, postedTags } from "../../Entry.ts"
import type { JournalConflict, JournalUnavailable } from "../../Errors.ts"
import type { Appended } from "../../Journal.ts"
import type { Policy } from "../journalFold.ts"
import * as Append from "./append.ts"
import type { KnownThreads } from "./knownThreads.ts"
import { type Program, type Rows, run as runProgram, runNow } from "./program.ts"
import { type Database, decodeKnownNow, type Known, selectKnown, unavailable } from "./rows.ts"
import { transact } from "./transact.ts"

export const maxWaiting = 8192
export const maxBatch = 1024
export const maxBatchSize = 8 * 1024 * 1024

/** Below the fibers that are about to append. */
const afterAppenders = 10

/** After so many appends by itself a thread is not made to wait for others to join, until another appends. */
const aloneAfter = 8

/** Runs in the transaction that wrote these threads. */
export type Announce = (threads: ReadonlyArray<string>) => Program<void>

/**
 * Runs a transaction to its end at once, for a database inside this process. `undefined`: not now, somebody else has the
 * connection or the lock. Throws what went wrong; then nothing stands.
 */
export type TransactNow = <A>(
  use: (execute: (text: string, params: ReadonlyArray<unknown>) => Rows) => A
) => { readonly result: A } | undefined

export interface Options {
  readonly database: Database
  readonly known: KnownThreads
  readonly snapshots: Policy
  readonly transactNow: TransactNow | undefined
  readonly announce: Announce | undefined
  /** Runs once it is committed. */
  readonly committed: (thread: string) => void
}

export type AppendEffect = (
  thread: string,
  expected: number,
  entries: ReadonlyArray<Entry>,
  id: string | undefined,
  at: number,
  place: Append.Place,
  hash?: string | undefined
) => End

const failed = unavailable("append to a thread")

/** Runs until its scope closes. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const tracer = yield* Tracer.Tracer
  const run = makeRun(options)
  const traced: typeof run =
    tracer === Tracer.nativeTracer
      ? run
      : (batch) => Effect.withSpan(run(batch), "journal.commit", { attributes: { "selvage.appends": batch.length } })
  let queue: Array<Append.Request> = []
  let wake: (() => void) | undefined
  let closed = false

  const someWait = Effect.callback<void>((resume) => {
    wake = () => {
      wake = undefined
      resume(Effect.void)
    }
  })

  const outside = new Set<() => void>()
  const room = Effect.callback<void>((resume) => {
    const enter = () => {
      outside.delete(enter)
      resume(Effect.void)
    }
    outside.add(enter)
    return Effect.sync(() => outside.delete(enter))
  })
  /** Lets as many in as there is room for, in the order in which they came. */
  const admit = (count: number) => {
    for (const enter of Array.from(outside).slice(0, count)) enter()
  }

  // How many appends in a row were of one thread and had their transaction to themselves.
  let alone = 0
  let last: string | undefined
  const isAlone = () => alone >= aloneAfter && queue.length === 1 && queue[0]?.thread === last

  const drain = Effect.gen(function* () {
    while (true) {
      if (queue.length === 0) yield* someWait
      // A turn of the event loop would be a tenth of the append of a thread that nobody joins.
      if (!isAlone()) yield* Effect.yieldNowWith(afterAppenders)
      const { batch, rest } = take(queue)
      queue = rest
      alone = batch.length === 1 && batch[0]?.thread === last ? alone + 1 : 0
      last = batch[0]?.thread
      if (outside.size > 0) admit(maxWaiting - queue.length)
      if (batch.length > 0) yield* Effect.uninterruptible(traced(batch))
    }
  })
  yield* Effect.forkScoped(drain, { startImmediately: true })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      for (const { resume } of queue) resume(Effect.fail(failed(new Error("the journal was closed"))))
      queue = []
      admit(outside.size)
    })
  )

  const enqueue = (request: Append.Request): ReturnType<AppendEffect> =>
    Effect.callback((resume) => {
      if (closed) return resume(Effect.fail(failed(new Error("the journal is closed"))))
      request.resume = resume
      queue.push(request)
      wake?.()
      // Not yet in a transaction: it never will be. Else the transaction goes on without anyone to hear of it.
      return Effect.sync(() => {
        queue = queue.filter((waiting) => waiting !== request)
      })
    })

  const start: AppendEffect = (thread, expected, entries, id, at, place, hash) => {
    try {
      return enqueue(Append.makeRequest(thread, expected, entries, id, at, place, hash))
    } catch (cause) {
      return Effect.fail(unavailable(`append to thread "${thread}": an entry of it is not valid`)(cause))
    }
  }
  const append: AppendEffect = (...request) =>
    queue.length < maxWaiting ? start(...request) : Effect.flatMap(room, () => append(...request))
  return append
})

/** What goes into the next transaction; of two appends to a thread the later one waits. */
const take = (
  queue: ReadonlyArray<Append.Request>
): { readonly batch: ReadonlyArray<Append.Request>; readonly rest: Array<Append.Request> } => {
  const [first] = queue
  if (first !== undefined && queue.length === 1) return { batch: [first], rest: [] }
  const threads = new Set<string>()
  const batch: Array<Append.Request> = []
  const rest: Array<Append.Request> = []
  let size = 0
  let full = false
  for (const request of queue) {
    full = full || batch.length >= maxBatch || (batch.length > 0 && size + request.size > maxBatchSize)
    if (full || threads.has(request.thread)) rest.push(request)
    else {
      batch.push(request)
      size += request.size
    }
    threads.add(request.thread)
  }
  return { batch, rest }
}

type End = Effect.Effect<Appended, JournalConflict | JournalUnavailable>

const makeRun = ({ announce, committed, database, known, snapshots, transactNow }: Options) => {
  const { dialect } = database
  const select = dialect.text(`${selectKnown} WHERE t.thread IN ${dialect.stringsOf}`)

  /** Reads the rows of threads afresh. */
  function* lookUp(requests: ReadonlyArray<Append.Request>): Program<void> {
    if (requests.length === 0) return
    const threads = requests.map(({ thread }) => thread)
    for (const thread of threads) known.delete(thread)
    const rows = yield [select, [JSON.stringify(threads)]]
    for (const row of decodeKnownNow(rows)) known.set(row.info.thread, row)
  }

  const isStale = (request: Append.Request) => {
    if (request.place !== "after") return true
    const row = known.get(request.thread)
    return row === undefined ? request.expected !== 0 : !Append.fits(request, row)
  }

  // What cannot be passed: an entry of a run, or another entry than the one after which the caller stands.
  const selectForeign = dialect.text(`SELECT 1 FROM selvage_entries e WHERE e.thread = ? AND e.seq >= ?
    AND ((e.seq = ? AND e.hash <> CAST(? AS TEXT)) OR (e.seq > ?
      AND NOT (${postedTags.map((tag) => `e.entry LIKE '{"_tag":"${tag}"%'`).join(" OR ")}))) LIMIT 1`)

  /** Whether an append may stand after the entries of its row. */
  function* stands(request: Append.Request, row: Known | undefined): Program<boolean> {
    const { expected, hash, place, thread } = request
    if (!Append.fits(request, row)) return false
    if (place !== "past" || row === undefined || row.info.head === expected) return true
    return (yield [selectForeign, [thread, expected, expected, hash ?? null, expected]]).length === 0
  }

  /** Writes what fits; the ends are to be told once it is committed. */
  function* write(batch: ReadonlyArray<Append.Request>): Program<Written> {
    const ends = new Map<Append.Request, End>()
    // Where the thread stands is read and held, so that nobody comes in between.
    if (batch.some(({ place }) => place !== "after")) yield* dialect.lockThreads(batch.map(({ thread }) => thread))
    yield* lookUp(batch.filter(isStale))
    const plans: Array<Append.Plan> = []
    for (const request of batch) {
      const row = known.get(request.thread)
      if (yield* stands(request, row)) plans.push(Append.plan(request, row))
      else ends.set(request, Effect.fail(Append.conflict(request, row)))
    }
    const fresh = plans.filter((plan) => plan.known === undefined)
    const standing = plans.filter((plan) => plan.known !== undefined)
    const created = fresh.length === 0 ? nothing : yield* dialect.create(fresh.map(({ move }) => move))
    const moved = standing.length === 0 ? nothing : yield* dialect.move(standing.map(({ move }) => move))
    const won = plans.filter(({ request: { thread } }) => created.has(thread) || moved.has(thread))
    if (won.length < plans.length) {
      const lost = plans.filter((plan) => !won.includes(plan)).map(({ request }) => request)
      yield* lookUp(lost)
      for (const request of lost) ends.set(request, Effect.fail(Append.conflict(request, known.get(request.thread))))
    }
    if (won.length === 0) return { ends, won }
    const values = won.flatMap(Append.valueRows)
    if (values.length > 0) yield* dialect.insertValues(values)
    yield* dialect.insertEntries(won.flatMap(({ rows }) => rows))
    if (announce !== undefined) yield* announce(won.map(({ request }) => request.thread))
    for (const plan of won) ends.set(plan.request, Append.appended(plan, snapshots))
    return { ends, won }
  }

  const tell = ({ ends, won }: Written) => {
    for (const { after, request } of won) {
      known.set(request.thread, after)
      committed(request.thread)
    }
    for (const [request, end] of ends) request.resume(end)
  }

  const fail = (batch: ReadonlyArray<Append.Request>, error: unknown, committing: boolean): Effect.Effect<void> => {
    for (const { thread } of batch) known.delete(thread)
    if (batch.length > 1 && !committing && isRefusal(error)) {
      return Effect.forEach(batch, (request) => run([request]), { discard: true })
    }
    return Effect.sync(() => {
      const end = Exit.fail(failed(error))
      for (const { resume } of batch) resume(end)
    })
  }

  const runLater = (batch: ReadonlyArray<Append.Request>): Effect.Effect<void> =>
    Effect.suspend(() => {
      // After a failed COMMIT nobody knows whether it stands: it is not tried again.
      let committing = false
      const values = batch.some(({ stored }) => stored.some(({ values }) => values.size > 0))
      const written = transact(
        database,
        values ? "use" : "none",
        (connection) => runProgram(connection, write(batch)),
        () => {
          committing = true
        }
      )
      return Effect.matchCauseEffect(written, {
        onSuccess: (written) => Effect.sync(() => tell(written)),
        onFailure: (cause) => fail(batch, Cause.squash(cause), committing)
      })
    })

  /** Never fails: every append of the batch learns its end. */
  const run = (batch: ReadonlyArray<Append.Request>): Effect.Effect<void> =>
    transactNow === undefined
      ? runLater(batch)
      : Effect.suspend(() => {
          let written: { readonly result: Written } | undefined
          try {
            written = transactNow((execute) => runNow(execute, write(batch)))
          } catch (error) {
            return fail(batch, error, false)
          }
          if (written === undefined) return runLater(batch)
          tell(written.result)
          return Effect.void
        })
  return run
}

interface Written {
  readonly ends: ReadonlyMap<Append.Request, End>
  readonly won: ReadonlyArray<Append.Plan>
}

/** Whether the database refused something that it was given, rather than being out of reach, busy or full. */
const isRefusal = (error: unknown): boolean =>
  isSqlError(error) &&
  ![
    "ConnectionError",
    "AuthenticationError",
    "AuthorizationError",
    "LockTimeoutError",
    "StatementTimeoutError"
  ].includes(error.reason._tag)

const nothing: ReadonlySet<string> = new Set()
