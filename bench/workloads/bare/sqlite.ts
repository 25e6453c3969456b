/** What SQLite alone takes for as many commits: nobody who waits for each is faster. */
import { DatabaseSync } from "node:sqlite"
import { onDisk, type Workload } from "../../measure.ts"

/** Per commit one row of a thread moves on and one entry is added, as a journal has to; `group` entries share a commit. */
const commits =
  (entries: number, synchronous: "full" | "normal", group: number): Workload =>
  (file) => {
    const database = new DatabaseSync(file)
    database.exec("PRAGMA journal_mode = wal")
    database.exec(`PRAGMA synchronous = ${synchronous}`)
    database.exec("CREATE TABLE thread (id INTEGER PRIMARY KEY, head INTEGER) STRICT")
    database.exec("CREATE TABLE entry (thread INTEGER, seq INTEGER, entry TEXT, PRIMARY KEY (thread, seq)) STRICT")
    const insertThread = database.prepare("INSERT INTO thread VALUES (?, 0)")
    for (let thread = 0; thread < group; thread++) insertThread.run(thread)
    const move = database.prepare("UPDATE thread SET head = ? WHERE id = ? AND head = ?")
    const add = database.prepare("INSERT INTO entry VALUES (?, ?, ?)")
    return onDisk(
      file,
      async () => {
        for (let seq = 1; seq <= entries / group; seq++) {
          database.exec("BEGIN IMMEDIATE")
          for (let thread = 0; thread < group; thread++) {
            move.run(seq, thread, seq - 1)
            add.run(thread, seq, '{"_tag":"StepCommitted","results":[{"node":"increment","update":{"n":1}}]}')
          }
          database.exec("COMMIT")
        }
      },
      () => database.close()
    )
  }

export const workloads: Readonly<Record<string, Workload>> = {
  "steps, SQLite NORMAL": commits(1000, "normal", 1),
  "steps, SQLite FULL": commits(1000, "full", 1),
  "1000 threads at once, SQLite FULL": commits(10_000, "full", 1000)
}
