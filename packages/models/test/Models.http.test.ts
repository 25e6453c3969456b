// The roles of an application over the real SDKs and real sockets.
import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { OpenAiClient, OpenAiLanguageModel } from "@selvage/openai"
import { ModelPolicy, Models, Refusal, ResponseCache } from "../src/index.ts"

type Handler = (response: ServerResponse, body: string, request: IncomingMessage) => void

/** A server that answers the requests in order, the last answer for ever. */
const serve = (handlers: ReadonlyArray<Handler>) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly requests: Array<string>; readonly close: () => void }>(
      (resume) => {
        const requests: Array<string> = []
        const server = createServer((request, response) => {
          let body = ""
          request.on("data", (chunk) => {
            body += chunk
          })
          request.on("end", () => {
            requests.push(`${request.method} ${request.url}`)
            handlers[Math.min(requests.length, handlers.length) - 1]!(response, body, request)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          const close = () => {
            server.closeAllConnections()
            server.close()
          }
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, requests, close }))
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

const json =
  (body: unknown, status = 200): Handler =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json" })
    response.end(JSON.stringify(body))
  }

const unavailable = json({ error: { message: "overloaded", type: "server_error" } }, 503)

const completion = (message: object, reason: string) =>
  json({
    id: "c1",
    object: "chat.completion",
    created: 1,
    model: "one",
    choices: [
      { index: 0, message: { role: "assistant", content: null, refusal: null, ...message }, finish_reason: reason }
    ],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
  })

const orderCall = completion(
  { tool_calls: [{ id: "call-1", type: "function", function: { name: "place_order", arguments: '{"units":3}' } }] },
  "tool_calls"
)

const PlaceOrder = Tool.make("place_order", {
  parameters: Schema.Struct({ units: Schema.Int }),
  success: Schema.String
})
const Orders = Toolkit.make(PlaceOrder)

const roles = (env: Record<string, string>, smart: Models.Options["roles"]) =>
  Models.layerWith({ roles: smart }).pipe(
    Layer.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnv({
          env: { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k", SELVAGE_OPENAI_API: "chat", ...env }
        })
      )
    )
  )

const quick = { retry: { times: 2, base: "5 millis" } } as const

describe("roles over HTTP", () => {
  it.live("repeat the request, not the tool", () =>
    Effect.gen(function* () {
      const server = yield* serve([unavailable, unavailable, orderCall])
      const orders: Array<number> = []
      const response = yield* LanguageModel.generateText({ prompt: "order", toolkit: Orders }).pipe(
        Effect.provide([
          Orders.toLayer({ place_order: ({ units }) => Effect.sync(() => `order ${orders.push(units)}`) }),
          roles({ OPENAI_BASE_URL: `${server.url}/v1` }, { smart: { model: "openai:one", policy: quick } })
        ])
      )
      assert.strictEqual(response.toolResults[0]?.result, "order 1")
      assert.deepStrictEqual(orders, [3])
      assert.strictEqual(server.requests.length, 3)
    })
  )

  it.live("give objects in the asked schema, whatever the provider wants for absent keys", () =>
    Effect.gen(function* () {
      const server = yield* serve([completion({ content: '{"units":3,"note":null}' }, "stop")])
      const schema = Schema.Struct({ units: Schema.Int, note: Schema.optionalKey(Schema.String) })
      const { value } = yield* LanguageModel.generateObject({ prompt: "order", schema }).pipe(
        Effect.provide(
          roles({ OPENAI_BASE_URL: `${server.url}/v1` }, { smart: { model: "openai:one", policy: quick } })
        )
      )
      assert.deepStrictEqual(value, { units: 3 })
    })
  )

  it.live("fall back from one provider to another, with the options that each knows", () =>
    Effect.gen(function* () {
      const openai = yield* serve([unavailable])
      let sent = ""
      const anthropic = yield* serve([
        (response, body, request) => {
          sent = body
          json({
            id: "m1",
            type: "message",
            role: "assistant",
            model: "two",
            content: [{ type: "text", text: "from the other" }],
            stop_reason: "end_turn",
            stop_sequence: null,
            usage: { input_tokens: 10, output_tokens: 5 }
          })(response, body, request)
        }
      ])
      const { text } = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(
        Effect.provide(
          roles(
            { OPENAI_BASE_URL: `${openai.url}/v1`, ANTHROPIC_BASE_URL: anthropic.url },
            {
              smart: {
                model: "openai:one",
                fallbacks: ["anthropic:two"],
                options: { maxOutputTokens: 77, openai: { verbosity: "low" } },
                policy: quick
              }
            }
          )
        )
      )
      assert.strictEqual(text, "from the other")
      assert.strictEqual(openai.requests.length, 3)
      assert.include(sent, '"max_tokens":77')
      assert.notInclude(sent, "verbosity")
    })
  )

  it.live("end a stream that stalls, and its socket", () =>
    Effect.gen(function* () {
      const closed = yield* Deferred.make<void>()
      const server = yield* serve([
        (response) => {
          response.writeHead(200, { "content-type": "text/event-stream" })
          const chunk = {
            id: "c1",
            object: "chat.completion.chunk",
            created: 1,
            model: "one",
            choices: [{ index: 0, delta: { role: "assistant", content: "half" }, finish_reason: null }]
          }
          response.write(`data: ${JSON.stringify(chunk)}\n\n`)
          response.on("close", () => Effect.runFork(Deferred.succeed(closed, undefined)))
        }
      ])
      const seen: Array<string> = []
      const error = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.runForEach((part) => Effect.sync(() => seen.push(part.type === "text-delta" ? part.delta : part.type))),
        Effect.flip,
        Effect.provide(
          roles(
            { OPENAI_BASE_URL: `${server.url}/v1` },
            { smart: { model: "openai:one", policy: { ...quick, timeout: { nextToken: "100 millis" } } } }
          )
        )
      )
      assert.include(seen, "half")
      assert.strictEqual(Option.getOrThrow(Refusal.find(ModelPolicy.ModelTimedOut, error)).phase, "next-token")
      yield* Deferred.await(closed)
      assert.strictEqual(server.requests.length, 1)
    })
  )

  const local = (url: string) =>
    ({
      api: "chat",
      auth: "none",
      baseUrl: `${url}/v1`,
      compatibility: { maxTokens: "max_tokens" }
    }) as const

  const ask = Effect.map(LanguageModel.generateText({ prompt: "hi" }), ({ text }) => text)
  const bare = (env: Record<string, string>, smart: Models.Options["roles"]) =>
    Models.layerWith({ roles: smart }).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))))

  it.live("ask servers without keys, and Azure, by configuration alone", () =>
    Effect.gen(function* () {
      const seen: Array<Record<string, unknown>> = []
      const server = yield* serve([
        (response, body, request) => {
          const { authorization, "api-key": apiKey } = request.headers
          seen.push({ authorization, apiKey, url: request.url, body: JSON.parse(body) as unknown })
          completion({ content: "local" }, "stop")(response, body, request)
        }
      ])
      const options = { maxOutputTokens: 50 }
      const inRole = { model: "openai:qwen3", options: { ...options, openai: local(server.url) } }
      assert.strictEqual(yield* Effect.provide(ask, bare({}, { smart: inRole })), "local")
      const env = {
        OPENAI_BASE_URL: `${server.url}/v1`,
        SELVAGE_OPENAI_API: "chat",
        SELVAGE_OPENAI_AUTH: "none",
        SELVAGE_MODEL_SMART: "openai:qwen3"
      }
      assert.strictEqual(yield* Effect.provide(ask, bare(env, [])), "local")
      const azure = {
        model: "openai:deployment",
        options: {
          openai: {
            api: "chat",
            auth: "api-key",
            baseUrl: `${server.url}/azure`,
            keyVariable: "AZURE_OPENAI_API_KEY",
            query: { "api-version": "2024-10-21" }
          }
        }
      } as const
      assert.strictEqual(yield* Effect.provide(ask, bare({ AZURE_OPENAI_API_KEY: "az" }, { smart: azure })), "local")
      assert.deepStrictEqual(
        seen.map(({ apiKey, authorization, url }) => [url, authorization, apiKey]),
        [
          ["/v1/chat/completions", undefined, undefined],
          ["/v1/chat/completions", undefined, undefined],
          ["/azure/chat/completions?api-version=2024-10-21", undefined, "az"]
        ]
      )
      assert.deepInclude(seen[0]?.["body"], { model: "qwen3", max_tokens: 50 })
      const missing = yield* Effect.flip(Effect.scoped(Layer.build(bare({}, { smart: azure }))))
      assert.deepStrictEqual(
        missing.findings.map(({ where }) => where),
        ["AZURE_OPENAI_API_KEY"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("keep apart the circuits of one model at two addresses", () =>
    Effect.gen(function* () {
      const down = yield* serve([unavailable])
      const up = yield* serve([completion({ content: "up" }, "stop")])
      const at = (url: string) => ({ model: "openai:qwen3", options: { openai: local(url) } })
      const layer = bare(
        {},
        {
          smart: {
            model: at(down.url),
            fallbacks: [at(up.url)],
            policy: { retry: "off", breaker: { failures: 1, open: "1 minute" } }
          }
        }
      )
      assert.deepStrictEqual(yield* Effect.provide(Effect.all([ask, ask]), layer), ["up", "up"])
      assert.deepStrictEqual([down.requests.length, up.requests.length], [1, 2])
    }).pipe(Effect.scoped)
  )
})

describe("a cache over adapters that were made in code", () => {
  it.effect(
    "keeps apart models of one name with other settings, at other addresses, and caches none that is to vary",
    () =>
      Effect.gen(function* () {
        const first = yield* serve([completion({ role: "assistant", content: "first" }, "stop")])
        const second = yield* serve([completion({ role: "assistant", content: "second" }, "stop")])
        const asking = (url: string, config: OpenAiLanguageModel.Config) =>
          Effect.map(LanguageModel.generateText({ prompt: "hi" }), ({ text }) => text).pipe(
            Effect.provide(
              ResponseCache.layer.pipe(
                Layer.provide(OpenAiLanguageModel.model("gpt-5.1", { api: "chat", config })),
                Layer.provide(OpenAiClient.layer({ auth: "none", baseUrl: `${url}/v1` }))
              )
            )
          )
        yield* Effect.gen(function* () {
          for (let time = 0; time < 2; time++) {
            assert.strictEqual(yield* asking(first.url, { seed: 1 }), "first")
            assert.strictEqual(yield* asking(first.url, { seed: 2 }), "first")
            assert.strictEqual(yield* asking(second.url, { seed: 1 }), "second")
            assert.strictEqual(yield* asking(second.url, { temperature: 1 }), "second")
          }
        }).pipe(Effect.provide(ResponseCache.layerMemory()))
        assert.deepStrictEqual([first.requests.length, second.requests.length], [2, 3])
      }).pipe(Effect.scoped)
  )
})
