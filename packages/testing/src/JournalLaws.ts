/**
 * The laws that every journal keeps, as effects: a journal of your own is one when they all hold. They need no test
 * framework; a law that does not hold fails, and says what it expected.
 *
 * Give each law a journal of its own that begins empty.
 *
 * **Example**
 *
 * ```ts
 * import { Journal } from "@selvage/core"
 * import { JournalLaws } from "@selvage/testing"
 * import { it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 *
 * for (const law of JournalLaws.all()) it.effect(law.name, () => Effect.provide(law.check, Journal.layerMemory))
 * ```
 *
 * @since 0.1.0
 */
import { appending } from "./internal/laws/appending.ts"
import type { Law } from "./internal/laws/law.ts"
import { leases } from "./internal/laws/leases.ts"
import { posting } from "./internal/laws/posting.ts"
import { tailing } from "./internal/laws/tailing.ts"
import { finishedThreads, threads } from "./internal/laws/threads.ts"
import { values } from "./internal/laws/values.ts"

export { type Law, LawBroken } from "./internal/laws/law.ts"

/** The laws. `keeps: "unfinished"` leaves out what a journal cannot promise that forgets threads whose run is over. */
export const all = (options?: { readonly keeps?: "all" | "unfinished" | undefined }): ReadonlyArray<Law> => [
  ...appending,
  ...posting,
  ...leases,
  ...values,
  ...threads,
  ...(options?.keeps === "unfinished" ? [] : finishedThreads),
  ...tailing
]
