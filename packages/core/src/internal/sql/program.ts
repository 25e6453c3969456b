/**
 * A piece of work on the database as the statements it runs, one after another, each knowing the rows of those before.
 * Who runs them is another matter: a server is awaited, SQLite answers at once.
 */
import * as Effect from "effect/Effect"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"

export type Rows = ReadonlyArray<ReadonlyArray<unknown>>

/** Yields statements, is given their rows, returns its result. May throw. */
export type Program<A> = Generator<readonly [text: string, params: ReadonlyArray<unknown>], A, Rows>

/** Runs statements on a connection that takes its time. What the program throws is a failure. */
export const run = <A>(connection: Connection, program: Program<A>): Effect.Effect<A, SqlError | ProgramFailed> =>
  Effect.gen(function* () {
    let rows: Rows = []
    while (true) {
      const step = yield* next(program, rows)
      if (step.done === true) return step.value
      rows = yield* connection.executeValues(step.value[0], step.value[1])
    }
  })

/** What a program threw. */
export class ProgramFailed extends Error {
  readonly _tag = "ProgramFailed"
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

const next = <A>(program: Program<A>, rows: Rows) =>
  Effect.try({ try: () => program.next(rows), catch: (cause) => new ProgramFailed(cause) })

/** Runs statements at once. Throws what the program or a statement throws. */
export const runNow = <A>(execute: (text: string, params: ReadonlyArray<unknown>) => Rows, program: Program<A>): A => {
  let step = program.next([])
  while (step.done !== true) step = program.next(execute(step.value[0], step.value[1]))
  return step.value
}

/** One statement. */
export function* statement(text: string, params: ReadonlyArray<unknown>): Program<Rows> {
  return yield [text, params]
}
