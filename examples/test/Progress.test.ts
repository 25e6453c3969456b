import { assert, describe, it } from "@effect/vitest"
import * as Progress from "../restock/Progress.ts"
import { fit, width } from "../restock/Width.ts"

const busy = (count: number): Progress.Progress => ({
  ...Progress.empty,
  products: new Map(
    Array.from({ length: count }, (_, index) => [`SKU-${index}`, `関東工具 Hammer ${"x".repeat(index)}`])
  ),
  active: new Map(
    Array.from({ length: count }, (_, index) => [
      `SKU-${index}`,
      { doing: index < 3 ? "waits for approval" : "place_order", steps: index, tokens: index * 1000, spentCents: index }
    ])
  )
})

describe("the live block", () => {
  it("is never higher than the screen, and no line wraps", () => {
    for (const columns of [10, 40, 80, 200]) {
      for (const rows of [4, 8, 50]) {
        const lines = Progress.block(busy(30), { columns, rows })
        assert.isBelow(lines.length, rows)
        for (const line of lines) assert.isBelow(width(line), columns)
      }
    }
  })

  it("shows what works before what waits, and how many are not shown", () => {
    const lines = Progress.block(busy(30), { columns: 120, rows: 10 })
    assert.include(lines[1], "place_order")
    assert.strictEqual(lines.at(-1), "  … and 24 more")
  })

  it("counts wide characters as two columns and combining ones as none", () => {
    assert.strictEqual(width("関東"), 4)
    assert.strictEqual(width("Łódź e\u0301"), 6)
    assert.strictEqual(fit("関東工具", 5), "関東…")
    assert.strictEqual(fit("a\u001b[2Jb", 20), "a [2Jb")
  })
})
