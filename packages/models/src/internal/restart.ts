/** The mark in a stream that began anew: all parts before it belong to an answer that failed. */
import type * as AiError from "effect/ai/AiError"
import * as Predicate from "effect/Predicate"
import type { Part } from "../Middleware.ts"

// Without `exactOptionalPropertyTypes` an optional property does not fit the index signature of effect's declaration.
declare module "effect/ai/Response" {
  export interface ResponseMetadataPartMetadata extends ProviderMetadata {
    /**
     * Set on the part that marks a restart: which model failed, and its error for a person.
     * @ts-ignore TS2411 without exactOptionalPropertyTypes */
    readonly selvage?: { readonly restarted: { readonly model: string; readonly reason: string } } | null
  }
}

/** The part that marks a restart. */
export const marker = (model: string, error: AiError.AiError): Part => ({
  type: "response-metadata",
  metadata: { selvage: { restarted: { model, reason: error.message } } }
})

/** Whether a part says that all before it is void; see `onPartial`. */
export const isRestart = (part: { readonly type: string; readonly metadata?: unknown }): boolean =>
  part.type === "response-metadata" &&
  Predicate.hasProperty(part.metadata, "selvage") &&
  Predicate.hasProperty(part.metadata.selvage, "restarted")

/** The parts that count, of a stream that may have been restarted. */
export const afterRestart = <P extends { readonly type: string; readonly metadata?: unknown }>(
  parts: ReadonlyArray<P>
): ReadonlyArray<P> => parts.slice(parts.findLastIndex(isRestart) + 1)
