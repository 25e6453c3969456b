// The windows of accounts, over every time zone and every change of its clocks.
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { slotOf } from "../src/internal/budgetAccount.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const zones = Intl.supportedValuesOf("timeZone")
const at = (iso: string) => Date.parse(iso)

// More years for a long run: SELVAGE_TEST_YEARS=1970-2100.
const [from = 2026, to = 2028] = (process.env.SELVAGE_TEST_YEARS ?? "2026-2028").split("-").map(Number)

const formats = new Map<string, Intl.DateTimeFormat>()

/** What a clock of the zone shows, as if it were UTC: told by `Intl` alone, not by what is tested. */
const shown = (zone: string, instant: number): number => {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
      hourCycle: "h23"
    })
  formats.set(zone, format)
  const part: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(instant)) part[type] = Number(value)
  const seconds = Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second)
  return seconds + (((instant % 1_000) + 1_000) % 1_000)
}
const offset = (zone: string, instant: number): number => shown(zone, instant) - instant

/** The instants at which the clocks of a zone are changed. */
const changes = (zone: string, begin: number, end: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  const step = 10 * day
  for (let low = begin, before = offset(zone, begin); low < end; low += step) {
    const after = offset(zone, low + step)
    if (after === before) continue
    let [left, right] = [low, low + step]
    while (right - left > 1) {
      const middle = Math.floor((left + right) / 2)
      if (offset(zone, middle) === before) left = middle
      else right = middle
    }
    found.push(right)
    before = after
  }
  return found
}

const dateOf = (zone: string, instant: number): number => Math.floor(shown(zone, instant) / day)

/** The first instant, to the minute, at which a clock of the zone shows this date or a later one. */
const firstShown = (zone: string, date: number, begin: number, change: number): number => {
  let instant = begin
  while (dateOf(zone, instant) < date) {
    const next = instant + hour
    // Clocks are the same within this hour, and so a date that is not shown after it is not shown in it.
    const even = instant % hour === 0 && (change <= instant || next < change) && dateOf(zone, next) < date
    instant = even ? next : instant + minute
  }
  return instant
}

/** The laws of windows around one change of the clocks. Returns how many windows it has seen. */
const check = (zone: string, change: number) => {
  const context = `${zone} ${new Date(change).toISOString()}`
  let windows = 0
  for (const every of ["day", "week", "month"] as const) {
    const window = { every, zone } as const
    const of = (instant: number) => slotOf(window, instant)
    let own = of(change - 2 * day)
    const end = change + 2 * day
    for (;;) {
      windows++
      // Every instant of a window is in it, and in no other.
      const { ends, slot } = own
      assert.isBelow(slot, ends, context)
      const inside = [
        slot,
        slot + minute,
        change - hour,
        change - 1,
        change,
        change + 1,
        change + hour,
        ends - minute,
        ends - 1
      ]
      for (const instant of inside) {
        if (slot <= instant && instant < ends)
          assert.deepStrictEqual(of(instant), own, `${context} ${every} at ${instant}`)
      }
      // It begins where a clock shows its first date for the first time.
      const date = dateOf(zone, slot)
      if (every === "day" && slot > change - 2 * day) {
        const first = firstShown(zone, date, Math.floor(Math.min(slot, change) / hour - 26) * hour, change)
        assert.strictEqual(slot, first, `${context} ${every}`)
      }
      if (ends > end) break
      // The next one begins where it ends, with a later date.
      const next = of(ends)
      assert.strictEqual(next.slot, ends, `${context} ${every}`)
      assert.isAbove(dateOf(zone, ends), date, `${context} ${every}`)
      own = next
    }
  }
  return windows
}

describe("Windows of a calendar", () => {
  it("divide time in every zone, also where clocks are changed at midnight", () => {
    const seen = new Set<string>()
    for (const zone of zones) {
      for (const change of changes(zone, Date.UTC(from, 0, 1), Date.UTC(to, 0, 1))) {
        // Zones that change alike are checked once, but in a long run.
        const alike = `${change} ${offset(zone, change - 1)} ${offset(zone, change)}`
        if (seen.has(alike) && process.env.SELVAGE_TEST_YEARS === undefined) continue
        seen.add(alike)
        check(zone, change)
      }
    }
    assert.isAbove(seen.size, 50)
  }, 3_600_000)

  it("divide time at changes that no zone has any more", () => {
    for (const [zone, instant] of [
      ["America/Havana", "2012-11-04T05:00:00Z"], // 01:00 shown as 00:00
      ["America/Asuncion", "2024-03-24T03:00:00Z"], // 00:00 shown as 23:00
      ["America/Asuncion", "2023-10-01T04:00:00Z"], // 00:00 shown as 01:00
      ["Asia/Beirut", "2025-03-29T22:00:00Z"],
      ["Africa/Cairo", "2014-09-25T21:00:00Z"],
      ["Atlantic/Azores", "2025-10-26T01:00:00Z"],
      ["America/St_Johns", "2010-11-07T02:31:00Z"], // 00:01 shown as 23:01 of the day before
      ["America/St_Johns", "1988-10-30T01:31:00Z"], // 00:01 shown as 22:01
      ["Asia/Hebron", "2011-03-31T22:01:00Z"], // 00:01 shown as 01:01
      ["Australia/Lord_Howe", "2025-04-05T15:00:00Z"], // by half an hour
      ["Pacific/Rarotonga", "1991-03-03T09:30:00Z"], // 00:00 shown as 23:30
      ["Asia/Katmandu", "1985-12-31T18:30:00Z"], // by a quarter of an hour
      ["Asia/Pyongyang", "2018-05-04T15:00:00Z"], // 23:30 shown as 00:00
      ["Antarctica/Vostok", "1994-01-31T17:00:00Z"], // 00:00 shown as 17:00
      ["Antarctica/Casey", "2022-10-01T16:01:00Z"], // 00:01 shown as 03:01
      ["Pacific/Apia", "2011-12-30T10:00:00Z"], // no 30 December
      ["Pacific/Kwajalein", "1993-08-21T12:00:00Z"], // no 21 August
      ["Pacific/Kwajalein", "1969-09-30T13:00:00Z"] // 30 September twice
    ] as const) {
      assert.isAbove(check(zone, at(instant)), 5)
    }
  })

  it("are those of the calendar", () => {
    const shownOf = (every: "day" | "week" | "month", zone: string, instant: string) => {
      const { ends, slot } = slotOf({ every, zone }, at(instant))
      return [slot, ends].map((time) => DateTime.formatIso(DateTime.makeUnsafe(time)))
    }
    for (const [every, zone, instant, begins, ends] of [
      ["day", "Africa/Cairo", "2026-10-29T21:30:00Z", "2026-10-28T21:00:00.000Z", "2026-10-29T22:00:00.000Z"],
      ["day", "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00.000Z", "2026-11-02T05:00:00.000Z"],
      ["day", "America/St_Johns", "2010-11-07T02:45:00Z", "2010-11-07T02:30:00.000Z", "2010-11-08T03:30:00.000Z"],
      ["day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00.000Z", "2011-12-30T10:00:00.000Z"],
      ["week", "Europe/Zurich", "2026-10-25T12:00:00Z", "2026-10-18T22:00:00.000Z", "2026-10-25T23:00:00.000Z"],
      ["month", "Europe/Zurich", "2024-02-29T12:00:00Z", "2024-01-31T23:00:00.000Z", "2024-02-29T23:00:00.000Z"],
      ["month", "UTC", "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"]
    ] as const) {
      assert.deepStrictEqual(shownOf(every, zone, instant), [begins, ends], `${every} ${zone} ${instant}`)
    }
  })
})
