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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { AskExpired, NodeContractViolated } from "./Errors.ts"
import { encodeBounded } from "./internal/bounded.ts"
import * as Node from "./Node.ts"
import * as Task from "./Task.ts"

/** A question with a typed answer. `E` is what asking it can fail with: `AskExpired`, or nothing. */
export interface Ask<out Name extends string, in out Question, in out Answer, out E = never> {
  readonly name: Name
  readonly kind: "question" | "uncertain"
  readonly question: Schema.Codec<Question, Schema.Json>
  readonly answer: Schema.Codec<Answer, Schema.Json>
  /** For how long it can be answered. */
  readonly deadline: Duration.Duration | undefined
  /** What is taken for the answer once the deadline has passed. */
  readonly otherwise: ((question: Question) => Answer) | undefined
  readonly "~error": () => E
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
  /** Until when it can be answered, milliseconds since the epoch. */
  readonly deadline?: number | undefined
}

/**
 * Declares an ask. With a `deadline` it can be answered for so long after it was opened; a run of the thread that comes
 * later takes what `otherwise` gives for the answer, and without it fails with `AskExpired`, which `onError` can route.
 * Nothing wakes a thread by itself: run it again at the deadline that its open ask tells.
 *
 * An expired ask stays expired: without `otherwise` and without a route, every later run that goes on with this input fails
 * with it again. A new input (another one, or under another run name) or a patch asks anew.
 */
export const make = <
  const Name extends string,
  Question,
  QuestionEncoded,
  Answer,
  AnswerEncoded,
  D extends Duration.Input = never,
  O = unknown
>(
  name: Name,
  options: {
    readonly question: Schema.Codec<Question, QuestionEncoded>
    readonly answer: Schema.Codec<Answer, AnswerEncoded>
    /** `uncertain`: nobody knows whether a call was made. */
    readonly kind?: "question" | "uncertain"
    readonly deadline?: D
    readonly otherwise?: O & ((question: NoInfer<Question>) => NoInfer<Answer>)
  }
): Ask<Name, Question, Answer, [D] extends [never] ? never : unknown extends O ? AskExpired : never> => ({
  name,
  kind: options.kind ?? "question",
  question: Schema.toCodecJson(options.question),
  answer: Schema.toCodecJson(options.answer),
  deadline: options.deadline === undefined ? undefined : Duration.fromInputUnsafe(options.deadline),
  otherwise: options.otherwise,
  "~error": () => undefined as never
})

/**
 * Asks from inside a node. Succeeds with the answer once there is one; until then the task is suspended and the run
 * ends as `Waiting`. Outside of a thread there is no one to ask: it fails with `Suspended` at once.
 */
export const ask = Effect.fnUntraced(function* <Name extends string, Question, Answer, E = never>(
  self: Ask<Name, Question, Answer, E>,
  question: Question
): Effect.fn.Return<Answer, E | Task.Suspended | Task.JournalFailure | NodeContractViolated> {
  const task = yield* Task.Current
  if (task === undefined) return yield* new Task.Suspended({ asks: [self.name] })
  const violated =
    (part: string) =>
    ({ message }: { readonly message: string }) =>
      new NodeContractViolated({ node: task.node, part: `${part} of ask "${self.name}"`, issue: message })
  const reply = yield* task.ask({
    name: self.name,
    kind: self.kind,
    question: yield* Effect.mapError(encodeBounded(self.question, question), violated("the question")),
    millis: self.deadline === undefined ? undefined : Duration.toMillis(self.deadline)
  })
  if (reply._tag === "Answered") {
    return yield* Effect.mapError(Schema.decodeEffect(self.answer)(reply.value), violated("the answer"))
  }
  if (self.otherwise !== undefined) return self.otherwise(question)
  const { ask, deadline } = reply
  // Only an ask that has a deadline and no answer for it comes here, and of that `E` is `AskExpired`.
  return yield* Effect.fail(new AskExpired({ ask, asked: self.name, deadline }) as E)
})

/** An ask as a node of a graph: the question is made from the state, the answer becomes an update. */
export const node = <Name extends string, Question, Answer, State, Update, E = never>(
  self: Ask<Name, Question, Answer, E>,
  options: {
    readonly question: (state: State) => Question
    readonly update: (answer: Answer, state: State) => Update
  }
): Node.Node<State, Update, E | Task.Suspended | Task.JournalFailure | NodeContractViolated> => ({
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
