/**
 * The hash chain of a thread: each entry's hash covers the one before, its number, its time and its text, so that a
 * change anywhere shows. It guards against damage; who can write the tables can also write new hashes.
 */
import { sha256 } from "./digest.ts"

/** The hash before the first entry. */
export const start = ""

/** The hash of a snapshot: it covers the hash of the entry it stands on, and so all before it. */
export const seal = (entry: string, seq: number, value: string): string =>
  sha256(`${entry}\n${seq}\n${value}`).slice(0, 22)

/** 132 bits of SHA-256. */
export const link = (previous: string, seq: number, at: number, text: string): string =>
  sha256(`${previous}\n${seq}\n${at}\n${text}`).slice(0, 22)
