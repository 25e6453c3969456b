/**
 * Redaction: takes secrets out of data before it is written: values that look like keys, values of fields that are named
 * like secrets, and the secrets that the caller names.
 */
import * as Predicate from "effect/Predicate"
import type { Part } from "../Middleware.ts"

/** What stands in the place of a secret. */
export const placeholder = "[secret]"

/** Texts that are secrets by their form. */
export const patterns: ReadonlyArray<RegExp> = [
  /\bsk-[A-Za-z0-9_-]{16,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\bgh[pousr]_[A-Za-z0-9]{30,}/g,
  /\bgithub_pat_[A-Za-z0-9_]{40,}/g,
  /\bxox[abeprs]-[A-Za-z0-9-]{10,}/g,
  /\bAIza[0-9A-Za-z_-]{35}/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/g,
  /\bBearer\s+[A-Za-z0-9._~+/=-]{8,}/gi,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g,
  // The password of an address with one.
  /(?<=\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]+:)[^\s:/@]+(?=@)/gi
]

const secretName =
  /^(authorization|proxy-authorization|cookie|set-cookie|password|passwd|secret|client_?secret|private_?key|api_?key|x-api-key|access_?token|refresh_?token|auth_?token)$/i

/** Takes secrets out of texts and data. */
export interface Redactor {
  readonly text: (text: string) => string
  readonly data: (value: unknown) => unknown
}

/** A redactor for secrets by form and by name. */
export const make = (secrets: ReadonlyArray<string>, more: ReadonlyArray<RegExp>): Redactor => {
  // The longest first, so that a secret that holds another goes as a whole; very short ones would take words apart.
  const known = secrets.filter((secret) => secret.length >= 4).sort((left, right) => right.length - left.length)
  const all = [...patterns, ...more.map((pattern) => new RegExp(pattern.source, `${pattern.flags.replace("g", "")}g`))]
  const text = (value: string): string => {
    let out = value
    for (const secret of known) out = out.replaceAll(secret, placeholder)
    for (const pattern of all) out = out.replace(pattern, placeholder)
    return out
  }
  const data = (value: unknown): unknown => {
    if (typeof value === "string") return text(value)
    if (Array.isArray(value)) return value.map(data)
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, own]) => [
        text(name),
        secretName.test(name) && (typeof own === "string" || typeof own === "number") ? placeholder : data(own)
      ])
    )
  }
  return { text, data }
}

const blockOf = (part: Part): string | undefined =>
  part.type === "text-delta" || part.type === "reasoning-delta" || part.type === "tool-params-delta"
    ? `${part.type} ${part.id}`
    : undefined

/** The parts of a stream without secrets, also where a secret was divided among pieces. */
export const parts = (redactor: Redactor, all: ReadonlyArray<Part>): ReadonlyArray<Part> => {
  const whole = new Map<string, string>()
  for (const part of all) {
    const block = blockOf(part)
    if (block !== undefined && "delta" in part) whole.set(block, (whole.get(block) ?? "") + part.delta)
  }
  const dirty = new Set([...whole].filter(([, text]) => redactor.text(text) !== text).map(([block]) => block))
  const said = new Set<string>()
  return all.flatMap((part): ReadonlyArray<Part> => {
    const block = blockOf(part)
    if (block === undefined || !("delta" in part)) return [redactor.data(part) as Part]
    if (!dirty.has(block)) return [part]
    if (said.has(block)) return []
    said.add(block)
    return [{ ...part, delta: redactor.text(whole.get(block)!) }]
  })
}
