/** The `selvage` command. */
export * as Cli from "./Cli.ts"
