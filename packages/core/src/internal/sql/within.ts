/** A limit on how long a database may leave a call without an answer. */
import * as Effect from "effect/Effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import * as Within from "../within.ts"

const silent = (millis: number): SqlError => {
  const message = `the database gave no answer within ${millis} ms; whether it did what it was told is not known`
  return new SqlError({ reason: new ConnectionError({ cause: new Error(message), message, operation: "execute" }) })
}

/** A call of the database that fails when its time is over; see {@link Within.within}. */
export const within = <A, E, R>(self: Effect.Effect<A, E, R>, millis: number): Effect.Effect<A, E | SqlError, R> =>
  millis === Infinity ? self : Within.within(self, millis, () => Effect.fail(silent(millis)))
