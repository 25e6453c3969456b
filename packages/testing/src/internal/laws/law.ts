/** What the laws are written with. */
import type { Entry, Sequenced } from "@selvage/core/Entry"
import { Journal } from "@selvage/core/Journal"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

/** A sentence about journals, and an effect that fails where it does not hold. */
export interface Law {
  readonly name: string
  readonly check: Effect.Effect<void, unknown, Journal>
}

/** A journal did not do what a law says. */
export class LawBroken extends Schema.TaggedError<LawBroken>()("LawBroken", {
  what: Schema.String,
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message() {
    return `${this.what}: expected ${this.expected}, got ${this.actual}`
  }
}

export type Service = Journal["Service"]

export const law = (name: string, check: (journal: Service) => Effect.Effect<void, unknown, Journal>): Law => ({
  name,
  check: Effect.flatMap(Journal, check)
})

const text = (value: unknown): string => JSON.stringify(value) ?? "undefined"

const short = (value: string): string => (value.length > 400 ? `${value.slice(0, 400)}… (${value.length})` : value)

/** Both as JSON, in the order of their keys. */
export const equal = (what: string, actual: unknown, expected: unknown): Effect.Effect<void, LawBroken> =>
  text(actual) === text(expected)
    ? Effect.void
    : Effect.fail(new LawBroken({ what, expected: short(text(expected)), actual: short(text(actual)) }))

/** The failure of that tag. */
export const failsWith = <A, E extends { readonly _tag: string }, R, Tag extends E["_tag"]>(
  tag: Tag,
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, LawBroken, R> =>
  Effect.flatMap(Effect.exit(effect), (exit) => {
    const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
    return error !== undefined && isTagged(error, tag)
      ? Effect.succeed(error)
      : Effect.fail(
          new LawBroken({ what, expected: tag, actual: Exit.isSuccess(exit) ? "success" : String(exit.cause) })
        )
  })

const isTagged = <E extends { readonly _tag: string }, Tag extends E["_tag"]>(
  error: E,
  tag: Tag
): error is Extract<E, { readonly _tag: Tag }> => error._tag === tag

/** A small entry that tells itself from others. */
export const patched = (n: number): Entry => ({ _tag: "Patched", updates: { n } })

export const patches = (from: number, count: number): [Entry, ...Array<Entry>] => [
  patched(from),
  ...Array.from({ length: count - 1 }, (_, index) => patched(from + index + 1))
]

export const started = (graph: string): Entry => ({
  _tag: "RunStarted",
  graph: { name: graph, channels: { n: "sum" }, nodes: ["count"] },
  input: {}
})

export const finished = (outcome: "done" | "failed" | "waiting"): Entry => ({ _tag: "RunFinished", outcome })

/** Appends `count` small entries in one append after `head`. */
export const extend = (journal: Service, thread: string, head: number, count: number) =>
  journal.append(thread, head, patches(head + 1, count))

export const seqs = (entries: ReadonlyArray<Sequenced>): ReadonlyArray<number> => entries.map(({ seq }) => seq)

export const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)
