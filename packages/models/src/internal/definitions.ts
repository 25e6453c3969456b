/**
 * Definitions: tools and output schemas as JSON, as a provider is told of them. Made once per tool and schema.
 */
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"
import * as Predicate from "effect/Predicate"

const tools = new WeakMap<object, unknown>()
const schemas = new WeakMap<object, unknown>()

/** In the place of a JSON schema that cannot be made. */
export const noJsonForm = "no JSON form"

const schemaOf = (make: () => unknown): unknown => {
  try {
    return make()
  } catch {
    // The provider will say so; for counting and comparing the absence of a JSON form is enough to know.
    return noJsonForm
  }
}

const read = (tool: Tool.Any): unknown =>
  Tool.isProviderDefined(tool)
    ? { name: tool.name, id: tool.id, arguments: Predicate.hasProperty(tool, "args") ? tool.args : undefined }
    : {
        name: tool.name,
        description: Tool.getDescription(tool),
        parameters: schemaOf(() => Tool.getJsonSchema(tool)),
        strict: Tool.getStrictMode(tool)
      }

/** What a provider is told of a tool. */
export const ofTool = (tool: Tool.Any): unknown => {
  const known = tools.get(tool)
  if (known !== undefined) return known
  const made = read(tool)
  tools.set(tool, made)
  return made
}

/** What a provider is told of an output schema. */
export const ofSchema = (schema: Schema.Top): unknown => {
  const known = schemas.get(schema)
  if (known !== undefined) return known
  const made = schemaOf(() => Schema.toJsonSchemaDocument(schema))
  schemas.set(schema, made)
  return made
}
