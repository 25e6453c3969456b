/** What the journal on SQL needs of Node's own crypto; nothing else of the core runs on Node alone. */
/// <reference types="node" />
import { hash, randomUUID } from "node:crypto"

/** SHA-256 of a text's UTF-8, as base64url: 43 characters. */
export const sha256 = (text: string): string => hash("sha256", text, "base64url")

/** An id that no process ever makes twice, whatever the seed of its `Random`. */
export const uniqueId = (): string => randomUUID()
