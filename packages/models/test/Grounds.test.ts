import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Offline } from "../src/index.ts"
import { converse } from "./converse.ts"

const Rooms = Toolkit.make(
  Tool.make("room_details", {
    description: "Details of a room",
    parameters: Schema.Struct({ roomId: Schema.String }),
    success: Schema.Unknown
  }).annotate(Tool.Readonly, true),
  Tool.make("list_slots", {
    description: "Slots in which a room can be booked",
    parameters: Schema.Struct({ roomId: Schema.String }),
    success: Schema.Unknown
  }).annotate(Tool.Readonly, true),
  Tool.make("book_room", {
    description: "Books a room for a slot",
    parameters: Schema.Struct({ roomId: Schema.String, slotId: Schema.String }),
    success: Schema.Unknown,
    failure: Schema.Unknown,
    failureMode: "return"
  })
)

const slots = [
  { slotId: "T-1", priceCents: 900, available: true },
  { slotId: "T-2", priceCents: 700, available: true },
  { slotId: "T-3", priceCents: 500, available: false }
]

interface Over {
  readonly room?: unknown
  readonly slots?: ReadonlyArray<unknown>
  readonly book?: Effect.Effect<unknown, unknown>
}

const Outcome = Schema.Struct({
  booked: Schema.Boolean,
  why: Schema.Array(Schema.String),
  explanation: Schema.String
})

const reasons = (
  over: Over,
  instructions = "Look at the room and its slots, take the cheapest slot, then book the room."
) =>
  Effect.gen(function* () {
    const run = yield* converse(
      Rooms,
      {
        room_details: () => Effect.succeed(over.room ?? { roomId: "R-12", seats: 8 }),
        list_slots: () => Effect.succeed({ slots: over.slots ?? slots }),
        book_room: () => over.book ?? Effect.succeed({ bookingId: "B-7" })
      },
      Prompt.make([
        { role: "system", content: instructions },
        { role: "user", content: [{ type: "text", text: "Book room R-12" }] }
      ])
    )
    const toolkit = yield* Rooms
    const { value } = yield* LanguageModel.generateObject({
      prompt: run.prompt,
      schema: Outcome,
      toolkit,
      toolChoice: "none",
      disableToolCallResolution: true
    })
    return { ...value, called: run.calls.map(({ name }) => name) }
  }).pipe(
    Effect.provide([
      Offline.layer,
      Rooms.toLayer({ room_details: Effect.die, list_slots: Effect.die, book_room: Effect.die })
    ])
  )

describe("the grounds of the offline model", () => {
  it.effect("begin with the choice that an action was made with, then the action, then what was read", () =>
    Effect.gen(function* () {
      const { booked, explanation, why } = yield* reasons({})
      assert.isTrue(booked)
      assert.deepStrictEqual(why.slice(0, 3), [
        "Chose T-2 from slots: usable, cheapest priceCents 700, of 3",
        "book_room(roomId R-12, slotId T-2): bookingId B-7",
        "room_details(roomId R-12): seats 8"
      ])
      assert.isTrue(explanation.startsWith("Chose T-2 from slots"))
    })
  )

  it.effect("begin with the failure of an action, in the words of who refused", () =>
    Effect.gen(function* () {
      for (const [failure, first] of [
        [{ message: "The room is taken." }, "book_room failed: The room is taken."],
        [{ error: { reason: "no rights" } }, "book_room failed: no rights"],
        [
          { category: "CallDenied", message: "It did not run. Reason: over the limit. Do not repeat it." },
          "book_room was denied: over the limit"
        ]
      ] as const) {
        const { booked, why } = yield* reasons({ book: Effect.fail(failure) })
        assert.isFalse(booked)
        assert.deepStrictEqual(why.slice(0, 2), [first, "Chose T-2 from slots: usable, cheapest priceCents 700, of 3"])
      }
    })
  )

  it.effect("begin with the value that forbade an action that was not taken", () =>
    Effect.gen(function* () {
      for (const [over, because] of [
        [{ room: { roomId: "R-12", suspended: true } }, "room_details says suspended true"],
        [{ room: { roomId: "R-12", available: false } }, "room_details says available false"]
      ] as const) {
        const { booked, called, why } = yield* reasons(over)
        assert.notInclude(called, "book_room")
        assert.isFalse(booked)
        assert.include(why[0], `book_room for R-12 was not called: ${because}`)
      }
    })
  )

  it.effect("count a word that the instructions forbid as a reason against, not as what is wanted", () =>
    Effect.gen(function* () {
      const room = { roomId: "R-12", closed: true }
      const rule = "Take the cheapest slot, then book the room. Do not book a closed room."
      const { called, why } = yield* reasons({ room }, rule)
      assert.notInclude(called, "book_room")
      assert.strictEqual(why[0], "book_room for R-12 was not called: room_details says closed true")
    })
  )

  it.effect("say what was chosen first when only a question was asked", () =>
    Effect.gen(function* () {
      const run = yield* converse(
        Rooms,
        { room_details: () => Effect.succeed({ seats: 8 }), list_slots: () => Effect.succeed({ slots }) },
        "Which slot of room R-12 is the cheapest?"
      )
      const { value } = yield* LanguageModel.generateObject({
        prompt: run.prompt,
        schema: Schema.Struct({ slotId: Schema.String, reason: Schema.String })
      })
      assert.strictEqual(value.slotId, "T-2")
      assert.isTrue(value.reason.startsWith("Chose T-2 from slots: usable, cheapest priceCents 700, of 3"))
    }).pipe(Effect.provide(Offline.layer))
  )
})
