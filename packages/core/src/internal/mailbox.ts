// What came to a thread from outside and waits for a run: inputs and patches, and the keys by which one that is sent again is known.
import type { Entry, Sequenced, Values } from "../Entry.ts"
import { type Ends, remember } from "./runs.ts"

/** An input that waits for the runs before it. */
export interface Queued {
  readonly seq: number
  readonly input: Values
  readonly run: string | undefined
}

/** A patch that waits for the end of a step. */
export interface QueuedPatch {
  readonly seq: number
  readonly updates: Values
  readonly node: string | undefined
  readonly key: string | undefined
}

export interface Mailbox {
  readonly queue: Array<Queued>
  readonly patches: Array<QueuedPatch>
  /** The last runs, by name. */
  readonly runs: Ends
  /** The last keys of senders, each with the entry that counts. */
  readonly keys: Map<string, number>
}

export const emptyMailbox = (): Mailbox => ({ queue: [], patches: [], runs: new Map(), keys: new Map() })

/** How many keys of senders a thread knows: the last ones. */
export const maxKeys = 1024

/** How many inputs and patches may wait for a run. */
export const maxWaiting = 1024

export const waiting = ({ patches, queue }: Mailbox): number => queue.length + patches.length

/** Whether a run of that name was started, or waits. */
export const isKnown = ({ queue, runs }: Mailbox, run: string): boolean =>
  runs.has(run) || queue.some((queued) => queued.run === run)

/** Takes note of a key; `false`: it was used before, so that its entry counts as not there. */
export const takeKey = ({ keys }: Mailbox, key: string | undefined, seq: number): boolean => {
  if (key === undefined) return true
  if (keys.has(key)) return false
  keys.set(key, seq)
  if (keys.size > maxKeys) {
    const [oldest] = keys.keys()
    keys.delete(oldest!)
  }
  return true
}

const takeOut = (waiting: Array<{ readonly seq: number }>, seq: number): void => {
  const index = waiting.findIndex((queued) => queued.seq === seq)
  if (index >= 0) waiting.splice(index, 1)
}

/** Folds what an entry says of inputs and patches; the names of runs are noted before. */
export const fold = (mailbox: Mailbox, entry: Entry, seq: number): void => {
  switch (entry._tag) {
    case "RunStarted":
      if (entry.queued !== undefined) takeOut(mailbox.queue, entry.queued)
      return
    case "InputQueued":
      // Who sent it learns the same from the entries before it.
      if (waiting(mailbox) >= maxWaiting || (entry.run !== undefined && isKnown(mailbox, entry.run))) return
      mailbox.queue.push({ seq, input: entry.input, run: entry.run })
      return
    case "InputRefused":
      takeOut(mailbox.queue, entry.queued)
      return
    case "PatchQueued":
      if (waiting(mailbox) >= maxWaiting || !takeKey(mailbox, entry.key, seq)) return
      mailbox.patches.push({ seq, updates: entry.updates, node: entry.node, key: entry.key })
      return
    case "PatchRefused": {
      const refused = mailbox.patches.find((patch) => patch.seq === entry.queued)
      // Sent again it is judged anew.
      if (refused?.key !== undefined) mailbox.keys.delete(refused.key)
      takeOut(mailbox.patches, entry.queued)
      return
    }
    case "Patched":
      if (entry.queued === undefined) takeKey(mailbox, entry.key, seq)
      else takeOut(mailbox.patches, entry.queued)
      return
    default:
      return
  }
}

/** The entries of a thread, folded. */
export const foldAll = (mailbox: Mailbox, entries: ReadonlyArray<Sequenced>): Mailbox => {
  for (const { entry, seq } of entries) {
    if (entry._tag === "RunStarted" && entry.run !== undefined) remember(mailbox.runs, entry.run)
    fold(mailbox, entry, seq)
  }
  return mailbox
}
