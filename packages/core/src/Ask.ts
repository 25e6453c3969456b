/**
 * An ask is a question to the outside, a person or another system, with a typed answer. It suspends the task until it
 * is answered; waiting costs nothing and outlives a restart.
 *
 * The node that asks runs again from its beginning once the answer stands, so ask first or keep what came before in
 * `Durable.once`.
 *
 * **Example**
 *
 * ```ts
 * import { Ask } from "@selvage/core"
 * import { Schema } from "effect"
 *
 * export const Approve = Ask.make("approve-order", {
 *   question: Schema.Struct({ sku: Schema.String, usd: Schema.Number }),
 *   answer: Schema.Struct({ approved: Schema.Boolean })
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NodeContractViolated } from "./Errors.ts"
import * as Node from "./Node.ts"
import * as Task from "./Task.ts"

/** A question with a typed answer. */
export interface Ask<out Name extends string, in out Question, in out Answer> {
  readonly name: Name
  readonly kind: "question" | "uncertain"
  readonly question: Schema.Codec<Question, Schema.Json>
  readonly answer: Schema.Codec<Answer, Schema.Json>
}

/** A question that waits for its answer. */
export interface OpenAsk {
  /** The ask's id, unique in its thread. */
  readonly ask: string
  /** The name the ask was declared with. */
  readonly name: string
  /** `uncertain`: nobody knows whether a call was made. */
  readonly kind: "question" | "uncertain"
  readonly question: Schema.Json
  readonly path: string
  readonly task: string
}

/** Declares an ask. */
export const make = <const Name extends string, Question, QuestionEncoded, Answer, AnswerEncoded>(
  name: Name,
  options: {
    readonly question: Schema.Codec<Question, QuestionEncoded>
    readonly answer: Schema.Codec<Answer, AnswerEncoded>
    /** `uncertain`: nobody knows whether a call was made. */
    readonly kind?: "question" | "uncertain"
  }
): Ask<Name, Question, Answer> => ({
  name,
  kind: options.kind ?? "question",
  question: Schema.toCodecJson(options.question),
  answer: Schema.toCodecJson(options.answer)
})

/**
 * Asks from inside a node. Succeeds with the answer once there is one; until then the task is suspended and the run
 * ends as `Waiting`. Outside of a thread there is no one to ask: it fails with `Suspended` at once.
 */
export const ask = Effect.fnUntraced(function* <Name extends string, Question, Answer>(
  self: Ask<Name, Question, Answer>,
  question: Question
) {
  const task = yield* Task.Current
  if (task === undefined) return yield* new Task.Suspended({ asks: [self.name] })
  const violated = (part: string) => (error: Schema.SchemaError) =>
    new NodeContractViolated({ node: task.node, part: `${part} of ask "${self.name}"`, issue: error.message })
  const encoded = yield* Effect.mapError(Schema.encodeEffect(self.question)(question), violated("the question"))
  const answer = yield* task.ask(self.name, self.kind, encoded)
  return yield* Effect.mapError(Schema.decodeEffect(self.answer)(answer), violated("the answer"))
})

/** An ask as a node of a graph: the question is made from the state, the answer becomes an update. */
export const node = <Name extends string, Question, Answer, State, Update>(
  self: Ask<Name, Question, Answer>,
  options: {
    readonly question: (state: State) => Question
    readonly update: (answer: Answer, state: State) => Update
  }
): Node.Node<State, Update, Task.Suspended | Task.JournalFailure | NodeContractViolated> => ({
  [Node.TypeId]: Node.brand,
  kind: "ask",
  input: undefined,
  graph: undefined,
  run: (state) =>
    Effect.map(
      Effect.suspend(() => ask(self, options.question(state))),
      (answer) => options.update(answer, state)
    )
})
