import { Thread } from "@selvage/core"
import { Approve } from "./shared.ts"

export const program = Thread.answer(Approve, {
  thread: "t",
  value: "yes" // error
})
