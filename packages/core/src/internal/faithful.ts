// Whether every value of a schema comes back from its JSON as it was, found out from the schema alone, before there is a
// value. What a transformation of the user's own does is taken on trust.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as Prompt from "effect/ai/Prompt"
import { isAmbiguous, isJson, isSameType, lastEncoding, representationOf } from "./confuse.ts"

/** The first part of a schema without a faithful JSON encoding, and what to do about it. */
export const unfaithful = (schema: Schema.Constraint): string | undefined => {
  try {
    return walk(Schema.toCodecJson(schema).ast, "", new Set())
  } catch (error) {
    return `its JSON codec cannot be derived: ${error instanceof Error ? error.message : String(error)}`
  }
}

/**
 * Whether the JSON codec of a schema changes nothing: what it encodes to decodes to the same. (Encoding may still leave
 * out what the schema does not know of.)
 */
export const isIdentity = (schema: Schema.Constraint): boolean =>
  unfaithful(schema) === undefined && untransformed(Schema.toCodecJson(schema).ast, new Set())

type Finding = string | undefined

const at = (path: string, problem: string): string => (path === "" ? problem : `at ${path}: ${problem}`)

const first = <A>(items: ReadonlyArray<A>, f: (item: A, index: number) => Finding): Finding => {
  for (const [index, item] of items.entries()) {
    const finding = f(item, index)
    if (finding !== undefined) return finding
  }
  return undefined
}

const walk = (ast: AST.AST, path: string, seen: Set<AST.AST>): Finding => {
  // A prompt writes bytes and addresses with their tags, and its tool parameters are a model's JSON.
  if (seen.has(ast) || isSameType(ast, Prompt.Prompt.ast)) return undefined
  seen.add(ast)
  const own = refused(ast)
  if (own !== undefined) return at(path, own)
  if (ast.encoding !== undefined) {
    if (ast.encoding.some(isForbidden)) {
      return at(
        path,
        `${nameOf(ast)} refuses to be encoded or decoded; keep it out of the state, or encode it yourself`
      )
    }
    return parameters(ast, path, seen) ?? walk(ast.encoding.at(-1)!.to, path, seen)
  }
  return parameters(ast, path, seen) ?? children(ast, path, seen)
}

// A parameter's own transformations are not part of the declaration's link.
const parameters = (ast: AST.AST, path: string, seen: Set<AST.AST>): Finding =>
  AST.isDeclaration(ast) ? first(ast.typeParameters, (parameter) => walk(jsonOf(parameter), path, seen)) : undefined

const jsonOf = (ast: AST.AST): AST.AST => Schema.toCodecJson(Schema.make<Schema.Codec<unknown, unknown>>(ast)).ast

const children = (ast: AST.AST, path: string, seen: Set<AST.AST>): Finding => {
  switch (ast._tag) {
    case "Suspend":
      return walk(ast.thunk(), path, seen)
    case "Arrays":
      return first([...ast.elements, ...ast.rest], (item, index) =>
        walk(item, `${path}[${index < ast.elements.length ? index : ""}]`, seen)
      )
    case "Objects":
      return (
        first(ast.propertySignatures, ({ name, type }) =>
          walk(type, path === "" ? String(name) : `${path}.${String(name)}`, seen)
        ) ?? first(ast.indexSignatures, ({ type }) => walk(type, `${path}[key]`, seen))
      )
    case "Union":
      return first(ast.types, (member) => walk(member, path, seen)) ?? ambiguous(ast.types, path)
    default:
      return undefined
  }
}

const ambiguous = (types: ReadonlyArray<AST.AST>, path: string): Finding =>
  first(types, (later, index) => {
    const before = types.slice(0, index)
    // A second member of one type only reads: nothing is ever written by it.
    if (before.some((earlier) => isSameType(earlier, later))) return undefined
    const earlier = before.find((member) => isAmbiguous(member, later))
    if (earlier === undefined) return undefined
    const advice =
      AST.isUndefined(later) || AST.isUndefined(earlier)
        ? "undefined is null as JSON: use one of the two"
        : "tell them apart by a literal field, put the more specific one first, or use Schema.Finite for a number"
    return at(path, `as JSON, ${nameOf(later)} can be taken for ${nameOf(earlier)} of the same union; ${advice}`)
  })

const refused = (ast: AST.AST): Finding => {
  switch (ast._tag) {
    case "Any":
    case "Unknown":
    case "ObjectKeyword":
      return ast.encoding !== undefined && !isPassedThrough(ast) && !AST.isString(lastEncoding(ast))
        ? undefined
        : `${nameOf(ast)} may hold what JSON cannot; use Schema.Json, or a schema of what it holds`
    case "Void":
      return "Void may hold anything; use Schema.Undefined"
    case "Symbol":
    case "UniqueSymbol":
      return "a symbol is not the same after a restart; use a literal"
    case "Declaration":
      if (isPassedThrough(ast)) {
        return `${nameOf(ast)} has no JSON codec; annotate it with toCodecJson, or encode it with Schema.encodeTo`
      }
      return unreadable.has(representationOf(ast) ?? "")
        ? `${nameOf(ast)} can only be read asynchronously; keep its content (Schema.Uint8Array)`
        : undefined
    default:
      return undefined
  }
}

const unreadable: ReadonlySet<string> = new Set(["effect/schema/File", "effect/schema/FormData"])

// What Effect does with a type that it knows no encoding for: take it for JSON.
const isPassedThrough = ({ encoding }: AST.AST): boolean => {
  const link = encoding?.[0]
  return (
    encoding?.length === 1 &&
    link?.transformation._tag === "Transformation" &&
    link.transformation.decode._tag === "Passthrough" &&
    (isJson(link.to) || AST.isUnion(link.to))
  )
}

const isForbidden = ({ transformation }: AST.Link): boolean =>
  transformation._tag === "Transformation" &&
  [transformation.decode, transformation.encode].some((getter) => {
    if (getter._tag !== "TransformOptionalEffect") return false
    const exit = Effect.runSyncExit(getter.transform(Option.none(), {}) as Effect.Effect<unknown, SchemaIssue.Issue>)
    return (
      Exit.isFailure(exit) &&
      exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error._tag === "Forbidden")
    )
  })

const nameOf = (ast: AST.AST): string => {
  const id = representationOf(ast)
  if (id !== undefined) return id.slice(id.lastIndexOf("/") + 1)
  const name: unknown = ast.annotations?.["identifier"] ?? ast.annotations?.["expected"]
  if (typeof name === "string") return name
  switch (ast._tag) {
    case "Literal":
      return typeof ast.literal === "bigint" ? `${ast.literal}n` : JSON.stringify(ast.literal)
    case "Objects":
      return `{ ${[...ast.propertySignatures.map((one) => String(one.name)), ...ast.indexSignatures.map(() => "[key]")].join(", ")} }`
    case "Arrays":
      return `[${ast.elements
        .map(nameOf)
        .concat(ast.rest.map((one) => `...${nameOf(one)}`))
        .join(", ")}]`
    case "Union":
      return ast.types.map(nameOf).join(" | ")
    default:
      return ast._tag
  }
}

const untransformed = (ast: AST.AST, seen: Set<AST.AST>): boolean => {
  if (seen.has(ast)) return true
  seen.add(ast)
  if (ast.encoding !== undefined) return false
  switch (ast._tag) {
    case "Declaration":
      return isJson(ast)
    case "Suspend":
      return untransformed(ast.thunk(), seen)
    case "Arrays":
      return [...ast.elements, ...ast.rest].every((item) => untransformed(item, seen))
    case "Objects":
      return (
        ast.propertySignatures.every(({ type }) => untransformed(type, seen)) &&
        ast.indexSignatures.every(({ parameter, type }) => untransformed(parameter, seen) && untransformed(type, seen))
      )
    case "Union":
      return ast.types.every((member) => untransformed(member, seen))
    default:
      return true
  }
}
