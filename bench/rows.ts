/** What is compared with what, and what ours must reach (issue numbers of the table in README.md). */

/** A workload of ours beside one of the peer. */
export interface Row {
  /** The number that `--only` takes. */
  readonly number: string
  readonly name: string
  readonly ours: string
  /** `undefined`: ours is compared with itself. */
  readonly peer: string | undefined
  /** How many times as fast as the peer the first run must be. */
  readonly faster?: number | undefined
  /** The most bytes the closed store may have. */
  readonly size?: number | undefined
  /** What a late turn may take, as a multiple of turn 100. */
  readonly growth?: number | undefined
}

const megabyte = 1e6

export const rows: ReadonlyArray<Row> = [
  { number: "1", name: "1,000 steps, no journal", ours: "steps", peer: "steps", faster: 50 },
  { number: "2", name: "1,000 steps, memory journal", ours: "steps, memory", peer: "steps, memory", faster: 30 },
  {
    number: "3",
    name: "1,000 steps, SQLite NORMAL",
    ours: "steps, SQLite NORMAL",
    peer: "steps, SQLite NORMAL",
    faster: 15,
    size: 0.3 * megabyte
  },
  {
    number: "3",
    name: "1,000 steps, SQLite FULL (peer NORMAL, as it ships)",
    ours: "steps, SQLite FULL",
    peer: "steps, SQLite NORMAL",
    faster: 4,
    size: 0.3 * megabyte
  },
  {
    number: "3",
    name: "1,000 steps, SQLite FULL (peer FULL)",
    ours: "steps, SQLite FULL",
    peer: "steps, SQLite FULL",
    faster: 4,
    size: 0.3 * megabyte
  },
  { number: "4", name: "fan-out of 100", ours: "fan-out of 100", peer: "fan-out of 100", faster: 30 },
  { number: "4", name: "fan-out of 1,000", ours: "fan-out of 1000", peer: "fan-out of 1000", faster: 30 },
  {
    number: "9",
    name: "1,000 turns, SQLite NORMAL",
    ours: "1000 turns, SQLite NORMAL",
    peer: "1000 turns, SQLite NORMAL",
    faster: 30,
    size: 3 * megabyte
  },
  {
    number: "9",
    name: "1,000 turns, SQLite FULL (peer NORMAL, as it ships)",
    ours: "1000 turns, SQLite FULL",
    peer: "1000 turns, SQLite NORMAL",
    faster: 30,
    size: 3 * megabyte
  },
  { number: "9b", name: "3,000 turns, SQLite NORMAL", ours: "3000 turns, SQLite NORMAL", peer: undefined, growth: 1.5 }
]
