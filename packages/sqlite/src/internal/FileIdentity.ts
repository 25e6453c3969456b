/**
 * Whether a database still is the file that was opened. Unlinked or replaced, SQLite goes on writing into a file that no other
 * process will ever see; so it is looked at before what is written is committed.
 */
import { statSync } from "node:fs"

/** Looks at the file; gives what happened to it, or `undefined`. */
export interface FileIdentity {
  readonly lost: () => string | undefined
}

const none: FileIdentity = { lost: () => undefined }

interface Seen {
  readonly dev: bigint
  readonly ino: bigint
}

const look = (path: string): Seen | undefined => {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : { dev: stat.dev, ino: stat.ino }
}

/** The file as it is now. A database in memory is none. */
export const of = (filename: string): FileIdentity => {
  if (filename === ":memory:") return none
  const file = look(filename)
  if (file === undefined) return none
  const log = `${filename}-wal`
  let opened: Seen | undefined
  let looks = 0
  return {
    lost: () => {
      const now = look(filename)
      if (now === undefined) return "the file was removed while it was open"
      if (now.ino !== file.ino || now.dev !== file.dev) return "the file was replaced by another while it was open"
      // The log is looked at now and then: it goes alone less often than with its file, and a look costs some microseconds.
      if (looks++ % 16 !== 0) return undefined
      const beside = look(log)
      if (opened === undefined) opened = beside
      else if (beside === undefined) return "its write-ahead log was removed while it was open"
      else if (beside.ino !== opened.ino) return "its write-ahead log was replaced while it was open"
      return undefined
    }
  }
}
