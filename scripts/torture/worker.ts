/** A process that runs threads until it is killed: `worker.ts PLACE NAME FIRST LAST`. Prints each thread that
 * it finished. */
import { Errors } from "@selvage/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { finish, layerOf, Place } from "./work.ts"

const [place, name, first, last] = process.argv.slice(2)

const numbers = Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index)

const sign = (number: number) => Effect.sync(() => process.stdout.write(`${number}\n`))

/** Again, as a queue would deliver it, where a lease ran out because the machine was busy. */
const finished = (thread: string) =>
  Effect.retry(finish(thread), { while: (error) => error instanceof Errors.JournalConflict, times: 100 })

const work = Effect.forEach(numbers, (number) => Effect.andThen(finished(`${name}-${number}`), sign(number)), {
  concurrency: 4,
  discard: true
})

// Zero: it is alive, and its stores are open.
await Effect.andThen(sign(0), work).pipe(
  Effect.provide(layerOf(Schema.decodeUnknownSync(Schema.fromJsonString(Place))(place))),
  Effect.runPromise
)
