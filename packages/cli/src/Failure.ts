/**
 * What a command can fail with besides the failures of the journal. Each becomes one line on stderr and exit code 1.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** There is no journal file of that name. None is made. */
export class JournalFileNotFound extends Schema.TaggedError<JournalFileNotFound>()("JournalFileNotFound", {
  file: Schema.String
}) {
  override get message() {
    return `There is no journal file "${this.file}". Name one with --journal FILE or SELVAGE_JOURNAL.`
  }
}

/** The file is there, and is no journal. */
export class NotAJournal extends Schema.TaggedError<NotAJournal>()("NotAJournal", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `"${this.file}" is not a journal that can be read: ${this.reason}. Name another with --journal FILE, or restore it from a backup.`
  }
}

/** There is no module at that path. */
export class ModuleNotFound extends Schema.TaggedError<ModuleNotFound>()("ModuleNotFound", {
  module: Schema.String,
  looked: Schema.String
}) {
  override get message() {
    return `There is no module "${this.module}": ${this.looked}. Name a file, or a directory with an index.ts, an index.js or a package.json.`
  }
}

/** The module is there, and cannot be imported. */
export class ModuleFailed extends Schema.TaggedError<ModuleFailed>()("ModuleFailed", {
  module: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `The module "${this.module}" cannot be imported: ${this.reason}`
  }
}

/** The module exports no graph, or none of that name. */
export class GraphNotExported extends Schema.TaggedError<GraphNotExported>()("GraphNotExported", {
  module: Schema.String,
  name: Schema.UndefinedOr(Schema.String),
  found: Schema.Array(Schema.String)
}) {
  override get message() {
    const what = this.name === undefined ? "no graph" : `no graph "${this.name}"`
    const found = this.found.length === 0 ? "" : ` It exports ${this.found.map((name) => `"${name}"`).join(", ")}.`
    return `The module "${this.module}" exports ${what}.${found} Export the value that Graph.make returns.`
  }
}

/** The output could not be written. */
export class OutputFailed extends Schema.TaggedError<OutputFailed>()("OutputFailed", { reason: Schema.String }) {
  override get message() {
    return `The output could not be written: ${this.reason}`
  }
}

/** A journal has threads that are not sound. */
export class JournalUnsound extends Schema.TaggedError<JournalUnsound>()("JournalUnsound", {
  threads: Schema.Array(Schema.String),
  findings: Schema.Int
}) {
  override get message() {
    const [first] = this.threads
    const what = this.threads.length === 1 ? `thread "${first}"` : `${this.threads.length} threads`
    return (
      `${this.findings} ${this.findings === 1 ? "finding" : "findings"} in ${what}. Restore what is damaged from a backup, ` +
      `or go on from the last good entry with selvage fork THREAD --at N.`
    )
  }
}

/** A file of an exported thread could not be read or written. */
export class FileFailed extends Schema.TaggedError<FileFailed>()("FileFailed", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `The file "${this.file}" cannot be used: ${this.reason}`
  }
}
