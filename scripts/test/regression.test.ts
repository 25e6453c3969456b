/**
 * Keeps the runtime from getting slower unnoticed. Every measure is a ratio: to a fixed loop of plain Effect that runs in
 * the same process, in turn with what is measured, or to the same work in another size. A slow or busy machine slows both
 * sides. `LIMITS` are about twice what was measured when they were set, so that they hold on a loaded machine and do not
 * let a slowdown to three times pass; when the runtime gets faster, lower them. The real numbers are in `bench/`.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { describe, expect, test } from "vitest"
// `scripts` is no package, so nothing links the packages here.
// oxlint-disable-next-line no-restricted-imports
import { Channel, Graph, Journal, Node, Thread } from "../../packages/core/src/index.ts"

const LIMITS = {
  /** A step, as a multiple of a turn of the plain loop. */
  ephemeralStep: 6,
  memoryStep: 28,
  /** A task of a wide step, as a multiple of a task of a narrow one. */
  fanOut: 2,
  /** Turn 1,000 of a conversation, as a multiple of turn 100. */
  lateTurn: 3
}

const steps = 1000
const rounds = 20

const time = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/**
 * How many times as long `work` takes as `baseline`, by rounds in which each runs once, after a warm-up: the lower
 * quartile, because what disturbs a round makes it longer and hardly ever shorter.
 */
const ratio = async (work: () => Promise<unknown>, baseline: () => Promise<unknown>): Promise<number> => {
  const ratios: Array<number> = []
  for (let round = -rounds; round < rounds; round++) {
    const below = await time(baseline)
    const above = await time(work)
    if (round >= 0) ratios.push(above / below)
  }
  return ratios.sort((a, b) => a - b)[rounds >> 2]!
}

/** What a step costs at the least: a suspended effect, its result checked by a schema, a state made of it. */
const isUpdate = Schema.is(Schema.Struct({ n: Schema.Int }))
const plainLoop = Effect.gen(function* () {
  let state: { readonly n: number } = { n: 0 }
  while (state.n < steps) {
    const { n } = state
    const update = yield* Effect.suspend(() => Effect.succeed({ n: n + 1 }))
    if (!isUpdate(update)) return yield* Effect.die(new Error("no update"))
    state = { ...state, ...update }
  }
  return state.n
})
const loops = 10
/** Ten times, because one is over too fast to be timed well. */
const baseline = async () => {
  for (let loop = 0; loop < loops; loop++) expect(await Effect.runPromise(plainLoop)).toBe(steps)
}
const timesPlain = async (work: () => Promise<unknown>) => (await ratio(work, baseline)) * loops

const Counter = Graph.make("counter", {
  state: { n: Channel.last(Schema.Int) },
  nodes: { increment: ({ n }) => Effect.succeed({ n: n + 1 }) },
  edges: { start: "increment", increment: ({ n }) => (n < steps ? "increment" : "end") }
})

const FanOut = Graph.make("fan-out", {
  state: {
    items: Channel.last(Schema.Array(Schema.Int)),
    results: Channel.append(Schema.Int)
  },
  nodes: { double: Node.make(Schema.Int, (item) => Effect.succeed({ results: [item * 2] })) },
  edges: { start: { each: "double", of: ({ items }) => items }, double: "end" }
})

const Conversation = Graph.make("conversation", {
  state: { messages: Channel.messages },
  nodes: {
    answer: () =>
      Effect.succeed({
        messages: Prompt.make([{ role: "assistant", content: [Prompt.textPart({ text: "a".repeat(200) })] }])
      })
  },
  edges: { start: "answer", answer: "end" }
})

// A slowdown is there in every try, a disturbance is not.
describe("what the runtime costs", { retry: 2 }, () => {
  test("a step without a journal costs no more than it did, beside a plain loop", async () => {
    const work = async () => expect((await Effect.runPromise(Graph.run(Counter, { n: 0 }))).n).toBe(steps)
    expect(await timesPlain(work)).toBeLessThan(LIMITS.ephemeralStep)
  })

  test("a step with a memory journal costs no more than it did, beside a plain loop", async () => {
    // A journal of its own for each: what earlier runs left must not weigh on later ones.
    const run = Effect.provide(Thread.run(Counter, { thread: "steps", input: { n: 0 } }), Journal.layerMemory)
    const work = async () => expect((await Effect.runPromise(run)).state.n).toBe(steps)
    expect(await timesPlain(work)).toBeLessThan(LIMITS.memoryStep)
  })

  test("a task of a fan-out of 1,000 costs little more than one of a fan-out of 100", async () => {
    const items = Array.from({ length: 1000 }, (_, index) => index)
    const fanOut = async (width: number) =>
      expect((await Effect.runPromise(Graph.run(FanOut, { items: items.slice(0, width) }))).results).toHaveLength(width)
    const wide = () => fanOut(1000)
    const narrow = async () => {
      for (let run = 0; run < 10; run++) await fanOut(100)
    }
    expect(await ratio(wide, narrow)).toBeLessThan(LIMITS.fanOut)
  })

  test("turn 1,000 of a thread costs little more than turn 100", async () => {
    const runtime = ManagedRuntime.make(Journal.layerMemory)
    const turn = (thread: string) => {
      const input = { messages: Prompt.make("h".repeat(200)) }
      return () => runtime.runPromise(Thread.run(Conversation, { thread, input }))
    }
    const [old, young] = [turn("old"), turn("young")]
    for (let count = 1; count < 1000 - rounds; count++) await old()
    for (let count = 1; count < 100 - rounds; count++) await young()
    expect(await ratio(old, young)).toBeLessThan(LIMITS.lateTurn)
    await runtime.dispose()
  })
})
