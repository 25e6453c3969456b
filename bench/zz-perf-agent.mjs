const cpu = () => { const u = process.cpuUsage(); return (u.user + u.system) / 1000 }
const { Agent } = await import("@selvage/agent"); const { Graph, Journal, Thread } = await import("@selvage/core"); const { Plugin } = await import("@selvage/tools")
const Effect = await import("effect/Effect"); const Layer = await import("effect/Layer"); const MR = await import("effect/ManagedRuntime")
const { layer, lookUp, LookUpToolkit } = await import("./workloads/effect-ai/model.ts")
const A = await import("./workloads/agents.ts")
const Numbers = Plugin.make("numbers", { version: "1.0.0", toolkit: LookUpToolkit })
const Finder = Agent.make("finder", { instructions: A.instructions, tools: [Numbers] })
const rt = MR.make(Layer.mergeAll(layer({ calls: 10 }), Numbers.toLayer(lookUp), Journal.layerMemory))
await rt.runPromise(Effect.void)
const times = []
for (let i = 0; i < 20; i++) { const c = cpu(), w = performance.now(); await rt.runPromise(process.argv[2] ? Thread.run(Finder, { thread: "t" + i, input: { prompt: A.prompt } }) : Graph.run(Finder, { prompt: A.prompt })); times.push((performance.now() - w).toFixed(1) + "/" + (cpu() - c).toFixed(1)) }
console.log(times.join(" "))
