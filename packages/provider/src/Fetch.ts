/**
 * A `fetch` over undici's `request`, and bodies read piece by piece.
 *
 * Most of the CPU that a call of a model costs its client is Node's own `fetch`: the streams of the web standard, and steps that
 * only a browser needs. This one keeps the interface and leaves those out: a whole answer of a server on this machine takes about
 * 50 µs in place of 145. What it was not made for takes a longer way: a `Request`, a form or a stream as a body is read as the
 * standard says and sent as it then is.
 *
 * - Redirects are followed by undici's interceptor. It asks for bodies that are not compressed, and decodes one that is.
 * - A request that fails rejects with `TypeError("fetch failed")` and the cause, one that is aborted with the signal's reason.
 * - Connections are kept alive, one request at a time each, by the dispatcher: undici's global one where none is given, or
 *   one that reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` where Node was started with `NODE_USE_ENV_PROXY=1` or
 *   `--use-env-proxy`. A dispatcher must be one of undici 7 or later: for an older one pass the `fetch` that came with it.
 *
 * **Example**
 *
 * ```ts
 * import { OpenAiClient } from "@selvage/openai"
 * import * as Fetch from "@selvage/provider/Fetch"
 * import * as Redacted from "effect/Redacted"
 * import { ProxyAgent } from "undici"
 *
 * export const proxied = OpenAiClient.layer({
 *   apiKey: Redacted.make("sk-…"),
 *   fetch: Fetch.make({ dispatcher: new ProxyAgent("http://proxy.internal:3128") })
 * })
 * ```
 */
import * as Predicate from "effect/Predicate"
import { Readable } from "node:stream"
import { Dispatcher, EnvHttpProxyAgent, getGlobalDispatcher, interceptors, request } from "undici"
import { Answer, type Pieces } from "./internal/answer.ts"

export type { Pieces } from "./internal/answer.ts"

/** What a `fetch` is made from. */
export interface Options {
  /** Where requests go: connections, proxies, certificates. Default: see the module. */
  readonly dispatcher?: Dispatcher | undefined
  /**
   * Milliseconds of silence, before the headers of a response or between pieces of its body, that end it. Default: as the
   * dispatcher was made, 300,000 where nothing was said; and so it is for a request that brings a dispatcher of its own.
   */
  readonly silence?: number | undefined
}

/** The interface of the standard. */
export type Fetch = typeof globalThis.fetch

/** Most redirects that are followed, as the standard has it. */
const maxRedirections = 20

interface Sending {
  readonly url: URL
  readonly method: string
  readonly headers: Record<string, string>
  readonly body: string | Uint8Array | Readable | null
  readonly signal: AbortSignal | undefined
  readonly redirect: Request["redirect"]
  /** Of this request alone: undici's extension of the standard's options. */
  readonly dispatcher: Dispatcher | undefined
}

const usual = /^[a-z0-9-]+$/

// As the standard would write them: small names, and values without space around them.
const isUsual = (headers: object): headers is Record<string, string> =>
  !(Symbol.iterator in headers) &&
  Object.entries(headers).every(
    ([name, value]: [string, unknown]) => usual.test(name) && typeof value === "string" && value === value.trim()
  )

const recordOf = (headers: NonNullable<Parameters<Fetch>[1]>["headers"]): Record<string, string> => {
  if (headers instanceof Headers) return Object.fromEntries(headers)
  return Predicate.isObject(headers) && isUsual(headers) ? headers : Object.fromEntries(new Headers(headers))
}

// Node's types know the dispatcher of an older undici; the interface is one.
const dispatcherOf = (init: Parameters<Fetch>[1]): Dispatcher | undefined =>
  init?.dispatcher as unknown as Dispatcher | undefined

// Others are written otherwise, or may not have a body: that is looked into below.
const sends = new Set(["POST", "PUT", "PATCH", "DELETE"])

/** What is to be sent where that can be said without a `Request`: an address, headers, and a body that says what it is. */
const plainly = (...[input, init = {}]: Parameters<Fetch>): Sending | undefined => {
  if (typeof input !== "string" && !(input instanceof URL)) return undefined
  const url = new URL(input)
  // The standard refuses them.
  if (url.username !== "" || url.password !== "") return undefined
  const { body = null, redirect = "follow", signal } = init
  if (body !== null && typeof body !== "string" && !(body instanceof Uint8Array)) return undefined
  const headers = recordOf(init.headers)
  if (typeof body === "string" && headers["content-type"] === undefined) return undefined
  const method = init.method ?? "GET"
  if (!sends.has(method)) return undefined
  return { url, method, headers, body, signal: signal ?? undefined, redirect, dispatcher: dispatcherOf(init) }
}

// A stream is sent as it comes, and cannot be sent again; all else can.
const asTheStandardSays = async (...[input, init]: Parameters<Fetch>): Promise<Sending> => {
  const request = new Request(input, init)
  const { method, redirect, signal } = request
  const isStream = init?.body instanceof ReadableStream
  const body =
    request.body === null
      ? null
      : isStream
        ? Readable.fromWeb(request.body)
        : new Uint8Array(await request.arrayBuffer())
  const headers = recordOf(request.headers)
  return { url: new URL(request.url), method, headers, body, signal, redirect, dispatcher: dispatcherOf(init) }
}

const redirects = new Set([301, 302, 303, 307, 308])

// Asked once: Node reads the environment anew each time.
let ofEnvironment: EnvHttpProxyAgent | "none" | undefined

const standing = (): Dispatcher => {
  ofEnvironment ??=
    // oxlint-disable-next-line no-restricted-properties -- a switch of Node itself, which its own fetch obeys too
    process.env["NODE_USE_ENV_PROXY"] === "1" || process.execArgv.includes("--use-env-proxy")
      ? new EnvHttpProxyAgent()
      : "none"
  return ofEnvironment === "none" ? getGlobalDispatcher() : ofEnvironment
}

const redirecting = new WeakMap<Dispatcher, Dispatcher>()

// Keys that travel in a header of a provider's own are secrets like `authorization`.
const follow = interceptors.redirect({
  maxRedirections,
  throwOnMaxRedirect: true,
  stripHeadersOnCrossOriginRedirect: ["api-key", "x-api-key"]
})

const following = (dispatcher: Dispatcher): Dispatcher => {
  const known = redirecting.get(dispatcher)
  if (known !== undefined) return known
  // Whatever can dispatch will do, also what is no subclass of undici's.
  const made = Dispatcher.prototype.compose.call(dispatcher, follow)
  redirecting.set(dispatcher, made)
  return made
}

/** Makes a `fetch`. */
export const make = ({ dispatcher, silence }: Options = {}): Fetch => {
  // Undici knows 0 as no limit.
  const timeout = silence === undefined || Number.isFinite(silence) ? silence : 0
  return async (input, init) => {
    const sending = plainly(input, init) ?? (await asTheStandardSays(input, init))
    const { body, headers, method, redirect, signal, url } = sending
    signal?.throwIfAborted()
    const below = sending.dispatcher ?? dispatcher ?? standing()
    try {
      const response = await request(url, {
        method: method as Dispatcher.HttpMethod,
        headers: { "accept-encoding": "identity", ...headers },
        body,
        ...(timeout === undefined || sending.dispatcher !== undefined
          ? {}
          : { headersTimeout: timeout, bodyTimeout: timeout }),
        dispatcher: redirect === "follow" ? following(below) : below,
        ...(signal === undefined ? {} : { signal })
      })
      const isError = redirect === "error"
      const isLeft = redirect === "follow" && response.headers["location"] !== undefined
      if (redirects.has(response.statusCode) && (isError || isLeft)) {
        response.body.on("error", () => {}).destroy()
        const why = isError ? "redirects are errors here" : "a stream cannot be sent again"
        throw new Error(`the server answered ${response.statusCode}, and ${why}`)
      }
      return Answer.make(response, method, url, signal)
    } catch (cause) {
      if (signal?.aborted === true) throw signal.reason
      throw new TypeError("fetch failed", { cause })
    }
  }
}

const sensitive = ["authorization", "cookie", "proxy-authorization", "api-key", "x-api-key"]

/** The next request of a redirect, as the standard has it; without the secrets where it leads to another origin. */
const redirected = (from: URL, to: URL, status: number, init: Init, secrets: ReadonlySet<string>): Init => {
  const headers = new Headers(init.headers)
  headers.delete("host")
  const method = (init.method ?? "GET").toUpperCase()
  const becomesGet = (status === 303 && method !== "HEAD") || ((status === 301 || status === 302) && method === "POST")
  for (const name of Array.from(headers.keys())) {
    if (becomesGet && name.startsWith("content-")) headers.delete(name)
    if (from.origin !== to.origin && secrets.has(name)) headers.delete(name)
  }
  const { body: _, ...rest } = init
  return becomesGet ? { ...rest, method: "GET", headers } : { ...init, headers }
}

type Init = NonNullable<Parameters<Fetch>[1]>

/**
 * A `fetch` that takes secret headers out of a request when a redirect leads to another origin: those that are named here,
 * and the ones that carry keys by custom (`authorization`, `cookie`, `proxy-authorization`, `api-key`, `x-api-key`). It
 * follows redirects itself, so that it holds for any `fetch`.
 *
 * ```ts
 * import * as Fetch from "@selvage/provider/Fetch"
 *
 * export const fetch = Fetch.withholding(globalThis.fetch, ["x-gateway-token"])
 * ```
 */
export const withholding = (fetch: Fetch, names: Iterable<string>): Fetch => {
  const secrets = new Set([...sensitive, ...Array.from(names, (name) => name.toLowerCase())])
  const failed = (why: string) => new TypeError("fetch failed", { cause: new Error(why) })
  return async (input, init) => {
    if (input instanceof Request || (init?.redirect ?? "follow") !== "follow") return fetch(input, init)
    let url = new URL(String(input))
    let sending: Init = { ...init, redirect: "manual" }
    for (let count = 0; count <= maxRedirections; count++) {
      const response = await fetch(count === 0 ? String(input) : url.href, sending)
      if (response.type === "opaqueredirect") throw failed("this fetch does not tell where a redirect leads")
      const location = response.headers.get("location")
      if (!redirects.has(response.status) || location === null) return response
      await response.body?.cancel()
      if (!URL.canParse(location, url.href)) throw failed("a redirect leads to no address")
      const next = new URL(location, url)
      if (next.protocol !== "http:" && next.protocol !== "https:") throw failed("a redirect leads out of HTTP")
      sending = redirected(url, next, response.status, sending, secrets)
      if (sending.body instanceof ReadableStream) throw failed("a stream cannot be sent again")
      url = next
    }
    throw failed(`there are more than ${maxRedirections} redirects`)
  }
}

/** A `fetch` with nothing set. */
export const fetch: Fetch = make()

/** Reads the body of a response piece by piece, whatever `fetch` it came from; of this one's without the streams of the web. */
export const pieces: (response: Response) => Pieces = Answer.pieces
