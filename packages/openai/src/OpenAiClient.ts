/**
 * The connection to OpenAI, or to a server that speaks its protocol: one official `openai` SDK client as a service.
 *
 * - The SDK's own retries are off. A retry is a schedule, and the caller's.
 * - The SDK never holds the API key. The key stays `Redacted` and is written into its header as a request leaves, so no log
 *   line, error or inspected object can show it.
 * - The environment is read through `Config` in `layerConfig`, never by the SDK behind your back: `OPENAI_CUSTOM_HEADERS`,
 *   `OPENAI_ADMIN_KEY` and `OPENAI_LOG` do nothing here. For headers there is `headers`.
 *
 * ```ts
 * import { OpenAiClient } from "@selvage/openai"
 * import * as Config from "effect/Config"
 * import * as Redacted from "effect/Redacted"
 *
 * export const openai = OpenAiClient.layerConfig()
 *
 * // a local server without keys: Ollama, LM Studio, vLLM
 * export const local = OpenAiClient.layer({ baseUrl: "http://localhost:11434/v1", auth: "none" })
 *
 * // Azure: the key travels in `api-key`, the model is the deployment's name
 * export const azure = OpenAiClient.layerConfig({
 *   apiKey: Config.Redacted("AZURE_OPENAI_API_KEY"),
 *   baseUrl: Config.String("AZURE_OPENAI_BASE_URL"), // https://NAME.openai.azure.com/openai/v1
 *   auth: "api-key"
 * })
 *
 * // through a proxy, or anything else that can stand in for `fetch`
 * export const proxied = (fetch: typeof globalThis.fetch) =>
 *   OpenAiClient.layer({ apiKey: Redacted.make("sk-…"), fetch })
 * ```
 */
import * as Fetch from "@selvage/provider/Fetch"
import * as Text from "@selvage/provider/Text"
import * as Watch from "@selvage/provider/Watch"
import { type ClientOptions, OpenAI } from "openai"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

/** The address of OpenAI's own API. */
export const defaultBaseUrl = "https://api.openai.com/v1"

/** How the key travels: `Authorization: Bearer KEY`, Azure's `api-key: KEY`, or not at all. */
export type Auth = "bearer" | "api-key" | "none"

/**
 * Headers for every request. What is `Redacted` is kept out of errors and of what is printed, like the key, and is not sent
 * along when a redirect leads to another origin.
 */
export type Headers = Readonly<Record<string, string | Redacted.Redacted>>

/** What a client is made from. */
export interface Options {
  /** The API key. Without one every request fails as `MissingKey`, unless `auth` is `none`. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Default: `bearer`. */
  readonly auth?: Auth | undefined
  /** Base URL with the version segment, for example `http://localhost:11434/v1`. Default: {@link defaultBaseUrl}. */
  readonly baseUrl?: string | undefined
  /** Sent as `OpenAI-Organization`. */
  readonly organization?: string | undefined
  /** Sent as `OpenAI-Project`. */
  readonly project?: string | undefined
  /** The longest silence: until the headers of a response, and between any two pieces of its body. Default: 10 minutes. */
  readonly timeout?: Duration.Input | undefined
  /** Headers added to every request. */
  readonly headers?: Headers | undefined
  /** Added to the query of every request, such as the `api-version` of older Azure resources. */
  readonly query?: Record<string, string> | undefined
  /** The `fetch` to send requests with: here goes a proxy. Default: the one of `@selvage/provider`, which costs less than Node's. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** What {@link OpenAiClient} provides. */
export interface Service {
  /** The official SDK client, for the endpoints this package does not wrap. */
  readonly sdk: OpenAI
  /** Whether there is a key to send, or none is needed. */
  readonly hasKey: boolean
  /** The longest silence of a response. */
  readonly timeout: Duration.Duration
  /** Removes the API key, secret headers, and credentials in the base URL, from text that came from outside or goes into an error. */
  readonly redact: (text: string) => string
}

/** The official SDK client, configured. */
export class OpenAiClient extends Context.Service<OpenAiClient, Service>()("selvage/openai/OpenAiClient") {}

// What the SDK is given instead of the key; `fetch` below overwrites the header made from it.
const placeholder = "held-by-selvage"

// The SDK reads OPENAI_CUSTOM_HEADERS when it is constructed, also in `withOptions`, and has no option against it.
class Sdk extends OpenAI {
  constructor(options: ClientOptions) {
    super(options)
    this._options = { ...this._options, defaultHeaders: options.defaultHeaders }
  }
}

// The timeout is the adapter's to watch, which says what it was; the connection's own, a rough one, stands behind it.
const patience = 5_000

// As it is sent: headers have no space around them, and what is redacted must be what a server can echo.
const trimmed = (secret: Redacted.Redacted): Redacted.Redacted => Redacted.make(Redacted.value(secret).trim())

/** Makes a client. It opens no connection: the first request does. */
export const make = (options: Options): Service => {
  const auth = options.auth ?? "bearer"
  const apiKey = trimmed(options.apiKey ?? Redacted.make(""))
  const hasValue = Redacted.value(apiKey).length > 0
  const timeout = Duration.fromInputUnsafe(options.timeout ?? Duration.minutes(10))
  const { fetch } = options
  // Whoever brings a `fetch` is given the standard's headers; ours takes them as a record, which is a copy less.
  const send: typeof globalThis.fetch =
    fetch === undefined
      ? Fetch.make({ silence: Duration.toMillis(timeout) + patience })
      : (input, init) => fetch(input, { ...init, headers: new globalThis.Headers(init?.headers) })
  const secretHeaders: Array<readonly [string, Redacted.Redacted]> = []
  const plainHeaders: Record<string, string> = {}
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (Redacted.isRedacted(value)) secretHeaders.push([name.toLowerCase(), trimmed(value)])
    else plainHeaders[name] = value
  }
  const safely = Fetch.withholding(
    send,
    secretHeaders.map(([name]) => name)
  )
  const hidden = [
    ...(hasValue ? [Redacted.value(apiKey)] : []),
    ...secretHeaders.map(([, value]) => Redacted.value(value)),
    ...secretsIn(options.baseUrl ?? "")
  ].filter((secret) => secret !== "")
  const authorized: typeof globalThis.fetch = (input, init) => {
    const headers: Record<string, string> = Object.fromEntries(
      init?.headers instanceof globalThis.Headers ? init.headers : new globalThis.Headers(init?.headers)
    )
    // An own `authorization` in `headers` stays where the key does not travel there.
    if (headers["authorization"] === `Bearer ${placeholder}`) delete headers["authorization"]
    if (auth === "bearer") headers["authorization"] = `Bearer ${Redacted.value(apiKey)}`
    if (auth === "api-key") headers["api-key"] = Redacted.value(apiKey)
    for (const [name, value] of secretHeaders) {
      if (!Object.hasOwn(headers, name)) headers[name] = Redacted.value(value)
    }
    return safely(input, { ...init, headers })
  }
  const sdk = new Sdk({
    apiKey: placeholder,
    adminAPIKey: null,
    webhookSecret: null,
    baseURL: options.baseUrl ?? defaultBaseUrl,
    organization: options.organization ?? null,
    project: options.project ?? null,
    maxRetries: 0,
    // The longest a timer can wait.
    timeout: Math.min(Duration.toMillis(timeout), 2 ** 31 - 1),
    logLevel: "off",
    fetch: Text.wellFormed(Watch.obeying(authorized)),
    defaultHeaders: plainHeaders,
    ...(options.query === undefined ? undefined : { defaultQuery: options.query })
  })
  return OpenAiClient.of({
    sdk,
    hasKey: auth === "none" || hasValue,
    timeout,
    redact: (text) => hidden.reduce((clean, secret) => clean.replaceAll(secret, "<redacted>"), text)
  })
}

/** What of an address no error may show. */
const secretsIn = (baseUrl: string): ReadonlyArray<string> => {
  const [, user = ""] = /\/\/([^/@]+)@/.exec(baseUrl) ?? []
  const [, query = ""] = /\?(.+)$/.exec(baseUrl) ?? []
  return [user, query]
}

/** A client from plain options. */
export const layer = (options: Options): Layer.Layer<OpenAiClient> => Layer.sync(OpenAiClient, () => make(options))

/** Where {@link layerConfig} reads from; each field has a default variable. What is no matter of configuration is a value. */
export interface ConfigOptions extends Pick<Options, "auth" | "timeout" | "query" | "fetch"> {
  /** Default: `OPENAI_API_KEY`, required unless `auth` is `none`. */
  readonly apiKey?: Config.Config<Redacted.Redacted> | undefined
  /** Default: `OPENAI_BASE_URL`, else {@link defaultBaseUrl}. */
  readonly baseUrl?: Config.Config<string | undefined> | undefined
  /** Default: `OPENAI_ORG_ID`, else none. */
  readonly organization?: Config.Config<string | undefined> | undefined
  /** Default: `OPENAI_PROJECT_ID`, else none. */
  readonly project?: Config.Config<string | undefined> | undefined
  /** Default: none. */
  readonly headers?: Config.Config<Headers | undefined> | undefined
}

const optional = (name: string): Config.Config<string | undefined> =>
  Config.NonEmptyString(name).pipe(Config.withDefault(undefined))

/** A client from configuration. A missing key is a `ConfigError` that names the variable. */
export const layerConfig = (options: ConfigOptions = {}): Layer.Layer<OpenAiClient, Config.ConfigError> =>
  Layer.effect(
    OpenAiClient,
    Effect.map(
      Config.all({
        apiKey:
          options.apiKey ?? (options.auth === "none" ? Config.succeed(undefined) : Config.Redacted("OPENAI_API_KEY")),
        baseUrl: options.baseUrl ?? optional("OPENAI_BASE_URL"),
        organization: options.organization ?? optional("OPENAI_ORG_ID"),
        project: options.project ?? optional("OPENAI_PROJECT_ID"),
        headers: options.headers ?? Config.succeed(undefined)
      }),
      ({ apiKey, baseUrl, organization, project, headers }) =>
        make({
          apiKey,
          baseUrl,
          organization,
          project,
          headers,
          auth: options.auth,
          timeout: options.timeout,
          query: options.query,
          fetch: options.fetch
        })
    )
  )
