// Whether the members of a union can be told apart once they are JSON.
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

/**
 * What a codec makes of the JSON of another's values: it takes `none` of them, takes some and reads them as the `same`,
 * or takes some and may read something that `differs`.
 */
type Confusion = "none" | "same" | "differs"

/** The far end of a schema's encoding. */
export const lastEncoding = (ast: AST.AST): AST.AST =>
  ast.encoding === undefined ? ast : lastEncoding(ast.encoding.at(-1)!.to)

/** Whether a union that tries `earlier` first may make something else of a value of `later`, writing or reading it. */
export const isAmbiguous = (earlier: AST.AST, later: AST.AST): boolean =>
  confuse(AST.toType(earlier), AST.toType(later)) === "differs" || confuse(earlier, later) === "differs"

/** What `earlier` makes of the JSON of the values of `later`. Both are JSON codecs (`Schema.toCodecJson`), or types. */
const confuse = (earlier: AST.AST, later: AST.AST, seen: Seen = new Map()): Confusion => {
  if (earlier === later || isSameType(earlier, later)) return "same"
  const known = seen.get(earlier) ?? new Map<AST.AST, Confusion>()
  const before = known.get(later)
  if (before !== undefined) return before
  // A recursion adds nothing to what is found on the way.
  seen.set(earlier, known.set(later, "same"))
  const found = compare(earlier, later, seen)
  known.set(later, found)
  return found
}

/** Whether two declarations are of one type, whatever they are encoded to. */
export const isSameType = (one: AST.AST, other: AST.AST): boolean =>
  AST.isDeclaration(one) &&
  AST.isDeclaration(other) &&
  one.annotations !== undefined &&
  one.annotations === other.annotations &&
  one.typeParameters.length === 0 &&
  one.checks === undefined

type Seen = Map<AST.AST, Map<AST.AST, Confusion>>

const compare = (earlier: AST.AST, later: AST.AST, seen: Seen): Confusion => {
  if (earlier.encoding !== undefined || later.encoding !== undefined) return transformed(earlier, later, seen)
  if (AST.isSuspend(earlier)) return confuse(earlier.thunk(), later, seen)
  if (AST.isSuspend(later)) return confuse(earlier, later.thunk(), seen)
  if (AST.isUnion(earlier)) return strongest(earlier.types.map((member) => confuse(member, later, seen)))
  if (AST.isUnion(later)) return strongest(later.types.map((member) => confuse(earlier, member, seen)))
  return plain(earlier, later, seen)
}

const strongest = (all: ReadonlyArray<Confusion>): Confusion =>
  all.includes("differs") ? "differs" : all.includes("same") ? "same" : "none"

const transformed = (earlier: AST.AST, later: AST.AST, seen: Seen): Confusion => {
  let found: Confusion = "none"
  for (const mine of alternatives(earlier)) {
    for (const theirs of alternatives(later)) {
      if (confuse(mine, theirs, seen) === "none") continue
      const atoms = atomsOf(mine) ?? atomsOf(theirs)
      if (atoms === undefined || atoms.some((json) => isMisread(earlier, later, json))) return "differs"
      found = "same"
    }
  }
  return found
}

/** The forms that a value may have as JSON. */
const alternatives = (ast: AST.AST): ReadonlyArray<AST.AST> => {
  const last = lastEncoding(ast)
  return AST.isUnion(last) ? last.types.flatMap(alternatives) : [last]
}

/** All the values of a form that has but a few. */
const atomsOf = (ast: AST.AST): ReadonlyArray<unknown> | undefined => {
  switch (ast._tag) {
    case "Null":
      return [null]
    case "Boolean":
      return [true, false]
    case "Literal":
      return [ast.literal]
    case "Enum":
      return ast.enums.map((one) => one[1])
    default:
      return undefined
  }
}

// There are few enough of them to try.
const isMisread = (earlier: AST.AST, later: AST.AST, json: unknown): boolean => {
  const taken = Schema.decodeUnknownExit(codecOf(earlier))(json)
  const meant = Schema.decodeUnknownExit(codecOf(later))(json)
  if (Exit.isFailure(taken) || Exit.isFailure(meant)) return false
  const back = Schema.encodeUnknownExit(codecOf(later))(meant.value)
  const written = Exit.isSuccess(back) && back.value === json
  return written && !Equal.equals(taken.value, meant.value)
}

const codecOf = (ast: AST.AST) => Schema.make<Schema.Codec<unknown, unknown>>(ast)

/** The name under which Effect knows a type of its own. */
export const representationOf = (ast: AST.AST): string | undefined => {
  const representation: unknown = ast.annotations?.["representation"]
  return typeof representation === "object" &&
    representation !== null &&
    "id" in representation &&
    typeof representation.id === "string"
    ? representation.id
    : undefined
}

/** Whether it is any JSON. */
export const isJson = (ast: AST.AST): boolean => {
  const id = representationOf(ast)
  return AST.isDeclaration(ast) && (id === "effect/schema/Json" || id === "effect/schema/MutableJson")
}

// Neither is a union, suspended, or transformed at its top; what is inside may be.
const plain = (earlier: AST.AST, later: AST.AST, seen: Seen): Confusion => {
  if (AST.isNever(earlier) || AST.isNever(later)) return "none"
  if (isInstance(earlier) && isInstance(later)) return instances(earlier, later, seen)
  if (isInstance(later)) return AST.isObjects(earlier) && takesInstances(earlier) ? "differs" : "none"
  if (isInstance(earlier)) return "none"
  if (takesAll(earlier)) return keepsAll(later, new Set()) ? "same" : "differs"
  if (takesAll(later)) return keepsAll(earlier, new Set()) ? "same" : "differs"
  if (AST.isObjects(earlier) && AST.isObjects(later)) return objects(earlier, later, seen)
  if (AST.isArrays(earlier) && AST.isArrays(later)) return arrays(earlier, later, seen)
  return meet(earlier, later) ? "same" : "none"
}

const isInstance = (ast: AST.AST): ast is AST.Declaration => AST.isDeclaration(ast) && !isJson(ast)

const instances = (earlier: AST.Declaration, later: AST.Declaration, seen: Seen): Confusion => {
  const id = representationOf(earlier)
  if (id === undefined || id !== representationOf(later)) return "none"
  return earlier.typeParameters.some((one, index) => confuse(one, later.typeParameters[index]!, seen) === "differs")
    ? "differs"
    : "same"
}

// To a struct, an instance is an object like any other. What a class of the schema's own has shows in its encoding.
const takesInstances = (ast: AST.Objects): boolean =>
  ast.propertySignatures.every(({ name, type }) => isOptional(type) || builtIn.has(name))

const builtIn: ReadonlySet<PropertyKey> = new Set([
  "_tag",
  "value",
  "href",
  "message",
  "name",
  "stack",
  "source",
  "flags",
  "length",
  "size"
])

const takesAll = (ast: AST.AST): boolean =>
  isJson(ast) || (AST.isObjects(ast) && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0)

/** Whether every JSON value that it takes is read as it stands. */
const keepsAll = (ast: AST.AST, seen: Set<AST.AST>): boolean => {
  if (seen.has(ast)) return true
  seen.add(ast)
  if (ast.encoding !== undefined) return false
  switch (ast._tag) {
    case "Suspend":
      return keepsAll(ast.thunk(), seen)
    case "Union":
      return ast.types.every((member) => keepsAll(member, seen))
    case "Arrays":
      return [...ast.elements, ...ast.rest].every((item) => keepsAll(item, seen))
    case "Objects":
      return (
        ast.indexSignatures.some(({ parameter }) => AST.isString(parameter) && parameter.checks === undefined) &&
        [...ast.propertySignatures, ...ast.indexSignatures].every(({ type }) => keepsAll(type, seen))
      )
    default:
      return true
  }
}

const kindOf = (ast: AST.AST): string => (AST.isTemplateLiteral(ast) ? "String" : ast._tag)

const meet = (one: AST.AST, other: AST.AST): boolean => {
  const [atoms, others] = [atomsOf(one), atomsOf(other)]
  if (atoms !== undefined && others !== undefined) return atoms.some((atom) => others.includes(atom))
  if (atoms === undefined && others === undefined) return kindOf(one) === kindOf(other)
  const kind = kindOf(atoms === undefined ? one : other)
  return (atoms ?? others)!.some((atom) => kind === (typeof atom === "string" ? "String" : "Number") && atom !== null)
}

const isOptional = (ast: AST.AST): boolean => ast.context?.isOptional === true

const objects = (earlier: AST.Objects, later: AST.Objects, seen: Seen): Confusion => {
  const mine = new Map(earlier.propertySignatures.map(({ name, type }) => [name, type]))
  const theirs = new Map(later.propertySignatures.map(({ name, type }) => [name, type]))
  const record = earlier.indexSignatures.map(({ type }) => type)
  const rest = later.indexSignatures.map(({ type }) => type)
  let found: Confusion = "same"
  for (const [name, type] of mine) {
    const other = theirs.get(name)
    if (other === undefined && rest.length === 0) {
      if (isOptional(type)) continue
      return "none"
    }
    const both = strongest((other === undefined ? rest : [other]).map((one) => confuse(type, one, seen)))
    if (both === "differs") found = "differs"
    else if (both === "none" && !(isOptional(type) && (other === undefined || isOptional(other)))) return "none"
  }
  for (const [name, type] of theirs) {
    if (mine.has(name)) continue
    if (record.length === 0) {
      found = "differs"
      continue
    }
    const both = strongest(record.map((one) => confuse(one, type, seen)))
    if (both === "differs") found = "differs"
    else if (both === "none" && !isOptional(type)) return "none"
  }
  if (rest.length > 0) {
    if (record.length === 0) return "differs"
    if (rest.some((type) => record.some((one) => confuse(one, type, seen) === "differs"))) return "differs"
  }
  return found
}

const arrays = (earlier: AST.Arrays, later: AST.Arrays, seen: Seen): Confusion => {
  let found: Confusion = "same"
  const length = Math.max(earlier.elements.length, later.elements.length)
  for (let index = 0; index < length; index++) {
    const mine = earlier.elements[index] ?? earlier.rest[0]
    const theirs = later.elements[index] ?? later.rest[0]
    const mineNeeded = index < earlier.elements.length && !isOptional(earlier.elements[index]!)
    const theirsNeeded = index < later.elements.length && !isOptional(later.elements[index]!)
    const both = mine === undefined || theirs === undefined ? "none" : confuse(mine, theirs, seen)
    if (both === "differs") found = "differs"
    else if (both === "none") {
      if (mineNeeded || theirsNeeded) return "none"
      // Only shorter ones can be taken, and what stands before has been compared.
      return found
    }
  }
  if (earlier.rest.length > 1 || later.rest.length > 1) return "differs"
  const [mine] = earlier.rest
  const [theirs] = later.rest
  return mine !== undefined && theirs !== undefined && confuse(mine, theirs, seen) === "differs" ? "differs" : found
}
