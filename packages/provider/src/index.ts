export * as Annotations from "./Annotations.ts"
export * as Fetch from "./Fetch.ts"
export * as Provider from "./Provider.ts"
