/**
 * Cache key: all that shapes an answer, as one text; or why a call is not to be cached.
 */
import * as Tool from "effect/ai/Tool"
import type * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import type { Call, Subject } from "../Middleware.ts"
import { canonicalText } from "./canonical.ts"
import * as Definitions from "./definitions.ts"

/** Why a call is not cached. */
export type Reason = "provider tools" | "sampled" | "no canonical form"

/** The references under which providers keep the settings of single calls, by the convention of `effect/ai`. */
const settingsKey = /LanguageModel\/(Current)?(Config|Settings|Options)$/

/** The settings that providers were given for the calls of this fiber. */
export const settingsOf = (context: Context.Context<never>): Readonly<Record<string, unknown>> =>
  Object.fromEntries([...context.mapUnsafe].filter(([key]) => settingsKey.test(key)))

const asksForVariety = (settings: unknown, depth = 0): boolean => {
  if (Array.isArray(settings)) return settings.some((own) => asksForVariety(own, depth + 1))
  if (!Predicate.isObject(settings) || depth > 3) return false
  return Object.entries(settings).some(([name, value]) =>
    name === "temperature" ? typeof value === "number" && value > 0 : asksForVariety(value, depth + 1)
  )
}

/** The canonical text of a call, or why it has none or should have none. */
export const keyOf = (
  call: Call,
  subject: Pick<Subject, "models">,
  settings: unknown,
  tags: ReadonlyArray<string>,
  sampled: boolean
): { readonly text: string } | { readonly reason: Reason } => {
  // What a provider's own tools find depends on the world, not on the call.
  if (call.tools.some((tool) => Tool.isProviderDefined(tool))) return { reason: "provider tools" }
  if (!sampled && asksForVariety(settings)) return { reason: "sampled" }
  const tools = call.tools
    .map((tool) => Definitions.ofTool(tool) as { readonly name: string; readonly parameters: unknown })
    .sort((left, right) => (left.name < right.name ? -1 : 1))
  const schema = call.object === undefined ? undefined : Definitions.ofSchema(call.object.schema)
  if (schema === Definitions.noJsonForm || tools.some((tool) => tool.parameters === Definitions.noJsonForm))
    return { reason: "no canonical form" }
  try {
    return {
      text: canonicalText({
        version: 1,
        models: subject.models,
        messages: call.prompt.content,
        tools,
        toolChoice: call.tools.length === 0 ? "none" : call.toolChoice,
        object: call.object === undefined ? undefined : { name: call.object.name, schema },
        validation: call.toolCallValidation,
        settings,
        tags: [...new Set(tags)].sort()
      })
    }
  } catch {
    return { reason: "no canonical form" }
  }
}
