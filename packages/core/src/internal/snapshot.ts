// A snapshot: the fold of a thread's entries up to one of them, as JSON. Only a cache; one that does not fit is ignored.
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { GraphShape } from "../Entry.ts"
import type { Snapshot } from "../Journal.ts"
import { type Compiled, decodeState, encodeState } from "./compile.ts"
import { encodeError, toFinished } from "./frame.ts"
import { emptyFrame, emptyReplay, type Replay } from "./replay.ts"

const Values = Schema.Record(Schema.String, Schema.Json)

const Cut = Schema.Struct({
  version: Schema.Literal(1),
  graph: GraphShape,
  state: Values,
  step: Schema.Int,
  finished: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        task: Schema.String,
        node: Schema.String,
        failure: Schema.optionalKey(Schema.Struct({ tag: Schema.String, error: Schema.Json }))
      })
    )
  ),
  arrived: Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Schema.String))),
  startedAt: Schema.Finite,
  waited: Schema.Finite,
  idle: Schema.optionalKey(Schema.Finite),
  lastAt: Schema.optionalKey(Schema.Finite),
  outcome: Schema.Literals(["unfinished", "done", "failed"]),
  input: Schema.optionalKey(Values),
  runKey: Schema.optionalKey(Schema.String),
  runSeq: Schema.Int,
  runs: Schema.Array(Schema.String),
  /** How those of the runs ended that did; there since ends are kept. */
  ends: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        run: Schema.String,
        outcome: Schema.Literals(["done", "failed", "replaced"]),
        seq: Schema.Int,
        error: Schema.optionalKey(Schema.Struct({ tag: Schema.String, message: Schema.String }))
      })
    )
  ),
  queue: Schema.Array(Schema.Struct({ seq: Schema.Int, input: Values, run: Schema.optionalKey(Schema.String) })),
  patches: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        seq: Schema.Int,
        updates: Values,
        node: Schema.optionalKey(Schema.String),
        key: Schema.optionalKey(Schema.String)
      })
    )
  ),
  /** Keys of senders, each with its entry. */
  keys: Schema.optionalKey(Schema.Array(Schema.Tuple([Schema.String, Schema.Int])))
})
const decode = Schema.decodeUnknownExit(Cut)
const unsaid = { tag: "Defect", message: "the journal does not say why" }

/** The snapshot of a thread as it stands; `undefined` in the middle of a step, with questions open, or with graphs inside. */
export const cut = (graph: Compiled, log: Replay): Snapshot | undefined => {
  const frame = log.frames.get("")
  const base = frame?.base
  if (frame === undefined || base === undefined || log.outcome === "waiting") return undefined
  const clean =
    log.frames.size === 1 &&
    frame.changes.length === 0 &&
    frame.pending.size === 0 &&
    frame.recorded.size === 0 &&
    frame.intended.size === 0 &&
    frame.opened.size === 0
  if (!clean || log.migration !== undefined || !Equal.equals(frame.shape, graph.shape)) return undefined
  const state = encodeState(graph, base.state)
  if (Result.isFailure(state)) return undefined
  const value: typeof Cut.Encoded = {
    version: 1,
    graph: graph.shape,
    state: state.success,
    step: base.step,
    ...(base.finished === undefined
      ? {}
      : {
          finished: base.finished.map(({ failure, node, task }) => ({
            task,
            node,
            ...(failure === undefined
              ? {}
              : { failure: { tag: failure.tag, error: encodeError(graph, failure.tag, failure.error) } })
          }))
        }),
    ...(base.arrived === undefined ? {} : { arrived: base.arrived }),
    startedAt: frame.startedAt,
    waited: log.waited,
    ...(log.idle === 0 ? {} : { idle: log.idle }),
    ...(log.lastAt === undefined ? {} : { lastAt: log.lastAt }),
    outcome: log.outcome,
    ...(log.input === undefined ? {} : { input: log.input }),
    ...(log.runKey === undefined ? {} : { runKey: log.runKey }),
    runSeq: log.runSeq,
    runs: Array.from(log.runs.keys()),
    ends: Array.from(log.runs).flatMap(([run, end]) => (typeof end === "string" ? [] : [{ run, ...end }])),
    queue: log.queue.map(({ input, run, seq }) => ({ seq, input, ...(run === undefined ? {} : { run }) })),
    ...(log.patches.length === 0
      ? {}
      : {
          patches: log.patches.map(({ key, node, seq, updates }) => ({
            seq,
            updates,
            ...(node === undefined ? {} : { node }),
            ...(key === undefined ? {} : { key })
          }))
        }),
    ...(log.keys.size === 0 ? {} : { keys: Array.from(log.keys) })
  }
  // All of it is JSON, which an interface cannot be said to be.
  return { seq: log.head, value: value as unknown as Schema.Json }
}

/**
 * The replay that a snapshot stands for; `undefined` if it is of another form, or of a graph that was another. Without a
 * graph the state is left out: enough to know what is asked.
 */
export const open = (snapshot: Snapshot, graph: Compiled | undefined): Replay | undefined => {
  const decoded = decode(snapshot.value)
  if (Exit.isFailure(decoded)) return undefined
  const cut = decoded.value
  const log = emptyReplay()
  if (graph !== undefined) {
    if (!Equal.equals(cut.graph, graph.shape)) return undefined
    const state = decodeState(graph, cut.state)
    if (Result.isFailure(state)) return undefined
    const frame = emptyFrame(cut.graph)
    frame.startedAt = cut.startedAt
    frame.base = {
      // A required channel without a value is there, as `undefined`.
      state: { ...graph.initial, ...state.success },
      step: cut.step,
      finished: cut.finished?.map((finished) => toFinished(graph, finished)),
      arrived: cut.arrived
    }
    log.frames.set("", frame)
  }
  log.head = snapshot.seq
  log.shape = cut.graph
  log.waited = cut.waited
  log.idle = cut.idle ?? 0
  log.lastAt = cut.lastAt
  log.outcome = cut.outcome
  log.input = cut.input
  log.runKey = cut.runKey
  log.runSeq = cut.runSeq
  // One of which an older snapshot does not say how it ended is looked for in the entries, if it is asked for.
  for (const run of cut.runs) log.runs.set(run, cut.ends !== undefined && run === cut.runKey ? "unfinished" : "unknown")
  for (const { error, outcome, run, seq } of cut.ends ?? []) {
    log.runs.set(run, outcome === "failed" ? { outcome, seq, error: error ?? unsaid } : { outcome, seq })
  }
  // Nothing is cut while a thread is at rest with work left, so what is unfinished is at work.
  log.working = cut.outcome === "unfinished"
  log.queue.push(...cut.queue.map(({ input, run, seq }) => ({ seq, input, run })))
  for (const { key, node, seq, updates } of cut.patches ?? []) log.patches.push({ seq, updates, node, key })
  for (const [key, seq] of cut.keys ?? []) log.keys.set(key, seq)
  return log
}
