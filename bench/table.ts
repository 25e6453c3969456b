/** Medians, ratios and targets of measured rows, as text. */
import { median, type Sample } from "./measure.ts"
import type { Row } from "./rows.ts"

export interface Measured {
  readonly row: Row
  readonly runs: number
  readonly ours: Sample
  readonly peer: Sample | undefined
  /** Peer's time by ours: of the first run, and of the runs after it. */
  readonly ratio: number | undefined
  readonly warmRatio: number | undefined
  /** Time of a late turn by that of turn 100. */
  readonly growth: number | undefined
  readonly reached: boolean
}

const keys = ["ms", "warm", "size", "written", "early", "late", "rss"] as const

/** The median of each measure over the processes. */
export const medians = (samples: ReadonlyArray<Sample>): Sample => {
  const result: Partial<Record<(typeof keys)[number], number>> = {}
  for (const key of keys) {
    const values = samples.flatMap((sample) => sample[key] ?? [])
    if (values.length > 0) result[key] = median(values)
  }
  return { ...result, ms: result.ms ?? Number.NaN }
}

const over = (peer: number | undefined, ours: number | undefined) =>
  peer === undefined || ours === undefined ? undefined : peer / ours

export const judge = (row: Row, ours: ReadonlyArray<Sample>, peer: ReadonlyArray<Sample>): Measured => {
  const mine = medians(ours)
  const theirs = peer.length === 0 ? undefined : medians(peer)
  const ratio = over(theirs?.ms, mine.ms)
  const growth = over(mine.late, mine.early)
  return {
    row,
    runs: ours.length,
    ours: mine,
    peer: theirs,
    ratio,
    warmRatio: over(theirs?.warm, mine.warm),
    growth,
    reached:
      (row.faster === undefined || (ratio ?? 0) >= row.faster) &&
      (row.size === undefined || (mine.size ?? Infinity) <= row.size) &&
      (row.growth === undefined || (growth ?? Infinity) <= row.growth)
  }
}

const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))
const milliseconds = (value: number | undefined) =>
  value === undefined ? "" : value >= 10_000 ? `${digits(value / 1000)} s` : `${digits(value)} ms`
const megabytes = (value: number | undefined) => (value === undefined ? "" : `${digits(value / 1e6)} MB`)
const times = (value: number | undefined) => (value === undefined ? "" : `${digits(value)} ×`)

const target = ({ faster, growth, size }: Row) =>
  [
    ...(faster === undefined ? [] : [`≥ ${faster} ×`]),
    ...(size === undefined ? [] : [`≤ ${size / 1e6} MB`]),
    ...(growth === undefined ? [] : [`late turn ≤ ${growth} × turn 100`])
  ].join(", ")

const both = (peer: string, ours: string) => (peer === "" ? ours : `${peer} → ${ours}`)

/** A Markdown table; "→" goes from the peer to ours. */
export const table = (measured: ReadonlyArray<Measured>): string =>
  [
    "| | Workload | LangGraph | Selvage | Ratio | Ratio, warm | Store | Written | Peak memory | Must be | |",
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ...measured.map(({ growth, ours, peer, ratio, reached, row, runs, warmRatio }) =>
      [
        "",
        row.number,
        `${row.name}${runs === 5 ? "" : ` (${runs} ${runs === 1 ? "run" : "runs"})`}`,
        milliseconds(peer?.ms),
        milliseconds(ours.ms),
        ratio === undefined && growth !== undefined
          ? `turn 100 ${milliseconds(ours.early)}, last ${milliseconds(ours.late)}: ${times(growth)}`
          : times(ratio),
        times(warmRatio),
        both(megabytes(peer?.size), megabytes(ours.size)),
        both(megabytes(peer?.written), megabytes(ours.written)),
        both(megabytes(peer?.rss), megabytes(ours.rss)),
        target(row),
        reached ? "reached" : "missed",
        ""
      ]
        .join(" | ")
        .trim()
    )
  ].join("\n")
