/** What the models of all sides are asked, and the server that answers: a process of its own, so that only the client's CPU counts. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { median, type Sample } from "../measure.ts"

export const prompt = "What is a selvage, and why does cloth have one? Answer in a paragraph."
export const model = { openai: "gpt-5.1", anthropic: "claude-sonnet-5-5" } as const

/** Calls of one measure, and how many are under way at once. */
export const calls = 1000
export const concurrency = 8

/** Streams of one measure, and the tokens of each. */
export const streams = 20
export const tokens = 500

export const answer =
  "A selvage is the self-finished edge of a woven cloth, made where the weft turns back around the outermost warp threads. " +
  "It keeps the fabric from unravelling without hemming, and it stays straight while the cloth is handled, cut and sewn."

/** Rounds of a measure, and how many of them, the last, are what is reported: the compiler has settled by then. */
const rounds = 30
const settled = 10

/** Work to be measured against a server. */
export type Work<A> = (url: string) => Promise<A>

const listening = async (): Promise<{ readonly url: string; readonly server: ChildProcess }> => {
  const server = fork(new URL("modelServer.ts", import.meta.url), { stdio: ["ignore", "ignore", "inherit", "ipc"] })
  const [port] = await once(server, "message")
  return { url: `http://127.0.0.1:${port}`, server }
}

const cpu = async (work: () => Promise<unknown>): Promise<number> => {
  const before = process.cpuUsage()
  await work()
  const { system, user } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** What a side does against a server, and what it lets go of at the end. */
export interface Side {
  readonly once: () => Promise<unknown>
  readonly close?: () => Promise<unknown>
}

/** CPU time of the work once the process has done it for a while: what a server spends on it. */
export const cpuOf = (open: Work<Side>) => async (): Promise<Sample> => {
  const { server, url } = await listening()
  try {
    const { close, once } = await open(url)
    const all: Array<number> = []
    for (let round = 0; round < rounds; round++) all.push(await cpu(once))
    await close?.()
    return { ms: median(all.slice(-settled)) }
  } finally {
    server.kill()
  }
}

/** Runs a task so many times, some at once. */
export const times = async (count: number, task: () => Promise<unknown>): Promise<void> => {
  let left = count
  const lane = async () => {
    while (left-- > 0) await task()
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
}
