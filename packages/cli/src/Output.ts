/**
 * What the commands print. Text from a journal was written by others, models among them: control characters and marks
 * that reorder text never reach the terminal as they are.
 *
 * @since 0.1.0
 */
import * as CliOutput from "effect/cli/CliOutput"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { OutputFailed } from "./Failure.ts"

// C0 but the line feed, C1, and the marks of direction.
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const escape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** A text as one line that is safe to print. */
export const printable = (text: string): string => text.replaceAll("\n", "\\n").replaceAll(unsafe, escape)

/** A value as JSON that is safe to print; on one line without `indent`. */
export const json = (value: unknown, indent?: number): string =>
  (JSON.stringify(value, null, indent) ?? "null").replaceAll(unsafe, escape)

/** A text of at most `width` characters. */
export const shorten = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1).replace(/[\ud800-\udbff]$/, "")}…`

/** Milliseconds since the epoch as ISO 8601. */
export const time = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** Rows in columns as wide as their widest cell. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const cells = rows.map((row) => row.map(printable))
  const widths: Array<number> = []
  for (const row of cells) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, CliOutput.displayWidth(cell))
    })
  }
  return cells.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - CliOutput.displayWidth(cell)))
      .join("  ")
      .trimEnd()
  )
}

const isBrokenPipe = (error: unknown): boolean =>
  Predicate.hasProperty(error, "code") && (error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED")

class ReaderGone extends Data.TaggedError("ReaderGone") {}

/** Writes lines to stdout as they come. A reader that went away (`| head`) ends it quietly. */
export const lines = <E, R>(
  stream: Stream.Stream<string, E, R>
): Effect.Effect<void, E | OutputFailed, R | Stdio.Stdio> =>
  Effect.gen(function* () {
    const stdio = yield* Stdio.Stdio
    const sink = Sink.mapError(stdio.stdout({ endOnDone: false }), (error) =>
      isBrokenPipe(error.reason.cause) ? new ReaderGone() : new OutputFailed({ reason: error.message })
    )
    // Whole chunks at a time: a write for each line is a system call for each line.
    yield* Stream.run(
      Stream.map(Stream.chunks(stream), (chunk) => `${chunk.join("\n")}\n`),
      sink
    )
  }).pipe(
    Effect.catch((error): Effect.Effect<void, E | OutputFailed> =>
      error instanceof ReaderGone ? Effect.void : Effect.fail(error)
    )
  )

/** Writes lines to stdout. */
export const print = (texts: ReadonlyArray<string>): Effect.Effect<void, OutputFailed, Stdio.Stdio> =>
  lines(Stream.fromIterable(texts))

/** Writes a line to stderr. */
export const tell = (message: string): Effect.Effect<void> => Console.error(`selvage: ${printable(message)}`)
