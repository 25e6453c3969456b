const { Session } = await import("node:inspector/promises")
const { Agent } = await import("@selvage/agent"); const { Graph, Journal, Thread } = await import("@selvage/core"); const { Plugin } = await import("@selvage/tools")
const Effect = await import("effect/Effect"); const Layer = await import("effect/Layer"); const MR = await import("effect/ManagedRuntime")
const { layer, lookUp, LookUpToolkit } = await import("./workloads/effect-ai/model.ts")
const A = await import("./workloads/agents.ts")
const Numbers = Plugin.make("numbers", { version: "1.0.0", toolkit: LookUpToolkit })
const Finder = Agent.make("finder", { instructions: A.instructions, tools: [Numbers] })
const rt = MR.make(Layer.mergeAll(layer({ calls: 10 }), Numbers.toLayer(lookUp), Journal.layerMemory))
await rt.runPromise(Effect.void)
const [from, to] = process.argv.slice(2).map(Number)
const run = (i) => rt.runPromise(process.argv[4] ? Thread.run(Finder, { thread: "t" + i, input: { prompt: A.prompt } }) : Graph.run(Finder, { prompt: A.prompt }))
for (let i = 0; i < from; i++) await run(i)
const session = new Session(); session.connect()
await session.post("Profiler.enable"); await session.post("Profiler.setSamplingInterval", { interval: 40 }); await session.post("Profiler.start")
for (let i = from; i < to; i++) await run(i)
const { profile: { nodes, samples, timeDeltas } } = await session.post("Profiler.stop")
const byId = new Map(nodes.map((n) => [n.id, n])); const parent = new Map(nodes.flatMap((n) => (n.children ?? []).map((c) => [c, n])))
const incl = new Map(), self = new Map(), file = new Map(); let total = 0
samples.forEach((id, i) => { const d = timeDeltas[i]; const n = byId.get(id); if (n.callFrame.functionName === "(idle)" || n.callFrame.url.startsWith("node:inspector")) return; total += d
  const name = (n) => `${n.callFrame.functionName || "(anon)"} ${n.callFrame.url.split("/").slice(-2).join("/")}:${n.callFrame.lineNumber + 1}`
  self.set(name(n), (self.get(name(n)) ?? 0) + d); const f = n.callFrame.url.split("/").slice(-2).join("/"); file.set(f, (file.get(f) ?? 0) + d)
  const seen = new Set(); for (let a = n; a; a = parent.get(a.id)) { const k = name(a); if (!seen.has(k)) { seen.add(k); incl.set(k, (incl.get(k) ?? 0) + d) } } })
console.log("total", (total / 1000).toFixed(1))
for (const [t, m, c] of [["incl", incl, 70], ["self", self, 25], ["file", file, 15]]) { console.log(t); for (const [k, v] of [...m].sort((a, b) => b[1] - a[1]).slice(0, c)) console.log((v / 1000).toFixed(2).padStart(8), (100 * v / total).toFixed(1).padStart(5) + "%", k) }
