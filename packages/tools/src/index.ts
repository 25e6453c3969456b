/**
 * Tool plugins, the registry that brings them together, and the dispatcher that runs a model's calls.
 *
 * @since 0.1.0
 */
export * as Approval from "./Approval.ts"
export * as Dispatcher from "./Dispatcher.ts"
export * as Errors from "./Errors.ts"
export * as Plugin from "./Plugin.ts"
export * as Registry from "./Registry.ts"
export * as ToolCall from "./ToolCall.ts"
export * as ToolOutcome from "./ToolOutcome.ts"
export * as Uncertain from "./Uncertain.ts"
