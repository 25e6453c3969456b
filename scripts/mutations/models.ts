import { of } from "./mutation.ts"

export const mutations = of("models", [
  {
    file: "internal/budgetAccount.ts",
    find: "if (ends > now) return { slot, ends }",
    replace: "return { slot, ends }",
    tests: ["windows", "jumping"],
    breaks: "an hour that is shown twice has no ceiling"
  },
  {
    file: "internal/budgetAccount.ts",
    find: "{ weekStartsOn: 1 }",
    replace: "{ weekStartsOn: 0 }",
    tests: ["windows", "BudgetLedger"],
    breaks: "a week begins on Sunday"
  },
  {
    file: "internal/budgetAccount.ts",
    find: "const slot = Math.floor(now / slice) * slice\n  return { slot, ends: slot + slice + length }",
    replace: "const slot = Math.floor(now / slice) * slice\n  return { slot, ends: slot + length }",
    tests: ["BudgetLedger"],
    breaks: "a rolling window is shorter than it says"
  },
  {
    file: "internal/budgetAccount.ts",
    find: "self === undefined ? that : that === undefined ? self : Math.min(self, that)",
    replace: "self === undefined ? that : that === undefined ? self : Math.max(self, that)",
    tests: ["BudgetLedger"],
    breaks: "of two ceilings of one account the higher one counts"
  },
  {
    file: "internal/budgetAccount.ts",
    find: "if (slot.ends >= never) return undefined",
    replace: "",
    tests: ["BudgetLedger"],
    breaks: "a refusal says that an account without window frees by itself"
  },
  {
    file: "internal/budgetHolds.ts",
    find: "hold.until = hold.began + keepFor",
    replace: "void hold.began",
    tests: ["BudgetLedger"],
    breaks: "what is kept expires"
  },
  {
    file: "internal/budgetHolds.ts",
    find: "if (!wasSet(aheadOf(clock))) return Effect.void",
    replace: "return Effect.void",
    tests: ["jumping"],
    breaks: "a clock that is set forward frees what is under way"
  },
  {
    file: "BudgetStore.ts",
    find: "sum.tokens += amount.tokens\n",
    replace: "",
    tests: ["BudgetStore"],
    breaks: "tokens are not counted"
  },
  {
    file: "BudgetStore.ts",
    find: "sum.micros += amount.micros\n",
    replace: "",
    tests: ["BudgetStore"],
    breaks: "money is not counted"
  },
  {
    file: "BudgetStore.ts",
    find: 'return sums.holds >= maxHolds ? "holds" : undefined',
    replace: 'return sums.holds > maxHolds ? "holds" : undefined',
    tests: ["BudgetStore"],
    breaks: "one reservation more than may be open is granted"
  },
  {
    file: "BudgetStore.ts",
    find: "if (hold.expires <= now || hold.ends <= now) continue",
    replace: "if (hold.expires <= now) continue",
    tests: ["BudgetStore"],
    breaks: "what was held for yesterday counts today"
  },
  {
    file: "BudgetStore.ts",
    find: "const amount = { tokens: most(sum.tokens), micros: most(sum.micros) }",
    replace: "const { amount } = last",
    tests: ["BudgetStore"],
    breaks: "slots that are folded are forgotten"
  },
  {
    file: "BudgetStoreSql.ts",
    find: "AND expires > ${now} AND ends > ${now}\n      ) AS counted GROUP BY book, kind",
    replace: "AND ends > ${now}\n      ) AS counted GROUP BY book, kind",
    tests: ["BudgetStore"],
    breaks: "a hold never expires in a database"
  },
  {
    file: "BudgetStoreSql.ts",
    find: "tokens = selvage_budget_slots.tokens + excluded.tokens,",
    replace: "tokens = excluded.tokens,",
    tests: ["BudgetStore"],
    breaks: "a database knows only the last that was spent"
  },
  {
    file: "BudgetStoreRedis.ts",
    find: '  move(book, past, open, "(" .. text(now), "+inf", 1)\n',
    replace: "",
    tests: ["BudgetStore"],
    breaks: "by a clock that is set back Redis frees what is held"
  },
  {
    file: "BudgetLedger.ts",
    find: "Effect.onError(() => Effect.forkDetach(Effect.ignore(giveBack(id, lines)), { startImmediately: true }))",
    replace: "Effect.onError(() => Effect.void)",
    tests: ["BudgetLedger"],
    breaks: "an amount whose store did not answer stays held"
  },
  {
    file: "BudgetLedger.ts",
    find: "Math.max(1, Math.min(lookEvery, until",
    replace: "Math.max(1, Math.max(lookEvery, until",
    tests: ["BudgetLedger"],
    breaks: "who waits looks too late"
  },
  {
    file: "Budget.ts",
    find: "seen.finish = part",
    replace: "void part",
    tests: ["Budget"],
    breaks: "the usage that a provider reports is not counted"
  },
  {
    file: "Budget.ts",
    find: "if (unknown.length > 0 && inMoney.length > 0) {",
    replace: "if (unknown.length > 1 && inMoney.length > 0) {",
    tests: ["Budget"],
    breaks: "a model without a price is asked where money is limited"
  },
  {
    file: "internal/budgetCall.ts",
    find: 'return own._tag === "Nothing" && content ?',
    replace: 'return own._tag === "Nothing" && !content ?',
    tests: ["Budget"],
    breaks: "an answer that broke off is free"
  },
  {
    file: "internal/budgetCall.ts",
    find: "Math.max(input, cachedInput, cacheWrite)",
    replace: "cachedInput",
    tests: ["Budget"],
    breaks: "an estimate counts the cheapest input"
  },
  {
    file: "Prices.ts",
    find: "return (sum - over) / 1_000_000 + (over > 0 ? 1 : 0)",
    replace: "return (sum - over) / 1_000_000",
    tests: ["Prices"],
    breaks: "a part of a micro-dollar is free"
  },
  {
    file: "Prices.ts",
    find: "price.reasoning ?? price.output",
    replace: "price.reasoning ?? 0",
    tests: ["Prices"],
    breaks: "reasoning is free where it has no price of its own"
  },
  {
    file: "internal/restart.ts",
    find: "parts.findLastIndex(isRestart) + 1",
    replace: "parts.findLastIndex(isRestart)",
    tests: ["ModelPolicy", "ResponseCache", "Fallback", "Cassette"],
    breaks: "the mark of a restart is part of the answer"
  },
  {
    file: "internal/retrying.ts",
    find: "const stands = progress.called ||",
    replace: "const stands =",
    tests: ["ModelPolicy"],
    breaks: "a stream that called a tool is asked for again"
  },
  {
    file: "internal/retrying.ts",
    find: 'tagOf(error) !== "RateLimited"',
    replace: 'tagOf(error) !== ""',
    tests: ["ModelPolicy"],
    breaks: "who has waited for a turn as long as a call may is made to wait again"
  },
  {
    file: "internal/retrying.ts",
    find: "duration }) =>\n    Effect.succeed(Duration.toMillis(duration) <= longest)",
    replace: "duration }) =>\n    Effect.succeed(Duration.toMillis(duration) >= 0)",
    tests: ["ModelPolicy"],
    breaks: "a retry waits for as long as a server asks"
  },
  {
    file: "internal/retrying.ts",
    find: "second && failures < 2 ? Effect.never : exit",
    replace: "second && failures < 1 ? Effect.never : exit",
    tests: ["ModelPolicy"],
    breaks: "a hedged call fails while its other half may answer"
  },
  {
    file: "internal/partial.ts",
    find: 'part.type === "tool-call" && part.providerExecuted !== true',
    replace: 'part.type === "tool-result"',
    tests: ["ModelPolicy", "Fallback"],
    breaks: "a call of a tool is not noticed in a stream"
  },
  {
    file: "internal/bounded.ts",
    find: "isLate = true",
    replace: "void isLate",
    tests: ["bounded"],
    breaks: "what is late is interrupted without an outcome"
  },
  {
    file: "internal/bounded.ts",
    find: '        if (late === "awaited") return Fiber.interrupt(fiber)\n        fiber.interruptUnsafe()\n',
    replace: "",
    tests: ["bounded"],
    breaks: "an effect outlives its caller"
  },
  {
    file: "internal/timing.ts",
    find: "received: (chunk, time) => {\n            waited += time",
    replace: "received: (chunk) => {\n            waited += 0",
    tests: ["ModelPolicy"],
    breaks: "a stream that gives a little may last for ever"
  },
  {
    file: "internal/timing.ts",
    find: "if (!content) content = chunk.some(isContent)",
    replace: "content = true",
    tests: ["ModelPolicy"],
    breaks: "a stream without content keeps its time to the first token"
  },
  {
    file: "internal/limiting.ts",
    find: "const more = total(outcome.usage) - Math.min(held.estimate, tokensPerMinute)",
    replace: "const more = 0 - Math.min(held.estimate, tokensPerMinute)",
    tests: ["ModelPolicy"],
    breaks: "tokens above the estimate are free"
  },
  {
    file: "internal/limiting.ts",
    find: "if (now + wait > end) return",
    replace: "if (wait < 0) return",
    tests: ["ModelPolicy"],
    breaks: "a turn is waited for beyond the time that a call may wait"
  },
  {
    file: "internal/remaining.ts",
    find: "const left = Math.max(0, remaining - this.#underWay[kind])",
    replace: "const left = Math.max(0, remaining)",
    tests: ["ModelPolicy"],
    breaks: "calls under way are let out again"
  },
  {
    file: "internal/elapsed.ts",
    find: "admit: (key) => steadily(store.admit(key)),",
    replace: "admit: (key) => store.admit(key),",
    tests: ["jumping"],
    breaks: "a circuit is open until a time of day"
  },
  {
    file: "internal/circuit.ts",
    find: "Duration.max(wait, Duration.min(asked, longest))",
    replace: "wait",
    tests: ["circuit", "ModelPolicy"],
    breaks: "a circuit closes before the time that a server asked for"
  },
  {
    file: "internal/circuit.ts",
    find: 'outcome._tag === "Failure" || (outcome._tag === "Success" && !probe && rules.tripPolicy._tag === "Rate")',
    replace: 'outcome._tag === "Failure"',
    tests: ["circuit"],
    breaks: "a circuit by rate opens by failures alone"
  },
  {
    file: "Fallback.ts",
    find: "if (progress.called || !when(error)) return Stream.fail(error)",
    replace: "if (!when(error)) return Stream.fail(error)",
    tests: ["Fallback"],
    breaks: "another model is asked after a tool was called"
  },
  {
    file: "Fallback.ts",
    find: "...steps.slice(start + 1).map((provide) => ({ provide, while: when }))",
    replace: "...steps.slice(start + 1).map((provide) => ({ provide }))",
    tests: ["Fallback"],
    breaks: "another model is asked for errors that are the caller's"
  },
  {
    file: "Routing.ts",
    find: "ascending.find(({ tokens }) => input <= tokens)",
    replace: "ascending.find(({ tokens }) => input < tokens)",
    tests: ["Routing"],
    breaks: "a prompt as long as its route takes goes to the next one"
  },
  {
    file: "Routing.ts",
    find: "const within = costs.find(({ dollars }) => dollars <= options.dollars)",
    replace: "const within = costs.find(({ dollars }) => dollars < Infinity)",
    tests: ["Routing"],
    breaks: "a route is taken that costs more than it may"
  },
  {
    file: "internal/cacheKey.ts",
    find: 'if (!sampled && asksForVariety(settings)) return { reason: "sampled" }',
    replace: "",
    tests: ["ResponseCache"],
    breaks: "answers that are to differ are the same"
  },
  {
    file: "internal/cacheKey.ts",
    find: "        settings,\n        tags:",
    replace: "        tags:",
    tests: ["ResponseCache"],
    breaks: "models with other settings share answers"
  },
  {
    file: "internal/keeping.ts",
    find: "return toJsonText(kept).length > maxBytes ? undefined : kept",
    replace: "return kept",
    tests: ["ResponseCache"],
    breaks: "an answer of any size is kept"
  },
  {
    file: "internal/keeping.ts",
    find: 'const wholeReasons: ReadonlyArray<string> = ["stop", "tool-calls"]',
    replace: 'const wholeReasons: ReadonlyArray<string> = ["stop", "tool-calls", "length"]',
    tests: ["ResponseCache"],
    breaks: "an answer that was cut is kept"
  },
  {
    file: "internal/answerStore.ts",
    find: "if (age >= Duration.toMillis(settings.timeToLive)) return undefined",
    replace: "",
    tests: ["ResponseCache"],
    breaks: "an answer of another process is never too old"
  },
  {
    file: "internal/answerStore.ts",
    find: "return sameMarks(marks, yield* sharedMarks(Object.keys(marks))) ? exit.value : undefined",
    replace: "return exit.value",
    tests: ["ResponseCache"],
    breaks: "an answer that was invalidated is given"
  },
  {
    file: "internal/flights.ts",
    find: 'Option.getOrElse((): Landing => ({ _tag: "unfit" }))',
    replace: 'Option.getOrElse((): Landing => ({ _tag: "left" }))',
    tests: ["ResponseCache"],
    breaks: "who waited too long for another's answer waits again"
  },
  {
    file: "internal/redact.ts",
    find: "known = secrets.filter((secret) => secret.length >= 4)",
    replace: "known = secrets.filter((secret) => secret.length >= 40)",
    tests: ["redact"],
    breaks: "a short secret is recorded"
  },
  {
    file: "internal/redact.ts",
    find: "!plainToken.test(words)",
    replace: 'plainToken.test(words) === false && words !== "token"',
    tests: ["redact"],
    breaks: "a field that is named token is recorded"
  },
  {
    file: "internal/redact.ts",
    find: "`${begun.get(block) ?? 0} ${block}`",
    replace: "block",
    tests: ["redact", "Cassette"],
    breaks: "a secret in a stream that began anew is recorded"
  },
  {
    file: "internal/canonical.ts",
    find: "Object.keys(source).sort()",
    replace: "Object.keys(source)",
    tests: ["ResponseCache", "Cassette"],
    breaks: "equal calls with another order of keys have two answers"
  },
  {
    file: "ContextWindow.ts",
    find: "const limit = Math.floor(options.limit / (1 + counter.error))",
    replace: "const limit = options.limit",
    tests: ["ContextWindow"],
    breaks: "a prompt by an estimate may be longer than its limit"
  },
  {
    file: "ContextWindow.ts",
    find: "if (gone > 0 && gone < step.length) return",
    replace: "if (gone < 0) return",
    tests: ["ContextWindow"],
    breaks: "a policy may part a call from its result"
  }
])
