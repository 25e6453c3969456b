/**
 * An agent is a graph: a model and its tools take turns until the model calls no more tools, then the answer is given,
 * as text or as a value that fits a schema. Being a graph, it runs with `Graph.run`, durably with `Thread.run`, and as a
 * node of another graph with `Agent.node`.
 *
 * ```text
 * start → begin → model ⇉ call (one task per tool call) → model → … → answer → end
 * ```
 *
 * - A model that pauses in its turn (`pause`, as providers do with long-running tools of theirs) is called again with
 *   what it said so far.
 * - Before every turn its limit is checked against the turns it has journaled.
 * - A tool call that needs approval waits for an answer to the ask `Dispatcher.Approval`; a call that failed, was denied
 *   or was made up by the model is reported to the model, which may do better.
 * - Tools that are neither read-only nor idempotent are journaled before they run, and never repeated in silence.
 *
 * **Example**
 *
 * ```ts
 * import { Agent } from "@selvage/agent"
 * import { Limit } from "@selvage/core"
 * import { Schema } from "effect"
 *
 * export const Critic = Agent.make("critic", {
 *   instructions: "You judge a text by its clarity.",
 *   output: Schema.Struct({ score: Schema.Int, reason: Schema.String }),
 *   limit: Limit.all(Limit.turns(3), Limit.within("30 seconds"))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Channel from "@selvage/core/Channel"
import * as Edge from "@selvage/core/Edge"
import type { GraphFailure, LimitReached } from "@selvage/core/Errors"
import * as Graph from "@selvage/core/Graph"
import * as Limit from "@selvage/core/Limit"
import * as Node from "@selvage/core/Node"
import type * as Task from "@selvage/core/Task"
import * as Dispatcher from "@selvage/tools/Dispatcher"
import type * as Plugin from "@selvage/tools/Plugin"
import type { RegistryInvalid } from "@selvage/tools/Errors"
import * as Registry from "@selvage/tools/Registry"
import * as ToolOutcome from "@selvage/tools/ToolOutcome"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Response from "effect/ai/Response"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Pending, pendingCalls } from "./internal/conversation.ts"
import { answerTurn, modelTurn } from "./internal/turn.ts"

/** The state of an agent. */
export interface State<Output> {
  /** The request of this run. */
  readonly prompt: string
  /** The conversation so far, without the instructions. */
  readonly messages: Prompt.Prompt
  /** What each turn of the model cost. */
  readonly turns: ReadonlyArray<Limit.Turn>
  /** How many turns earlier runs of the thread took; limits count from here. */
  readonly turnsBefore: number
  /** The model's last text. */
  readonly text: string
  /** Why the model's last turn ended; `unknown` before the first of a run. */
  readonly finishReason: Response.FinishReason
  /** The answer, once there is one; stays `undefined` for an agent without an output schema. */
  readonly output: Output | undefined
}

/** What a run of an agent is given. */
export interface Input {
  readonly prompt: string
  /** A conversation to go on from. System messages in it stay in their place, after the instructions. */
  readonly messages?: Prompt.Prompt | undefined
}

/** How an agent can fail: the model's failure, or a limit. */
export type Failure = AiError.AiError | LimitReached | RegistryInvalid

/** An agent: a graph whose state is {@link State}. */
export interface Agent<Name extends string, Output, Requirements> extends Graph.Graph<
  Name,
  State<Output>,
  Failure,
  Requirements,
  Input
> {}

/** How an agent is made. */
export interface Options<Plugins extends ReadonlyArray<Plugin.Any>, Output, Encoded> {
  /** What the model is told before the conversation. */
  readonly instructions: string
  /** The plugins whose tools the model may call. */
  readonly tools?: Plugins | undefined
  /** The schema of the answer; its encoded side is a record. Without one the answer is text. */
  readonly output?: Schema.Codec<Output, Encoded> | undefined
  /** When to stop; 16 turns if not given. One that does not count turns stops after {@link maxTurns} in any case. */
  readonly limit?: Limit.Limit | undefined
  /** How many tool calls of one turn run at once; 8 if not given. */
  readonly concurrency?: number | undefined
}

/** The limit of an agent that names none. */
export const defaultLimit: Limit.Limit = Limit.turns(16)

/** The most turns of a run under a limit that does not count them; `Limit.all(yours, Limit.turns(n))` sets another bound. */
export const maxTurns = 100

/** Makes an agent. */
export const make = <
  const Name extends string,
  const Plugins extends ReadonlyArray<Plugin.Any> = [],
  Output = never,
  Encoded extends Record<string, unknown> = never
>(
  name: Name,
  options: Options<Plugins, Output, Encoded>
): Agent<Name, Output, LanguageModel.LanguageModel | Plugin.Services<Plugins[number]>> => {
  const { concurrency = 8, instructions, output } = options
  const limit = Limit.withTurns(options.limit ?? defaultLimit, maxTurns)
  const registry = Registry.make(options.tools ?? [])
  const turnOptions = { system: Prompt.systemMessage({ content: instructions }), limit, registry }

  return Graph.make(name, {
    state: {
      prompt: Channel.last(Schema.String),
      messages: Channel.messages,
      turns: Channel.append(Limit.Turn),
      turnsBefore: Channel.last(Schema.Int, { initial: 0 }),
      text: Channel.last(Schema.String, { initial: "" }),
      finishReason: Channel.last<Response.FinishReason, Response.FinishReason>(Response.FinishReason, {
        initial: "unknown"
      }),
      output: Channel.optional((output ?? Schema.Never) as Schema.Codec<Output, unknown>)
    },
    nodes: {
      begin: ({ prompt, turns }) =>
        Effect.succeed({
          messages: Prompt.make(prompt),
          turnsBefore: turns.length,
          finishReason: "unknown" as const,
          output: undefined
        }),
      model: (state) => modelTurn(turnOptions, state),
      call: Node.make(Pending, (call) =>
        Effect.flatMap(registry, (tools) => {
          const decides = typeof tools.tools.get(call.name)?.tool.needsApproval === "function"
          return Effect.map(Dispatcher.dispatch(tools, call, decides ? { messages: call.leading } : {}), (outcome) => ({
            messages: Prompt.fromMessages([Prompt.toolMessage({ content: [ToolOutcome.toPart(outcome)] })])
          }))
        })
      ),
      answer: (state) =>
        output === undefined
          ? Effect.succeed({})
          : answerTurn(turnOptions, name, output as unknown as Schema.Codec<Output, Record<string, unknown>>, state)
    },
    edges: {
      start: "begin",
      begin: "model",
      model: {
        to: ["call", "model", "answer"],
        choose: ({ finishReason, messages }) => {
          const calls = pendingCalls(messages)
          if (calls.length > 0) return Edge.fanOut("call", calls, { concurrency, keys: calls.map(({ name }) => name) })
          return finishReason === "pause" ? "model" : "answer"
        }
      },
      call: "model",
      answer: "end"
    }
  }) as never
}

/** An agent as a node. With a name of its own, so that declarations can tell it without naming a module of `core`. */
export interface AgentNode<in ParentState, out Update, out Requirements> extends Node.Node<
  ParentState,
  Update,
  Failure | GraphFailure | Task.Suspended | Task.JournalFailure,
  Requirements
> {}

/**
 * An agent as a node of another graph: it is asked with a prompt made from the state (or from an item of a fan-out), and
 * its answer becomes an update.
 */
export const node = <Name extends string, Output, R, ParentState, Update>(
  agent: Agent<Name, Output, R>,
  options: {
    readonly prompt: (state: ParentState) => string
    readonly update: (state: State<Output>, parent: ParentState) => Update
  }
): AgentNode<ParentState, Update, R> =>
  Graph.node(agent, {
    input: (parent: ParentState) => ({ prompt: options.prompt(parent) }),
    update: options.update
  })

export { Pricing } from "./internal/turn.ts"
