/**
 * The laws that every provider of a `LanguageModel` keeps, as effects: a provider of your own is one when they all hold.
 * They need no test framework; a law that does not hold fails, and says what it expected.
 *
 * A law says what the provider does as a {@link Turn}, which is data: it answers, refuses, fails, cuts the connection. A
 * {@link Stage} plays turns, mostly as a server on loopback that speaks the provider's wire. Then the law asks the model,
 * whole and streamed, and compares.
 *
 * What a provider cannot do is declared: `all({ refusals: "it never refuses" })`. The laws that need it say why they are
 * excluded, so that a test shows them as such.
 *
 * {@link wellFormed} needs no stage: the laws of any answer, for models that say what they like.
 *
 * **Example**
 *
 * ```ts
 * import { LanguageModelLaws, ScriptedModel } from "@selvage/testing"
 * import { it } from "@effect/vitest"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 *
 * for (const law of LanguageModelLaws.wellFormed({
 *   whole: LanguageModel.generateText({ prompt: "Hello?" }),
 *   streamed: LanguageModel.streamText({ prompt: "Hello?" })
 * })) {
 *   it.layer(ScriptedModel.layer([ScriptedModel.text("Hello!"), ScriptedModel.text("Hello!")]))((it) => {
 *     it.effect(law.name, () => law.check)
 *   })
 * }
 * ```
 *
 * @since 0.1.0
 */
import { answers } from "./internal/modelLaws/answers.ts"
import { failures } from "./internal/modelLaws/failures.ts"
import { objects } from "./internal/modelLaws/objects.ts"
import { type RequestCases, requests } from "./internal/modelLaws/requests.ts"
import type { Capability, Law } from "./internal/modelLaws/stage.ts"
import { tools } from "./internal/modelLaws/tools.ts"

export {
  type Call,
  type Capability,
  type Law,
  LawBroken,
  type Played,
  Stage,
  type Thought,
  Turn,
  type Usage
} from "./internal/modelLaws/stage.ts"
export { type AnswerLaw, type Asked, wellFormed } from "./internal/modelLaws/wellFormed.ts"

/** What a provider, or its stage, cannot do, and why. */
export type Cannot = Partial<Readonly<Record<Capability, string>>>

export type { RequestCases } from "./internal/modelLaws/requests.ts"

/**
 * The laws. Those that need what a provider cannot do are `excluded`, with the reason. The law of requests is worth as much as its stage is
 * strict (`StrictProvider.stage`), and takes as long as it has `cases`.
 */
export const all = (cannot: Cannot = {}, cases: RequestCases = {}): ReadonlyArray<Law> =>
  [...answers, ...tools, ...objects, ...failures, requests(cases)].map(({ check, name, needs }) => ({
    name,
    check,
    excluded: needs.map((capability) => cannot[capability]).find((reason) => reason !== undefined)
  }))
