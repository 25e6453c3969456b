export * as AnthropicClient from "./AnthropicClient.ts"
export * as AnthropicLanguageModel from "./AnthropicLanguageModel.ts"
