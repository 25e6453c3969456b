/**
 * What tests of agents run on: a model that plays a script, a journal that fails on purpose, a proxy that breaks a store's
 * connections, an interruption at every step,
 * and the laws that every journal keeps. Plugins are faked by `plugin.fake` of `@selvage/tools`.
 *
 * @since 0.1.0
 */
export * as CrashingJournal from "./CrashingJournal.ts"
export * as Simulation from "./Simulation.ts"
export * as Interruption from "./Interruption.ts"
export * as JournalLaws from "./JournalLaws.ts"
export * as LanguageModelLaws from "./LanguageModelLaws.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as StoreProxy from "./StoreProxy.ts"
export * as StrictProvider from "./StrictProvider.ts"
