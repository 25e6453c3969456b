import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Offline } from "../src/index.ts"
import { converse } from "./converse.ts"

const reading = <T extends Tool.Any>(tool: T): T =>
  tool.annotate(Tool.Readonly, true).annotate(Tool.Destructive, false) as T

const sku = Schema.Struct({ sku: Schema.String })
const Offer = Schema.Struct({
  supplierId: Schema.String,
  unitPriceCents: Schema.NullOr(Schema.Int),
  leadTimeDays: Schema.Int,
  minimumOrder: Schema.Int
})
const Purchasing = Toolkit.make(
  reading(
    Tool.make("check_stock", {
      description: "Units on hand and the reorder level of a product",
      parameters: sku,
      success: Schema.Unknown
    })
  ),
  reading(
    Tool.make("list_offers", {
      description: "What suppliers ask for a product",
      parameters: sku,
      success: Schema.Array(Offer)
    })
  ),
  reading(
    Tool.make("forecast_demand", {
      description: "Expected demand and the suggested order",
      parameters: sku,
      success: Schema.Unknown
    })
  ),
  Tool.make("place_order", {
    description: "Orders units of a product from a supplier",
    parameters: Schema.Struct({
      sku: Schema.String,
      supplierId: Schema.String,
      units: Schema.Int.check(Schema.isGreaterThan(0))
    }),
    success: Schema.Unknown,
    failure: Schema.Unknown,
    failureMode: "return"
  })
)
const instructions =
  "You restock the warehouse. Check the stock, list the offers, forecast the demand, choose the cheapest offer that arrives before we run out, then place an order for the suggested quantity."
const Decision = Schema.Struct({
  order: Schema.Boolean,
  supplierId: Schema.NullOr(Schema.String),
  units: Schema.Int,
  reasons: Schema.Array(Schema.String)
})

const warehouse = (over: Partial<Record<"check_stock" | "list_offers" | "forecast_demand", unknown>> = {}) => ({
  check_stock: () => Effect.succeed(over.check_stock ?? { sku: "SKU-0042", onHand: 12, reorderLevel: 40 }),
  list_offers: () =>
    Effect.succeed(
      (over.list_offers as ReadonlyArray<typeof Offer.Type>) ?? [
        { supplierId: "S-01", unitPriceCents: 90, leadTimeDays: 30, minimumOrder: 10 },
        { supplierId: "S-02", unitPriceCents: null, leadTimeDays: 2, minimumOrder: 10 },
        { supplierId: "S-03", unitPriceCents: 120, leadTimeDays: 4, minimumOrder: 100 },
        { supplierId: "S-04", unitPriceCents: 150, leadTimeDays: 1, minimumOrder: 1 }
      ]
    ),
  forecast_demand: () =>
    Effect.succeed(over.forecast_demand ?? { dailyDemand: 2.4, daysUntilStockout: 5, suggestedUnits: 60 }),
  place_order: (params: { readonly units: number }) => Effect.succeed({ orderId: 17, units: params.units })
})

const prompt = (user: string, system = instructions) =>
  Prompt.make([
    { role: "system", content: system },
    { role: "user", content: [{ type: "text", text: user }] }
  ])

describe("Offline", () => {
  describe("a purchasing agent", () => {
    it.effect("reads first, then orders from the cheapest supplier that is in time, at least the minimum", () =>
      Effect.gen(function* () {
        const run = yield* converse(Purchasing, warehouse(), prompt("Restock SKU-0042"))
        assert.deepStrictEqual(run.rounds, [["check_stock", "list_offers", "forecast_demand"], ["place_order"]])
        assert.deepStrictEqual(run.calls.at(-1)?.params, { sku: "SKU-0042", supplierId: "S-03", units: 100 })
        const decision = yield* LanguageModel.generateObject({ prompt: run.prompt, schema: Decision })
        assert.strictEqual(decision.value.order, true)
        assert.strictEqual(decision.value.supplierId, "S-03")
        assert.strictEqual(decision.value.units, 100)
        assert.isTrue(decision.value.reasons.some((reason) => reason.includes("cheapest unitPriceCents 120")))
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("does not order what is not needed or cannot be had, and says so in the decision", () =>
      Effect.gen(function* () {
        for (const [over, because] of [
          [
            { forecast_demand: { suggestedUnits: 0, daysUntilStockout: 90 } },
            "forecast_demand says suggestedUnits 0; nothing was found for units"
          ],
          [{ forecast_demand: { suggestedUnits: null } }, "forecast_demand says suggestedUnits unknown"],
          [{ list_offers: [] }, "list_offers found nothing; nothing was found for supplierId"],
          [{ check_stock: { sku: "SKU-0042", onHand: 0, discontinued: true } }, "check_stock says discontinued true"]
        ] as const) {
          const run = yield* converse(Purchasing, warehouse(over), prompt("Restock SKU-0042"))
          assert.notInclude(
            run.calls.map((call) => call.name),
            "place_order"
          )
          const decision = yield* LanguageModel.generateObject({
            prompt: run.prompt,
            schema: Decision,
            toolkit: yield* Purchasing,
            toolChoice: "none",
            disableToolCallResolution: true
          })
          assert.deepInclude(decision.value, { order: false, supplierId: null, units: 0 })
          assert.include(decision.value.reasons[0], `was not called: ${because}`)
        }
      }).pipe(Effect.provide([Offline.layer, Purchasing.toLayer(warehouse())]))
    )

    it.effect("answers a question without acting, and obeys a request not to act", () =>
      Effect.gen(function* () {
        for (const words of [
          "Which supplier is the cheapest for SKU-0042?",
          "Look at SKU-0042 but do not place an order."
        ]) {
          const run = yield* converse(Purchasing, warehouse(), prompt(words))
          assert.deepStrictEqual(run.rounds, [["check_stock", "list_offers", "forecast_demand"]])
          assert.include(run.text, "Offline model (no intelligence, no cost)")
          assert.include(run.text, "S-0")
        }
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("takes what the request states before what was suggested", () =>
      Effect.gen(function* () {
        const run = yield* converse(Purchasing, warehouse(), prompt("Order 250 units of SKU-0042 from S-04, please"))
        assert.deepStrictEqual(run.calls.at(-1)?.params, { sku: "SKU-0042", supplierId: "S-04", units: 250 })
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("handles several products of one request apart from each other", () =>
      Effect.gen(function* () {
        const run = yield* converse(Purchasing, warehouse(), prompt("Restock SKU-0001 and SKU-0002"))
        const orders = run.calls.filter((call) => call.name === "place_order").map((call) => call.params)
        assert.deepStrictEqual(orders, [
          { sku: "SKU-0001", supplierId: "S-03", units: 100 },
          { sku: "SKU-0002", supplierId: "S-03", units: 100 }
        ])
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("does not retry an action that failed", () =>
      Effect.gen(function* () {
        const broken = { ...warehouse(), place_order: () => Effect.fail({ message: "supplier is closed" }) }
        const run = yield* converse(Purchasing, broken, prompt("Restock SKU-0042"))
        assert.strictEqual(run.calls.filter((call) => call.name === "place_order").length, 1)
        assert.include(run.text, "place_order failed")
        const decision = yield* LanguageModel.generateObject({ prompt: run.prompt, schema: Decision })
        assert.deepInclude(decision.value, { order: false, supplierId: null, units: 0 })
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("a name that looks like a superlative", () => {
    const offers = [
      { supplierId: "S-01", unitPriceCents: 90, leadTimeDays: 30, minimumOrder: 1 },
      { supplierId: "S-02", unitPriceCents: 200, leadTimeDays: 1, minimumOrder: 1 }
    ]
    const plain =
      "You restock the warehouse. Check the stock, list the offers, choose the cheapest offer, then place an order for the suggested quantity."
    const bought = (request: string, name: string) =>
      converse(
        Purchasing,
        {
          ...warehouse({ list_offers: offers, check_stock: { sku: "SAF-023", name, onHand: 2, suggestedUnits: 40 } }),
          forecast_demand: () => Effect.succeed({})
        },
        prompt(request, plain)
      ).pipe(Effect.map((run) => run.calls.at(-1)?.params))

    it.effect("is a name: what is to be had first is not what is called first aid", () =>
      Effect.gen(function* () {
        for (const [request, name] of [
          ["Restock First aid kit (SAF-023)", "First aid kit"],
          ["Restock the first aid kit, SAF-023", "First aid kit"],
          ["First aid kit (SAF-023) is low. Restock it.", "First aid kit"],
          ["Restock the Best Western towels (SAF-023)", "Best Western towels"],
          ["Restock the latest gadget, SAF-023", "Latest gadget"]
        ] as const)
          assert.deepStrictEqual(
            yield* bought(request, name),
            { sku: "SAF-023", supplierId: "S-01", units: 40 },
            request
          )
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("is no order of steps", () =>
      Effect.gen(function* () {
        const order = yield* bought("First check the stock of SAF-023, then order 40 units", "Gloves")
        assert.deepStrictEqual(order, { sku: "SAF-023", supplierId: "S-01", units: 40 })
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("is still a superlative where it speaks of what is listed", () =>
      Effect.gen(function* () {
        for (const request of [
          "Restock SAF-023 from the fastest supplier",
          "Restock SAF-023, take the first offer in time"
        ])
          assert.deepStrictEqual(
            yield* bought(request, "Gloves"),
            { sku: "SAF-023", supplierId: "S-02", units: 40 },
            request
          )
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("a slot to be booked", () => {
    const clinic = (parameter: string) =>
      Toolkit.make(
        reading(
          Tool.make("find_slots", {
            description: "Free slots of a doctor",
            parameters: Schema.Struct({ doctorId: Schema.String }),
            success: Schema.Unknown
          })
        ),
        Tool.make("book_slot", {
          description: "Books a slot for a patient",
          parameters: Schema.Struct({ [parameter]: Schema.String, patientId: Schema.String }),
          success: Schema.Unknown
        })
      )

    it.effect("is named by its own identifier, whatever parameter and property are called, not by its doctor's", () =>
      Effect.gen(function* () {
        for (const parameter of ["slot", "slotId", "slot_id"])
          for (const property of ["id", "slotId", "slot"])
            for (const [request, slot] of [
              ["Book the earliest slot with doctor D-12 for patient P-7", "SL-1"],
              ["Please book a slot with doctor D-12 for patient P-7.", "SL-3"],
              ["Book slot SL-2 for patient P-7 with doctor D-12", "SL-2"]
            ] as const) {
              const run = yield* converse(
                clinic(parameter),
                {
                  find_slots: () =>
                    Effect.succeed({
                      doctorId: "D-12",
                      slots: [
                        { [property]: "SL-3", start: "2026-05-02T10:00:00Z" },
                        { [property]: "SL-1", start: "2026-05-01T10:00:00Z" },
                        { [property]: "SL-2", start: "2026-05-03T10:00:00Z" }
                      ]
                    }),
                  book_slot: () => Effect.succeed({ booked: true })
                },
                prompt(request, "You book appointments.")
              )
              assert.deepStrictEqual(
                run.calls.at(-1)?.params,
                { [parameter]: slot, patientId: "P-7" },
                `${parameter} ${property} ${request}`
              )
            }
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("the same trade in other words", () => {
    const product = Schema.Struct({ product: Schema.String.annotate({ description: "Product code" }) })
    const Trade = Toolkit.make(
      reading(
        Tool.make("stock_level", {
          description: "Current stock of a product",
          parameters: product,
          success: Schema.Unknown
        })
      ),
      reading(
        Tool.make("vendor_quotes", { description: "Quotes of vendors", parameters: product, success: Schema.Unknown })
      ),
      reading(
        Tool.make("demand_outlook", {
          description: "Demand for the next weeks",
          parameters: product,
          success: Schema.Unknown
        })
      ),
      Tool.make("submit_purchase", {
        description: "Buys a quantity of a product from a vendor",
        parameters: Schema.Struct({
          product: Schema.String,
          vendor: Schema.String,
          quantity: Schema.Int.check(Schema.isGreaterThan(0)),
          price_cents: Schema.Int,
          reason: Schema.String
        }),
        success: Schema.Unknown
      })
    )
    const handlers = {
      stock_level: () => Effect.succeed({ product: "P-100", on_hand: 3, reorder_level: 20 }),
      vendor_quotes: () =>
        Effect.succeed({
          quotes: [
            { vendor: "acme", price_cents: 950, delivery_days: 20, min_qty: 5 },
            { vendor: "globex", price_cents: 1050, delivery_days: 3, min_qty: 50 },
            { vendor: "initech", price_cents: 1200, delivery_days: 1, min_qty: 1 }
          ]
        }),
      demand_outlook: () => Effect.succeed({ weekly: [3, 4, 5], days_of_cover: 6, recommended_quantity: 30 }),
      submit_purchase: () => Effect.succeed({ ok: true })
    }
    const rule =
      "You restock the warehouse. Check the stock, look at the quotes and the demand, choose the cheapest that arrives before we run out, then buy the recommended quantity."

    it.effect("works by the same rules, from a request that is JSON and from one that is a sentence", () =>
      Effect.gen(function* () {
        const standing = yield* converse(
          Trade,
          handlers,
          prompt('{"product":"P-100","onHand":3,"reorderLevel":20}', rule)
        )
        assert.deepStrictEqual(standing.calls.at(-1), {
          ...standing.calls.at(-1)!,
          name: "submit_purchase",
          params: {
            product: "P-100",
            vendor: "globex",
            quantity: 50,
            price_cents: 1050,
            reason: "quotes: delivery_days within day of cover 6, cheapest price_cents 1050, of 3"
          }
        })
        const stated = yield* converse(Trade, handlers, prompt("Could you please buy 12 of P-100 from initech?", rule))
        assert.deepInclude(stated.calls.at(-1)?.params, { vendor: "initech", quantity: 12, price_cents: 1200 })
        const asked = yield* converse(Trade, handlers, prompt("P-100: how long does our stock last?", rule))
        assert.notInclude(
          asked.calls.map((call) => call.name),
          "submit_purchase"
        )
        const decision = yield* LanguageModel.generateObject({ prompt: asked.prompt, schema: Decision })
        assert.deepInclude(decision.value, { order: false, supplierId: null, units: 0 })
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("weather and calendar", () => {
    const Assistant = Toolkit.make(
      Tool.make("get_weather", {
        description: "Current weather of a city",
        parameters: Schema.Struct({
          city: Schema.String,
          units: Schema.optionalKey(Schema.Literals(["celsius", "fahrenheit"]))
        }),
        success: Schema.Unknown
      }),
      reading(
        Tool.make("list_events", {
          description: "Calendar events of a day",
          parameters: Schema.Struct({ date: Schema.String }),
          success: Schema.Unknown
        })
      ),
      Tool.make("create_event", {
        description: "Creates a calendar event such as a meeting",
        parameters: Schema.Struct({
          title: Schema.String,
          start: Schema.String.annotate({ description: "ISO 8601 date and time" }),
          attendees: Schema.Array(Schema.String).annotate({ description: "email addresses" })
        }),
        success: Schema.Unknown
      })
    )
    const handlers = {
      get_weather: () => Effect.succeed({ temperature: 21, sky: "clear" }),
      list_events: () => Effect.succeed([{ title: "Standup", start: "09:00" }]),
      create_event: () => Effect.succeed({ eventId: "e1" })
    }

    it.effect("asks only for the weather when only that is wanted", () =>
      Effect.gen(function* () {
        const run = yield* converse(Assistant, handlers, "What is the weather in Lisbon in fahrenheit?")
        assert.deepStrictEqual(
          run.calls.map(({ name, params }) => [name, params]),
          [["get_weather", { city: "Lisbon", units: "fahrenheit" }]]
        )
        assert.include(run.text, "temperature 21")
        const answer = yield* LanguageModel.generateObject({
          prompt: run.prompt,
          schema: Schema.Struct({
            city: Schema.String,
            temperature: Schema.Finite,
            sky: Schema.Literals(["rain", "clear"])
          })
        })
        assert.deepStrictEqual(answer.value, { city: "Lisbon", temperature: 21, sky: "clear" })
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("schedules a meeting from the text alone", () =>
      Effect.gen(function* () {
        const run = yield* converse(
          Assistant,
          handlers,
          'Schedule a meeting "Quarterly review" on 2026-03-04 at 14:30 with ann@example.com and bob@example.com'
        )
        const created = run.calls.find((call) => call.name === "create_event")
        assert.deepStrictEqual(created?.params, {
          title: "Quarterly review",
          start: "2026-03-04T14:30:00Z",
          attendees: ["ann@example.com", "bob@example.com"]
        })
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("an issue tracker", () => {
    const Tracker = Toolkit.make(
      reading(
        Tool.make("search_issues", {
          description: "Finds issues by words",
          parameters: Schema.Struct({ query: Schema.String }),
          success: Schema.Unknown
        })
      ),
      reading(
        Tool.make("get_issue", {
          description: "One issue with its details",
          parameters: Schema.Struct({ id: Schema.Int }),
          success: Schema.Unknown
        })
      ),
      Tool.make("close_issue", {
        description: "Closes an issue",
        parameters: Schema.Struct({ issueId: Schema.Int, reason: Schema.Literals(["completed", "duplicate"]) }),
        success: Schema.Unknown
      })
    )
    const handlers = {
      search_issues: () =>
        Effect.succeed({
          issues: [
            { id: 7, title: "Crash at start", createdAt: "2025-01-02" },
            { id: 9, title: "Crash on exit", createdAt: "2025-06-01" }
          ]
        }),
      get_issue: ({ id }: { readonly id: number }) => Effect.succeed({ id, title: "Crash", labels: ["bug"] }),
      close_issue: () => Effect.succeed({ closed: true })
    }

    it.effect("chains a search into the issue it means and closes that one", () =>
      Effect.gen(function* () {
        const run = yield* converse(
          Tracker,
          handlers,
          'Search the issues for "Crash" and close the newest issue as duplicate'
        )
        assert.deepStrictEqual(
          run.calls.map(({ name, params }) => [name, params]),
          [
            ["search_issues", { query: "Crash" }],
            ["get_issue", { id: 9 }],
            ["close_issue", { issueId: 9, reason: "duplicate" }]
          ]
        )
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("reads an issue by its number and changes nothing", () =>
      Effect.gen(function* () {
        const run = yield* converse(Tracker, handlers, "Show me issue 42")
        assert.notInclude(
          run.calls.map((call) => call.name),
          "close_issue"
        )
        assert.deepInclude(
          run.calls.map((call) => call.params),
          { id: 42 }
        )
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("a library", () => {
    const Library = Toolkit.make(
      reading(
        Tool.make("find_books", {
          description: "Finds books by author or title",
          parameters: Schema.Struct({
            author: Schema.optionalKey(Schema.String),
            title: Schema.optionalKey(Schema.String)
          }),
          success: Schema.Unknown
        })
      ),
      Tool.make("lend_book", {
        description: "Lends a copy of a book to a member",
        parameters: Schema.Struct({
          loan: Schema.Struct({ bookId: Schema.String, memberId: Schema.String }),
          days: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 28 }))
        }),
        success: Schema.Unknown
      })
    )
    const handlers = {
      find_books: () =>
        Effect.succeed({
          books: [
            { bookId: "B-1", title: "The Dispossessed", available: false, maximumDays: 7, rating: 5 },
            { bookId: "B-2", title: "The Lathe of Heaven", available: true, maximumDays: 14, rating: 4 },
            { bookId: "B-3", title: "Rocannon's World", available: true, maximumDays: 14, rating: 3 }
          ]
        }),
      lend_book: () => Effect.succeed({ due: "2026-01-01" })
    }

    it.effect("lends the best book that is there, with nested arguments and within the found maximum", () =>
      Effect.gen(function* () {
        const run = yield* converse(
          Library,
          handlers,
          "Find books by Ursula Le Guin and lend the best to member M-77 for 21 days"
        )
        assert.deepStrictEqual(
          run.calls.map(({ name, params }) => [name, params]),
          [
            ["find_books", { author: "Ursula Le Guin" }],
            ["lend_book", { loan: { bookId: "B-2", memberId: "M-77" }, days: 14 }]
          ]
        )
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("lists what it found as structured output", () =>
      Effect.gen(function* () {
        const run = yield* converse(Library, handlers, "Which books by Ursula Le Guin are there?")
        const answer = yield* LanguageModel.generateObject({
          prompt: run.prompt,
          schema: Schema.Struct({
            books: Schema.Array(Schema.Struct({ title: Schema.String, rating: Schema.Int })),
            summary: Schema.NonEmptyString
          })
        })
        assert.deepStrictEqual(
          answer.value.books.map((book) => book.rating),
          [5, 4, 3]
        )
        assert.include(answer.value.summary, "find_books")
      }).pipe(Effect.provide(Offline.layer))
    )
  })

  describe("tool choice", () => {
    const choose = (
      toolChoice: LanguageModel.ToolChoice<"check_stock" | "list_offers" | "forecast_demand" | "place_order">,
      words = "Restock SKU-0042"
    ) =>
      Effect.gen(function* () {
        const toolkit = yield* Purchasing
        const response = yield* LanguageModel.generateText({
          prompt: prompt(words),
          toolkit,
          toolChoice,
          disableToolCallResolution: true
        })
        return response.toolCalls.map((call) => call.name)
      }).pipe(Effect.provide([Offline.layer, Purchasing.toLayer(warehouse())]))

    it.effect("calls none, one of some, one, or any as it is told", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* choose("none"), [])
        assert.deepStrictEqual(yield* choose({ oneOf: ["list_offers"] }), ["list_offers"])
        assert.deepStrictEqual(yield* choose({ tool: "forecast_demand" }), ["forecast_demand"])
        assert.deepStrictEqual(yield* choose({ tool: "place_order" }, "Hello"), ["place_order"])
        assert.deepStrictEqual(yield* choose("auto", "Hello"), [])
        assert.isAbove((yield* choose("required", "Hello")).length, 0)
      })
    )
  })

  describe("approval", () => {
    const Shop = Toolkit.make(
      Tool.make("delete_account", {
        parameters: Schema.Struct({ accountId: Schema.String }),
        success: Schema.Unknown,
        needsApproval: true
      })
    )

    it.effect("waits while an approval is open, and accepts a denial", () =>
      Effect.gen(function* () {
        const toolkit = yield* Shop
        const first = yield* LanguageModel.generateText({ prompt: "Delete account A-1", toolkit })
        const request = first.content.find((part) => part.type === "tool-approval-request")
        assert.isDefined(request)
        const waiting = Prompt.concat(Prompt.make("Delete account A-1"), Prompt.fromResponseParts(first.content))
        const open = yield* LanguageModel.generateText({ prompt: waiting, toolkit })
        assert.deepStrictEqual(open.toolCalls, [])
        assert.include(open.text, "waits for its result or its approval")
        const denied = Prompt.concat(
          waiting,
          Prompt.make([
            {
              role: "tool",
              content: [
                {
                  type: "tool-approval-response",
                  approvalId: request!.approvalId,
                  approved: false,
                  reason: "too risky"
                }
              ]
            }
          ])
        )
        const after = yield* LanguageModel.generateText({ prompt: denied, toolkit })
        assert.deepStrictEqual(after.toolCalls, [])
        assert.include(after.text, "denied")
      }).pipe(Effect.provide([Offline.layer, Shop.toLayer({ delete_account: () => Effect.succeed({}) })]))
    )
  })

  describe("responses", () => {
    it.effect("says what it is and estimates one token for four characters", () =>
      Effect.gen(function* () {
        const response = yield* LanguageModel.generateText({ prompt: "12345678" })
        const metadata = response.content.find((part) => part.type === "response-metadata")
        assert.strictEqual(metadata?.modelId, "offline")
        assert.strictEqual(response.usage.inputTokens.total, 2)
        assert.strictEqual(response.usage.outputTokens.total, Math.ceil(response.text.length / 4))
        assert.strictEqual(response.finishReason, "stop")
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("streams a text in several pieces that make up the same answer", () =>
      Effect.gen(function* () {
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "Tell me something" }))
        const deltas = parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))
        assert.isAbove(deltas.length, 1)
        const whole = yield* LanguageModel.generateText({ prompt: "Tell me something" })
        assert.strictEqual(deltas.join(""), whole.text)
      }).pipe(Effect.provide(Offline.layer))
    )

    it.effect("resolves tool calls through effect/ai and while streaming", () =>
      Effect.gen(function* () {
        const toolkit = yield* Purchasing
        const response = yield* LanguageModel.generateText({ prompt: prompt("Restock SKU-0042"), toolkit })
        assert.strictEqual(response.toolResults.length, 3)
        const parts = yield* Stream.runCollect(
          LanguageModel.streamText({ prompt: prompt("Restock SKU-0042"), toolkit })
        )
        assert.strictEqual(parts.filter((part) => part.type === "tool-result").length, 3)
      }).pipe(Effect.provide([Offline.layer, Purchasing.toLayer(warehouse())]))
    )

    it.effect("leaves its calls to a caller that resolves them, validated or deferred", () =>
      Effect.gen(function* () {
        const toolkit = yield* Purchasing
        const options = { prompt: prompt("Restock SKU-0042"), toolkit, disableToolCallResolution: true } as const
        const strict = yield* LanguageModel.generateText(options)
        const deferred = yield* LanguageModel.generateText({ ...options, toolCallValidation: "deferred" })
        for (const response of [strict, deferred]) {
          assert.deepStrictEqual(response.toolResults, [])
          assert.deepStrictEqual(
            response.toolCalls.map(({ name, params }) => [name, params]),
            ["check_stock", "list_offers", "forecast_demand"].map((name) => [name, { sku: "SKU-0042" }])
          )
          assert.strictEqual(response.finishReason, "tool-calls")
        }
      }).pipe(Effect.provide([Offline.layer, Purchasing.toLayer(warehouse())]))
    )

    it.effect("gives a value and its calls when structured output is asked for with tools", () =>
      Effect.gen(function* () {
        const toolkit = yield* Purchasing
        const response = yield* LanguageModel.generateObject({
          prompt: prompt("Restock SKU-0042"),
          toolkit,
          schema: Decision
        })
        assert.strictEqual(response.toolCalls.length, 3)
        assert.strictEqual(response.value.order, false)
      }).pipe(Effect.provide(Layer.merge(Offline.layer, Purchasing.toLayer(warehouse()))))
    )
  })
})
