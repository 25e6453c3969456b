/**
 * Edits of a conversation by message id, for the channel `Channel.messages`.
 *
 * A plain `Prompt` as an update appends its messages. A list of {@link Operation}s can also replace and remove:
 *
 * - {@link append} adds messages at the end. An id that is there already is refused.
 * - {@link replace} puts a message in the place of the one with its id.
 * - {@link remove} takes messages out by their ids.
 *
 * The operations of one update are done in order, and all of them or none.
 *
 * **Gotchas**
 *
 * An id is the application's to give ({@link withId}); a message without one can be neither replaced nor removed. It
 * lives in the message's provider options under {@link key}, which a provider ignores.
 *
 * A tool call and its result go together: a model refuses a conversation with one of them alone. An update that would
 * leave a result without its call, or take the result from a call that stays, is refused; remove both in one update. A
 * call that still waits for its result may be removed.
 *
 * **Example** (a summary in place of what it sums up)
 *
 * ```ts
 * import { Messages } from "@selvage/core"
 * import { Prompt } from "effect/ai"
 *
 * const summary = Messages.withId(Prompt.systemMessage({ content: "They agreed on Friday." }), "summary")
 *
 * export const update = [...Messages.remove(["m-1", "m-2"]), ...Messages.append(summary)]
 * ```
 *
 * @since 0.1.0
 */
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaParser from "effect/SchemaParser"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as MessagesJson from "./internal/messagesJson.ts"

/** The provider option that holds what Selvage knows of a message. */
export const key = "selvage"

/** An edit of a conversation that cannot be made. Nothing of the update was folded. */
export class MessagesRefused extends Schema.TaggedError<MessagesRefused>()("MessagesRefused", {
  reason: Schema.Literals(["unknown id", "id taken", "call without result", "result without call"]),
  /** The ids of the messages, or of the tool calls where a call and its result would part. */
  ids: Schema.Array(Schema.String)
}) {
  override get message() {
    const ids = this.ids.join(", ")
    switch (this.reason) {
      case "unknown id":
        return `The conversation has no message ${ids}. Give messages an id with Messages.withId when they are appended.`
      case "id taken":
        return `The conversation already has a message ${ids}. Use another id, or Messages.replace.`
      case "call without result":
        return `The tool calls ${ids} would stay without their results. Remove the messages with the calls in the same update.`
      case "result without call":
        return `The results of the tool calls ${ids} would stay without their calls. Remove the messages with the results in the same update.`
    }
  }
}

/** One edit of a conversation. */
export const Operation = Schema.Union([
  Schema.TaggedStruct("Append", { prompt: Prompt.Prompt }),
  Schema.TaggedStruct("Replace", { id: Schema.String, message: Prompt.Message }),
  Schema.TaggedStruct("Remove", { ids: Schema.Array(Schema.String) })
])

/** One edit of a conversation. */
export type Operation = typeof Operation.Type

const general: Schema.Codec<Update, unknown> = Schema.Union([Prompt.Prompt, Schema.Array(Operation)])

// Made when an update first needs it: most never do.
let codec: ReturnType<typeof makeCodec> | undefined
const makeCodec = () => {
  const json = Schema.toCodecJson(general)
  return { decode: SchemaParser.decodeUnknownEffect(json), encode: SchemaParser.encodeUnknownEffect(json) }
}

/** An update of a conversation: messages to append, or edits. Its encoded side is JSON. */
export const Update: Schema.Codec<Update, unknown> = Schema.Unknown.pipe(
  Schema.decodeTo(
    Schema.toType(general),
    SchemaTransformation.transformEffect({
      decode: (json: unknown, options) => {
        const plain = MessagesJson.decode(json)
        return plain === undefined ? (codec ??= makeCodec()).decode(json, options) : Effect.succeed(plain)
      },
      encode: (update: Update, options) => {
        const plain = Prompt.isPrompt(update) ? MessagesJson.encode(update) : undefined
        return plain === undefined ? (codec ??= makeCodec()).encode(update, options) : Effect.succeed(plain)
      }
    })
  )
)

/** An update of a conversation: messages to append, or edits. */
export type Update = Prompt.Prompt | ReadonlyArray<Operation>

/** The id that a message was given, if any. */
export const idOf = (message: Prompt.Message): string | undefined => {
  const own: Schema.Json | undefined = message.options[key]
  return typeof own === "object" && own !== null && "id" in own && typeof own.id === "string" ? own.id : undefined
}

/** The same message with an id. Ids are unique within a conversation. */
export const withId = <Message extends Prompt.Message>(message: Message, id: string): Message => ({
  ...message,
  options: { ...message.options, [key]: { id } }
})

/** Adds messages at the end. */
export const append = (...messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<Operation> => [
  { _tag: "Append", prompt: Prompt.fromMessages(messages) }
]

/** Puts a message in the place of the one with this id; it keeps the id. */
export const replace = (id: string, message: Prompt.Message): ReadonlyArray<Operation> => [
  { _tag: "Replace", id, message: withId(message, id) }
]

/** Takes messages out by their ids. */
export const remove = (ids: ReadonlyArray<string>): ReadonlyArray<Operation> => [{ _tag: "Remove", ids }]

/**
 * Folds an update into a conversation: the reducer of `Channel.messages`. Pure; throws {@link MessagesRefused}, which a
 * run reports as the `NodeContractViolated` of the node that made the update.
 */
export const fold = (conversation: Prompt.Prompt, update: Update): Prompt.Prompt => {
  if (Prompt.isPrompt(update)) return appended(conversation, update)
  if (update.length === 0) return conversation
  const after = update.reduce(perform, conversation)
  checkCalls(conversation.content, after.content)
  return after
}

const perform = (conversation: Prompt.Prompt, operation: Operation): Prompt.Prompt => {
  switch (operation._tag) {
    case "Append":
      return appended(conversation, operation.prompt)
    case "Replace": {
      const { id, message } = operation
      const index = conversation.content.findIndex((other) => idOf(other) === id)
      if (index < 0) throw new MessagesRefused({ reason: "unknown id", ids: [id] })
      return Prompt.fromMessages(conversation.content.with(index, withId(message, id)))
    }
    case "Remove": {
      const ids = new Set(operation.ids)
      const kept = conversation.content.filter((message) => {
        const id = idOf(message)
        return id === undefined || !ids.has(id)
      })
      const known = new Set(conversation.content.map(idOf))
      const unknown = Array.from(ids).filter((id) => !known.has(id))
      if (unknown.length > 0) throw new MessagesRefused({ reason: "unknown id", ids: unknown })
      return Prompt.fromMessages(kept)
    }
  }
}

const appended = (conversation: Prompt.Prompt, more: Prompt.Prompt): Prompt.Prompt => {
  const ids = more.content.flatMap((message) => idOf(message) ?? [])
  if (ids.length > 0) {
    const taken = new Set(conversation.content.map(idOf))
    const twice = ids.filter((id) => taken.has(id) || !taken.add(id))
    if (twice.length > 0) throw new MessagesRefused({ reason: "id taken", ids: twice })
  }
  return Prompt.concat(conversation, more)
}

const checkCalls = (before: ReadonlyArray<Prompt.Message>, after: ReadonlyArray<Prompt.Message>): void => {
  const was = toolParts(before)
  const is = toolParts(after)
  // A result that came without its call is not this update's doing.
  const orphans = Array.from(is.results).filter((id) => !is.calls.has(id) && was.calls.has(id))
  if (orphans.length > 0) throw new MessagesRefused({ reason: "result without call", ids: orphans })
  const bereft = Array.from(was.results).filter((id) => is.calls.has(id) && !is.results.has(id))
  if (bereft.length > 0) throw new MessagesRefused({ reason: "call without result", ids: bereft })
}

const toolParts = (messages: ReadonlyArray<Prompt.Message>) => {
  const calls = new Set<string>()
  const results = new Set<string>()
  for (const { content } of messages) {
    if (typeof content === "string") continue
    for (const part of content) {
      if (part.type === "tool-call") calls.add(part.id)
      else if (part.type === "tool-result") results.add(part.id)
    }
  }
  return { calls, results }
}
