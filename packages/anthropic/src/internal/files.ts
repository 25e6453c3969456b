/** Files of a prompt as blocks of the API: images, documents, and uploads into the container where code runs. */
import type Anthropic from "@anthropic-ai/sdk"
import * as MediaType from "@selvage/provider/MediaType"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Options from "./options.ts"

type Reason = AiError.AiErrorReason

export type FileBlock = Anthropic.ImageBlockParam | Anthropic.DocumentBlockParam | Anthropic.ContainerUploadBlockParam

const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const
const isImageType = Schema.is(Schema.Literals(imageTypes))

export const unsupported = (part: Prompt.FilePart, why: string): Reason =>
  new AiError.InvalidUserInputError({
    description:
      `the file${part.fileName === undefined ? "" : ` ${JSON.stringify(part.fileName)}`} of type ${JSON.stringify(part.mediaType)} ` +
      `cannot be sent to Anthropic: ${why}`
  })

/** What stands for a file where the API takes only text. */
export const omitted = (part: Prompt.FilePart): string =>
  `[${part.mediaType} ${part.fileName ?? ""}`.trimEnd() + " omitted]"

type Source = { readonly url: string } | { readonly base64: string } | { readonly fileId: string }

const source = (data: Prompt.FilePart["data"]): Source => {
  if (data instanceof Uint8Array) return { base64: Base64.encode(data) }
  const text = data instanceof URL ? data.href : data
  // The ids of the Files API; base64 has no underscore.
  if (text.startsWith("file_")) return { fileId: text }
  const inline = /^data:[^,]*;base64,/.exec(text)
  if (inline !== null) return { base64: text.slice(inline[0].length) }
  return /^https?:\/\//.test(text) ? { url: text } : { base64: text }
}

const image = (
  part: Prompt.FilePart,
  from: Source,
  options: Options.FileOptions
): Effect.Effect<Anthropic.ImageBlockParam, Reason> => {
  const make = (source: Anthropic.ImageBlockParam["source"]) =>
    Effect.succeed<Anthropic.ImageBlockParam>({
      type: "image",
      source,
      ...(options.oversizedImage ? { transformations: { oversized_image: options.oversizedImage } } : undefined)
    })
  if ("fileId" in from) return make({ type: "file", file_id: from.fileId })
  // `image/*` says that the kind is unknown, which is fine for a URL: the server looks at what it fetches.
  if ("url" in from) return make({ type: "url", url: from.url })
  const mediaType = MediaType.normalize(part.mediaType)
  if (isImageType(mediaType)) return make({ type: "base64", media_type: mediaType, data: from.base64 })
  return Effect.fail(unsupported(part, `supported images are ${imageTypes.join(", ")}`))
}

const documentSource = (
  part: Prompt.FilePart,
  from: Source
): Effect.Effect<Anthropic.DocumentBlockParam["source"], Reason> => {
  if ("fileId" in from) return Effect.succeed({ type: "file", file_id: from.fileId })
  const mediaType = MediaType.normalize(part.mediaType)
  if (mediaType === "application/pdf") {
    return Effect.succeed(
      "url" in from
        ? { type: "url", url: from.url }
        : { type: "base64", media_type: "application/pdf", data: from.base64 }
    )
  }
  if ("url" in from) {
    return Effect.fail(unsupported(part, "by URL it takes images and PDF; fetch it and pass its bytes"))
  }
  if (!MediaType.isText(mediaType)) {
    return Effect.fail(
      unsupported(part, `supported are ${imageTypes.join(", ")}, application/pdf, application/json and text/*`)
    )
  }
  return Result.match(Base64.decodeString(from.base64), {
    onFailure: () => Effect.fail(unsupported(part, "its data is not base64")),
    onSuccess: (data) => Effect.succeed({ type: "text", media_type: "text/plain", data })
  })
}

/** A file as the block that its media type and options ask for. */
export const toWire = Effect.fnUntraced(function* (part: Prompt.FilePart): Effect.fn.Return<FileBlock, Reason> {
  const options = yield* Options.read(Options.FileOptions, part, "a file part")
  const from = source(part.data)
  const cache = options.cacheControl ? { cache_control: options.cacheControl } : undefined
  if (options.containerUpload === true) {
    if (!("fileId" in from)) {
      return yield* unsupported(part, "a container takes files of the Files API; upload it and pass its id (file_…)")
    }
    return { type: "container_upload", file_id: from.fileId, ...cache }
  }
  if (MediaType.normalize(part.mediaType).startsWith("image/"))
    return { ...(yield* image(part, from, options)), ...cache }
  const title = options.documentTitle ?? part.fileName
  return {
    type: "document",
    source: yield* documentSource(part, from),
    ...(title === undefined ? undefined : { title }),
    ...(options.documentContext ? { context: options.documentContext } : undefined),
    ...(options.citations ? { citations: options.citations } : undefined),
    ...cache
  }
})
