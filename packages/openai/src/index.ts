export * as OpenAiClient from "./OpenAiClient.ts"
export * as OpenAiLanguageModel from "./OpenAiLanguageModel.ts"
