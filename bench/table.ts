/** Medians, ratios and targets of measured rows, as text. */
import { median, type Sample } from "./measure.ts"
import type { Row, Run } from "./rows.ts"

export interface Measured {
  readonly row: Row
  readonly runs: number
  readonly ours: Sample
  readonly peer: Sample | undefined
  /** What the row is about: peer's time (or bundle) by ours, what is late by what is early, units of work in a second. */
  readonly value: number | undefined
  /** Peer's time by ours after the first run. */
  readonly warm: number | undefined
  /** Peer's peak of memory by ours. */
  readonly memory: number | undefined
  readonly verdict: "reached" | "missed" | "no target"
}

const keys = ["ms", "warm", "size", "written", "bundle", "early", "late", "rss"] as const

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

const valueOf = ({ must, work }: Row, ours: Sample, peer: Sample | undefined): number | undefined => {
  if (must.growth !== undefined) return over(ours.late, ours.early)
  if (must.rate !== undefined) return over(work?.[0], ours.ms / 1000)
  if (must.smaller !== undefined) return over(peer?.bundle, ours.bundle)
  // Nobody is faster than the floor; a measure at the floor counts as a hundredth of a millisecond above it.
  const above = (sample: Sample) => Math.max(0.01, sample.ms - (must.floor ?? 0))
  return peer === undefined ? undefined : above(peer) / above(ours)
}

export const judge = (row: Row, ours: ReadonlyArray<Sample>, peer: ReadonlyArray<Sample>): Measured => {
  const mine = medians(ours)
  const theirs = peer.length === 0 ? undefined : medians(peer)
  const value = valueOf(row, mine, theirs)
  const memory = over(theirs?.rss, mine.rss)
  const { faster, growth, lighter, rate, size, smaller } = row.must
  const reached = [
    ...[faster, rate, smaller].map((least) => least === undefined || (value ?? 0) >= least),
    growth === undefined || (value ?? Infinity) <= growth,
    lighter === undefined || (memory ?? 0) >= lighter,
    size === undefined || (mine.size ?? Infinity) <= size
  ].every(Boolean)
  return {
    row,
    runs: ours.length,
    ours: mine,
    peer: theirs,
    value,
    warm: over(theirs?.warm, mine.warm),
    memory,
    verdict: targets(row).length === 0 ? "no target" : reached ? "reached" : "missed"
  }
}

const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))
const milliseconds = (value: number) =>
  value >= 10_000 ? `${digits(value / 1000)} s` : value >= 1 ? `${digits(value)} ms` : `${digits(value * 1000)} µs`
const megabytes = (value: number | undefined) => (value === undefined ? "" : `${digits(value / 1e6)} MB`)
const times = (value: number | undefined) => (value === undefined ? "" : `${digits(value)} ×`)

const targets = ({ must: { faster, floor, growth, lighter, rate, size, smaller } }: Row): ReadonlyArray<string> => [
  ...(faster === undefined ? [] : [`≥ ${digits(faster)} ×${floor === undefined ? "" : ` above ${floor} ms`}`]),
  ...(smaller === undefined ? [] : [`≥ ${smaller} × smaller`]),
  ...(lighter === undefined ? [] : [lighter === 1 ? "no more memory" : `≤ 1/${lighter} of the memory`]),
  ...(size === undefined ? [] : [`≤ ${size / 1e6} MB`]),
  ...(growth === undefined ? [] : [`≤ ${growth} ×`]),
  ...(rate === undefined ? [] : [`≥ ${rate.toLocaleString("en")} a second`])
]

const names: Readonly<Record<string, string>> = {
  langgraph: "LangGraph",
  "ai-sdk": "AI SDK",
  "openai-agents": "Agents JS",
  "effect-ai": "effect/ai",
  sdk: "its own SDK",
  bare: "node:sqlite"
}

const nameOf = (peer: Run | undefined) => (peer === undefined ? "" : (names[peer[0].split("/")[0]!] ?? peer[0]))

const timeOf = ({ work }: Row, sample: Sample | undefined) => {
  if (sample === undefined) return ""
  if (sample.bundle !== undefined) return megabytes(sample.bundle)
  const each = work === undefined ? "" : ` (${digits((sample.ms * 1000) / work[0])} µs/${work[1]})`
  return `${milliseconds(sample.ms)}${each}`
}

const ratioOf = ({ ours, row: { must, work }, value }: Measured) =>
  value === undefined
    ? ""
    : must.growth !== undefined
      ? `${milliseconds(ours.early ?? Number.NaN)} → ${milliseconds(ours.late ?? Number.NaN)}: ${times(value)}`
      : must.rate !== undefined
        ? `${Math.round(value).toLocaleString("en")} ${work?.[1] ?? "unit"}s/s`
        : times(value)

const both = (peer: string, ours: string) => (peer === "" || ours === "" ? ours : `${peer} → ${ours}`)

/** A Markdown table; "→" goes from the peer to ours. */
export const table = (measured: ReadonlyArray<Measured>): string =>
  [
    "| | Workload | Peer | Peer's time | Selvage | Ratio | Ratio, warm | Store | Written | Peak memory | Must be | |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ...measured.map((one) => {
      const { ours, peer, row, runs, verdict, warm } = one
      return [
        "",
        row.number,
        `${row.name}${runs === 1 ? " (1 process)" : ""}`,
        nameOf(row.peer),
        timeOf(row, peer),
        timeOf(row, ours),
        ratioOf(one),
        times(warm),
        both(megabytes(peer?.size), megabytes(ours.size)),
        both(megabytes(peer?.written), megabytes(ours.written)),
        ours.bundle === undefined ? both(megabytes(peer?.rss), megabytes(ours.rss)) : "",
        targets(row).join(", "),
        verdict === "no target" ? "" : verdict,
        ""
      ]
        .join(" | ")
        .trim()
    })
  ].join("\n")
