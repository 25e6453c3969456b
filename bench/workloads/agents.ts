/** What the agents of all sides are asked to do: how many calls, and what is said. */

export const instructions = "You look numbers up with the tool, then you answer."
export const prompt = "What is the last number?"
export const answer = "It is ten."

/** Ten tool calls, one per turn, then the answer; twenty times. */
export const long = { calls: 10, runs: 20 } as const

/** A thousand agents at once: two tool calls, then the answer; each turn of the model takes 50 ms. */
export const many = { calls: 2, runs: 1000, latency: 50 } as const

/** Tokens of one streamed answer. */
export const tokens = 10_000

export const usage = { input: 100, output: 20 } as const
