export * as Models from "./Models.ts"
export * as Offline from "./Offline.ts"
export * as Prices from "./Prices.ts"
export * as Providers from "./Providers.ts"
