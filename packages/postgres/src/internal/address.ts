/** A PostgreSQL URL: where it leads, what of it nobody may see, and what is wrong with it. */
import * as Result from "effect/Result"

/** Where the server is, and how texts are told without what is secret in its URL. */
export interface Address {
  readonly host: string
  readonly port: number
  /** The socket in the file system, where the host is a directory. */
  readonly path: string | undefined
  readonly redact: (text: string) => string
}

/** How failures name the server: never with a user or a password. */
export const nameOf = ({ host, path, port }: Address): string =>
  `PostgreSQL at ${path ?? (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)}`

// What libpq knows; a value that the client would refuse is refused here, because its refusal repeats the value.
const modes = new Set(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
const shape = "write postgres://user:password@host:port/database"
const encode = "write each / ? # @ : % and space of a user and a password as %2F %3F %23 %40 %3A %25 %20"

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Everything of a URL that may be a secret, also where it does not parse: what stands before its last `@`, in pieces. */
const secretsOf = (raw: string): ReadonlyArray<string> => {
  const before = raw.slice(0, raw.lastIndexOf("@") + 1).replace(/^[a-z]*:?\/*/i, "")
  const [, ...rest] = before.split(":")
  const password = rest.join(":").slice(0, -1)
  const params = Array.from(raw.matchAll(/[?&](?:password|user)=([^&#]*)/g), ([, value = ""]) => value)
  const pieces = [raw, before, password, ...params, ...password.split(/[/?#@:&=\s]+/)]
  const [user = ""] = before.replace(/@$/, "").split(":")
  // As servers quote it; a bare word could be that of a table.
  const quoted = [user, decoded(user) ?? user].map((name) => `"${name}"`)
  const all = pieces.flatMap((piece) => [piece, decoded(piece) ?? ""])
  // A piece of a letter or two would black out every text.
  return Array.from(new Set([...all, ...quoted]))
    .filter((secret) => secret.length > 2)
    .sort((a, b) => b.length - a.length)
}

const redactor = (raw: string) => {
  const secrets = secretsOf(raw)
  return (text: string) => secrets.reduce((clean, secret) => clean.replaceAll(secret, "<redacted>"), text)
}

const portOf = (text: string): number | undefined =>
  /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535 ? Number(text) : undefined

/** What the client makes of the parameters, or what is wrong with one. */
const issueIn = (params: URLSearchParams): string | undefined => {
  for (const [key, value] of params) {
    if (key === "port" && portOf(value) === undefined) return `its parameter "port" is no number from 1 to 65535`
    if (key === "connect_timeout" && !/^\d{1,9}$/.test(value))
      return `its parameter "connect_timeout" is no number of seconds`
    if (key === "sslmode" && !modes.has(value))
      return `its parameter "sslmode" is none of ${Array.from(modes).join(", ")}`
  }
  return undefined
}

/** The address of a URL, or what is wrong with the URL, without anything of it. */
export const parse = (raw: string): Result.Result<Address, string> => {
  let url: URL
  try {
    url = new URL(raw)
  } catch {
    return Result.fail(`its URL cannot be read: ${shape}, and ${encode}`)
  }
  const { hash, hostname, pathname, port, search, searchParams } = url
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    return Result.fail(`its URL does not begin with postgres:// or postgresql://: ${shape}`)
  }
  // A password with one of these splits the URL in another place: a part of it would be taken for a host or a database.
  if (hash !== "" || pathname.includes("@") || search.includes("@")) {
    return Result.fail(`its URL has a "#", or an "@" after the host: ${encode}`)
  }
  const parts = [url.username, url.password, pathname, hostname.startsWith("[") ? "" : hostname]
  if (parts.some((part) => decoded(part) === undefined)) {
    return Result.fail(`its URL has a "%" that begins no character: ${encode}`)
  }
  const issue = issueIn(searchParams)
  if (issue !== undefined) return Result.fail(`its URL cannot be used: ${issue}`)
  const ownHost = hostname.startsWith("[") ? hostname.slice(1, -1) : (decoded(hostname) ?? hostname)
  const host = searchParams.get("host") ?? (ownHost === "" ? "localhost" : ownHost)
  const number = portOf(searchParams.get("port") ?? port) ?? 5432
  const path = host.startsWith("/") ? `${host}/.s.PGSQL.${number}` : undefined
  return Result.succeed({ host, port: number, path, redact: redactor(raw) })
}
