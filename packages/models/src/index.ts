export * as Offline from "./Offline.ts"
