import { Annotation, END, START, StateGraph } from "@langchain/langgraph"

const hello = new StateGraph(Annotation.Root({ name: Annotation<string>, greeting: Annotation<string | undefined> }))
  .addNode("greet", async ({ name }) => ({ greeting: `Hello, ${name}` }))
  .addEdge(START, "greet")
  .addEdge("greet", END)
  .compile()

console.log((await hello.invoke({ name: "Ada" })).greeting)
