import * as Exit from "effect/Exit"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Channel from "../Channel.ts"
import { type Each, type FanOut, fanOut, type Route } from "../Edge.ts"
import type { GraphShape, Values } from "../Entry.ts"
import { GraphInvalid, NodeContractViolated } from "../Errors.ts"
import * as Node from "../Node.ts"
import type * as Policy from "../Policy.ts"

/** A state or an update at run time: values by channel. */
export type Record_ = Readonly<Record<string, unknown>>

/** What a route may lead to. */
export type Choice = string | ReadonlyArray<string> | FanOut<string, unknown>

/** An edge in its one form: targets known beforehand (`undefined`: a plain function may lead anywhere) and the choice. */
export interface CompiledEdge {
  readonly targets: ReadonlyArray<string> | undefined
  readonly kind: "fixed" | "each" | "route"
  readonly choose: (state: Record_) => Choice
}

export interface CompiledChannel {
  readonly channel: Channel.Any
  readonly exclusive: boolean
  readonly encode: (update: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly decode: (json: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly check: (update: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly reduce: (value: unknown, update: unknown) => unknown
}

export interface CompiledNode {
  readonly kind: Node.Any["kind"]
  readonly graph: Compiled | undefined
  readonly run: (input: unknown) => Effect.Effect<unknown, unknown, unknown>
  /** Whether an error fits the node's own input schema. */
  readonly accepts: (error: unknown) => boolean
  /** The error as JSON, and back, by the node's own input schema. */
  readonly errorCodec:
    | {
        readonly encode: (error: unknown) => Exit.Exit<unknown, Schema.SchemaError>
        readonly decode: (json: unknown) => Exit.Exit<unknown, Schema.SchemaError>
      }
    | undefined
  readonly policy: Policy.Any | undefined
}

/** A graph as the runtime uses it. */
export interface Compiled {
  readonly name: string
  readonly channels: Readonly<Record<string, CompiledChannel>>
  readonly nodes: Readonly<Record<string, CompiledNode>>
  readonly edges: Readonly<Record<string, CompiledEdge>>
  readonly onError: Readonly<Record<string, string>>
  readonly initial: Record_
  readonly shape: GraphShape
}

interface Definition {
  readonly state: Channel.Channels
  readonly nodes: Readonly<Record<string, Node.Fn<unknown> | Node.Any>>
  readonly edges: Readonly<
    Record<
      string,
      | string
      | ReadonlyArray<string>
      | Each<unknown, string, unknown>
      | Route<unknown, string, Choice>
      | ((state: never) => Choice)
    >
  >
  readonly onError?: Readonly<Record<string, string>>
  readonly policies?: Readonly<Record<string, Policy.Any | undefined>>
}

const compileChannel = (channel: Channel.Any): CompiledChannel => {
  const json = Schema.toCodecJson(channel.update)
  return {
    channel,
    exclusive: channel.kind === "last" || channel.kind === "optional",
    encode: Schema.encodeUnknownExit(json),
    decode: Schema.decodeUnknownExit(json),
    check: Schema.decodeUnknownExit(Schema.toType(channel.update)),
    reduce: channel.reducer as (value: unknown, update: unknown) => unknown
  }
}

const compileNode = (node: Node.Fn<unknown> | Node.Any, policy: Policy.Any | undefined): CompiledNode => {
  if (!Node.isNode(node)) {
    return {
      kind: "task",
      graph: undefined,
      run: node as CompiledNode["run"],
      accepts: () => false,
      errorCodec: undefined,
      policy
    }
  }
  const json = node.input === undefined ? undefined : Schema.toCodecJson(node.input)
  return {
    kind: node.kind,
    graph: node.graph === undefined ? undefined : (node.graph as { readonly compiled: Compiled }).compiled,
    run: node.run as (input: unknown) => Effect.Effect<unknown, unknown, unknown>,
    accepts: node.input === undefined ? () => false : Schema.is(node.input),
    errorCodec:
      json === undefined
        ? undefined
        : { encode: Schema.encodeUnknownExit(json), decode: Schema.decodeUnknownExit(json) },
    policy
  }
}

const compileEdge = (edge: Definition["edges"][string]): CompiledEdge => {
  if (typeof edge === "function")
    return { targets: undefined, kind: "route", choose: edge as (state: Record_) => Choice }
  if (typeof edge === "string") return { targets: [edge], kind: "fixed", choose: () => edge }
  if ("each" in edge) {
    return {
      targets: [edge.each],
      kind: "each",
      choose: (state) => fanOut(edge.each, edge.of(state), { concurrency: edge.concurrency, keys: edge.keys?.(state) })
    }
  }
  if ("choose" in edge) return { targets: edge.to, kind: "route", choose: edge.choose }
  return { targets: edge, kind: "fixed", choose: () => edge }
}

export const compile = (name: string, definition: Definition): Compiled => {
  const { nodes, onError = {}, policies = {}, state } = definition
  const graph: Compiled = {
    name,
    channels: mapRecord(state, compileChannel),
    nodes: mapRecord(nodes, (node, key) => compileNode(node, Object.hasOwn(policies, key) ? policies[key] : undefined)),
    edges: mapRecord(definition.edges, compileEdge),
    onError,
    initial: mapRecord(state, (channel) => channel.initial),
    shape: { name, channels: mapRecord(state, (channel) => channel.kind), nodes: Object.keys(nodes) }
  }
  const findings = check(graph)
  if (findings.length > 0) throw new GraphInvalid({ graph: name, findings })
  return graph
}

const mapRecord = <A, B>(record: Readonly<Record<string, A>>, f: (value: A, key: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value, key)]))

const check = (graph: Compiled): ReadonlyArray<string> => {
  const findings: Array<string> = []
  const known = new Set([...Object.keys(graph.nodes), "end"])
  for (const name of [...Object.keys(graph.channels), ...Object.keys(graph.nodes)]) {
    if (name === "__proto__") findings.push(`"__proto__" cannot be the name of a channel or a node`)
  }
  for (const reserved of ["start", "end"]) {
    if (Object.hasOwn(graph.nodes, reserved)) findings.push(`"${reserved}" cannot be the name of a node`)
  }
  for (const from of ["start", ...Object.keys(graph.nodes)]) {
    const edge = graph.edges[from]
    if (edge === undefined) findings.push(`nothing says where to go after "${from}"`)
    for (const target of edge?.targets ?? []) {
      if (!known.has(target)) findings.push(`the edge after "${from}" leads to "${target}", which is no node`)
    }
  }
  for (const [tag, target] of Object.entries(graph.onError)) {
    if (!known.has(target)) findings.push(`the error route of ${tag} leads to "${target}", which is no node`)
  }
  for (const from of Object.keys(graph.edges)) {
    if (from !== "start" && !Object.hasOwn(graph.nodes, from))
      findings.push(`there is an edge after "${from}", which is no node`)
  }
  if (findings.length > 0) return findings
  const next = (from: string) => graph.edges[from]!.targets ?? Object.keys(graph.nodes).concat("end")
  const reached = closure(["start", ...Object.values(graph.onError)], (from) => (from === "end" ? [] : next(from)))
  const ending = closure(["end"], (to) =>
    ["start", ...Object.keys(graph.nodes)].filter((from) => next(from).includes(to))
  )
  for (const node of Object.keys(graph.nodes)) {
    if (!reached.has(node)) findings.push(`no edge leads to node "${node}"`)
    else if (!ending.has(node)) findings.push(`no path leads from node "${node}" to the end`)
  }
  return findings
}

const closure = (from: ReadonlyArray<string>, next: (name: string) => ReadonlyArray<string>): Set<string> => {
  const seen = new Set(from)
  for (const name of seen) for (const target of next(name)) seen.add(target)
  return seen
}

const violation = (node: string, part: string, issue: string) =>
  Result.fail(new NodeContractViolated({ node, part, issue }))

/** Checks an update against the channels; encodes it when `journaled`. Pure. */
export const encodeUpdate = (
  graph: Compiled,
  node: string,
  update: unknown,
  journaled: boolean
): Result.Result<{ readonly typed: Record_; readonly json: Values | undefined }, NodeContractViolated> => {
  if (update === undefined) return Result.succeed({ typed: {}, json: journaled ? {} : undefined })
  if (typeof update !== "object" || update === null || Array.isArray(update)) {
    return violation(node, "its update", `an update is an object of channels, not ${String(update)}`)
  }
  const json: Record<string, unknown> = {}
  const typed: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(update)) {
    const channel = Object.hasOwn(graph.channels, name) ? graph.channels[name] : undefined
    if (channel === undefined) {
      return violation(
        node,
        `channel "${name}"`,
        `the state has no such channel, only ${Object.keys(graph.channels).join(", ")}`
      )
    }
    // What is folded is what a restart would read, so that a run and its replay are the same.
    const encoded = journaled ? channel.encode(value) : undefined
    if (encoded !== undefined && Exit.isFailure(encoded)) {
      return violation(node, `channel "${name}"`, issueOf(encoded))
    }
    const exit = encoded === undefined ? channel.check(value) : channel.decode(encoded.value)
    if (Exit.isFailure(exit)) return violation(node, `channel "${name}"`, issueOf(exit))
    if (encoded !== undefined) json[name] = encoded.value
    typed[name] = exit.value
  }
  return Result.succeed({ typed, json: journaled ? (json as Values) : undefined })
}

/** Decodes a journaled update. Pure. */
export const decodeUpdate = (graph: Compiled, json: Values): Result.Result<Record_, ReadonlyArray<string>> => {
  const typed: Record<string, unknown> = {}
  const differences: Array<string> = []
  for (const [name, value] of Object.entries(json)) {
    const channel = Object.hasOwn(graph.channels, name) ? graph.channels[name] : undefined
    if (channel === undefined) {
      differences.push(`the thread wrote channel "${name}", which the graph does not have`)
      continue
    }
    const exit = channel.decode(value)
    if (Exit.isFailure(exit))
      differences.push(`an update of channel "${name}" no longer fits its schema: ${issueOf(exit)}`)
    else typed[name] = exit.value
  }
  return differences.length > 0 ? Result.fail(differences) : Result.succeed(typed)
}

/** The first line of what a schema objects to. */
export const issueOf = (exit: Exit.Failure<unknown, Schema.SchemaError>): string => {
  const reason = exit.cause.reasons[0]
  if (reason?._tag === "Fail") return reason.error.message
  return reason?._tag === "Die" && reason.defect instanceof Error ? reason.defect.message : "it could not be checked"
}
