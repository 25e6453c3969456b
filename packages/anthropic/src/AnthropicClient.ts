/**
 * The connection to the Anthropic API: the official `@anthropic-ai/sdk` client, set up so that everything it does is ours to decide.
 *
 * - It never retries. A retry is a schedule around the call, and two layers of retries multiply.
 * - It never holds the API key. The key stays `Redacted` and the SDK asks for it request by request, so printing the client shows none.
 * - It writes nothing to the console and makes no spans of its own; `effect/ai` traces the calls.
 *
 * **Gotchas**
 *
 * - The SDK itself still reads `ANTHROPIC_CUSTOM_HEADERS` from the process environment and offers no way to turn that off.
 * - A key that is empty, or cannot be sent in a header, fails each call with `AuthenticationError`; `layerConfig` reports an unset or empty
 *   variable earlier, as a `ConfigError` when the layer is built.
 */
import Anthropic from "@anthropic-ai/sdk"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { UnusableApiKey } from "./internal/errors.ts"

/** Where requests go when no `baseUrl` is given. */
export const defaultBaseUrl = "https://api.anthropic.com"

/** How long to wait for the first byte of an answer when no `timeout` is given. */
export const defaultTimeout: Duration.Duration = Duration.minutes(10)

/** How to reach the API. */
export interface Options {
  /** The key. Whitespace around it is dropped. */
  readonly apiKey: Redacted.Redacted
  /** Root of the API without `/v1`; `https://api.anthropic.com` when absent. */
  readonly baseUrl?: string | undefined
  /** How long to wait for response headers; 10 minutes when absent. Bound a whole call with `Effect.timeout`. */
  readonly timeout?: Duration.Input | undefined
  /** The `fetch` to send with; the global one when absent. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** What the service offers. */
export interface Service {
  /** The official client. Its `apiKey` is null: it asks for the key with each request. */
  readonly sdk: Anthropic
  /** Replaces the API key in a text, for text that came from outside and goes into an error. */
  readonly redact: (text: string) => string
}

/** The connection to the Anthropic API. */
export class AnthropicClient extends Context.Service<AnthropicClient, Service>()("selvage/anthropic/AnthropicClient") {}

// What a header value may hold. Anything else makes `fetch` throw an error whose message quotes the value.
const sendable = /^[\x21-\x7e]+$/

/** Builds the client. Nothing is sent until the first call. */
export const make = (options: Options): Service => {
  const currentKey = () => Redacted.value(options.apiKey).trim()
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
    timeout: Math.max(1, Math.round(Duration.toMillis(options.timeout ?? defaultTimeout))),
    maxRetries: 0,
    logLevel: "off",
    openTelemetry: false,
    fetch: options.fetch
  })
  return AnthropicClient.of({
    sdk,
    redact: (text) => {
      const key = currentKey()
      return key === "" ? text : text.replaceAll(key, "<redacted>")
    }
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
  readonly fetch?: typeof globalThis.fetch | undefined
}

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
      return make({ apiKey, baseUrl: baseUrl?.trim() || undefined, timeout, fetch: options.fetch })
    })
  )
