/**
 * Calls without tools, as `LanguageModel.make` makes them (`effect/ai/LanguageModel` 4.1), without a schema compiled for each.
 * Whatever is not simple is left to the model that it made.
 */
import * as AiError from "effect/ai/AiError"
import { defaultIdGenerator, IdGenerator } from "effect/ai/IdGenerator"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import { ResponseIdTracker } from "effect/ai/ResponseIdTracker"
import { CurrentSpanTransformer } from "effect/ai/Telemetry"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CurrentStackFrame } from "effect/References"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ParentSpan, type Span } from "effect/Tracer"
import type { Direct, Provider, Request } from "../Provider.ts"
import { checkedAnswer, checkedChunk, decodersOf } from "./decode.ts"

interface Options {
  readonly prompt: Prompt.RawInput
  readonly toolkit?: unknown
  readonly toolChoice?: unknown
  readonly concurrency?: unknown
  readonly disableToolCallResolution?: boolean | undefined
  readonly toolCallValidation?: "strict" | "deferred" | undefined
}

/** The methods of a model without the types that depend on their options. */
interface Plain {
  readonly generateText: (options: Options) => Effect.Effect<LanguageModel.GenerateTextResponse<{}>, AiError.AiError>
  readonly streamText: (options: Options) => Stream.Stream<Response.StreamPart<{}>, AiError.AiError>
}

const validationOf = (options: Options): "strict" | "deferred" =>
  options.disableToolCallResolution === true ? (options.toolCallValidation ?? "strict") : "strict"

// Approvals that wait for a toolkit are not this module's business.
const hasApprovals = (prompt: Prompt.Prompt): boolean =>
  prompt.content.some(
    (message) => message.role === "assistant" && message.content.some((part) => part.type === "tool-approval-request")
  )

const attributed = (span: Span, { concurrency, toolChoice }: Pick<Options, "concurrency" | "toolChoice">): void => {
  span.attribute("gen_ai.output.type", "text")
  span.attribute(
    "effect.ai.tool_choice",
    toolChoice === undefined || typeof toolChoice === "string" ? (toolChoice ?? "auto") : JSON.stringify(toolChoice)
  )
  span.attribute("effect.ai.concurrency", concurrency ?? "unbounded")
}

const requestOf = (request: Request, span: Span): LanguageModel.ProviderOptions => ({
  prompt: request.prompt,
  tools: request.tools,
  toolChoice: request.toolChoice,
  responseFormat: { type: "text" },
  span,
  previousResponseId: undefined,
  incrementalPrompt: undefined,
  ...(request.toolCallValidation === "deferred" ? { toolCallValidation: "deferred" } : {})
})

const invalid =
  (method: "generateText" | "streamText") =>
  (error: Schema.SchemaError): AiError.AiError =>
    AiError.make({ module: "LanguageModel", method, reason: AiError.InvalidOutputError.fromSchemaError(error) })

const client = { kind: "client" } as const

/** What a provider gives, with what it asks of its surroundings. */
interface Made {
  readonly provider: Provider
  /** The services that were there when the model was made. */
  readonly context: Context.Context<never>
  readonly ids: typeof defaultIdGenerator
}

const transformerIn = (context: Context.Context<never>, { context: made }: Made) =>
  Option.orElse(Context.getOption(context, CurrentSpanTransformer), () =>
    Context.getOption(made, CurrentSpanTransformer)
  )

const tracks = (context: Context.Context<never>): boolean =>
  Option.isSome(Context.getOption(context, ResponseIdTracker))

const noStack = () => undefined

// What `Effect.withParentSpan` and two services provided one by one would be, at once.
const surroundings = (context: Context.Context<never>, { ids }: Made, span: Span): Context.Context<IdGenerator> => {
  const parent = Context.get(context, CurrentStackFrame)
  const inSpan = Context.add(context, ParentSpan, span)
  const framed = Context.add(inSpan, CurrentStackFrame, { name: span.name, stack: noStack, parent })
  // Around a call are two models, of which the inner one has the ids of the outer one: they are in there, which no type says.
  const isKnown = Context.getOrUndefined(context, IdGenerator) === ids
  return isKnown ? (framed as never) : Context.add(framed, IdGenerator, ids)
}

const generate = (made: Made, request: LanguageModel.ProviderOptions, span: Span) =>
  Effect.updateContext(made.provider.generateText(request), (context: Context.Context<never>) =>
    surroundings(context, made, span)
  )

const stream = ({ ids, provider }: Made, request: LanguageModel.ProviderOptions) =>
  Stream.provideService(provider.streamText(request), IdGenerator, ids)

const choiceOf = ({ toolChoice, tools }: Request): Pick<Options, "toolChoice"> =>
  tools.length === 0 ? {} : { toolChoice }

const direct = (made: Made): Direct => ({
  settings: made.provider.settings,
  isOpen: (context) => !tracks(context) && Option.isNone(transformerIn(context, made)),
  generateText: (request) =>
    Effect.useSpan("LanguageModel.generateText", client, (span) => {
      attributed(span, choiceOf(request))
      return Effect.flatMap(generate(made, requestOf(request, span), span), (parts) =>
        Effect.mapErrorEager(checkedAnswer(parts), invalid("generateText"))
      )
    }),
  streamText: (request) =>
    Stream.unwrap(
      Effect.map(Effect.makeSpanScoped("LanguageModel.streamText", client), (span) => {
        attributed(span, choiceOf(request))
        return Stream.mapArrayEffect(stream(made, requestOf(request, span)), (parts) =>
          Effect.mapErrorEager(checkedChunk(parts), invalid("streamText"))
        )
      })
    )
})

const withoutTools = (prompt: Prompt.Prompt, options: Options): Request => ({
  prompt,
  tools: [],
  toolChoice: "none",
  toolCallValidation: validationOf(options)
})

const short = (made: Made, model: Plain): Plain => {
  const generateText: Plain["generateText"] = (options) =>
    Effect.contextWith((context: Context.Context<never>) => {
      const prompt = Prompt.make(options.prompt)
      if (tracks(context) || hasApprovals(prompt)) return model.generateText(options)
      const transformer = transformerIn(context, made)
      const { answer } = decodersOf(validationOf(options))
      return Effect.useSpan("LanguageModel.generateText", client, (span) => {
        attributed(span, options)
        const request = requestOf(withoutTools(prompt, options), span)
        const asked = Effect.flatMap(generate(made, request, span), (parts) =>
          Effect.mapErrorEager(answer(parts), invalid("generateText"))
        )
        return Effect.map(asked, (content) => {
          if (Option.isSome(transformer)) transformer.value({ ...request, response: content })
          return new LanguageModel.GenerateTextResponse<{}>(content)
        })
      })
    })

  const streamText: Plain["streamText"] = (options) =>
    Stream.unwrap(
      Effect.contextWith((context: Context.Context<never>) => {
        const prompt = Prompt.make(options.prompt)
        if (tracks(context) || hasApprovals(prompt) || Option.isSome(transformerIn(context, made))) {
          return Effect.succeed(model.streamText(options))
        }
        const { chunk } = decodersOf(validationOf(options))
        return Effect.map(Effect.makeSpanScoped("LanguageModel.streamText", client), (span) => {
          attributed(span, options)
          return Stream.mapArrayEffect(stream(made, requestOf(withoutTools(prompt, options), span)), (parts) =>
            Effect.mapErrorEager(chunk(parts), invalid("streamText"))
          )
        })
      })
    )

  return {
    generateText: (options) => (options.toolkit === undefined ? generateText(options) : model.generateText(options)),
    streamText: (options) => (options.toolkit === undefined ? streamText(options) : model.streamText(options))
  }
}

/** A model that takes the short way where there is one, and the way around it. */
export const simply = (
  provider: Provider,
  model: LanguageModel.LanguageModel
): Effect.Effect<{ readonly model: LanguageModel.LanguageModel; readonly direct: Direct }> =>
  Effect.map(Effect.context<never>(), (context) => {
    const made = {
      provider,
      context,
      ids: Option.getOrElse(Context.getOption(context, IdGenerator), () => defaultIdGenerator)
    }
    // The public methods have types that depend on their options, which no code over all options can have.
    const methods = short(made, model as unknown as Plain) as unknown as Pick<
      typeof model,
      "generateText" | "streamText"
    >
    return { model: { ...model, ...methods }, direct: direct(made) }
  })
