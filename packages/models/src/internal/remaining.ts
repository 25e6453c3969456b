/** What a provider says that remains of its limits, as a bucket that fills again, and from which the calls of this process take. */

/** What providers limit apart. */
export const kinds = ["requests", "tokens", "input-tokens"] as const

/** One of them. */
export type Kind = (typeof kinds)[number]

/** What a response says of one limit. */
export interface Told {
  readonly kind: Kind
  readonly remaining: number
  readonly limit: number
  /** Until all of the limit is there again. */
  readonly resetMillis: number
}

interface Bucket {
  left: number
  at: number
  readonly limit: number
  readonly perMilli: number
}

const leftOf = (bucket: Bucket, now: number): number =>
  Math.min(bucket.limit, bucket.left + (now - bucket.at) * bucket.perMilli)

/** What a call takes of each limit. */
export type Need = Readonly<Record<Kind, number>>

/** What remains of the limits of one model, as far as this process knows. */
export class Remaining {
  readonly #buckets = new Map<Kind, Bucket>()
  readonly #underWay: Record<Kind, number> = { requests: 0, tokens: 0, "input-tokens": 0 }

  /** Takes what a call needs, or says for how many milliseconds there will not be enough. */
  take(need: Need, now: number): number {
    let wait = 0
    for (const [kind, bucket] of this.#buckets) {
      // A call may need more than there ever is: then it takes all.
      const missing = Math.min(need[kind], bucket.limit) - leftOf(bucket, now)
      if (missing > 0) wait = Math.max(wait, Math.ceil(missing / bucket.perMilli))
    }
    if (wait > 0) return wait
    for (const [kind, bucket] of this.#buckets) {
      bucket.left = leftOf(bucket, now) - need[kind]
      bucket.at = now
    }
    for (const kind of kinds) this.#underWay[kind] += need[kind]
    return 0
  }

  /** A call is over, and its answer said this. What is under way may not have been counted by the provider yet. */
  end(need: Need, told: ReadonlyArray<Told>, now: number): void {
    for (const kind of kinds) this.#underWay[kind] -= need[kind]
    for (const { kind, limit, remaining, resetMillis } of told) {
      if (remaining >= limit || resetMillis <= 0) this.#buckets.delete(kind)
      else {
        const left = Math.max(0, remaining - this.#underWay[kind])
        this.#buckets.set(kind, { left, at: now, limit, perMilli: (limit - remaining) / resetMillis })
      }
    }
  }
}
