/** What one fresh process measures, and how it measures it. */
import { readFileSync, statSync } from "node:fs"

/** What one process reports of one workload. Times are milliseconds, sizes bytes. */
export interface Sample {
  /** The first run of the process: what a program that does this once waits for. */
  readonly ms: number
  /** Median of the runs after the first, where the workload repeats. */
  readonly warm?: number | undefined
  /** Size of the store once it is closed. */
  readonly size?: number | undefined
  /** What the process handed to `write` while the workload ran (Linux only). */
  readonly written?: number | undefined
  /** Bytes of a minified bundle. */
  readonly bundle?: number | undefined
  /** Times of an early and of a late turn, or of a task among few and among many. */
  readonly early?: number | undefined
  readonly late?: number | undefined
  /** Peak resident memory of the process. */
  readonly rss?: number | undefined
}

/** A workload of one side; `file` is where its store may live. */
export type Workload = (file: string) => Promise<Sample>

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export const time = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** The first run, and the median of `repeats` more; `profile.ts` has its own number of them. */
export const firstAndWarm = async (work: () => Promise<unknown>, repeats: number): Promise<Sample> => {
  const asked = process.env["SELVAGE_BENCH_REPEATS"]
  const count = asked === undefined ? repeats : Number(asked)
  const ms = await time(work)
  const more: Array<number> = []
  for (let index = 0; index < count; index++) more.push(await time(work))
  return { ms, warm: more.length === 0 ? undefined : median(more) }
}

/** Times `work` on a store and then measures what it left on disk once `close` is done. */
export const onDisk = async (
  file: string,
  work: () => Promise<unknown>,
  close: () => Promise<void> | void
): Promise<Sample> => {
  const before = handedToWrite()
  const ms = await time(work)
  const after = handedToWrite()
  await close()
  return {
    ms,
    size: statSync(file).size,
    written: before === undefined || after === undefined ? undefined : after - before
  }
}

/** Times of turns around the `at`th of all (1-based): their median is steadier than one turn. */
export const around = (turns: ReadonlyArray<number>, at: number): number => median(turns.slice(at - 11, at + 10))

/** Fails the process if a workload did not do what it measures. */
export const expect = (what: string, actual: unknown, expected: unknown): void => {
  if (actual !== expected) throw new Error(`${what} is ${String(actual)}; ${String(expected)} was to be reached`)
}

const handedToWrite = (): number | undefined => {
  try {
    const found = /^wchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))
    return found === null ? undefined : Number(found[1])
  } catch {
    return undefined
  }
}
