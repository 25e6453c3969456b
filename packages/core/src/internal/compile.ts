import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Bound from "../Bound.ts"
import * as Channel from "../Channel.ts"
import { type Each, type FanOut, fanOut, type Route } from "../Edge.ts"
import type { GraphShape, Values } from "../Entry.ts"
import { GraphInvalid, NodeContractViolated } from "../Errors.ts"
import { isIdentity, unfaithful } from "./faithful.ts"
import type { Migrate } from "../Migration.ts"
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
  /** Whether it has no value of its own, and `undefined` is none. */
  readonly needed: boolean
  /** Whether an update is its own JSON, so that what was encoded need not be decoded. */
  readonly plain: boolean
  readonly encode: (update: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly decode: (json: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly check: (update: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly reduce: (value: unknown, update: unknown) => unknown
  /** The codec of the value, made when a snapshot first needs it. */
  readonly state: () => JsonCodec
}

/** A value as JSON, and back. */
export interface JsonCodec {
  readonly encode: (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly decode: (json: unknown) => Exit.Exit<unknown, Schema.SchemaError>
}

const jsonCodec = (schema: Schema.Codec<unknown, unknown>): JsonCodec => {
  const json = Schema.toCodecJson(schema)
  return { encode: Schema.encodeUnknownExit(json), decode: Schema.decodeUnknownExit(json) }
}

export interface CompiledNode {
  readonly kind: Node.Any["kind"]
  readonly graph: Compiled | undefined
  readonly run: (input: unknown) => Effect.Effect<unknown, unknown, unknown>
  /** Whether an error fits the node's own input schema. */
  readonly accepts: (error: unknown) => boolean
  /** The error as JSON, and back, by the node's own input schema. */
  readonly errorCodec: JsonCodec | undefined
  readonly policy: Policy.Any | undefined
}

/** A graph as the runtime uses it. */
export interface Compiled {
  readonly name: string
  readonly channels: Readonly<Record<string, CompiledChannel>>
  readonly nodes: Readonly<Record<string, CompiledNode>>
  readonly edges: Readonly<Record<string, CompiledEdge>>
  readonly onError: Readonly<Record<string, string>>
  /** The nodes that error routes lead to and that take the error, once for each. */
  readonly rescuers: ReadonlySet<string>
  /** The nodes that each join waits for. */
  readonly joins: Readonly<Record<string, ReadonlyArray<string>>>
  readonly joining: boolean
  readonly initial: Record_
  /** The channels whose first value an input gives. */
  readonly needed: ReadonlyArray<string>
  /** The channels that do not outlive a step. */
  readonly ephemeral: ReadonlyArray<string>
  /** How many tasks of a step run at once. */
  readonly concurrency: number | "unbounded"
  /** What becomes of the tasks beside one that fails. */
  readonly siblings: "finish" | "interrupt"
  /** How long a run may take, in milliseconds. */
  readonly deadline: number | undefined
  readonly migrate: Migrate | undefined
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
  readonly joins?: Readonly<Record<string, ReadonlyArray<string>>>
  readonly policies?: Readonly<Record<string, Policy.Any | undefined>>
  readonly policy?: Policy.Any
  readonly concurrency?: number
  readonly siblings?: "finish" | "interrupt"
  readonly deadline?: Duration.Input
  readonly migrate?: Migrate
}

/** A channel with the codecs of its updates and values. */
export const compileChannel = (channel: Channel.Any): CompiledChannel => {
  let state: JsonCodec | undefined
  const check = Schema.decodeUnknownExit(Schema.toType(channel.update))
  return {
    channel,
    exclusive: channel.kind === "last" || channel.kind === "optional",
    needed: channel.required && Exit.isFailure(check(undefined)),
    plain: isIdentity(channel.update),
    ...jsonCodec(channel.update),
    state: () => (state ??= jsonCodec(channel.schema)),
    check,
    reduce: channel.reducer as (value: unknown, update: unknown) => unknown
  }
}

// What is nested too deep to be looked into is no error that a node takes.
const accepting = (is: (error: unknown) => boolean) => (error: unknown) => {
  try {
    return Bound.issueOf(error) === undefined && is(error)
  } catch {
    return false
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
  return {
    kind: node.kind,
    graph: node.graph === undefined ? undefined : (node.graph as { readonly compiled: Compiled }).compiled,
    run: node.run as (input: unknown) => Effect.Effect<unknown, unknown, unknown>,
    accepts: node.input === undefined ? () => false : accepting(Schema.is(node.input)),
    errorCodec: node.input === undefined ? undefined : jsonCodec(node.input),
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

// A graph's own policy is for what does the work: a graph inside has policies of its own, a person is not retried.
const policyOf = ({ policies = {}, policy }: Definition, name: string, node: Definition["nodes"][string]) => {
  if (Object.hasOwn(policies, name)) return policies[name]
  return Node.isNode(node) && (node.kind === "graph" || node.kind === "ask") ? undefined : policy
}

export const compile = (name: string, definition: Definition): Compiled => {
  const { deadline, joins = {}, nodes, onError = {}, state } = definition
  const channels = mapRecord(state, compileChannel)
  const graph: Compiled = {
    name,
    channels,
    nodes: mapRecord(nodes, (node, key) => compileNode(node, policyOf(definition, key, node))),
    edges: mapRecord(definition.edges, compileEdge),
    onError: bare(onError),
    rescuers: new Set(
      Object.values(onError).filter((name) => Node.isNode(nodes[name]) && nodes[name].input !== undefined)
    ),
    joins: bare(joins),
    joining: Object.keys(joins).length > 0,
    initial: mapRecord(state, (channel) => channel.initial),
    needed: Object.keys(channels).filter((name) => channels[name]!.needed),
    ephemeral: Object.keys(state).filter((channel) => state[channel]!.ephemeral),
    concurrency: definition.concurrency ?? "unbounded",
    siblings: definition.siblings ?? "finish",
    deadline: deadline === undefined ? undefined : Duration.toMillis(deadline),
    migrate: definition.migrate,
    shape: { name, channels: mapRecord(state, Channel.shape), nodes: Object.keys(nodes) }
  }
  const findings = check(graph)
  if (findings.length > 0) throw new GraphInvalid({ graph: name, findings })
  return graph
}

/** Without the names that every object has. */
const bare = <A>(record: Readonly<Record<string, A>>): Readonly<Record<string, A>> =>
  Object.assign(Object.create(null), record)

const mapRecord = <A, B>(record: Readonly<Record<string, A>>, f: (value: A, key: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value, key)]))

const check = (graph: Compiled): ReadonlyArray<string> => {
  const findings: Array<string> = []
  const known = new Set([...Object.keys(graph.nodes), "end"])
  for (const name of [...Object.keys(graph.channels), ...Object.keys(graph.nodes)]) {
    if (name === "__proto__") findings.push(`"__proto__" cannot be the name of a channel or a node`)
  }
  for (const [name, { channel }] of Object.entries(graph.channels)) {
    const issue = channel.kind === "messages" ? undefined : (unfaithful(channel.schema) ?? unfaithful(channel.update))
    if (issue !== undefined) findings.push(`channel "${name}" would not survive a restart: ${issue}`)
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
  for (const [join, from] of Object.entries(graph.joins)) {
    if (!Object.hasOwn(graph.nodes, join)) findings.push(`the join "${join}" is no node`)
    if (new Set(from).size < 2) findings.push(`the join "${join}" waits for ${from.length} nodes; it needs two or more`)
    for (const name of from) {
      const targets = graph.edges[name]?.targets
      if (!Object.hasOwn(graph.nodes, name)) findings.push(`the join "${join}" waits for "${name}", which is no node`)
      else if (targets !== undefined && !targets.includes(join)) {
        findings.push(`the join "${join}" waits for "${name}", but no edge leads from there to it`)
      }
    }
  }
  if (typeof graph.concurrency === "number" && !(graph.concurrency >= 1)) {
    findings.push(`the concurrency is ${graph.concurrency}; it must be 1 or more`)
  }
  for (const from of Object.keys(graph.edges)) {
    if (from !== "start" && !Object.hasOwn(graph.nodes, from))
      findings.push(`there is an edge after "${from}", which is no node`)
  }
  const anywhere = Object.keys(graph.nodes).concat("end")
  const next = (from: string): ReadonlyArray<string> => {
    const edge = graph.edges[from]
    // An edge that is missing or leads nowhere is told of already, and not again by what follows from it.
    if (edge === undefined) return from === "start" ? anywhere : ["end"]
    return edge.targets?.map((target) => (known.has(target) ? target : "end")) ?? anywhere
  }
  const errorTargets = Object.values(graph.onError).filter((target) => known.has(target))
  const reached = closure(["start", ...errorTargets], (from) => (from === "end" ? [] : next(from)))
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

/** JSON has one zero: what is folded must be what is read back. */
const zeroed = (json: unknown): unknown => {
  if (typeof json === "number") return json === 0 ? 0 : json
  if (typeof json !== "object" || json === null) return json
  let copy: Record<string, unknown> | Array<unknown> | undefined
  for (const [key, value] of Object.entries(json)) {
    const kept = zeroed(value)
    if (Object.is(kept, value)) continue
    copy ??= Array.isArray(json) ? json.slice() : { ...json }
    Reflect.set(copy, key, kept)
  }
  return copy ?? json
}

/** A value as JSON, within its bounds. */
const encodeValue = ({ encode, plain }: CompiledChannel, value: unknown): Result.Result<unknown, string> => {
  let exit: ReturnType<JsonCodec["encode"]>
  try {
    exit = encode(value)
  } catch (error) {
    return Result.fail(`it could not be encoded: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (Exit.isFailure(exit)) return Result.fail(issueOf(exit))
  // What is no plain object is looked into as the JSON that it is.
  const beyond = plain ? undefined : Bound.issueOf(exit.value)
  return beyond === undefined ? Result.succeed(exit.value) : Result.fail(beyond)
}

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
    const beyond = Bound.issueOf(value)
    if (beyond !== undefined) return violation(node, `channel "${name}"`, beyond)
    // What is folded is what a restart would read, so that a run and its replay are the same.
    const encoded = journaled ? encodeValue(channel, value) : undefined
    if (encoded !== undefined && Result.isFailure(encoded)) {
      return violation(node, `channel "${name}"`, encoded.failure)
    }
    const kept = encoded === undefined ? undefined : zeroed(encoded.success)
    const exit = kept === undefined ? channel.check(value) : channel.plain ? Exit.succeed(kept) : channel.decode(kept)
    if (Exit.isFailure(exit)) return violation(node, `channel "${name}"`, issueOf(exit))
    if (kept !== undefined) json[name] = kept
    typed[name] = exit.value
  }
  return Result.succeed({ typed, json: journaled ? (json as Values) : undefined })
}

/** The values of a state as JSON; a failure names the channel. Pure. */
export const encodeState = (graph: Compiled, state: Record_): Result.Result<Values, string> =>
  eachChannel(graph, state, (channel) => channel.state().encode) as Result.Result<Values, string>

/** The values of a state from JSON. Pure. */
export const decodeState = (graph: Compiled, json: Values): Result.Result<Record_, string> =>
  eachChannel(graph, json, (channel) => channel.state().decode)

const eachChannel = (
  graph: Compiled,
  values: Record_,
  codec: (channel: CompiledChannel) => JsonCodec["encode"]
): Result.Result<Record_, string> => {
  const result: Record<string, unknown> = {}
  for (const [name, channel] of Object.entries(graph.channels)) {
    // Without a value yet: its first one is the input's.
    if (values[name] === undefined && channel.channel.required) continue
    const exit = codec(channel)(values[name])
    if (Exit.isFailure(exit)) return Result.fail(`channel "${name}": ${issueOf(exit)}`)
    result[name] = exit.value
  }
  return Result.succeed(result)
}

/** The channels that a state has no value for, though its type says so. */
export const missing = (graph: Compiled, state: Record_): ReadonlyArray<string> =>
  graph.needed.filter((name) => state[name] === undefined)

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
