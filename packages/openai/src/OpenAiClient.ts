/**
 * The connection to OpenAI, or to a server that speaks its protocol: one official `openai` SDK client as a service.
 *
 * - The SDK's own retries are off. A retry is a schedule, and the caller's.
 * - The SDK never holds the API key. The key stays `Redacted` and is written into the `authorization` header as a request
 *   leaves, so no log line, error or inspected object can show it.
 * - The environment is read through `Config` in `layerConfig`, not by the SDK behind your back.
 */
import { OpenAI } from "openai"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

/** The address of OpenAI's own API. */
export const defaultBaseUrl = "https://api.openai.com/v1"

/** What a client is made from. */
export interface Options {
  /** The API key. A server that needs none still needs a placeholder: an empty key fails every request as `MissingKey`. */
  readonly apiKey: Redacted.Redacted
  /** Base URL with the version segment, for example `http://localhost:11434/v1`. Default: {@link defaultBaseUrl}. */
  readonly baseUrl?: string | undefined
  /** Sent as `OpenAI-Organization`. */
  readonly organization?: string | undefined
  /** Sent as `OpenAI-Project`. */
  readonly project?: string | undefined
  /** How long to wait for the response headers of one request. Default: 10 minutes. */
  readonly timeout?: Duration.Input | undefined
  /** Headers added to every request. */
  readonly headers?: Record<string, string> | undefined
  /** The `fetch` to send requests with. Default: the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** What {@link OpenAiClient} provides. */
export interface Service {
  /** The official SDK client, for the endpoints this package does not wrap. */
  readonly sdk: OpenAI
  /** Whether there is a key to send. */
  readonly hasKey: boolean
  /** Removes the API key from text that came from outside, such as an error message that echoes it. */
  readonly redact: (text: string) => string
}

/** The official SDK client, configured. */
export class OpenAiClient extends Context.Service<OpenAiClient, Service>()("selvage/openai/OpenAiClient") {}

// What the SDK is given instead of the key; `fetch` below overwrites the header made from it.
const placeholder = "held-by-selvage"

/** Makes a client. It opens no connection: the first request does. */
export const make = (options: Options): Service => {
  const send = options.fetch ?? globalThis.fetch
  const hasKey = Redacted.value(options.apiKey).trim().length > 0
  const authorized: typeof globalThis.fetch = (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set("authorization", `Bearer ${Redacted.value(options.apiKey)}`)
    return send(input, { ...init, headers })
  }
  const sdk = new OpenAI({
    apiKey: placeholder,
    adminAPIKey: null,
    webhookSecret: null,
    baseURL: options.baseUrl ?? defaultBaseUrl,
    organization: options.organization ?? null,
    project: options.project ?? null,
    maxRetries: 0,
    timeout: Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? Duration.minutes(10))),
    logLevel: "off",
    fetch: authorized,
    ...(options.headers === undefined ? undefined : { defaultHeaders: options.headers })
  })
  return OpenAiClient.of({
    sdk,
    hasKey,
    redact: (text) => (hasKey ? text.replaceAll(Redacted.value(options.apiKey), "<redacted>") : text)
  })
}

/** A client from plain options. */
export const layer = (options: Options): Layer.Layer<OpenAiClient> => Layer.sync(OpenAiClient, () => make(options))

/** Where {@link layerConfig} reads from; each field has a default variable. */
export interface ConfigOptions {
  /** Default: `OPENAI_API_KEY`, required. */
  readonly apiKey?: Config.Config<Redacted.Redacted> | undefined
  /** Default: `OPENAI_BASE_URL`, else {@link defaultBaseUrl}. */
  readonly baseUrl?: Config.Config<string | undefined> | undefined
  /** Default: `OPENAI_ORG_ID`, else none. */
  readonly organization?: Config.Config<string | undefined> | undefined
  /** Default: `OPENAI_PROJECT_ID`, else none. */
  readonly project?: Config.Config<string | undefined> | undefined
}

const optional = (name: string): Config.Config<string | undefined> =>
  Config.NonEmptyString(name).pipe(Config.withDefault(undefined))

/** A client from configuration. A missing key is a `ConfigError` that names the variable. */
export const layerConfig = (options: ConfigOptions = {}): Layer.Layer<OpenAiClient, Config.ConfigError> =>
  Layer.effect(
    OpenAiClient,
    Effect.map(
      Config.all({
        apiKey: options.apiKey ?? Config.Redacted("OPENAI_API_KEY"),
        baseUrl: options.baseUrl ?? optional("OPENAI_BASE_URL"),
        organization: options.organization ?? optional("OPENAI_ORG_ID"),
        project: options.project ?? optional("OPENAI_PROJECT_ID")
      }),
      make
    )
  )
