import { of } from "./mutation.ts"

export const mutations = of("sqlite", [
  {
    file: "internal/SqliteConnection.ts",
    find: 'if (database.isTransaction) executeNow("ROLLBACK", [])',
    replace: "",
    tests: ["transactNow"],
    breaks: "a transaction that failed stays open"
  },
  {
    file: "internal/SqliteConnection.ts",
    find: "if (SqliteFailure.isBusy(cause)) return undefined",
    replace: "",
    tests: ["transactNow"],
    breaks: "a lock that another has fails an append"
  },
  {
    file: "internal/SqliteConnection.ts",
    find: "      if (database.isTransaction) return undefined\n",
    replace: "",
    tests: ["transactNow"],
    breaks: "a transaction begins within another"
  },
  {
    file: "internal/SqliteConnection.ts",
    find: "const next = chunk.length < streamChunk ?",
    replace: "const next = chunk.length > 0 ?",
    tests: ["SqliteClient"],
    breaks: "a stream ends with its first rows"
  },
  {
    file: "internal/SqliteFailure.ts",
    find: "code !== BusySnapshot && ",
    replace: "",
    tests: ["SqliteClient"],
    breaks: "a stale snapshot is waited for"
  },
  {
    file: "internal/SqliteFailure.ts",
    find: "if (code === PrimaryKeyViolation || code === UniqueKeyViolation) {",
    replace: "if (code === PrimaryKeyViolation) {",
    tests: ["SqliteClient"],
    breaks: "a value that is there already is any constraint"
  },
  {
    file: "internal/SqliteValue.ts",
    find: "Number.isSafeInteger(value) ? BigInt(value) : ",
    replace: "",
    tests: ["SqliteClient"],
    breaks: "whole numbers become fractions"
  },
  {
    file: "internal/SqliteValue.ts",
    find: "integers || !isSafe(value) ? value",
    replace: "integers ? value",
    tests: ["SqliteClient"],
    breaks: "a large integer is rounded"
  },
  {
    file: "internal/SqliteValue.ts",
    find: "new Uint8Array(value.buffer, value.byteOffset, value.byteLength)",
    replace: "new Uint8Array(value.buffer)",
    tests: ["SqliteClient"],
    breaks: "bytes around a value are stored with it"
  },
  {
    file: "SqliteClient.ts",
    find: 'synchronous = "full"',
    replace: 'synchronous = "normal"',
    tests: ["SqliteClient"],
    breaks: "a commit does not survive power loss"
  },
  {
    file: "SqliteClient.ts",
    find: 'beginTransaction: "BEGIN IMMEDIATE"',
    replace: 'beginTransaction: "BEGIN"',
    tests: ["SqliteClient"],
    breaks: "two writers fail each other"
  }
])
