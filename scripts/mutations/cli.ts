import { of } from "./mutation.ts"

export const mutations = of("cli", [
  {
    file: "Output.ts",
    find: '.replaceAll("\\n", "\\\\n").replaceAll(unsafe, escape)',
    replace: '.replaceAll("\\n", "\\\\n")',
    tests: ["Cli"],
    breaks: "a terminal takes a text for commands"
  },
  {
    file: "Entries.ts",
    find: "corrupt.seq > after + 1",
    replace: "false",
    tests: ["Cli"],
    breaks: "entries before a damaged one are not shown"
  },
  {
    file: "Entries.ts",
    find: "const rest = until < range.until ? Option.some(until) : Option.none()",
    replace: "const rest = Option.none<number>()",
    tests: ["Cli"],
    breaks: "a long thread is shown in part"
  },
  {
    file: "JournalFile.ts",
    find: "if (!found) return yield*",
    replace: "if (false) return yield*",
    tests: ["Cli"],
    breaks: "another database is taken for a journal"
  },
  {
    file: "JournalCommands.ts",
    find: "if (count > 0) return yield* new JournalUnsound",
    replace: "if (count < 0) return yield* new JournalUnsound",
    tests: ["Cli"],
    breaks: "a damaged journal is sound"
  },
  {
    file: "JournalCommands.ts",
    find: "status: status.length === 0 ? undefined : status",
    replace: "status: undefined",
    tests: ["Cli"],
    breaks: "threads of another status are removed"
  },
  {
    file: "ThreadCommands.ts",
    find: 'if (made.failure._tag !== "ThreadExists") return yield* made.failure',
    replace: "return yield* made.failure",
    tests: ["Cli"],
    breaks: "a second fork has no name"
  },
  {
    file: "ThreadCommands.ts",
    find: "Option.getOrElse(at, () => info.head)",
    replace: "info.head",
    tests: ["Cli"],
    breaks: "the state as of an entry is that of now"
  }
])
