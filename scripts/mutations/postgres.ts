import { of } from "./mutation.ts"

export const mutations = of("postgres", [
  {
    file: "PostgresJournal.ts",
    find: "> maxSchema",
    replace: "> maxSchema + 100",
    tests: ["PostgresJournal"],
    breaks: "a schema whose channel has no name is used"
  },
  {
    file: "PostgresJournal.ts",
    find: 'payload === "" ? undefined : payload',
    replace: "payload",
    tests: ["PostgresJournal"],
    breaks: "a change of a thread with a long name is not heard"
  },
  {
    file: "PostgresJournal.ts",
    find: "Stream.make(undefined),",
    replace: "Stream.empty,",
    tests: ["PostgresJournal"],
    breaks: "what changed while a connection was gone is not heard"
  },
  {
    file: "PostgresJournal.ts",
    find: "...(schema === undefined ? {} : { search_path: quote(schema) })",
    replace: "",
    tests: ["PostgresJournal"],
    breaks: "tables are made in another schema"
  },
  {
    file: "PostgresJournal.ts",
    find: "layerWith({ store, durability, snapshots,",
    replace: "layerWith({ store, snapshots,",
    tests: ["PostgresJournal"],
    breaks: "durability is not what was asked for"
  },
  {
    file: "internal/address.ts",
    find: 'secrets.reduce((clean, secret) => clean.replaceAll(secret, "<redacted>"), text)',
    replace: "text",
    tests: ["address"],
    breaks: "a failure shows the password"
  },
  {
    file: "internal/address.ts",
    find: 'if (hash !== "" || pathname.includes("@") || search.includes("@")) {',
    replace: "if (false) {",
    tests: ["address"],
    breaks: "a part of a password is taken for a host"
  }
])
