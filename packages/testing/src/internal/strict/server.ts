/** The servers of strict providers: a request in, an answer or a refusal out. */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { Provider, Refusal } from "../../StrictProvider.ts"
import { Stage, type Turn } from "../modelLaws/stage.ts"
import * as Encodings from "./encodings.ts"
import { mark } from "./prefix.ts"
import { type Fields, isFields, type Rule, type Seen, textOf, type Wire } from "./rule.ts"

/** The first rule that a request breaks. */
export const broken = (
  rules: ReadonlyArray<Rule>,
  seen: Seen
): { readonly rule: Rule; readonly message: string } | undefined => {
  for (const rule of rules) {
    if (rule.wire !== seen.wire || rule.models?.test(seen.model) === false) continue
    const message = rule.check(seen)
    if (message !== undefined) return { rule, message }
  }
  return undefined
}

const encodings: Readonly<Record<Wire, Encodings.Encoding>> = {
  responses: Encodings.responses,
  chat: Encodings.chat,
  messages: Encodings.messages
}

const wireOf = (path: string): Wire | undefined => {
  if (path.endsWith("/chat/completions")) return "chat"
  if (path.endsWith("/responses")) return "responses"
  return path.endsWith("/messages") ? "messages" : undefined
}

/** What a provider does with a request: an answer that is there, or a turn that needs the connection. */
type Reply =
  | {
      readonly _tag: "Whole"
      readonly status: number
      readonly type: string
      readonly text: string
      readonly headers: Readonly<Record<string, string>>
    }
  | {
      readonly _tag: "Perform"
      readonly turn: Turn
      readonly encoding: Encodings.Encoding
      readonly streaming: boolean
    }

const json = (status: number, body: object, headers: Readonly<Record<string, string>> = {}): Reply => ({
  _tag: "Whole",
  status,
  type: "application/json",
  text: JSON.stringify(body),
  headers
})

const parse = (text: string): Fields | undefined => {
  try {
    const parsed = JSON.parse(text) as Fields[string]
    return isFields(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** One provider: what it was asked, what it refused, and which thinking it gave. */
export class Desk {
  readonly received: Array<Schema.Json> = []
  readonly refusals: Array<Refusal> = []
  readonly #signatures = new Map<string, Set<string>>()
  readonly #rules: ReadonlyArray<Rule>
  readonly #turns: ReadonlyArray<Turn>
  #taken = 0

  constructor(rules: ReadonlyArray<Rule>, turns: ReadonlyArray<Turn>) {
    this.#rules = rules
    this.#turns = turns
  }

  answer(path: string, headers: Readonly<Record<string, string>>, text: string): Reply {
    const wire = wireOf(path.split("?")[0] ?? "")
    if (wire === undefined) return json(404, { error: { type: "not_found_error", message: `no endpoint at ${path}` } })
    const encoding = encodings[wire]
    const body = parse(text)
    if (body === undefined) return json(400, encoding.error(400, "We could not parse the JSON body of your request."))
    this.received.push(body as Schema.Json)
    const seen: Seen = { wire, headers, text, body, model: textOf(body["model"]), signatures: this.#signatures }
    const found = broken(this.#rules, seen)
    if (found !== undefined) {
      const { id: rule, source, status = 400 } = found.rule
      this.refusals.push({ wire, rule, source, message: found.message, status, body: body as Schema.Json })
      return json(status, encoding.error(status, `${found.message} [${rule}]`))
    }
    return this.#play(seen, encoding)
  }

  #play(seen: Seen, encoding: Encodings.Encoding): Reply {
    const turn = this.#turns[Math.min(this.#taken, this.#turns.length - 1)]
    const n = ++this.#taken
    const streaming = seen.body["stream"] === true
    if (turn === undefined) return json(500, encoding.error(500, "the provider has no turns"))
    if (turn._tag === "Failure") {
      const headers: Record<string, string> =
        turn.retryAfter === undefined ? {} : { "retry-after": String(turn.retryAfter) }
      return json(turn.status, encoding.error(turn.status, "as the test wants it"), headers)
    }
    if (turn._tag !== "Answer" && turn._tag !== "Refusal") return { _tag: "Perform", turn, encoding, streaming }
    if (turn._tag === "Answer" && turn.thought !== undefined && seen.wire === "messages") {
      const marks = this.#signatures.get(turn.thought.signature) ?? new Set()
      this.#signatures.set(turn.thought.signature, marks.add(mark(seen.body)))
    }
    return {
      _tag: "Whole",
      status: 200,
      type: streaming ? "text/event-stream" : "application/json",
      text: streaming ? Encodings.sse(encoding.events(turn, n)) : JSON.stringify(encoding.whole(turn, n)),
      headers: {}
    }
  }
}

// In the last event's own name, for there are clients that read no others.
const malformed = (encoding: Encodings.Encoding): string =>
  `${
    Encodings.sse(encoding.begin(""))
      .split("\n\n")
      .at(-2)
      ?.replace(/data: .*/, "data: {oops") ?? ""
  }\n\n`

const perform = (
  { encoding, streaming, turn }: Extract<Reply, { readonly _tag: "Perform" }>,
  response: ServerResponse
): void => {
  const begin = (text: string) => {
    response.writeHead(200, { "content-type": streaming ? "text/event-stream" : "application/json" })
    return streaming ? Encodings.sse(encoding.begin(text)) : '{"id":'
  }
  if (turn._tag === "Cut") response.write(begin(turn.text), () => setImmediate(() => response.destroy()))
  if (turn._tag === "Stall") response.write(begin(turn.text))
  if (turn._tag === "Malformed")
    response.end(streaming ? `${begin(turn.text)}${malformed(encoding)}` : `${begin("")} oops`)
}

/** Someone who waits until something holds. */
const waiting = () => {
  const waiters = new Set<() => void>()
  return {
    changed: () => {
      for (const look of waiters) look()
    },
    until: (holds: () => boolean): Effect.Effect<void> =>
      Effect.callback<void>((resume) => {
        const look = () => {
          if (!holds()) return
          waiters.delete(look)
          resume(Effect.void)
        }
        waiters.add(look)
        look()
        return Effect.sync(() => void waiters.delete(look))
      })
  }
}

const headersOf = (
  given: NonNullable<Parameters<typeof globalThis.fetch>[1]>["headers"]
): Readonly<Record<string, string>> => Object.fromEntries(new Headers(given))

const fetchOf =
  (desk: Desk): typeof globalThis.fetch =>
  async (input, init) => {
    const request = input instanceof Request ? input : undefined
    const url = new URL(request?.url ?? String(input))
    const text = typeof init?.body === "string" ? init.body : ((await request?.text()) ?? "")
    const reply = desk.answer(url.pathname, headersOf(init?.headers ?? request?.headers), text)
    if (reply._tag === "Perform")
      throw new TypeError(`a strict provider without sockets does not play ${reply.turn._tag}`)
    return new Response(reply.text, { status: reply.status, headers: { "content-type": reply.type, ...reply.headers } })
  }

const providerOf = (desk: Desk, url: string): Omit<Provider, "arrived" | "released"> => ({
  url,
  fetch: fetchOf(desk),
  received: Effect.sync(() => desk.received.slice()),
  refusals: Effect.sync(() => desk.refusals.slice())
})

/** A provider without a server. */
export const local = (rules: ReadonlyArray<Rule>, turns: ReadonlyArray<Turn>): Provider => ({
  ...providerOf(new Desk(rules, turns), "http://strict.invalid"),
  arrived: Effect.void,
  released: Effect.void
})

const listen = (
  desk: Desk,
  { changed, underWay }: { readonly changed: () => void; readonly underWay: Set<ServerResponse> }
) => {
  const server = createServer((request, response) => {
    underWay.add(response)
    response.once("close", () => {
      underWay.delete(response)
      changed()
    })
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      const reply = desk.answer(request.url ?? "", headers, Buffer.concat(chunks).toString("utf8"))
      if (reply._tag === "Perform") perform(reply, response)
      else response.writeHead(reply.status, { "content-type": reply.type, ...reply.headers }).end(reply.text)
      changed()
    })
  })
  return server
}

/** A provider on loopback, for the life of the scope. */
export const make = (
  rules: ReadonlyArray<Rule>,
  turns: ReadonlyArray<Turn>
): Effect.Effect<Provider, never, Scope.Scope> =>
  Effect.suspend(() => {
    const desk = new Desk(rules, turns)
    const underWay = new Set<ServerResponse>()
    const { changed, until } = waiting()
    return Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = listen(desk, { changed, underWay })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    ).pipe(
      Effect.map((server) => ({
        ...providerOf(desk, `http://127.0.0.1:${(server.address() as AddressInfo).port}`),
        arrived: until(() => desk.received.length > 0),
        released: until(() => underWay.size === 0)
      }))
    )
  })

/** A stage over a strict provider. */
export const stage = (
  model: (provider: Provider) => Layer.Layer<LanguageModel.LanguageModel>,
  start: (...turns: ReadonlyArray<Turn>) => Effect.Effect<Provider, never, Scope.Scope>
): Layer.Layer<Stage> =>
  Layer.succeed(Stage, {
    play: (...turns) =>
      Effect.gen(function* () {
        const provider = yield* start(...turns)
        const context = yield* Layer.build(model(provider))
        return {
          model: Context.get(context, LanguageModel.LanguageModel),
          received: provider.received,
          arrived: provider.arrived,
          released: provider.released
        }
      })
  })
