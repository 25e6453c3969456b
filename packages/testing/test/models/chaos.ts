/**
 * Calls through everything that stands around a model, over HTTP, to servers that break down: who calls, who answers, and
 * what must be true of it in the end.
 */
import { Budget, BudgetLedger, BudgetStore, Fallback, Middleware, ModelPolicy, Refusal } from "@selvage/models"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { ServerResponse } from "node:http"
import { listen, perform } from "./stages.ts"
import { anthropic, responses, sse, type Wire } from "./wires.ts"

export interface Options {
  readonly calls: number
  readonly seed: number
  /** The part of all requests that goes wrong. */
  readonly rate: number
  readonly concurrency: number
}

export interface Report {
  readonly seconds: number
  readonly requests: number
  /** How often the servers did what. */
  readonly faults: Readonly<Record<string, number>>
  /** How many calls ended in what. */
  readonly outcomes: Readonly<Record<string, number>>
  /** How often an open circuit refused to ask. */
  readonly refused: number
  /** The longest call, and how late the timers of this process were at most. */
  readonly slowestMillis: number
  readonly lagMillis: number
  readonly tokens: number
  readonly estimated: number
  /** What was not as it must be; empty. */
  readonly violations: ReadonlyArray<string>
}

/** The same numbers for the same seed. */
const random = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const counting = () => {
  const counts: Record<string, number> = {}
  return { counts, count: (what: string) => void (counts[what] = (counts[what] ?? 0) + 1) }
}

// ---- who answers

type Fault = (wire: Wire, response: ServerResponse, streaming: boolean, n: number) => void

const failing =
  (status: number, headers: Record<string, string> = {}): Fault =>
  (wire, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(JSON.stringify(wire.error(status, "chaos")))
  }

const faults: Readonly<Record<string, Fault>> = {
  "429 with a wait": failing(429, { "retry-after-ms": "30" }),
  "429": failing(429),
  "500": failing(500),
  "503": failing(503),
  "too long": failing(400),
  "never answers": () => undefined,
  "resets the connection": (_, response) => void response.socket?.resetAndDestroy(),
  "stalls in the middle": (wire, response, streaming) =>
    perform(wire, { _tag: "Stall", text: "answer" }, response, streaming),
  "cuts in the middle": (wire, response, streaming) =>
    perform(wire, { _tag: "Cut", text: "answer" }, response, streaming),
  malformed: (wire, response, streaming) => perform(wire, { _tag: "Malformed", text: "answer" }, response, streaming),
  "a web page": (_, response) => {
    response.writeHead(200, { "content-type": "text/html" })
    response.end("<html>Sign in</html>")
  },
  "ends too early": (wire, response, streaming) => {
    response.writeHead(200, { "content-type": streaming ? "text/event-stream" : "application/json" })
    response.end(streaming ? sse(wire.begin("answer")) : '{"id":')
  },
  refuses: (wire, response, streaming) => perform(wire, { _tag: "Refusal", text: refusal }, response, streaming),
  "invalid arguments": (wire, response, streaming, n) =>
    perform(
      wire,
      { _tag: "Answer", calls: [{ id: "call_1", name: "note", arguments: '{"n":' }], usage: usageOf(n) },
      response,
      streaming
    )
}

const refusal = "I will not."
// The usage of a refusal is the wires' own.
const costOfRefusal = 19

/** What the answer to a call costs: the caller knows it without being told. */
const usageOf = (n: number) => ({ input: 50 + (n % 37), cached: n % 3 === 0 ? 10 : 0, output: 5 + (n % 11) })
const costOf = (n: number): number => usageOf(n).input + usageOf(n).output
const wantsTool = (n: number): boolean => n % 4 >= 2
const isStreamed = (n: number): boolean => n % 2 === 1

/** Requests of a server, from and to which it is down altogether: a circuit must open. */
interface Outage {
  readonly from: number
  readonly to: number
}

const breaking = (wire: Wire, { rate, seed }: Options, outage: Outage, count: (fault: string) => void) => {
  const next = random(seed)
  const names = Object.keys(faults)
  let requests = 0
  return listen(
    (response, body) => {
      const n = Number(/call number (\d+)/.exec(body)?.[1])
      const streaming = /"stream":\s*true/.test(body)
      const drawn = next() < rate ? names[Math.floor(next() * names.length)]! : "none"
      requests++
      const fault = outage.from < requests && requests <= outage.to ? "503" : drawn
      count(fault === drawn ? fault : "503 of an outage")
      const answer = () =>
        fault === "none" || (fault === "invalid arguments" && !wantsTool(n))
          ? perform(
              wire,
              {
                _tag: "Answer",
                text: `answer to ${n}`,
                calls: wantsTool(n) ? [{ id: "call_1", name: "note", arguments: `{"n":${n}}` }] : undefined,
                usage: usageOf(n)
              },
              response,
              streaming
            )
          : faults[fault]!(wire, response, streaming, n)
      setTimeout(answer, next() * 12)
    },
    // So short that the client lets go of its idle connections soon after the run.
    { keepAliveMillis: 3000 }
  )
}

// ---- who calls

const deadline = 6000
const estimate = 1_000_003

const policy: ModelPolicy.Policy = {
  breaker: { tripPolicy: CircuitBreaker.rate({ threshold: 0.7, size: 40 }), openDuration: "100 millis" },
  retry: ModelPolicy.retryable(Schedule.exponential("5 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))),
  timeout: { attempt: "1500 millis", firstToken: "1 second", nextToken: "1 second" }
}

const modelOf = Effect.fnUntraced(function* (wire: Wire, url: string, refused: () => void) {
  // The layer lives as long as the run: its client is asked again and again.
  const model = Context.get(yield* Layer.build(wire.model(url)), LanguageModel.LanguageModel)
  const refusals = Middleware.around({
    before: () => Effect.void,
    after: (_, { exit }) =>
      Effect.sync(() => {
        const error = Exit.findErrorOption(exit)
        if (Option.isSome(error) && Option.isSome(Refusal.find(ModelPolicy.CircuitOpen, error.value))) refused()
      })
  })
  const named = Middleware.named({ models: [wire.name] })
  return yield* Middleware.apply(model, refusals, yield* ModelPolicy.middleware(policy), named)
})

const Note = Tool.make("note", { parameters: Schema.Struct({ n: Schema.Int }), success: Schema.String })
const Notes = Toolkit.make(Note)

interface Call {
  readonly n: number
  readonly exit: Exit.Exit<string, AiError.AiError>
  readonly millis: number
  /** Whether a part of the answer came. */
  readonly content: boolean
  /** The caller did not wait for the end. */
  readonly left: boolean
}

interface Heard {
  readonly type: string
  readonly delta?: string
}

/** What a reader hears of a stream. */
const hearing = (n: number, leave: boolean, heard: () => void) => {
  const prompt = `This is call number ${n}.`
  const hear = <R>(stream: Stream.Stream<Heard, AiError.AiError, R>) =>
    (leave ? Stream.take(stream, 2) : stream).pipe(
      Stream.runFold(
        () => "",
        (text, part) => {
          if (part.type !== "response-metadata" && part.type !== "finish") heard()
          return part.type === "text-delta" ? text + (part.delta ?? "") : text
        }
      )
    )
  return wantsTool(n)
    ? hear(LanguageModel.streamText({ prompt, toolkit: Notes }))
    : hear(LanguageModel.streamText({ prompt }))
}

const asking = (n: number) => {
  const prompt = `This is call number ${n}.`
  return wantsTool(n)
    ? Effect.map(LanguageModel.generateText({ prompt, toolkit: Notes }), ({ text }) => text)
    : Effect.map(LanguageModel.generateText({ prompt }), ({ text }) => text)
}

const accountsOf = (n: number) =>
  [
    { name: `tenant:${n % 3}`, window: { every: "month", zone: "UTC" } },
    { name: `user:${n % 20}`, window: { last: "24 hours" } },
    { name: `call:${n}` }
  ] as const

const calling = Effect.fnUntraced(function* (n: number, patience: number) {
  const leave = n % 50 === 47
  const impatient = n % 50 === 48 || n % 50 === 49
  let content = false
  const began = yield* Clock.currentTimeMillis
  const ask = isStreamed(n) ? hearing(n, leave, () => void (content = true)) : asking(n)
  const fiber = yield* Effect.forkChild(Budget.withAccounts(ask, accountsOf(n)))
  if (impatient) yield* Effect.andThen(Effect.sleep(patience), Fiber.interrupt(fiber))
  const exit = yield* Fiber.await(fiber)
  const millis = (yield* Clock.currentTimeMillis) - began
  return { n, exit, millis, content, left: leave || impatient } satisfies Call
})

// ---- what must be true

// The provider has answered, and the answer is of no use: what it cost is not known.
const answered: ReadonlySet<string> = new Set(["InvalidResponseError", "InvalidOutputError"])
// The answer was good, the call it makes is not: found above the budget, which knows the usage.
const calledWrong: ReadonlySet<string> = new Set(["ToolParameterValidationError", "ToolNotFoundError"])

const reasonOf = (exit: Exit.Exit<string, AiError.AiError>): string => {
  if (Exit.isSuccess(exit)) return exit.value === refusal ? "refusal" : "answer"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error !== undefined) return AiError.isAiError(error) ? error.reason._tag : `not an AiError: ${String(error)}`
  return Cause.hasInterrupts(exit.cause) ? "interrupted" : `a defect: ${Cause.pretty(exit.cause)}`
}

/** What the account of a call may have been charged. */
const charges = ({ content, exit, left, n }: Call): ReadonlyArray<number> => {
  const reason = reasonOf(exit)
  // It depends on the moment at which it left.
  if (left) return [0, costOf(n), costOfRefusal, estimate]
  if (reason === "answer") return [costOf(n)]
  if (reason === "refusal") return [costOfRefusal]
  // A stream ends at a wrong call, at times before its usage came.
  if (calledWrong.has(reason)) return isStreamed(n) ? [costOf(n), estimate] : [costOf(n)]
  return [content || answered.has(reason) ? estimate : 0]
}

const checked = Effect.fnUntraced(function* (
  calls: ReadonlyArray<Call>,
  notes: ReadonlyMap<number, number>,
  lag: number
) {
  const violations: Array<string> = []
  const must = (holds: boolean, what: () => string) => (holds ? undefined : violations.push(what()))
  const ledger = yield* BudgetLedger.Ledger
  const sums = new Map<string, number>()
  for (const call of calls) {
    const { exit, left, millis, n } = call
    const reason = reasonOf(exit)
    must(!reason.startsWith("not an") && !reason.startsWith("a defect"), () => `call ${n} ended in ${reason}`)
    must(reason !== "interrupted" || left, () => `call ${n} was interrupted by nobody`)
    must(millis <= deadline + lag + 50, () => `call ${n} took ${millis} ms`)
    if (Exit.isSuccess(exit) && reason === "answer" && !left) {
      must(exit.value === `answer to ${n}` || exit.value === "", () => `call ${n} got "${exit.value}"`)
    }
    const ran = notes.get(n) ?? 0
    must(ran <= 1, () => `the tool of call ${n} ran ${ran} times`)
    const [tenant, user, own] = accountsOf(n)
    const [balance] = yield* ledger.balances([own])
    const spent = balance?.spent.tokens ?? Number.NaN
    must(
      charges(call).includes(spent),
      () => `call ${n} (${reason}) was charged ${spent}, not ${charges(call).join(" or ")}`
    )
    must(balance?.reserved.tokens === 0, () => `call ${n} still reserves ${balance?.reserved.tokens}`)
    for (const { name } of [tenant, user]) sums.set(name, (sums.get(name) ?? 0) + spent)
  }
  const shared = new Map(
    calls.flatMap(({ n }) =>
      accountsOf(n)
        .slice(0, 2)
        .map((account) => [account.name, account] as const)
    )
  )
  for (const account of shared.values()) {
    const [balance] = yield* ledger.balances([account])
    const sum = sums.get(account.name)
    must(balance?.spent.tokens === sum, () => `${account.name} was charged ${balance?.spent.tokens}, its calls ${sum}`)
    must(balance?.reserved.tokens === 0, () => `${account.name} still reserves ${balance?.reserved.tokens}`)
  }
  return {
    violations,
    tokens: [...sums].reduce((sum, [name, spent]) => (name.startsWith("tenant") ? sum + spent : sum), 0)
  }
})

const clientSockets = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

/** Makes the calls and checks what became of them. */
export const run = (options: Options): Effect.Effect<Report, BudgetStore.BudgetUnavailable> =>
  Effect.gen(function* () {
    const socketsBefore = clientSockets()
    const served = counting()
    const outage = { from: options.calls * 0.5, to: options.calls * 0.5 + 150 }
    const one = yield* breaking(responses, options, outage, served.count)
    const two = yield* breaking(anthropic, { ...options, seed: options.seed + 1 }, { from: 0, to: 0 }, served.count)
    let refused = 0
    const refuse = () => void refused++
    const first = yield* modelOf(responses, one.url, refuse)
    const both = yield* Fallback.make([first, yield* modelOf(anthropic, two.url, refuse)])
    const budget = yield* Budget.middleware({
      estimate: () => Effect.succeed({ input: estimate, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 })
    })
    const whole = yield* Middleware.apply(both, budget, ModelPolicy.deadline(deadline))

    const notes = new Map<number, number>()
    const handlers = Notes.toLayer({
      note: ({ n }) => Effect.sync(() => `note ${notes.set(n, (notes.get(n) ?? 0) + 1).size}`)
    })
    const patience = random(options.seed + 2)
    const loop = monitorEventLoopDelay({ resolution: 5 })
    loop.enable()
    const began = performance.now()
    const calls = yield* Effect.forEach(
      Array.from({ length: options.calls }, (_, n) => n),
      (n) => calling(n, patience() * 40),
      { concurrency: options.concurrency }
    ).pipe(Effect.provideService(LanguageModel.LanguageModel, whole), Effect.provide(handlers))
    const seconds = (performance.now() - began) / 1000
    loop.disable()
    const lagMillis = Math.ceil(loop.max / 1e6)

    const { tokens, violations } = yield* checked(calls, notes, lagMillis)
    // Idle connections are kept a moment for the next call; then there must be none.
    const letGo = Effect.all([one, two].map(({ sockets, until }) => until(() => sockets.size === 0)))
    const gone = yield* Effect.timeoutOption(letGo, "8 seconds")
    const open = [...one.sockets, ...two.sockets]
    if (Option.isNone(gone)) {
      const silent = open.filter(({ bytesRead }) => bytesRead === 0).length
      violations.push(`the servers have ${open.length} sockets open, ${silent} of which never sent anything`)
    }
    yield* Effect.sleep("50 millis")
    const left = clientSockets() - socketsBefore
    if (left > 0) violations.push(`${left} sockets of this process are open`)

    const outcomes = counting()
    for (const { exit } of calls) outcomes.count(reasonOf(exit))
    return {
      seconds,
      requests: Object.values(served.counts).reduce((sum, count) => sum + count, 0),
      faults: served.counts,
      outcomes: outcomes.counts,
      refused,
      slowestMillis: Math.max(...calls.map(({ millis }) => millis)),
      lagMillis,
      tokens: tokens % estimate,
      estimated: Math.floor(tokens / estimate),
      violations
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.merge(ModelPolicy.layerStoresMemory, BudgetLedger.layer().pipe(Layer.provide(BudgetStore.layerMemory())))
    ),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
