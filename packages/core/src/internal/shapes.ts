// The state of a thread without its program: the fold of core over the shapes that the journal names. Pure.
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Channel from "../Channel.ts"
import type { GraphShape, Sequenced } from "../Entry.ts"
import { type Compiled, type CompiledChannel, compileChannel, type Record_ } from "./compile.ts"
import { applyChange } from "./frame.ts"
import { emptyReplay, type Replay, replay, type Standing } from "./replay.ts"

/** A state as far as it is known, as JSON. */
export interface StateJson {
  /** By channel. One in `unfolded` holds the list of its updates, and one in `unwritten` is missing. */
  readonly state: { readonly [channel: string]: Schema.Json }
  /** Channels with a reducer that only the program has. */
  readonly unfolded: ReadonlyArray<string>
  /** Channels that were never written, and whose initial value only the program has. */
  readonly unwritten: ReadonlyArray<string>
}

const ephemeral = "ephemeral "

const baseOf = (kind: string) => (kind.startsWith(ephemeral) ? kind.slice(ephemeral.length) : kind)

const isFolded = (kind: string) => ["last", "optional", "append", "sum", "map", "messages"].includes(baseOf(kind))

/** A channel of JSON that folds as one of its kind does. Updates of a reducer that is not known are listed. */
const channelOf = (kind: string): CompiledChannel => {
  const channel = jsonChannel(kind)
  const compiled = compileChannel(kind.startsWith(ephemeral) ? { ...channel, ephemeral: true } : channel)
  if (!isFolded(kind)) return { ...compiled, decode: (json) => Exit.succeed([json]) }
  // No value is written as null, which no value is: a union with it would not have been built.
  return baseOf(kind) === "optional"
    ? { ...compiled, decode: (json) => (json === null ? Exit.succeed(undefined) : compiled.decode(json)) }
    : compiled
}

const jsonChannel = (kind: string): Channel.Any => {
  switch (baseOf(kind)) {
    case "last":
    case "optional":
      return Channel.last(Schema.Json)
    case "sum":
      return Channel.sum
    case "map":
      return Channel.map(Schema.Json)
    case "messages":
      return Channel.messages
    default:
      return Channel.append(Schema.Json)
  }
}

const isOnce = (kind: string | undefined) => kind === "last" || kind === "optional"

/** The graph of a shape: channels of JSON, and nothing that runs. Channels of the shape before that it does not have stay. */
const graphOf = (shape: GraphShape, before: Compiled | undefined): Compiled => {
  const kinds = { ...before?.shape.channels, ...shape.channels }
  const channels = Object.fromEntries(
    Object.entries(kinds).map(([name, kind]) => {
      const known = before?.shape.channels[name] === kind ? before.channels[name] : undefined
      return [name, known ?? channelOf(kind)]
    })
  )
  return {
    name: shape.name,
    channels,
    nodes: {},
    edges: {},
    onError: {},
    rescuers: new Set(),
    needed: [],
    joins: {},
    joining: false,
    initial: Object.fromEntries(Object.entries(channels).map(([name, { channel }]) => [name, channel.initial])),
    ephemeral: Object.keys(channels).filter((name) => channels[name]!.channel.ephemeral),
    concurrency: "unbounded",
    siblings: "finish",
    deadline: undefined,
    migrate: undefined,
    shape: { ...shape, channels: kinds }
  }
}

/** A fold under way. It changes in place. */
export class ShapeFold {
  readonly log: Replay = emptyReplay()
  #graph: Compiled | undefined
  #standing: Standing = { state: {}, step: 0, finished: undefined, arrived: undefined }
  #begun = false

  /** Folds the next entry in; fails with what its channels cannot take. */
  next(sequenced: Sequenced): Result.Result<void, ReadonlyArray<string>> {
    const { entry } = sequenced
    if ((entry._tag === "RunStarted" || entry._tag === "Migrated") && entry.graph !== undefined)
      this.#learn(entry.graph)
    replay(this.log, [sequenced])
    const root = this.log.frames.get("")
    if (this.#graph === undefined || root === undefined) return Result.succeed(undefined)
    for (const change of root.changes.splice(0)) {
      const applied = applyChange(this.#graph, this.#standing, change, this.#begun)
      if (Result.isFailure(applied)) return Result.fail(applied.failure)
      this.#standing = applied.success
      this.#begun = true
    }
    return Result.succeed(undefined)
  }

  #learn(shape: GraphShape) {
    const before = this.#graph
    const graph = graphOf(shape, before)
    const state: Record<string, unknown> = { ...graph.initial, ...this.#standing.state }
    for (const [name, kind] of Object.entries(graph.shape.channels)) {
      const was = before?.shape.channels[name]
      // A value of another kind is none of this one.
      if (was !== undefined && was !== kind && !(isOnce(was) && isOnce(kind))) state[name] = graph.initial[name]
    }
    this.#graph = graph
    this.#standing = { ...this.#standing, state }
  }

  /** The state that the entries so far make. */
  result(): StateJson {
    const graph = this.#graph
    if (graph === undefined) return { state: {}, unfolded: [], unwritten: [] }
    const kinds = Object.entries(graph.shape.channels)
    const state = stateOf(graph, this.#standing.state)
    return {
      state,
      unfolded: kinds.flatMap(([name, kind]) => (isFolded(kind) ? [] : [name])),
      unwritten: kinds.flatMap(([name, kind]) => (baseOf(kind) === "last" && !Object.hasOwn(state, name) ? [name] : []))
    }
  }
}

/** The values of a state as JSON, without those that are not there. */
export const stateOf = (graph: Compiled, state: Record_): { readonly [channel: string]: Schema.Json } => {
  const json: Array<readonly [string, Schema.Json]> = []
  for (const [name, channel] of Object.entries(graph.channels)) {
    const encoded = state[name] === undefined ? undefined : channel.state().encode(state[name])
    if (encoded !== undefined && Exit.isSuccess(encoded)) json.push([name, encoded.value as Schema.Json])
  }
  return Object.fromEntries(json)
}
