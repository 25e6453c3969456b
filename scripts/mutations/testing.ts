import { of } from "./mutation.ts"

export const mutations = of("testing", [
  {
    file: "CrashingJournal.ts",
    find: "if (count < options.at) return",
    replace: "if (count <= options.at) return",
    tests: ["CrashingJournal"],
    breaks: "a journal crashes one append late"
  },
  {
    file: "CrashingJournal.ts",
    find: 'return count === options.at && options.append === "written"',
    replace: 'return options.append === "written"',
    tests: ["CrashingJournal"],
    breaks: "a journal that is gone writes on"
  },
  {
    file: "ScriptedModel.ts",
    find: "remaining: Effect.sync(() => Math.max(0, turns.length - requests.length))",
    replace: "remaining: Effect.sync(() => turns.length)",
    tests: ["ScriptedModel"],
    breaks: "a script does not know what is left of it"
  },
  {
    file: "ScriptedModel.ts",
    find: 'if (request.object !== undefined) return yield* unfit(request, "the script has a text here.")',
    replace: "",
    tests: ["ScriptedModel"],
    breaks: "a text is an object"
  },
  {
    file: "ScriptedModel.ts",
    find: "if (request.tools.length === 0) {",
    replace: "if (request.tools.length < 0) {",
    tests: ["ScriptedModel"],
    breaks: "a tool is called that nobody offered"
  },
  {
    file: "ScriptedModel.ts",
    find: "id ?? `call_${request.turn}_${index + 1}`",
    replace: "id ?? `call_${index + 1}`",
    tests: ["ScriptedModel"],
    breaks: "calls of two turns have one id"
  }
])
