/** Citations as the source parts of `effect/ai`. */
import type * as Response from "effect/ai/Response"
import type * as Wire from "./wire.ts"

const urlOf = (citation: Wire.Citation): string | undefined => {
  const url =
    citation.type === "web_search_result_location"
      ? citation.url
      : citation.type === "search_result_location"
        ? citation.source
        : undefined
  return url !== undefined && URL.canParse(url) ? url : undefined
}

const titleOf = (citation: Wire.Citation): string => {
  switch (citation.type) {
    case "web_search_result_location":
      return citation.title ?? citation.url
    case "search_result_location":
      return citation.title ?? citation.source
    default:
      return citation.document_title ?? `document ${citation.document_index}`
  }
}

/** The source that a citation names: the `n`th of the block at `index`. */
export const source = (
  citation: Wire.Citation,
  index: number,
  n: number
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded => {
  const url = urlOf(citation)
  const common = {
    type: "source" as const,
    id: `${index}-${n}`,
    title: titleOf(citation),
    metadata: { anthropic: citation }
  }
  if (url !== undefined) return { ...common, sourceType: "url", url }
  const mediaType = citation.type === "page_location" ? "application/pdf" : "text/plain"
  return { ...common, sourceType: "document", mediaType }
}
