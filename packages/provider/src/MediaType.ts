/**
 * Media types as wires take them: in lower case, without parameters, under their registered names.
 *
 * **Example**
 *
 * ```ts
 * import * as MediaType from "@selvage/provider/MediaType"
 *
 * console.log(MediaType.normalize("Image/JPG; q=0.9")) // "image/jpeg"
 * ```
 */

const names: ReadonlyMap<string, string> = new Map([
  ["image/jpg", "image/jpeg"],
  ["image/pjpeg", "image/jpeg"],
  ["image/x-png", "image/png"],
  ["application/x-pdf", "application/pdf"],
  ["text/x-markdown", "text/markdown"],
  ["application/csv", "text/csv"],
  ["text/json", "application/json"],
  ["application/x-json", "application/json"],
  ["audio/mp3", "audio/mpeg"],
  ["audio/x-mpeg", "audio/mpeg"],
  ["audio/wave", "audio/wav"],
  ["audio/x-wav", "audio/wav"],
  ["audio/vnd.wave", "audio/wav"]
])

/** A media type in its usual spelling. */
export const normalize = (mediaType: string): string => {
  const [bare = ""] = mediaType.split(";")
  const small = bare.trim().toLowerCase()
  return names.get(small) ?? small
}

const extensions: ReadonlyMap<string, string> = new Map([
  ["application/pdf", "pdf"],
  ["application/json", "json"],
  ["application/xml", "xml"],
  ["application/yaml", "yaml"],
  ["application/msword", "doc"],
  ["application/rtf", "rtf"],
  ["application/vnd.ms-excel", "xls"],
  ["application/vnd.ms-powerpoint", "ppt"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"],
  ["application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"],
  ["text/plain", "txt"],
  ["text/csv", "csv"],
  ["text/tab-separated-values", "tsv"],
  ["text/markdown", "md"],
  ["text/html", "html"],
  ["text/xml", "xml"],
  ["text/css", "css"],
  ["text/javascript", "js"],
  ["application/javascript", "js"]
])

/** The usual extension of a file of a (normalized) media type, without the dot; none for one that is not known. */
export const extension = (mediaType: string): string | undefined => extensions.get(mediaType)

/** Whether what is of a (normalized) media type is text. */
export const isText = (mediaType: string): boolean =>
  mediaType.startsWith("text/") ||
  mediaType === "application/json" ||
  mediaType === "application/xml" ||
  mediaType === "application/yaml" ||
  mediaType === "application/javascript" ||
  mediaType.endsWith("+json") ||
  mediaType.endsWith("+xml")
