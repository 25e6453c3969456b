/** Recorded wire shapes: one file per documented example, each with its source. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { message } from "./servers.ts"

interface Fixture {
  readonly source: string
  readonly message?: any
  readonly events?: ReadonlyArray<{ readonly type: string }>
  readonly count?: unknown
  readonly errors?: ReadonlyArray<{ readonly status: number; readonly reason: string; readonly body: any }>
}

export const fixture = (name: string): Fixture =>
  JSON.parse(readFileSync(join(import.meta.dirname, "fixtures", `${name}.json`), "utf8"))

const halves = (text: string): ReadonlyArray<string> => {
  const middle = Math.ceil(text.length / 2)
  return [text.slice(0, middle), text.slice(middle)]
}

const delta = (index: number, value: Record<string, unknown>) => ({ type: "content_block_delta", index, delta: value })

const blockEvents = (block: any, index: number): ReadonlyArray<{ readonly type: string }> => {
  const start = (content_block: unknown) => ({ type: "content_block_start", index, content_block })
  const stop = { type: "content_block_stop", index }
  switch (block.type) {
    case "text":
      return [
        start({ ...block, text: "", ...(block.citations ? { citations: [] } : undefined) }),
        ...(block.citations ?? []).map((citation: unknown) => delta(index, { type: "citations_delta", citation })),
        ...halves(block.text).map((text) => delta(index, { type: "text_delta", text })),
        stop
      ]
    case "thinking":
      return [
        start({ type: "thinking", thinking: "", signature: "" }),
        ...halves(block.thinking).map((thinking) => delta(index, { type: "thinking_delta", thinking })),
        delta(index, { type: "signature_delta", signature: block.signature }),
        stop
      ]
    case "tool_use":
    case "server_tool_use":
      return [
        start({ ...block, input: {} }),
        ...halves(JSON.stringify(block.input)).map((partial_json) =>
          delta(index, { type: "input_json_delta", partial_json })
        ),
        stop
      ]
    default:
      return [start(block), stop]
  }
}

/** The stream that the API would have sent for a whole answer. */
export const asEvents = (whole: any): ReadonlyArray<{ readonly type: string }> => {
  const { container, content, stop_details, stop_reason, stop_sequence, usage, ...rest } = whole
  const head = {
    type: "message_start",
    message: { ...rest, content: [], usage: { input_tokens: 1, output_tokens: 1 } }
  }
  const tail = {
    type: "message_delta",
    delta: { container, stop_details, stop_reason, stop_sequence },
    usage
  }
  return [head, ...content.flatMap(blockEvents), tail, { type: "message_stop" }]
}

/** An answer with this content. */
export const answer = (content: ReadonlyArray<unknown>, over: Record<string, unknown> = {}): any =>
  message({ content, ...over })

const withoutFile = (citation: any): unknown => {
  const { file_id: _, ...rest } = citation
  return rest
}

/** What the API takes back of an answer's content. */
export const takenBack = (content: ReadonlyArray<any>): ReadonlyArray<any> => {
  const said = content.filter((block) => block.type !== "text" || block.text.trim() !== "")
  return said
    .slice(0, said.findLastIndex(({ type }) => type !== "thinking" && type !== "redacted_thinking") + 1)
    .map(({ citations, ...block }) =>
      citations?.length > 0 ? { ...block, citations: citations.map(withoutFile) } : block
    )
}
