// What the fixtures beside this file share. Each of them has one wrong line, marked `// error`: the compiler's errors must
// stand there and nowhere else (packages/core/test/TypeErrors.test.ts).
import { Ask, Channel, Node } from "@selvage/core"
import { Schema } from "effect"

export class PlanError extends Schema.TaggedError<PlanError>()("PlanError", { question: Schema.String }) {}

export class Plan extends Node.Service<Plan>()("lines/Plan", {
  input: Schema.Struct({ question: Schema.String }),
  output: Schema.Struct({ topics: Schema.Array(Schema.String) }),
  error: PlanError
}) {}

export class Search extends Node.Service<Search>()("lines/Search", {
  input: Schema.String,
  output: Schema.Struct({ notes: Schema.Array(Schema.String) })
}) {}

export const Approve = Ask.make("approve", { question: Schema.String, answer: Schema.Boolean })

export const state = {
  question: Channel.last(Schema.String),
  topics: Channel.last(Schema.Array(Schema.String), { initial: [] }),
  notes: Channel.append(Schema.String),
  answer: Channel.optional(Schema.String)
}
