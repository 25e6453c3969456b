/**
 * The tool call a handler runs in.
 *
 * **Example** (an idempotency key for the outside)
 *
 * ```ts
 * import { ToolCall } from "@selvage/tools"
 * import * as Effect from "effect/Effect"
 *
 * export const handler = Effect.fnUntraced(function*(params: { readonly sku: string }) {
 *   const call = yield* ToolCall.Current
 *   return { sku: params.sku, idempotencyKey: call?.key }
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/** A tool call under way. */
export interface ToolCall {
  /** The model's id of the call. */
  readonly id: string
  /** The same in every attempt and after every restart; unique to this call. */
  readonly key: string
}

/** The tool call around the current effect; `undefined` outside of one. */
export const Current = Context.Reference<ToolCall | undefined>("selvage/tools/ToolCall/Current", {
  defaultValue: () => undefined
})
