// Changes from outside: checked where they are given, and again where they are applied.
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Entry, Values } from "../Entry.ts"
import { NodeContractViolated, UnknownRoute } from "../Errors.ts"
import { type Compiled, decodeUpdate, type Record_ } from "./compile.ts"
import { startState } from "./frame.ts"
import type { QueuedPatch } from "./mailbox.ts"
import { foldPatch } from "./step.ts"

/** A patch as JSON, if it fits a state. */
export const patchOf = Effect.fnUntraced(function* (
  graph: Compiled,
  update: object,
  node: string | undefined,
  state: Record_
) {
  if (node !== undefined && !Object.hasOwn(graph.nodes, node)) {
    return yield* new UnknownRoute({ node: "patch", target: node, known: Object.keys(graph.nodes) })
  }
  const { json } = yield* Effect.mapError(Effect.fromResult(startState(graph, update, true, state, false)), (error) =>
    error._tag === "NodeContractViolated"
      ? error
      : new NodeContractViolated({ node: "patch", part: "its update", issue: error.message })
  )
  return { updates: json, ...(node === undefined ? {} : { node }) }
})

const foldQueued = (
  graph: Compiled,
  state: Record_,
  { node, updates }: { readonly node: string | undefined; readonly updates: Values }
): Result.Result<Record_, string> => {
  if (node !== undefined && !Object.hasOwn(graph.nodes, node)) {
    return Result.fail(`it goes on after node "${node}", which the graph does not have`)
  }
  return Result.flatMap(
    Result.mapError(decodeUpdate(graph, updates), (differences) => differences.join("; ")),
    (update) =>
      Result.mapError(foldPatch(graph, state, { task: "patch", node: "patch", update }), ({ message }) => message)
  )
}

/** What becomes of queued patches, in their order: each is applied to the state that those before left, or refused. */
export const takePatches = (
  graph: Compiled,
  state: Record_,
  patches: ReadonlyArray<QueuedPatch>
): { readonly entries: ReadonlyArray<Entry>; readonly state: Record_ } => {
  let now = state
  const entries = patches.map((patch): Entry => {
    const { key, node, seq, updates } = patch
    const folded = foldQueued(graph, now, patch)
    if (Result.isFailure(folded)) return { _tag: "PatchRefused", queued: seq, message: folded.failure }
    now = folded.success
    return {
      _tag: "Patched",
      updates,
      ...(node === undefined ? {} : { node }),
      queued: seq,
      ...(key === undefined ? {} : { key })
    }
  })
  return { entries, state: now }
}
