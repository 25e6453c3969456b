import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"

interface MadeCall {
  readonly name: string
  readonly params: unknown
}

export interface Conversed {
  readonly rounds: ReadonlyArray<ReadonlyArray<string>>
  readonly calls: ReadonlyArray<MadeCall>
  readonly text: string
  readonly prompt: Prompt.Prompt
}

/** More rounds than any conversation with the offline model may take. */
export const roundBound = 40

/** Lets the model and its tools talk until the model calls no more. */
export const converse = <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.Toolkit<Tools>,
  handlers: Record<string, (params: any) => Effect.Effect<unknown, unknown>>,
  start: Prompt.RawInput
): Effect.Effect<Conversed, never, LanguageModel.LanguageModel> =>
  Effect.gen(function* () {
    let prompt = Prompt.make(start)
    const rounds: Array<ReadonlyArray<string>> = []
    const calls: Array<MadeCall> = []
    const withHandlers = yield* toolkit
    for (let round = 0; round < roundBound; round++) {
      const response = yield* LanguageModel.generateText({ prompt, toolkit: withHandlers as any })
      prompt = Prompt.concat(prompt, Prompt.fromResponseParts(response.content as any))
      const made = response.toolCalls as unknown as ReadonlyArray<MadeCall>
      if (made.length === 0) return { rounds, calls, text: response.text, prompt }
      rounds.push(made.map((call) => call.name))
      calls.push(...made)
    }
    return yield* Effect.die(`no end after ${roundBound} rounds`)
  }).pipe(Effect.provide(toolkit.toLayer(handlers as any) as any)) as any
