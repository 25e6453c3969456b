/**
 * How a tool call of a model can go wrong. The dispatcher never fails with these: they are told to the model, each under
 * a category of its own, because they are counted separately and a model corrects itself by their message.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const listed = 64

const list = (names: ReadonlyArray<string>) => {
  if (names.length === 0) return "none"
  const rest = names.length - listed
  return names.slice(0, listed).join(", ") + (rest > 0 ? `, and ${rest} more` : "")
}

/** The model called a tool that does not exist. */
export class ToolNotFound extends Schema.TaggedError<ToolNotFound>()("ToolNotFound", {
  tool: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message() {
    return `There is no tool "${this.tool}". Known tools: ${list(this.known)}. Call one of these, or answer without it.`
  }
}

/** The arguments of a call do not fit the tool's parameters. The tool did not run. */
export class ToolArgumentsInvalid extends Schema.TaggedError<ToolArgumentsInvalid>()("ToolArgumentsInvalid", {
  tool: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `The arguments for "${this.tool}" are not valid, so it did not run: ${this.issue}. Correct them and call it again.`
  }
}

/** The tool ran and failed. */
export class ToolFailed extends Schema.TaggedError<ToolFailed>()("ToolFailed", {
  tool: Schema.String,
  issue: Schema.String,
  /** The tool's own failure, encoded by its schema; `null` where it has none. */
  failure: Schema.Json
}) {
  override get message() {
    return `Tool "${this.tool}" failed: ${this.issue}`
  }
}

/** The tool took longer than its policy allows and was interrupted. */
export class ToolTimedOut extends Schema.TaggedError<ToolTimedOut>()("ToolTimedOut", {
  tool: Schema.String,
  /** How long one attempt may take, in milliseconds. */
  millis: Schema.Finite,
  /** Whether the call took effect: `unknown` if nobody can tell, so that it must not be repeated blindly. */
  effect: Schema.Literals(["none", "unknown"])
}) {
  override get message() {
    return (
      `Tool "${this.tool}" took longer than ${this.millis} ms and was interrupted. ` +
      (this.effect === "none"
        ? "Nothing was changed; it can be called again."
        : "It is not known whether it took effect. Do not repeat the call unless you can tell that it did not.")
    )
  }
}

/** A call that needs approval was denied. The tool did not run. */
export class ToolDenied extends Schema.TaggedError<ToolDenied>()("ToolDenied", {
  tool: Schema.String,
  reason: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    const reason = this.reason === undefined ? "" : ` Reason: ${this.reason}.`
    return `The call of "${this.tool}" was denied and did not run.${reason} Do not repeat it unchanged.`
  }
}

/** The tool ran, but what it returned is too large to be given to a model. */
export class ToolResultTooLarge extends Schema.TaggedError<ToolResultTooLarge>()("ToolResultTooLarge", {
  tool: Schema.String,
  /** Size of the result in bytes of JSON. */
  bytes: Schema.Int,
  limit: Schema.Int,
  /** Whether the tool itself failed. */
  failed: Schema.Boolean
}) {
  override get message() {
    return (
      `Tool "${this.tool}" ran and ${this.failed ? "failed" : "succeeded"}, but its result has ${this.bytes} bytes, ` +
      `more than the ${this.limit} that are passed on. What it did stands. If you need the result, ask for less of it.`
    )
  }
}

/** Why a tool call came back as a failure. */
export type ToolFailure =
  | ToolNotFound
  | ToolArgumentsInvalid
  | ToolFailed
  | ToolTimedOut
  | ToolDenied
  | ToolResultTooLarge

/** Plugins that cannot work together; all findings at once. */
export class RegistryInvalid extends Schema.TaggedError<RegistryInvalid>()("RegistryInvalid", {
  findings: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The tool registry cannot be built: ${this.findings.join("; ")}`
  }
}
