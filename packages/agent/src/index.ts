/** Agents: a model and its tools as a graph, with limits. */
export * as Agent from "./Agent.ts"
