/**
 * Blocks as the turns of the Messages API: strictly alternating, tool results first in the turn that answers a call, system messages where
 * the API takes them, and thinking that is bound to a prefix only where the prefix is the same.
 */
import type Anthropic from "@anthropic-ai/sdk"
import { Mark, read } from "./binding.ts"

type Block = Anthropic.ContentBlockParam
type Role = "user" | "assistant" | "system"

const prefixes = new WeakMap<Block, string>()

/** Remembers the mark of the request that a thinking block came from. */
export const bound = <B extends Block>(block: B, prefix: string | null | undefined): B => {
  if (prefix) prefixes.set(block, prefix)
  return block
}

interface Piece {
  readonly role: Role
  readonly block: Block
  /** Whether it begins a message. */
  readonly begins: boolean
}

const isToolResult = (block: Block): boolean => block.type === "tool_result"

/** What stands before a conversation that begins with the assistant, which the API refuses. */
const beginning = "(The beginning of this conversation is not shown.)"

/** The blocks of a conversation in order. */
export class Pieces {
  #pieces: Array<Piece> = []
  readonly #systemInPlace: boolean
  #waiting: Array<Anthropic.TextBlockParam> = []

  constructor(systemInPlace: boolean) {
    this.#systemInPlace = systemInPlace
  }

  get isEmpty(): boolean {
    return this.#pieces.every(({ role }) => role === "system")
  }

  /**
   * Takes a system message that comes later in the conversation, where the model does; `false` for one that belongs before it. It stands
   * after what the user says next, ahead of the assistant's answer: https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages.
   */
  system(block: Anthropic.TextBlockParam): boolean {
    if (!this.#systemInPlace || this.#pieces.length === 0) return false
    this.#waiting.push(block)
    return true
  }

  add(role: "user" | "assistant", blocks: ReadonlyArray<Block>): void {
    if (blocks.length === 0) return
    // Between two answers, of which the first was paused, it would follow no user.
    if (role === "assistant" && this.#pieces.at(-1)?.role !== "assistant") this.end()
    blocks.forEach((block, index) => this.#pieces.push({ role, block, begins: index === 0 }))
  }

  /** Puts the system messages that wait where they belong. */
  end(): void {
    for (const block of this.#waiting) this.#pieces.push({ role: "system", block, begins: true })
    this.#waiting = []
  }

  /** Leaves out thinking whose prefix is another one now. */
  #checked(before: object): void {
    if (!this.#pieces.some(({ block }) => prefixes.has(block))) return
    const mark = new Mark()
    mark.add(read(before))
    let at = mark.text
    this.#pieces = this.#pieces.filter(({ begins, block, role }) => {
      if (begins) at = mark.text
      const prefix = prefixes.get(block)
      if (prefix !== undefined && prefix !== at) return false
      mark.add(role + read(block))
      return true
    })
  }

  /** The mark of all that is sent. */
  mark(before: object): string {
    const mark = new Mark()
    mark.add(read(before))
    for (const { block, role } of this.#pieces) mark.add(role + read(block))
    return mark.text
  }

  /** The turns. With what stands `before` the conversation, thinking is checked against its prefix. */
  turns(before: object | undefined, continues: boolean): Array<Anthropic.MessageParam> {
    if (before !== undefined) this.#checked(before)
    const turns: Array<{ readonly role: Role; content: Array<Block> }> = []
    for (const { block, role } of this.#pieces) {
      const last = turns.at(-1)
      if (last === undefined || last.role !== role) turns.push({ role, content: [block] })
      else last.content.push(block)
    }
    for (const turn of turns) {
      if (turn.role !== "user" || !turn.content.some(isToolResult)) continue
      turn.content = [...turn.content.filter(isToolResult), ...turn.content.filter((block) => !isToolResult(block))]
    }
    if (turns[0]?.role === "assistant" && !continues) {
      turns.unshift({ role: "user", content: [{ type: "text", text: beginning }] })
    }
    // A last assistant turn is one for the model to continue, and the API refuses white space at its end.
    const last = turns.at(-1)?.role === "assistant" ? turns.at(-1)?.content.at(-1) : undefined
    if (last?.type === "text") last.text = last.text.trimEnd()
    // The roles were told apart above: what is in a system message is text.
    return turns as Array<Anthropic.MessageParam>
  }
}
