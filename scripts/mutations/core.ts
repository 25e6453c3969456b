import { of } from "./mutation.ts"

export const mutations = of("core", [
  {
    file: "internal/memoryJournal.ts",
    find: "known?.entries.slice(expected).every(({ entry }) => isPosted(entry)) === true",
    replace: "known !== undefined",
    tests: ["Threads", "MemoryJournal"],
    breaks: "the writer of a run goes past what another run wrote"
  },
  {
    file: "internal/writer.ts",
    find: 'past: "posted"',
    replace: "past: undefined",
    tests: ["Threads"],
    breaks: "an answer that comes beside an append ends the run"
  },
  {
    file: "internal/replay.ts",
    find: "replay.answered = true",
    replace: "replay.answered = false",
    tests: ["Threads"],
    breaks: "an answer that comes while the run works is not gone on with"
  },
  {
    file: "internal/writer.ts",
    find: "      took(between, graph)\n    }\n    return wrote(appended)",
    replace: "    }\n    return wrote(appended)",
    tests: ["Threads"],
    breaks: "what came from outside in between is not folded"
  },
  {
    file: "internal/writer.ts",
    find: "if (closed) return Effect.fail(ended())",
    replace: "",
    tests: ["Threads", "Writer"],
    breaks: "a task that outlives its run writes on"
  },
  {
    file: "internal/writer.ts",
    find: "if (!slots.delete(slot)) return Effect.exit(Deferred.await(slot.done))",
    replace: "if (!slots.delete(slot)) return Effect.void",
    tests: ["Writer"],
    breaks: "an attempt that is over does not know what it has written"
  },
  {
    file: "internal/writer.ts",
    find: "taken.flatMap((slot) => slot.entries)",
    replace: "taken.toReversed().flatMap((slot) => slot.entries)",
    tests: ["Threads", "Writer"],
    breaks: "entries that wait are written in another order"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "original.snapshot !== undefined && original.snapshot.seq <= at",
    replace: "original.snapshot !== undefined",
    tests: ["MemoryJournal"],
    breaks: "a fork in memory copies a later snapshot"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "(passes ? actual < expected : actual !== expected)",
    replace: "actual < expected",
    tests: ["Threads", "MemoryJournal"],
    breaks: "an append goes where others have been"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "(options?.id !== undefined && options.id !== known?.info.id)",
    replace: "false",
    tests: ["MemoryJournal"],
    breaks: "a writer of a thread that is gone writes into a new one of its name"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "seq > kept.info.head || (kept.snapshot?.seq ?? 0) >= seq",
    replace: "seq > kept.info.head",
    tests: ["MemoryJournal"],
    breaks: "an older snapshot takes the place of a newer one"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "if (options?.head !== undefined && options.head !== kept.info.head) {",
    replace: "if (false) {",
    tests: ["MemoryJournal"],
    breaks: "a thread that moved is removed"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "if (kept.removed) return Effect.fail(new ThreadNotFound({ thread }))",
    replace: "",
    tests: ["MemoryJournal"],
    breaks: "a tail of a thread that is gone waits for ever"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "ended && Mailbox.waiting(kept.mailbox) === 0",
    replace: "ended",
    tests: ["MemoryJournal"],
    breaks: "a thread is forgotten while inputs queue"
  },
  {
    file: "internal/mailbox.ts",
    find: "waiting(mailbox) >= maxWaiting || (entry.run",
    replace: "waiting(mailbox) > maxWaiting || (entry.run",
    tests: ["Threads"],
    breaks: "one input more than the bound says is folded"
  },
  {
    file: "internal/mailbox.ts",
    find: "if (keys.has(key)) return false",
    replace: "",
    tests: ["Threads"],
    breaks: "what is sent again counts again"
  },
  {
    file: "internal/mailbox.ts",
    find: "if (refused?.key !== undefined) mailbox.keys.delete(refused.key)",
    replace: "",
    tests: ["Threads"],
    breaks: "a patch that was refused is not judged anew"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "else if (kept.waiting.size > 0) wake(kept)",
    replace: "",
    tests: ["MemoryJournal"],
    breaks: "a tail hears nothing"
  },
  {
    file: "internal/memoryJournal.ts",
    find: "if (threads.has(as)) return yield* new ThreadExists({ thread: as })",
    replace: "",
    tests: ["MemoryJournal"],
    breaks: "a fork takes the place of another thread"
  },
  {
    file: "internal/journalFold.ts",
    find: "Number.isInteger(seq) && seq >= 1 && seq <= head",
    replace: "Number.isInteger(seq) && seq >= 1 && seq <= head + 1",
    tests: ["MemoryJournal"],
    breaks: "a fork begins behind the last entry"
  },
  {
    file: "internal/journalFold.ts",
    find: "info.updatedAt < filter.updatedBefore",
    replace: "info.updatedAt <= filter.updatedBefore",
    tests: ["MemoryJournal"],
    breaks: "a filter by time lists what changed at that time"
  },
  {
    file: "internal/journalFold.ts",
    find: "  since.bytes >= since.snapshot",
    replace: "  since.bytes >= 0",
    tests: ["MemoryJournal"],
    breaks: "snapshots together cost more than their entries"
  },
  {
    file: "internal/journalFold.ts",
    find: "if (seq !== index + 1) return",
    replace: "if (seq < index + 1) return",
    tests: ["MemoryJournal"],
    breaks: "what has gaps is restored"
  },
  {
    file: "internal/advance.ts",
    find: "waiting(log) >= maxWaiting",
    replace: "waiting(log) > maxWaiting",
    tests: ["Threads"],
    breaks: "one input more may queue than the bound says"
  },
  {
    file: "internal/advance.ts",
    find: 'if (same && whenBusy === "reject") return yield* this.#goOn()',
    replace: "",
    tests: ["Threads"],
    breaks: "the same input after a crash is refused"
  },
  {
    file: "internal/advance.ts",
    find: 'if (end.outcome === "failed") return yield* new RunFailed({ thread, run, error: end.error })',
    replace: "",
    tests: ["NamedRuns"],
    breaks: "a run that failed is done"
  },
  {
    file: "internal/advance.ts",
    find: "...(uncertain.length === 0 ? {} : { uncertain })",
    replace: "",
    tests: ["Threads"],
    breaks: "a run that replaces another does not say which calls were under way"
  },
  {
    file: "internal/advance.ts",
    find: "if (Exit.isFailure(exit) && !this.#endsRun(exit.cause)) return",
    replace: "if (Exit.isFailure(exit) && false) return",
    tests: ["Threads"],
    breaks: "an interruption ends a run as a failure"
  },
  {
    file: "internal/advance.ts",
    find: "!Cause.hasInterruptsOnly(cause) && !isJournalFailure",
    replace: "!isJournalFailure",
    tests: ["Threads"],
    breaks: "an interrupted run cannot go on"
  },
  {
    file: "internal/advance.ts",
    find: "if (seq !== undefined) yield* this.#checkQueued(input, seq, state, before)",
    replace: "",
    tests: ["Threads"],
    breaks: "a queued input that does not fit is begun"
  },
  {
    file: "internal/advance.ts",
    find: "if (log.queue[0] === next) return yield*",
    replace: "if (log.queue[0] !== undefined) return yield*",
    tests: ["Threads"],
    breaks: "an input that is refused holds up those behind it"
  },
  {
    file: "internal/underWay.ts",
    find: "running.run === name",
    replace: "running.run !== name",
    tests: ["Threads"],
    breaks: "a run that is asked for again while it is under way runs twice"
  },
  {
    file: "internal/replay.ts",
    find: "for (const result of results) frame.pending.set(result.task, result)",
    replace: "",
    tests: ["Threads"],
    breaks: "results that stand in entries of their own are lost"
  },
  {
    file: "internal/replay.ts",
    find: "waited + (waitingSince === undefined ? 0 : now - waitingSince)",
    replace: "waited",
    tests: ["Threads"],
    breaks: "the time of a person counts against the deadline"
  },
  {
    file: "internal/mailbox.ts",
    find: "if (entry.queued !== undefined) takeOut(mailbox.queue, entry.queued)",
    replace: "",
    tests: ["Threads"],
    breaks: "a queued input runs again"
  },
  {
    file: "internal/replay.ts",
    find: "recorded.has(fact) ? [] : [",
    replace: "false ? [] : [",
    tests: ["Threads"],
    breaks: "a call that is done counts as under way"
  },
  {
    file: "internal/replay.ts",
    find: 'abandonStep(replay, frameAt(replay, ""), "keep")',
    replace: 'abandonStep(replay, frameAt(replay, ""), "forget")',
    tests: ["Threads"],
    breaks: "after a patch a call is made again"
  },
  {
    file: "internal/replay.ts",
    find: '    case "Forked":\n      restartClock(replay, at)',
    replace: '    case "Forked":',
    tests: ["Threads"],
    breaks: "a fork has the time of the thread that it came from"
  },
  {
    file: "internal/runs.ts",
    find: "if (ends.size <= maxRuns) return",
    replace: "if (ends.size < maxRuns) return",
    tests: ["Threads"],
    breaks: "a thread knows one name less than the bound says"
  },
  {
    file: "internal/runs.ts",
    find: 'ends.get(run) === "unfinished"',
    replace: "ends.has(run)",
    tests: ["NamedRuns"],
    breaks: "a run that was done counts as replaced"
  },
  {
    file: "internal/step.ts",
    find: "const now = before.includes(from) ? before : [...before, from]",
    replace: "const now = [from]",
    tests: ["Graph", "Threads"],
    breaks: "a join forgets who arrived in an earlier step"
  },
  {
    file: "internal/step.ts",
    find: "if (this.#followed.has(from)) return undefined",
    replace: "",
    tests: ["Threads"],
    breaks: "what follows a fan-out runs once for each item"
  },
  {
    file: "internal/step.ts",
    find: "if (choice.items.length === 0) return this.follow(choice.target)",
    replace: "if (choice.items.length === 0) return undefined",
    tests: ["Graph"],
    breaks: "a fan-out of no items ends the graph"
  },
  {
    file: "internal/step.ts",
    find: "for (const channel of graph.ephemeral) next[channel] = graph.initial[channel]",
    replace: "",
    tests: ["Channel"],
    breaks: "an ephemeral value stays"
  },
  {
    file: "internal/step.ts",
    find: "if (other !== undefined && !(",
    replace: "if (false && !(",
    tests: ["Graph"],
    breaks: "of two values one is lost in silence"
  },
  {
    file: "internal/step.ts",
    find: "for (let count = this.#counts.get(base) ?? 2; this.#ready.has(name); count++) {",
    replace: "for (let count = 2; false; count++) {",
    tests: ["Threads"],
    breaks: "two items of one key are one task"
  },
  {
    file: "internal/step.ts",
    find: "if (this.#ready.size === 0) {",
    replace: "if (false) {",
    tests: ["Graph", "Threads"],
    breaks: "a branch that comes to a join alone is lost"
  },
  {
    file: "internal/runtime.ts",
    find: "if (until <= now) return yield* exceeded",
    replace: "",
    tests: ["Threads"],
    breaks: "a run whose deadline has passed begins again"
  },
  {
    file: "internal/runtime.ts",
    find: "Policy.Deadline, Math.min(until, outer ?? until)",
    replace: "Policy.Deadline, until",
    tests: ["Threads"],
    breaks: "a graph inside has more time than the one around it"
  },
  {
    file: "internal/runtime.ts",
    find: "if (!log.pending.has(task)) results.push(result)",
    replace: "results.push(result)",
    tests: ["Threads"],
    breaks: "a result is journaled twice"
  },
  {
    file: "internal/runtime.ts",
    find: 'path === "" && ends && waiting(journal.replay) === 0',
    replace: 'path === "" && ends',
    tests: ["Threads"],
    breaks: "a run ends while an input is queued behind it"
  },
  {
    file: "internal/runtime.ts",
    find: 'end._tag === "Failed" && frame.graph.siblings === "interrupt" ? interruptSiblings',
    replace: "false ? interruptSiblings",
    tests: ["Threads", "Graph"],
    breaks: "siblings of a failed task go on where they are to be interrupted"
  },
  {
    file: "internal/runtime.ts",
    find: "if (ready.rescues !== undefined) {",
    replace: "if (false) {",
    tests: ["Graph", "Threads"],
    breaks: "an error route leads back to itself"
  },
  {
    file: "internal/runtime.ts",
    find: "group: ({ ready }) => ready.group",
    replace: "group: () => undefined",
    tests: ["Graph"],
    breaks: "a fan-out has no concurrency of its own"
  },
  {
    file: "internal/task.ts",
    find: "open.name === name && !this.#claimed.includes(open.ask) && Equal.equals(open.question, question)",
    replace: "open.name === name && !this.#claimed.includes(open.ask)",
    tests: ["Threads"],
    breaks: "an answer is given to another question"
  },
  {
    file: "internal/task.ts",
    find: "for (let count = 2; isTaken(ask); count++)",
    replace: "for (let count = 2; false; count++)",
    tests: ["Threads"],
    breaks: "two questions of one task have one id"
  },
  {
    file: "internal/task.ts",
    find: "now < deadline\n          ? suspended",
    replace: "false\n          ? suspended",
    tests: ["Threads"],
    breaks: "a question expires at once"
  },
  {
    file: "internal/task.ts",
    find: 'return value === undefined ? expired : { _tag: "Answered", value }',
    replace: "return expired",
    tests: ["Threads"],
    breaks: "an answer beside the deadline is lost"
  },
  {
    file: "internal/snapshot.ts",
    find: "log.frames.size === 1 &&",
    replace: "",
    tests: ["Threads"],
    breaks: "a snapshot is cut within a graph inside"
  },
  {
    file: "internal/snapshot.ts",
    find: "  log.waited = cut.waited\n",
    replace: "",
    tests: ["Threads"],
    breaks: "a snapshot forgets how long a person took"
  },
  {
    file: "internal/open.ts",
    find: "snapshot.value.seq <= until",
    replace: "true",
    tests: ["Threads"],
    breaks: "a fork opens a snapshot that is later than itself"
  },
  {
    file: "internal/open.ts",
    find: "warm.id === id && ",
    replace: "",
    tests: ["Threads"],
    breaks: "a thread that is gone is found in memory under its name"
  },
  {
    file: "internal/open.ts",
    find: "if (threads.size > bound) {",
    replace: "if (false) {",
    tests: ["Threads"],
    breaks: "a process holds on to every thread"
  },
  {
    file: "internal/list.ts",
    find: "parts.push(list.#items ?? list.#added)",
    replace: "parts.push(list.#added)",
    tests: ["List"],
    breaks: "a long list loses its beginning"
  },
  {
    file: "Policy.ts",
    find: "now + Duration.toMillis(duration) < deadline",
    replace: "now + Duration.toMillis(duration) < Infinity",
    tests: ["Policy"],
    breaks: "a retry begins after the deadline"
  },
  {
    file: "Policy.ts",
    find: "Duration.max(duration, retryAfter(input))",
    replace: "duration",
    tests: ["Policy"],
    breaks: "a retry comes before the time that an error asks for"
  },
  {
    file: "Limit.ts",
    find: "return () => ++count < n",
    replace: "return () => ++count <= n",
    tests: ["Limit"],
    breaks: "one turn more runs than the limit says"
  },
  {
    file: "Limit.ts",
    find: "(total += cost(turn)) < ceiling",
    replace: "(total += cost(turn)) <= ceiling",
    tests: ["Limit"],
    breaks: "a turn runs after the one that reached the ceiling"
  },
  {
    file: "Durable.ts",
    find: "if (recorded !== undefined) return yield* decode(recorded)\n  if (task.intended",
    replace: "if (task.intended",
    tests: ["Threads"],
    breaks: "a call that must not be repeated is repeated"
  },
  {
    file: "Durable.ts",
    find: "yield* task.intend(options.key, options.detail)",
    replace: "",
    tests: ["Threads"],
    breaks: "a call is made without a word in the journal"
  },
  {
    file: "Migration.ts",
    find: "if (to === null) continue",
    replace: "",
    tests: ["testing:regressions/Migrations"],
    breaks: "a channel that is gone stays in the entries"
  },
  {
    file: "internal/sql/tail.ts",
    find: "            listener.changed = false\n            const { entries, id } = yield* reader.page(thread, { after: from, until: undefined, limit: page })",
    replace:
      "            const { entries, id } = yield* reader.page(thread, { after: from, until: undefined, limit: page })\n            listener.changed = false",
    tests: ["sqlite:Tail"],
    breaks: "a tail clears its signal after it has read"
  },
  {
    file: "internal/sql/append.ts",
    find: "if (id !== undefined && id !== known?.info.id) return false",
    replace: "",
    tests: ["sqlite:Laws"],
    breaks: "a writer of a thread that is gone writes into a new one of its name"
  },
  {
    file: "internal/sql/append.ts",
    find: "snapshot: snapshot.size",
    replace: "snapshot: 0",
    tests: ["sqlite:Tail"],
    breaks: "snapshots together cost more than their entries"
  },
  {
    file: "internal/sql/chain.ts",
    find: "sha256(`${previous}\\n${seq}",
    replace: "sha256(`${seq}",
    tests: ["sqlite:SqlJournal", "sqlite:Laws"],
    breaks: "the hash of an entry does not cover the one before"
  },
  {
    file: "internal/sql/check.ts",
    find: "if (gap) findings.push",
    replace: "if (false) findings.push",
    tests: ["sqlite:SqlJournal"],
    breaks: "a gap is not found"
  },
  {
    file: "internal/sql/check.ts",
    find: "if (!gap && Chain.link",
    replace: "if (false && Chain.link",
    tests: ["sqlite:SqlJournal"],
    breaks: "a changed entry is not found"
  },
  {
    file: "internal/sql/writer.ts",
    find: "batch.length > 1 && !committing && isRefusal(error)",
    replace: "false",
    tests: ["sqlite:SqlJournal"],
    breaks: "one bad append fails those that share its transaction"
  },
  {
    file: "internal/sql/writer.ts",
    find: "if (full || threads.has(request.thread)) rest.push(request)",
    replace: "if (full) rest.push(request)",
    tests: ["sqlite:Laws", "sqlite:SqlJournal"],
    breaks: "two appends of a thread are in one transaction"
  },
  {
    file: "internal/sql/writer.ts",
    find: "row === undefined ? request.expected !== 0 : !Append.fits(request, row)",
    replace: "false",
    tests: ["sqlite:SqlJournal"],
    breaks: "what another process wrote is a conflict for ever"
  },
  {
    file: "internal/sql/writer.ts",
    find: 'for (const { resume } of queue) resume(Effect.fail(failed(new Error("the journal was closed"))))',
    replace: "",
    tests: ["sqlite:SqlJournal"],
    breaks: "who waits for a journal that is closed waits for ever"
  },
  {
    file: "internal/sql/values.ts",
    find: "json.startsWith(nul) ? nul + json : json",
    replace: "json",
    tests: ["sqlite:Laws", "sqlite:SqlJournal"],
    breaks: "a text that looks like a reference is read as one"
  },
  {
    file: "internal/sql/values.ts",
    find: "if (!values.has(key)) throw new Missing(key)",
    replace: "",
    tests: ["sqlite:SqlJournal"],
    breaks: "a value that is missing is not noticed"
  },
  {
    file: "internal/sql/threads.ts",
    find: "selvage_snapshots WHERE thread = ? AND seq <= ?`\n  ].map",
    replace: "selvage_snapshots WHERE thread = ? AND seq >= 0 * ?`\n  ].map",
    tests: ["sqlite:Laws"],
    breaks: "a fork copies a later snapshot"
  },
  {
    file: "internal/sql/threads.ts",
    find: "WHERE selvage_snapshots.seq < excluded.seq",
    replace: "",
    tests: ["sqlite:Laws"],
    breaks: "an older snapshot takes the place of a newer one"
  },
  {
    file: "internal/sql/threads.ts",
    find: "if (head !== undefined && head !== info.head) {",
    replace: "if (false) {",
    tests: ["sqlite:Laws"],
    breaks: "a thread that moved is removed"
  },
  {
    file: "internal/sql/threads.ts",
    find: "yield* connection.executeValues(deleteValues, [thread, thread])",
    replace: "",
    tests: ["sqlite:SqlJournal"],
    breaks: "large values stay when nobody refers to them"
  },
  {
    file: "internal/sql/transact.ts",
    find: 'isBusy() ? Effect.void : Effect.exit(connection.executeUnprepared("ROLLBACK", [], undefined))',
    replace: "Effect.void",
    tests: ["sqlite:SqlJournal", "sqlite:Laws"],
    breaks: "a transaction that failed stays open"
  }
])
