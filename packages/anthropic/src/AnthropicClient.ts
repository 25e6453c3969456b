/**
 * The connection to the Anthropic API: the official `@anthropic-ai/sdk` client, set up so that everything it does is ours to decide.
 *
 * - It never retries. A retry is a schedule around the call, and two layers of retries multiply.
 * - It never holds the API key, nor a header's secret. They stay `Redacted` and are put into each request, so printing the client shows none.
 * - It writes nothing to the console and makes no spans of its own; `effect/ai` traces the calls.
 * - It reads nothing from the process environment. What the SDK takes from there by itself, `ANTHROPIC_CUSTOM_HEADERS` among it, is turned
 *   off; {@link customHeaders} reads that variable for those who want it.
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import { AnthropicClient } from "@selvage/anthropic"
 *
 * // A gateway with a key and headers of its own.
 * export const gateway = AnthropicClient.layerConfig({
 *   apiKey: Config.Redacted("GATEWAY_KEY"),
 *   baseUrl: Config.String("GATEWAY_URL"),
 *   headers: AnthropicClient.customHeaders()
 * })
 * ```
 *
 * **Gotchas**
 *
 * - A proxy is a dispatcher of `fetchOptions` (`new ProxyAgent(…)` of `undici`), or Node's own with `NODE_USE_ENV_PROXY=1`.
 * - `timeout` bounds silence, not a call: an answer that keeps coming may take longer. It becomes a `NetworkError`. A
 *   `fetch` of your own may be shorter of patience: Node's cuts a body that is silent for five minutes.
 * - A copy made with `sdk.withOptions` reads the environment again.
 * - A key that is empty, or cannot be sent in a header, fails each call with `AuthenticationError`; `layerConfig` reports an unset or empty
 *   variable earlier, as a `ConfigError` when the layer is built.
 */
import Anthropic, { type ClientOptions } from "@anthropic-ai/sdk"
import * as Fetch from "@selvage/provider/Fetch"
import * as Text from "@selvage/provider/Text"
import * as Watch from "@selvage/provider/Watch"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { UnusableApiKey, UnusableHeader } from "./internal/errors.ts"

/** Where requests go when no `baseUrl` is given. */
export const defaultBaseUrl = "https://api.anthropic.com"

/** The longest silence when no `timeout` is given. */
export const defaultTimeout: Duration.Duration = Duration.minutes(10)

/**
 * Headers for every request. What is `Redacted` is kept out of errors, like the key, and is not sent along when a redirect
 * leads to another origin.
 */
export type Headers = Readonly<Record<string, string | Redacted.Redacted>>

/** How to reach the API. */
export interface Options {
  /** The key. Whitespace around it is dropped. */
  readonly apiKey: Redacted.Redacted
  /** Root of the API without `/v1`; `https://api.anthropic.com` when absent. */
  readonly baseUrl?: string | undefined
  /** The longest silence: until the headers, and between any two pieces of a body; 10 minutes when absent. Bound a call with `Effect.timeout`. */
  readonly timeout?: Duration.Input | undefined
  /** Sent with every request, over the SDK's own of the same name. */
  readonly headers?: Headers | undefined
  /** The `fetch` to send with; when absent the one of `@selvage/provider`, which costs less than Node's. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Passed to `fetch`, for a dispatcher (a proxy, a connection pool) or TLS. */
  readonly fetchOptions?: ClientOptions["fetchOptions"]
}

/** What the service offers. */
export interface Service {
  /** The official client. Its `apiKey` is null: it asks for the key with each request. */
  readonly sdk: Anthropic
  /** Replaces the API key and secret headers in a text, for text that came from outside and goes into an error. */
  readonly redact: (text: string) => string
}

/** The connection to the Anthropic API. */
export class AnthropicClient extends Context.Service<AnthropicClient, Service>()("selvage/anthropic/AnthropicClient") {}

// What a header value may hold. Anything else makes `fetch` throw an error whose message quotes the value.
const sendable = /^[\x21-\x7e]+$/

type Middleware = NonNullable<ClientOptions["middleware"]>[number]

const plain = (value: string | Redacted.Redacted): string =>
  (Redacted.isRedacted(value) ? Redacted.value(value) : value).trim()

const sending =
  (headers: Headers): Middleware =>
  (request, next) => {
    for (const [name, value] of Object.entries(headers)) {
      try {
        request.headers.set(name, plain(value))
      } catch {
        throw new UnusableHeader(name)
      }
    }
    return next(request)
  }

// The SDK's constructor adds the headers of `ANTHROPIC_CUSTOM_HEADERS` to its copy of the options and has no switch for it. We give it none
// of our own there, so what there is came from the environment.
const forgetEnvironment = (sdk: Anthropic): void => {
  const options: unknown = Reflect.get(sdk, "_options")
  if (Predicate.isObject(options)) Reflect.deleteProperty(options, "defaultHeaders")
}

// The timeout is the adapter's to watch, which says what it was; the connection's own, a rough one, stands behind it.
const patience = 5_000

/** Builds the client. Nothing is sent until the first call. */
export const make = (options: Options): Service => {
  const currentKey = () => Redacted.value(options.apiKey).trim()
  const headers = options.headers ?? {}
  const timeout = Math.max(1, Math.round(Duration.toMillis(options.timeout ?? defaultTimeout)))
  const sdk = new Anthropic({
    apiKey: async () => {
      const key = currentKey()
      if (key === "") throw new UnusableApiKey("MissingKey")
      if (!sendable.test(key)) throw new UnusableApiKey("InvalidKey")
      return key
    },
    authToken: null,
    webhookKey: null,
    baseURL: options.baseUrl ?? defaultBaseUrl,
    timeout,
    maxRetries: 0,
    logLevel: "off",
    openTelemetry: false,
    fetch: Text.wellFormed(
      Watch.obeying(
        Fetch.withholding(
          options.fetch ?? Fetch.make({ silence: timeout + patience }),
          Object.keys(headers).filter((name) => Redacted.isRedacted(headers[name]))
        )
      )
    ),
    fetchOptions: options.fetchOptions,
    middleware: Object.keys(headers).length === 0 ? [] : [sending(headers)]
  })
  forgetEnvironment(sdk)
  const secretHeaders = Object.values(headers).filter((value) => Redacted.isRedacted(value))
  return AnthropicClient.of({
    sdk,
    redact: (text) =>
      [currentKey(), ...secretHeaders.map(plain)]
        .filter((secret) => secret !== "")
        .reduce((clean, secret) => clean.replaceAll(secret, "<redacted>"), text)
  })
}

/** A layer over given options. */
export const layer = (options: Options): Layer.Layer<AnthropicClient> =>
  Layer.sync(AnthropicClient, () => make(options))

/** Where `layerConfig` reads each option from. */
export interface ConfigOptions {
  /** `ANTHROPIC_API_KEY` when absent. */
  readonly apiKey?: Config.Config<Redacted.Redacted> | undefined
  /** `ANTHROPIC_BASE_URL` when absent, which may be unset. */
  readonly baseUrl?: Config.Config<string> | undefined
  readonly timeout?: Config.Config<Duration.Duration> | undefined
  /** None when absent; {@link customHeaders} reads them as the SDK would. */
  readonly headers?: Config.Config<Headers> | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
  readonly fetchOptions?: ClientOptions["fetchOptions"]
}

/** Headers from a variable with a line `Name: value` for each, as the SDK reads `ANTHROPIC_CUSTOM_HEADERS`. None when it is not set. */
export const customHeaders = (variable = "ANTHROPIC_CUSTOM_HEADERS"): Config.Config<Headers> =>
  Config.Redacted(variable).pipe(
    Config.option,
    Config.map(
      Option.match({
        onNone: () => ({}),
        onSome: (text) =>
          Object.fromEntries(
            Redacted.value(text)
              .split("\n")
              .filter((line) => line.includes(":"))
              .map((line) => {
                const colon = line.indexOf(":")
                return [line.slice(0, colon).trim(), Redacted.make(line.slice(colon + 1).trim())]
              })
          )
      })
    )
  )

/** A layer over configuration: `ANTHROPIC_API_KEY` and, when set, `ANTHROPIC_BASE_URL`, unless told otherwise. */
export const layerConfig = (options: ConfigOptions = {}): Layer.Layer<AnthropicClient, Config.ConfigError> =>
  Layer.effect(
    AnthropicClient,
    Effect.gen(function* () {
      const apiKey = yield* options.apiKey ?? Config.Redacted("ANTHROPIC_API_KEY")
      if (Redacted.value(apiKey).trim() === "") {
        return yield* Config.fail(
          new ConfigProvider.SourceError({
            message: "The Anthropic API key is empty. Set ANTHROPIC_API_KEY, or the variable this layer was given."
          })
        )
      }
      const baseUrl = yield* options.baseUrl === undefined
        ? Config.String("ANTHROPIC_BASE_URL").pipe(Config.option, Config.map(Option.getOrUndefined))
        : options.baseUrl
      const timeout = yield* options.timeout ?? Config.succeed(defaultTimeout)
      const headers = yield* options.headers ?? Config.succeed({})
      const { fetch, fetchOptions } = options
      return make({ apiKey, baseUrl: baseUrl?.trim() || undefined, timeout, headers, fetch, fetchOptions })
    })
  )
