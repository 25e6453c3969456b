/** The rows of the threads that this process used last, so that an append need not read before it writes. */
import type { Known } from "./rows.ts"

export interface KnownThreads {
  readonly get: (thread: string) => Known | undefined
  readonly set: (thread: string, known: Known) => void
  readonly delete: (thread: string) => void
}

/** At most `bound` threads; the one not used for longest goes first. */
export const make = (bound: number): KnownThreads => {
  const threads = new Map<string, Known>()
  return {
    get: (thread) => threads.get(thread),
    set: (thread, known) => {
      threads.delete(thread)
      threads.set(thread, known)
      if (threads.size <= bound) return
      const [oldest] = threads.keys()
      if (oldest !== undefined) threads.delete(oldest)
    },
    delete: (thread) => {
      threads.delete(thread)
    }
  }
}
