/**
 * Providers as strict as the real ones: servers on loopback for OpenAI's Responses API, OpenAI's Chat Completions and Anthropic's Messages
 * API that check the whole request by the rules that each API documents, before they answer.
 *
 * A {@link rules rule} is data: its id, the API, the models it concerns, where it is documented, and a check. A request that breaks one is
 * refused with the API's own status, type of error and message, and the rule's id. One that keeps them is answered with the next
 * `LanguageModelLaws.Turn`, whole or as a stream.
 *
 * - Thinking of an Anthropic turn is bound to the request that it answered, as newer models do it: sent back behind anything else, it is refused.
 * - {@link Provider.fetch} is the same without sockets, for clients that take a `fetch`: for thousands of requests.
 * - What no API documents is not checked, nor is what needs an account: whether files exist, how many tokens a prompt has.
 *
 * **Example**
 *
 * ```ts
 * import { LanguageModelLaws, StrictProvider } from "@selvage/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const refused = Effect.gen(function* () {
 *   const provider = yield* StrictProvider.make(LanguageModelLaws.Turn.Answer({ text: "Hello." }))
 *   // … ask a model whose client has `provider.url` as its base address …
 *   return yield* provider.refusals // [{ rule: "messages/forced-tool", … }]
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Stage, Turn } from "./internal/modelLaws/stage.ts"
import { chatRules } from "./internal/strict/chatRules.ts"
import { conversation } from "./internal/strict/messagesRules.ts"
import { options } from "./internal/strict/messagesOptions.ts"
import { responsesRules } from "./internal/strict/responsesRules.ts"
import type { Rule, Seen, Wire } from "./internal/strict/rule.ts"
import * as Server from "./internal/strict/server.ts"

export type { Fields, Json, Rule, Seen, Wire } from "./internal/strict/rule.ts"

/** All rules: of options before those of conversations, as the APIs check them. */
export const rules: ReadonlyArray<Rule> = [...responsesRules, ...chatRules, ...options, ...conversation]

/** The first rule that a request breaks, and what the API says of it. */
export const check = (seen: Seen): { readonly rule: Rule; readonly message: string } | undefined =>
  Server.broken(rules, seen)

/** A request that was refused. */
export interface Refusal {
  readonly wire: Wire
  /** The id of the rule that it broke. */
  readonly rule: string
  readonly source: string
  readonly message: string
  readonly status: number
  readonly body: Schema.Json
}

/** A strict provider that plays turns. */
export interface Provider {
  /** Its address: Anthropic's base as it is, OpenAI's with `/v1`. */
  readonly url: string
  /** The same without sockets. It plays what answers and what fails, not what cuts or stalls. */
  readonly fetch: typeof globalThis.fetch
  /** The bodies of all requests so far, refused ones too. */
  readonly received: Effect.Effect<ReadonlyArray<Schema.Json>>
  /** What was refused so far. */
  readonly refusals: Effect.Effect<ReadonlyArray<Refusal>>
  /** Waits until a request has arrived. */
  readonly arrived: Effect.Effect<void>
  /** Waits until no request is under way. */
  readonly released: Effect.Effect<void>
}

/** Starts a provider that plays the turns in order, one for each request that it takes, the last for ever. */
export const make = (...turns: ReadonlyArray<Turn>): Effect.Effect<Provider, never, Scope.Scope> =>
  Server.make(rules, turns)

/** A provider without a server, for its `fetch`. Its `url` leads nowhere else. */
export const makeLocal = (...turns: ReadonlyArray<Turn>): Provider => Server.local(rules, turns)

/** The provider that tests of a file share. */
export class StrictProvider extends Context.Service<StrictProvider, Provider>()("selvage/testing/StrictProvider") {}

/** A layer of a provider. */
export const layer = (...turns: ReadonlyArray<Turn>): Layer.Layer<StrictProvider> =>
  Layer.effect(StrictProvider, make(...turns))

/** A stage for `LanguageModelLaws`, from how a model at an address is made. */
export const stage = (
  model: (provider: Provider) => Layer.Layer<LanguageModel.LanguageModel>,
  start: (...turns: ReadonlyArray<Turn>) => Effect.Effect<Provider, never, Scope.Scope> = make
): Layer.Layer<Stage> => Server.stage(model, start)
