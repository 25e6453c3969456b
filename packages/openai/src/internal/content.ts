/**
 * Parts of a prompt that both APIs write the same way.
 */
import * as MediaType from "@selvage/provider/MediaType"
import * as Text from "@selvage/provider/Text"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { cacheOptions } from "./options.ts"

const dataUrl = /^data:([^,]*?)(;base64)?,/i

// A data URL says a type as well; the part's is the one that was asked for.
const fromDataUrl = (url: string, mediaType: string): string => {
  const [head = "", own = "", base64] = dataUrl.exec(url) ?? []
  const type = mediaType.includes("*") || mediaType === "" ? MediaType.normalize(own) : mediaType
  const rest = url.slice(head.length)
  return `data:${concrete(type)};base64,${base64 === undefined ? Base64.encode(decodeURIComponent(rest)) : rest}`
}

/** Where the bytes of a file are: inside a data URL, or at an address. */
export const fileUrl = (part: Prompt.FilePart): { readonly url: string; readonly inline: boolean } => {
  const mediaType = MediaType.normalize(part.mediaType)
  const data = part.data instanceof URL ? part.data.href : part.data
  if (typeof data !== "string")
    return { url: `data:${concrete(mediaType)};base64,${Base64.encode(data)}`, inline: true }
  if (dataUrl.test(data)) return { url: fromDataUrl(data, mediaType), inline: true }
  return part.data instanceof URL || /^https?:\/\//.test(data)
    ? { url: data, inline: false }
    : { url: `data:${concrete(mediaType)};base64,${data}`, inline: true }
}

const concrete = (mediaType: string): string => (mediaType === "image/*" ? "image/jpeg" : mediaType)

const images = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/*"]

/** Whether a file is an image, by its media type. */
export const isImage = ({ mediaType }: Prompt.FilePart): boolean => MediaType.normalize(mediaType).startsWith("image/")

/** What a file cannot be sent as, which fails the call before it is sent. */
export const unsupported = (part: Prompt.FilePart, why: string): AiError.InvalidUserInputError =>
  new AiError.InvalidUserInputError({
    description: `the file ${JSON.stringify(part.fileName ?? "without a name")} of type ${JSON.stringify(part.mediaType)} cannot be sent to OpenAI: ${why}`
  })

/** Why an image cannot be sent, if it cannot. At an address it may be of any kind: the server looks at what it fetches. */
export const imageFlaw = (part: Prompt.FilePart): AiError.InvalidUserInputError | undefined =>
  images.includes(MediaType.normalize(part.mediaType)) || !fileUrl(part).inline
    ? undefined
    : unsupported(part, "it takes PNG, JPEG, GIF and WebP; convert the image")

const hasExtension = (name: string): boolean => /\.[a-zA-Z0-9]{1,8}$/.test(name)

/** A name for a file, which the API requires for inline ones and reads the kind from; none where the kind is not known. */
export const fileName = (part: Prompt.FilePart): string | undefined => {
  const extension = MediaType.extension(MediaType.normalize(part.mediaType))
  const { fileName } = part
  if (fileName !== undefined && hasExtension(fileName)) return fileName
  return extension === undefined ? undefined : `${fileName ?? "file"}.${extension}`
}

/** The text of a file that is text and stands in the prompt; none for another. */
export const textOf = (part: Prompt.FilePart): string | undefined => {
  const { inline, url } = fileUrl(part)
  if (!inline || !MediaType.isText(MediaType.normalize(part.mediaType))) return undefined
  const text = Option.getOrUndefined(Result.getSuccess(Base64.decodeString(url.slice(url.indexOf(",") + 1))))
  return text === undefined ? undefined : `${fileName(part) ?? "file"}:\n${text}`
}

/** What stands for a file where the API takes only text. */
export const omitted = (part: Prompt.FilePart): string =>
  `[${part.mediaType} ${part.fileName ?? ""}`.trimEnd() + " omitted]"

/** The result of a tool as the text the model reads. */
export const resultText = (part: Prompt.ToolResultPart): Effect.Effect<string, AiError.ToolResultEncodingError> =>
  typeof part.result === "string"
    ? Effect.succeed(part.result)
    : Effect.try({
        try: () => Text.wellFormedJson(JSON.stringify(part.result) ?? "null"),
        catch: () =>
          new AiError.ToolResultEncodingError({
            toolName: part.name,
            // The value itself is what cannot be written down.
            toolResult: null,
            description: "the result is not JSON; give the tool a success schema that encodes to JSON"
          })
      })

/** The parameters of an earlier call as JSON text. */
export const callArguments = (part: Prompt.ToolCallPart): Effect.Effect<string, AiError.InvalidUserInputError> =>
  Effect.try({
    try: () => Text.wellFormedJson(JSON.stringify(part.params) ?? "{}"),
    catch: () =>
      new AiError.InvalidUserInputError({
        description: `the parameters of the call ${part.id} of ${part.name} in the prompt are not JSON; keep them as the model gave them`
      })
  })

/** The id of a file uploaded earlier, if that is what the part holds. Base64 has no `-`. */
export const fileId = (part: Prompt.FilePart): string | undefined =>
  typeof part.data === "string" && /^(file|assistant)-[A-Za-z0-9_-]+$/.test(part.data) ? part.data : undefined

/** Marks the end of a prefix to cache, where the part's options say so. */
export const breakpoint = (part: {
  readonly options: Prompt.ProviderOptions
}): { readonly prompt_cache_breakpoint?: { readonly mode: "explicit" } } =>
  cacheOptions(part).cacheBreakpoint === true ? { prompt_cache_breakpoint: { mode: "explicit" } } : {}
