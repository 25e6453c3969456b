import { Cli } from "@selvage/cli"
import * as Entries from "@selvage/cli/Entries"
import { Journal, Thread } from "@selvage/core"
import { assert, describe, it } from "@effect/vitest"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Prompt from "effect/ai/Prompt"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Orders } from "./fixture/orders.ts"
import { binary, head, here, journalFile, onJournal, selvage, temporary } from "./selvage.ts"

const json = (text: string): unknown => JSON.parse(text)

const jsonLines = (text: string): ReadonlyArray<unknown> => text.trimEnd().split("\n").map(json)

/** One message, no stack trace, the exit code. */
const assertFails = (ended: { stdout: string; stderr: string; code: number | null }, code: 1 | 2, message: RegExp) => {
  assert.match(ended.stderr, message)
  assert.notMatch(ended.stderr, /\n\s+at /)
  assert.strictEqual(ended.stderr.trimEnd().split("\n").length, code, ended.stderr)
  assert.strictEqual(ended.stdout, "")
  assert.strictEqual(ended.code, code)
}

describe("selvage", () => {
  it.effect("threads lists every thread with its graph, status, entries and last change", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const { code, stderr, stdout } = yield* selvage(["threads", "--journal", file])
      const [header, ...rows] = stdout.trimEnd().split("\n")
      assert.match(header ?? "", /^THREAD +GRAPH +STATUS +ENTRIES +LAST CHANGE$/)
      assert.strictEqual(rows.length, 3)
      assert.match(
        stdout,
        new RegExp(`^done +orders +done +${yield* head(file, "done")} +1970-01-01T00:00:00.000Z$`, "m")
      )
      assert.match(stdout, /^waiting +orders +waiting /m)
      assert.match(stdout, /^failed +orders +failed /m)
      assert.deepStrictEqual([code, stderr], [0, ""])
      const lines = jsonLines((yield* selvage(["--journal", file, "threads", "--json"])).stdout)
      assert.deepInclude(lines, {
        thread: "waiting",
        graph: "orders",
        status: "waiting",
        entries: yield* head(file, "waiting"),
        created: "1970-01-01T00:00:00.000Z",
        changed: "1970-01-01T00:00:00.000Z"
      })
    })
  )

  it.effect("the journal is found by configuration, and else in .selvage", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const byConfig = yield* selvage(["threads"], { env: { SELVAGE_JOURNAL: file } })
      assert.match(byConfig.stdout, /^waiting /m)
      assertFails(yield* selvage(["threads"], { cwd: yield* temporary }), 1, /no journal file "\.selvage\/journal\.db"/)
    })
  )

  it.effect("show sums up a thread that is done", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const { code, stdout } = yield* selvage(["show", "done", "--journal", file])
      assert.strictEqual(code, 0)
      assert.match(stdout, /^status +done$/m)
      assert.match(stdout, /^runs +2$/m)
      assert.match(stdout, /^steps +4, and \d+ in graphs inside$/m)
      assert.match(stdout, /^decide +4 +0$/m)
      assert.match(stdout, /^decide\/check +4 +0$/m)
      assert.match(stdout, /^decide\/approve +1 +0$/m)
      assert.match(stdout, /^close +2 +0$/m)
      assert.notMatch(stdout, /OPEN ASK|last failure/)
    })
  )

  it.effect("show tells the open asks with their questions, and prints no control characters", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const { stdout } = yield* selvage(["show", "waiting", "--journal", file])
      assert.match(stdout, /^OPEN ASK +KIND +QUESTION$/m)
      assert.match(stdout, /question +\{"item":"big\\u001b\[31m\/box"\}/)
      assert.match(stdout, /^decide\/check +2 +0$/m)
      assert.notInclude(stdout, "\u001b")
      const summary = json((yield* selvage(["show", "waiting", "--json", "--journal", file])).stdout)
      assert.deepPropertyVal(summary, "status", "waiting")
      assert.nestedPropertyVal(summary, "asks[0].question.item", "big\u001b[31m/box")
    })
  )

  it.effect("show tells the last failure", () =>
    Effect.gen(function* () {
      const { stdout } = yield* selvage(["show", "failed", "--journal", yield* journalFile])
      assert.match(stdout, /^decide\/check +1 +1$/m)
      assert.match(stdout, /^last failure at entry \d+ \(1970-.*\): decide\[poison\]@1\/check: Refused$/m)
    })
  )

  it.effect("events prints one line an entry, after a number, and in full as JSON", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const last = yield* head(file, "done")
      const all = (yield* selvage(["events", "done", "--journal", file])).stdout.trimEnd().split("\n")
      assert.strictEqual(all.length, last)
      assert.match(all[0] ?? "", /^ +1 {2}1970-01-01T00:00:00.000Z {2}RunStarted +orders {2}\{"items":\["pen",/)
      assert.isAtMost(Math.max(...all.map((line) => line.length)), 250)
      const some = yield* selvage(["events", "done", "--after", String(last - 2), "--json", "--journal", file])
      assert.deepStrictEqual(jsonLines(some.stdout)[1], {
        seq: last,
        at: "1970-01-01T00:00:00.000Z",
        entry: { _tag: "RunFinished", outcome: "done" }
      })
      const none = yield* selvage(["events", "done", "--after", "9999", "--journal", file])
      assert.deepStrictEqual(none, { stdout: "", stderr: "", code: 0 })
    })
  )

  it.effect(
    "state without a graph is the typed state at every sequence number, but for what only the graph knows",
    () =>
      Effect.gen(function* () {
        const file = yield* journalFile
        const Generic = Schema.Struct({
          items: Schema.Array(Schema.String),
          decided: Schema.Array(Schema.String),
          count: Schema.Number,
          lengths: Schema.Record(Schema.String, Schema.Number),
          talk: Prompt.Prompt
        })
        const encode = Schema.encodeEffect(Schema.toCodecJson(Generic))
        yield* Effect.gen(function* () {
          const seen = new Set<string>()
          const until = yield* Entries.position("done", undefined)
          const entries = yield* Stream.runCollect(Entries.read("done", { after: 0, until }))
          for (const entry of entries) {
            const typed = yield* Thread.state(Orders, { thread: "done", at: entry.seq })
            const { at, longest, ...generic } = (yield* Thread.stateJson({ thread: "done", at: entry.seq })).state
            assert.deepStrictEqual<unknown>(generic, yield* encode(typed))
            assert.strictEqual(at, typed.at?.toISOString())
            assert.isArray(longest)
            seen.add(JSON.stringify(generic))
          }
          assert.strictEqual(entries.length, until)
          // Two inputs, and two steps after each; no entry between changes the state.
          assert.strictEqual(seen.size, 6)
        }).pipe(onJournal(file))
        const { stdout } = yield* selvage(["state", "done", "--at", "1", "--journal", file])
        assert.deepInclude(json(stdout), {
          items: ["pen", "big box", "ink"],
          decided: [],
          count: 0,
          talk: { content: [] }
        })
      })
  )

  it.effect("state without a graph says on stderr what it cannot fold", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* selvage(["state", "done", "--json", "--journal", yield* journalFile])
      assert.deepInclude(json(stdout), { longest: ["pen", "big box", "ink", "cap"], count: 14 })
      assert.strictEqual(stdout.trimEnd().split("\n").length, 1)
      assert.match(stderr, /Channel "longest" has a reducer of its own .*--graph/)
      assert.match(stderr, /Channel "limit" was never written/)
      assert.strictEqual(code, 0)
    })
  )

  it.effect("state with a graph is the typed state, initial values and own reducers included", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const ended = yield* selvage(["state", "done", "--graph", "fixture/orders.ts", "--journal", file])
      assert.deepInclude(json(ended.stdout), {
        limit: 5,
        longest: "big box",
        count: 14,
        at: "1970-01-01T00:00:00.000Z",
        decided: ["pen: false", "big box: true", "ink: false", "cap: false"]
      })
      assert.nestedPropertyVal(json(ended.stdout), "talk.content[0].content", "decided pen")
      assert.deepStrictEqual([ended.stderr, ended.code], ["", 0])
      assertFails(
        yield* selvage(["state", "done", "--graph", "fixture/none.ts", "--journal", file]),
        1,
        /"fixture\/none.ts" exports no graph "orders"/
      )
    })
  )

  it.effect("fork makes a thread with a name of its own and leaves the original alone", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const before = yield* head(file, "done")
      const fork = (...args: ReadonlyArray<string>) =>
        selvage(["fork", "done", "--at", "4", "--journal", file, ...args])
      assert.deepStrictEqual(yield* fork(), { stdout: "done-fork-4\n", stderr: "", code: 0 })
      assert.strictEqual((yield* fork()).stdout, "done-fork-4-2\n")
      assert.deepStrictEqual(json((yield* fork("--as", "mine", "--json")).stdout), { thread: "mine", head: 5 })
      assertFails(yield* fork("--as", "mine"), 1, /a thread "mine" already/)
      assert.strictEqual(yield* head(file, "done"), before)
      assert.match((yield* selvage(["show", "mine", "--journal", file])).stdout, /^forked +from done at 4$/m)
      assert.strictEqual((yield* Thread.run(Orders, { thread: "mine" }).pipe(onJournal(file)))._tag, "Waiting")
    })
  )

  it.effect("graph draws the graphs of a file, of a directory and of a package", () =>
    Effect.gen(function* () {
      const one = yield* selvage(["graph", "fixture/orders.ts", "--name", "orders"])
      assert.match(one.stdout, /^flowchart TD\n/)
      assert.match(one.stdout, /subgraph decide_\["decide: decide-one"\]/)
      assert.deepStrictEqual([one.stderr, one.code], ["", 0])
      const two = yield* selvage(["graph", "fixture/inside"])
      assert.match(two.stdout, /^%% Decide: decide-one\nflowchart TD\n[^]*\n%% Orders: orders\nflowchart TD/)
      const packaged = yield* selvage(["graph", join(here, "fixture/packaged"), "--json"])
      assert.deepInclude(json(packaged.stdout), { name: "orders", export: "default" })
      const namespaced = yield* selvage(["graph", "fixture", "--name", "decide-one", "--json"])
      assert.deepInclude(json(namespaced.stdout), { export: "Everything.Decide" })
    })
  )

  it.effect("graph says why there is nothing to draw", () =>
    Effect.gen(function* () {
      assertFails(yield* selvage(["graph", "fixture/none.ts"]), 1, /exports no graph\. Export the value/)
      assertFails(yield* selvage(["graph", "fixture/absent.ts"]), 1, /There is no module "fixture\/absent.ts"/)
      assertFails(yield* selvage(["graph", yield* temporary]), 1, /has no index.ts, no index.js/)
      assertFails(yield* selvage(["graph", "fixture/throws.ts"]), 1, /cannot be imported: Error: no key: set SOME_KEY/)
      assertFails(
        yield* selvage(["graph", "fixture/orders.ts", "--name", "x"]),
        1,
        /no graph "x"\. It exports "decide-one", "orders"/
      )
    })
  )

  it.effect("a journal file that does not exist is not made", () =>
    Effect.gen(function* () {
      const file = join(yield* temporary, "absent.db")
      const uses = [
        ["threads"],
        ["show", "t"],
        ["events", "t"],
        ["state", "t"],
        ["fork", "t", "--at", "1"],
        ["journal", "check"],
        ["journal", "export", "t"],
        ["journal", "import", "t.ndjson"],
        ["journal", "prune", "--older-than", "1 day"]
      ]
      for (const args of uses) {
        assertFails(yield* selvage([...args, "--journal", file]), 1, /There is no journal file/)
      }
      assert.isFalse(existsSync(file))
    })
  )

  it.effect("a file that is no journal stays as it is", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const garbage = join(directory, "garbage.db")
      writeFileSync(garbage, "not a database, ".repeat(500))
      assertFails(yield* selvage(["threads", "--journal", garbage]), 1, /is not a journal .*: file is not a database/)
      const other = join(directory, "other.db")
      const database = new DatabaseSync(other)
      database.exec("CREATE TABLE stock (sku TEXT)")
      database.close()
      const before = readFileSync(other)
      assertFails(yield* selvage(["threads", "--journal", other]), 1, /a database without threads/)
      assert.deepStrictEqual(readFileSync(other), before)
      assertFails(yield* selvage(["threads", "--journal", directory]), 1, /it is a directory/)
    })
  )

  it.effect("a journal file cut short or overwritten inside gives one message", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const bytes = readFileSync(file)
      assert.isAbove(statSync(file).size, 8192)
      writeFileSync(file, bytes.fill(0x5a, 4096))
      assertFails(yield* selvage(["events", "done", "--journal", file]), 1, /malformed/)
    })
  )

  it.effect("an entry that cannot be read is named, after those before it", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const database = new DatabaseSync(file)
      database.exec(`UPDATE selvage_entries SET entry = '{"_tag":"Nonsense"}' WHERE thread = 'done' AND seq = 4`)
      database.close()
      const { code, stderr, stdout } = yield* selvage(["events", "done", "--journal", file])
      assert.strictEqual(stdout.trimEnd().split("\n").length, 3)
      assert.match(stderr, /^selvage: Entry 4 of thread "done" cannot be read: [^\n]*\n$/)
      assert.strictEqual(code, 1)
      assertFails(yield* selvage(["show", "done", "--journal", file]), 1, /Entry 4 of thread "done"/)
      assertFails(yield* selvage(["state", "done", "--journal", file]), 1, /Entry 4 of thread "done"/)
      assert.strictEqual((yield* selvage(["state", "done", "--at", "3", "--journal", file])).code, 0)
      assert.strictEqual((yield* selvage(["show", "waiting", "--journal", file])).code, 0)
    })
  )

  it.effect("journal check tells where a thread is damaged, and ends with 1", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const sound = yield* selvage(["journal", "check", "--journal", file])
      assert.deepStrictEqual(sound, { stdout: "No findings.\n", stderr: "", code: 0 })
      const database = new DatabaseSync(file)
      database.exec(`UPDATE selvage_entries SET entry = '{"_tag":"Nonsense"}' WHERE thread = 'done' AND seq = 4`)
      database.exec("DELETE FROM selvage_entries WHERE thread = 'failed' AND seq = 2")
      database.close()
      const all = yield* selvage(["journal", "check", "--journal", file])
      assert.match(all.stdout, /^done {2}4 {2}chain {2}entry 4 does not have the hash/m)
      assert.match(all.stdout, /^done {2}4 {2}undecodable {2}entry 4: it is not an entry/m)
      assert.match(all.stdout, /^failed {2}2 {2}gap {2}entry 2 is missing$/m)
      assert.match(all.stderr, /^selvage: 3 findings in 2 threads\./)
      assert.strictEqual(all.code, 1)
      const one = yield* selvage(["journal", "check", "failed", "--json", "--journal", file])
      assert.deepStrictEqual(jsonLines(one.stdout), [
        { thread: "failed", seq: 2, kind: "gap", issue: "entry 2 is missing" }
      ])
      assert.match(one.stderr, /^selvage: 1 finding in thread "failed"\./)
      assert.strictEqual((yield* selvage(["journal", "check", "waiting", "--journal", file])).code, 0)
      assertFails(yield* selvage(["journal", "check", "nobody", "--journal", file]), 1, /There is no thread "nobody"/)
    })
  )

  it.effect("journal export and import take a thread from one journal to another", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const out = join(yield* temporary, "waiting.ndjson")
      const written = yield* selvage(["journal", "export", "waiting", "--out", out, "--journal", file])
      assert.deepStrictEqual(written, { stdout: "", stderr: "", code: 0 })
      const printed = yield* selvage(["journal", "export", "waiting", "--journal", file])
      assert.deepStrictEqual(jsonLines(printed.stdout), jsonLines(readFileSync(out, "utf8")))
      assert.deepInclude(jsonLines(printed.stdout)[0], { format: "selvage-journal", version: 1, thread: "waiting" })
      const other = yield* journalFile
      const imported = yield* selvage(["journal", "import", out, "--as", "copy", "--journal", other])
      assert.deepStrictEqual(imported, { stdout: "copy\n", stderr: "", code: 0 })
      const again = yield* selvage(["journal", "export", "copy", "--journal", other])
      assert.deepStrictEqual(again.stdout.split("\n").slice(1), printed.stdout.split("\n").slice(1))
      assertFails(
        yield* selvage(["journal", "import", out, "--journal", other]),
        1,
        /There is a thread "waiting" already/
      )
      writeFileSync(out, readFileSync(out, "utf8").replace('"seq":2', '"seq":7'))
      const damaged = yield* selvage(["journal", "import", out, "--as", "bad", "--journal", other])
      assertFails(damaged, 1, /Line 3 of the exported thread cannot be read: entry 2 belongs here, and this is entry 7/)
      assertFails(yield* selvage(["journal", "import", `${out}.no`, "--journal", other]), 1, /cannot be used/)
    })
  )

  it.effect("journal prune removes old threads whose run is over", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      // The threads of this journal are from 1970.
      const none = yield* selvage(["journal", "prune", "--older-than", "5000 weeks", "--journal", file])
      assert.strictEqual(none.stdout, "0 threads removed.\n")
      const pruned = yield* selvage(["journal", "prune", "--older-than", "30 days", "--journal", file])
      assert.deepStrictEqual(pruned, { stdout: "2 threads removed.\n", stderr: "", code: 0 })
      const left = jsonLines((yield* selvage(["threads", "--json", "--journal", file])).stdout)
      assert.deepStrictEqual(
        left.map((info) => Reflect.get(Object(info), "thread")),
        ["waiting"]
      )
      const args = ["journal", "prune", "--older-than", "1 hour", "--status", "waiting", "--json", "--journal", file]
      assert.deepStrictEqual(json((yield* selvage(args)).stdout), { removed: 1 })
    })
  )

  it.effect("an unknown thread and an entry beyond the head are named", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      for (const args of [["show"], ["events"], ["state"], ["fork", "--at", "1"]]) {
        assertFails(yield* selvage([...args, "nobody", "--journal", file]), 1, /There is no thread "nobody"/)
      }
      for (const command of ["state", "fork"]) {
        for (const at of ["9999", "0"]) {
          const ended = yield* selvage([command, "done", "--at", at, "--journal", file])
          assertFails(ended, 1, new RegExp(`has entries 1 to \\d+; there is no entry ${at}`))
        }
      }
    })
  )

  it.effect("a wrong use says what is wrong and ends with 2", () =>
    Effect.gen(function* () {
      const uses: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [["frobnicate"], /Unknown subcommand "frobnicate"/],
        [["threads", "--frobnicate"], /Unrecognized flag: --frobnicate/],
        [["show"], /Missing required argument: thread/],
        [["state", "t", "--at", "abc"], /--at/],
        [["state", "t", "--at=-1"], /--at/],
        [["events", "t", "--after", "1.5"], /--after/],
        [["fork", "t"], /Missing required flag: --at/],
        [["fork", "t", "--at", "1", "--as", ""], /--as/],
        [["show", "t", "extra"], /extra/],
        [["journal", "prune"], /Missing required flag: --older-than/],
        [["journal", "prune", "--older-than", "a while"], /Expected a time as "30 days"/],
        [["journal", "prune", "--older-than", "1 day", "--status", "asleep"], /--status/]
      ]
      for (const [args, message] of uses) assertFails(yield* selvage(args), 2, message)
    })
  )

  it.effect("a reader that goes away ends it quietly", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        let at = yield* Effect.map(journal.info("waiting"), (info) => info.head)
        const value = "x".repeat(2000)
        for (let batch = 0; batch < 20; batch++) {
          const entry = { _tag: "Recorded", path: "", step: 1, task: "t", key: "k", value } as const
          yield* journal.append("waiting", at, [entry, ...Array.from({ length: 99 }, () => entry)])
          at += 100
        }
      }).pipe(onJournal(file))
      const ended = yield* binary(["events", "waiting", "--json", "--journal", file], { leave: true })
      assert.deepStrictEqual([ended.stderr, ended.code], ["", 0])
      assert.isBelow(ended.stdout.length, 2_000_000)
      const whole = yield* selvage(["events", "waiting", "--json", "--journal", file])
      assert.isAbove(jsonLines(whole.stdout).length, 2000)
    })
  )

  it.effect("the binary has the arguments, the environment and the directory of its process, and its exit code", () =>
    Effect.gen(function* () {
      const file = yield* journalFile
      const env = { SELVAGE_JOURNAL: file }
      const byConfig = yield* binary(["threads", "--json"], { env })
      assert.deepStrictEqual([jsonLines(byConfig.stdout).length, byConfig.stderr, byConfig.code], [3, "", 0])
      assertFails(yield* binary(["threads"], { cwd: yield* temporary }), 1, /no journal file "\.selvage\/journal\.db"/)
      assertFails(yield* binary(["show", "t", "extra"], { env }), 2, /extra/)
      const drawn = yield* binary(["graph", "fixture/orders.ts", "--name", "orders"])
      assert.match(drawn.stdout, /^flowchart TD\n/)
      assert.deepStrictEqual([drawn.stderr, drawn.code], ["", 0])
    })
  )

  it.effect("help and version are no failures", () =>
    Effect.gen(function* () {
      const manifest = json(readFileSync(join(here, "../package.json"), "utf8"))
      assert.deepPropertyVal(manifest, "version", Cli.version)
      assert.match((yield* selvage(["--version"])).stdout, new RegExp(Cli.version))
      const help = yield* selvage(["--help"])
      for (const name of ["threads", "show", "events", "state", "fork", "graph"]) assert.include(help.stdout, name)
      assert.deepStrictEqual([help.stderr, help.code], ["", 0])
    })
  )

  it.effect("runs inside a program, with the exit code as its result", () =>
    Effect.gen(function* () {
      const file = join(yield* temporary, "absent.db")
      assert.strictEqual(yield* Cli.run(["threads", "--journal", file]), 1)
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
