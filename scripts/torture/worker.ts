/** A process that runs threads until it is killed: `worker.ts PLACE NAME FIRST LAST`. Prints each thread that
 * it finished. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { finish, layerOf, Place } from "./work.ts"

const [place, name, first, last] = process.argv.slice(2)

const numbers = Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index)

const sign = (number: number) => Effect.sync(() => process.stdout.write(`${number}\n`))

const work = Effect.forEach(numbers, (number) => Effect.andThen(finish(`${name}-${number}`), sign(number)), {
  concurrency: 4,
  discard: true
})

// Zero: it is alive, and its stores are open.
await Effect.andThen(sign(0), work).pipe(
  Effect.provide(layerOf(Schema.decodeUnknownSync(Schema.fromJsonString(Place))(place))),
  Effect.runPromise
)
