/** What is compared with what, and what ours must reach. */

/** A workload, and the module in `workloads/` that has it. */
export type Run = readonly [module: string, workload: string]

/** A workload of ours beside one of a peer. */
export interface Row {
  /** The number that `--only` takes. */
  readonly number: string
  readonly name: string
  readonly ours: Run
  /** `undefined`: ours is compared with itself, or with a number. */
  readonly peer: Run | undefined
  /** How often it is measured, where a process of it takes minutes. */
  readonly runs?: number | undefined
  /** How much of something one run does: the time of one is shown, and a rate is counted in it. */
  readonly work?: readonly [count: number, unit: string] | undefined
  readonly must: Target
}

/** What ours must reach; a row without any of these is there to be looked at. */
export interface Target {
  /** How many times as fast as the peer the first run must be. */
  readonly faster?: number | undefined
  /** Milliseconds that nobody can be faster than; they are taken off both sides before `faster` is judged. */
  readonly floor?: number | undefined
  /** How many times less memory at its peak than the peer; 1: not more. */
  readonly lighter?: number | undefined
  /** How many times smaller than the peer's the bundle must be. */
  readonly smaller?: number | undefined
  /** The most bytes the closed store may have. */
  readonly size?: number | undefined
  /** What `late` may take, as a multiple of `early`. */
  readonly growth?: number | undefined
  /** Units of work in a second. */
  readonly rate?: number | undefined
}

const megabyte = 1e6
const graphs = (workload: string): Run => ["selvage/graphs", workload]
const agents = (workload: string): Run => ["selvage/agents", workload]
const start = (workload: string): Run => ["selvage/start", workload]
const langgraph = (workload: string): Run => ["langgraph/graphs", workload]

const models = (workload: string): Run => ["selvage/models", workload]
const sdk = (workload: string): Run => ["sdk/models", workload]

/** CPU time of calls through the whole stack, and of the adapter alone, beside the SDK that the adapter stands on. */
const beside = (number: string, workload: string, work: NonNullable<Row["work"]>): ReadonlyArray<Row> => [
  {
    number,
    name: `CPU of ${work[0]} ${workload}, whole stack`,
    ours: models(workload),
    peer: sdk(workload),
    work,
    must: { faster: 1 / 1.3 }
  },
  {
    number,
    name: `CPU of ${work[0]} ${workload}, adapter alone`,
    ours: models(`${workload}, adapter alone`),
    peer: sdk(workload),
    work,
    must: {}
  }
]

/** The same beside the AI SDK. */
const besideAiSdk = (number: string, workload: string, work: NonNullable<Row["work"]>): Row => ({
  number,
  name: `CPU of ${work[0]} ${workload}, whole stack`,
  ours: models(workload),
  peer: ["ai-sdk/models", workload],
  work,
  must: { faster: 1 }
})

const modelCalls = [1000, "call"] as const
const modelTokens = [10_000, "token"] as const

const turns = [220, "turn"] as const
const tokens = [10_000, "token"] as const
const steps = [1000, "step"] as const

export const rows: ReadonlyArray<Row> = [
  {
    number: "1",
    name: "1,000 steps, no journal",
    ours: graphs("steps"),
    peer: langgraph("steps"),
    work: steps,
    must: { faster: 50 }
  },
  {
    number: "2",
    name: "1,000 steps, memory journal",
    ours: graphs("steps, memory"),
    peer: langgraph("steps, memory"),
    work: steps,
    must: { faster: 30 }
  },
  {
    number: "3",
    name: "1,000 steps, SQLite NORMAL",
    ours: graphs("steps, SQLite NORMAL"),
    peer: langgraph("steps, SQLite NORMAL"),
    work: steps,
    must: { faster: 15, size: 0.3 * megabyte }
  },
  {
    number: "3",
    name: "1,000 steps, SQLite FULL (peer NORMAL, as it ships)",
    ours: graphs("steps, SQLite FULL"),
    peer: langgraph("steps, SQLite NORMAL"),
    work: steps,
    must: { faster: 4, size: 0.3 * megabyte }
  },
  {
    number: "3",
    name: "1,000 steps, SQLite FULL (peer FULL)",
    ours: graphs("steps, SQLite FULL"),
    peer: langgraph("steps, SQLite FULL"),
    work: steps,
    must: { faster: 4, size: 0.3 * megabyte }
  },
  {
    number: "3",
    name: "1,000 steps, SQLite NORMAL (peer: the commits alone)",
    ours: graphs("steps, SQLite NORMAL"),
    peer: ["bare/sqlite", "steps, SQLite NORMAL"],
    work: steps,
    must: {}
  },
  {
    number: "3",
    name: "1,000 steps, SQLite FULL (peer: the commits alone)",
    ours: graphs("steps, SQLite FULL"),
    peer: ["bare/sqlite", "steps, SQLite FULL"],
    work: steps,
    must: {}
  },
  {
    number: "4",
    name: "fan-out of 100",
    ours: graphs("fan-out of 100"),
    peer: langgraph("fan-out of 100"),
    work: [100, "task"],
    must: { faster: 30 }
  },
  {
    number: "4",
    name: "fan-out of 1,000",
    ours: graphs("fan-out of 1000"),
    peer: langgraph("fan-out of 1000"),
    work: [1000, "task"],
    must: { faster: 30 }
  },
  {
    number: "4b",
    name: "a task of 1,000 beside one of 100, warm",
    ours: graphs("fan-out of 100 and 1000"),
    peer: undefined,
    must: { growth: 1.5 }
  },
  {
    number: "5",
    name: "10,000 runs at once, each waits 100 ms",
    ours: graphs("10000 runs at once"),
    peer: langgraph("10000 runs at once"),
    must: { faster: 25, lighter: 4 }
  },
  {
    number: "6",
    name: "agent of 10 calls, 20 runs",
    ours: agents("agent of 10 calls"),
    peer: ["langgraph/agents", "agent of 10 calls"],
    work: turns,
    must: { faster: 12 }
  },
  {
    number: "6",
    name: "agent of 10 calls, 20 runs",
    ours: agents("agent of 10 calls"),
    peer: ["openai-agents/agents", "agent of 10 calls"],
    work: turns,
    must: {}
  },
  {
    number: "6",
    name: "agent of 10 calls, 20 runs",
    ours: agents("agent of 10 calls"),
    peer: ["ai-sdk/agents", "agent of 10 calls"],
    work: turns,
    must: { faster: 1 }
  },
  {
    number: "6",
    name: "agent of 10 calls, 20 runs, memory journal (peer without one)",
    ours: agents("agent of 10 calls, memory"),
    peer: ["ai-sdk/agents", "agent of 10 calls"],
    work: turns,
    must: { faster: 1 / 1.5 }
  },
  {
    number: "6",
    name: "agent of 10 calls, 20 runs",
    ours: agents("agent of 10 calls"),
    peer: ["effect-ai/agents", "agent of 10 calls"],
    work: turns,
    must: { faster: 1 / 2 }
  },
  {
    number: "6b",
    name: "1,000 agents at once, 3 turns of 50 ms",
    ours: agents("1000 agents at once"),
    peer: ["ai-sdk/agents", "1000 agents at once"],
    must: { floor: 150, faster: 2, lighter: 1 }
  },
  {
    number: "6b",
    name: "1,000 agents at once, 3 turns of 50 ms",
    ours: agents("1000 agents at once"),
    peer: ["effect-ai/agents", "1000 agents at once"],
    must: {}
  },
  {
    number: "6b",
    name: "1,000 agents at once, 3 turns of 50 ms",
    ours: agents("1000 agents at once"),
    peer: ["langgraph/agents", "1000 agents at once"],
    must: {}
  },
  {
    number: "7",
    name: "a node streams 10,000 tokens",
    ours: graphs("10000 tokens"),
    peer: langgraph("10000 tokens"),
    work: tokens,
    must: { faster: 10 }
  },
  {
    number: "7",
    name: "a node streams 10,000 tokens (peer: a model does)",
    ours: graphs("10000 tokens"),
    peer: ["ai-sdk/agents", "answer of 10000 tokens"],
    work: tokens,
    must: { faster: 10 }
  },
  {
    number: "7",
    name: "an agent's model streams 10,000 tokens",
    ours: agents("answer of 10000 tokens"),
    peer: ["ai-sdk/agents", "answer of 10000 tokens"],
    work: tokens,
    must: { faster: 10 }
  },
  {
    number: "7",
    name: "an agent's model streams 10,000 tokens (peer: the model alone)",
    ours: agents("answer of 10000 tokens"),
    peer: ["effect-ai/agents", "answer of 10000 tokens"],
    work: tokens,
    must: {}
  },
  {
    number: "8",
    name: "cold import of the graph runtime",
    ours: start("import core"),
    peer: ["langgraph/start", "import"],
    must: { faster: 2 }
  },
  {
    number: "8",
    name: "cold import of the graph runtime and agents",
    ours: start("import agent"),
    peer: ["openai-agents/start", "import"],
    must: {}
  },
  {
    number: "8",
    name: "cold import of the graph runtime and agents",
    ours: start("import agent"),
    peer: ["ai-sdk/start", "import"],
    must: {}
  },
  {
    number: "8",
    name: "minified bundle of a hello graph",
    ours: start("bundle"),
    peer: ["langgraph/start", "bundle"],
    must: { smaller: 3 }
  },
  {
    number: "8",
    name: "process start to answer, bundled hello graph",
    ours: start("bundled graph"),
    peer: ["langgraph/start", "bundled graph"],
    must: {}
  },
  {
    number: "8",
    name: "process start to answer, bundled hello agent",
    ours: start("bundled agent"),
    peer: ["ai-sdk/start", "bundled agent"],
    must: {}
  },
  {
    number: "9",
    name: "1,000 turns, SQLite NORMAL",
    ours: graphs("1000 turns, SQLite NORMAL"),
    peer: langgraph("1000 turns, SQLite NORMAL"),
    runs: 1,
    work: [1000, "turn"],
    must: { faster: 30, size: 3 * megabyte }
  },
  {
    number: "9",
    name: "1,000 turns, SQLite FULL (peer NORMAL, as it ships)",
    ours: graphs("1000 turns, SQLite FULL"),
    peer: langgraph("1000 turns, SQLite NORMAL"),
    runs: 1,
    work: [1000, "turn"],
    must: { faster: 30, size: 3 * megabyte }
  },
  {
    number: "9b",
    name: "turn 3,000 beside turn 100, SQLite NORMAL, warm",
    ours: graphs("3000 turns, SQLite NORMAL"),
    peer: undefined,
    runs: 1,
    work: [3000, "turn"],
    must: { growth: 1.5 }
  },
  {
    number: "10",
    name: "1,000 threads × 10 steps at once, SQLite FULL",
    ours: graphs("1000 threads at once, SQLite FULL"),
    peer: undefined,
    work: [10_000, "step"],
    must: { rate: 20_000 }
  },
  {
    number: "10",
    name: "1,000 threads × 10 steps at once, SQLite FULL (peer: 10 commits of 1,000 alone)",
    ours: graphs("1000 threads at once, SQLite FULL"),
    peer: ["bare/sqlite", "1000 threads at once, SQLite FULL"],
    work: [10_000, "step"],
    must: {}
  },
  ...beside("11", "calls, OpenAI", modelCalls),
  besideAiSdk("11", "calls, OpenAI", modelCalls),
  ...beside("11", "calls, Anthropic", modelCalls),
  ...beside("11b", "tokens, OpenAI", modelTokens),
  besideAiSdk("11b", "tokens, OpenAI", modelTokens),
  ...beside("11b", "tokens, OpenAI Chat", modelTokens),
  besideAiSdk("11b", "tokens, OpenAI Chat", modelTokens),
  ...beside("11b", "tokens, Anthropic", modelTokens)
]
