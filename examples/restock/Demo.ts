/**
 * The command of the demo: loads the CSV files into a database, and decides about every product that is low, durably.
 * Run it again after a crash and it goes on where it stood.
 */
import { Agent } from "@selvage/agent"
import { Journal, Lease, Thread } from "@selvage/core"
import { Models, Prices } from "@selvage/models"
import { SqliteClient, SqliteJournal } from "@selvage/sqlite"
import { Approval } from "@selvage/tools"
import { CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag, Prompt } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { crash } from "./Crash.ts"
import * as Progress from "./Progress.ts"
import { approvalAbove, PlaceOrder, PurchasingLive } from "./Purchasing.ts"
import * as Report from "./Report.ts"
import { Advisor, Buyer, Restock } from "./Restock.ts"
import { load, Warehouse } from "./Warehouse.ts"

type Approve = "ask" | "all" | "none"

/** The size of the terminal, asked for at each picture, for it may change; `undefined` where there is none. */
const terminalSize = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  if (!(yield* stdio.stdoutIsTerminal)) return undefined
  const terminal = yield* Terminal.Terminal
  // A terminal that does not know its size says 0.
  return Effect.all({
    columns: Effect.map(terminal.columns, (columns) => columns || 80),
    rows: Effect.map(terminal.rows, (rows) => rows || 24)
  })
})

const decodeOrder = Schema.decodeUnknownOption(PlaceOrder.parametersSchema)

/** What a person is asked: an order by its names and its amount, anything else as it is. */
const questionText = Effect.fnUntraced(function* ({ params, tool }: Approval.Question) {
  const raw = `Approve ${tool} ${JSON.stringify(params)}?`
  const order = decodeOrder(params)
  if (tool !== PlaceOrder.name || Option.isNone(order)) return raw
  const { sku, supplierId, units } = order.value
  const warehouse = yield* Warehouse
  const product = yield* Effect.option(warehouse.product(sku))
  const offers = yield* Effect.orElseSucceed(warehouse.offers(sku), () => [])
  const offer = offers.find((other) => other.supplierId === supplierId)
  if (Option.isNone(product) || offer === undefined || offer.unitPriceCents === null) return raw
  return `Order ${units} × ${product.value.name} (${sku}) from ${offer.supplierName} for ${Report.euros(units * offer.unitPriceCents)}?`
})

const ApprovalQuestion = Schema.decodeUnknownOption(Approval.Question)

/** Answers what a thread asks: by the mode, or by asking the person at the terminal. */
const answerAsks = Effect.fnUntraced(function* (thread: string, approve: Approve, asks: ReadonlyArray<Thread.OpenAsk>) {
  for (const { ask, kind, question } of asks) {
    const approval = Option.getOrUndefined(ApprovalQuestion(question))
    if (kind !== "question" || approval === undefined) {
      return yield* new Unanswerable({ thread, ask })
    }
    const approved =
      approve === "ask"
        ? yield* Prompt.Confirm({
            message: yield* questionText(approval),
            initial: false
          }).pipe(Effect.onError(() => Console.log("")))
        : approve === "all"
    yield* Thread.answer(Approval.ask(approval.call), {
      thread,
      ask,
      value: approved ? { approved } : { approved, reason: "the order is above the limit and was not approved" }
    })
  }
})

class Unanswerable extends Schema.TaggedError<Unanswerable>()("Unanswerable", {
  thread: Schema.String,
  ask: Schema.String
}) {
  override get message() {
    return `Thread "${this.thread}" waits for "${this.ask}", which this program cannot answer. See: selvage show ${this.thread}`
  }
}

/** Runs the job to its end, answering what it asks in between. */
const runJob = Effect.fnUntraced(function* (thread: string, approve: Approve) {
  const size = yield* terminalSize
  let progress = Progress.empty
  // The events of the past are folded too, so that the picture is right after a restart.
  let after = 0
  while (true) {
    const events = Thread.stream(Restock, { thread, input: {}, run: thread, after }).pipe(
      Stream.tap((event) =>
        Effect.sync(() => {
          if (event._tag === "Journaled") after = event.seq
        })
      )
    )
    progress = yield* Progress.show(events, size, progress)
    const asks = yield* Thread.asks({ thread })
    if (asks.length === 0) return
    yield* answerAsks(thread, approve, asks)
  }
})

const restock = Effect.fnUntraced(function* (thread: string, approve: Approve, model: string) {
  yield* runJob(thread, approve)
  const { decisions } = yield* Thread.state(Restock, { thread })
  const warehouse = yield* Warehouse
  const orders = yield* warehouse.orders
  const entries = yield* Stream.runCollect(Thread.events({ thread }))
  const millis = (entries.at(-1)?.at ?? 0) - (entries[0]?.at ?? 0)
  yield* Console.log(`\n${Report.decisions(decisions, orders)}\n\n${Report.totals(decisions, orders, millis, model)}`)
})

/** One product: decide as the job does, or answer a person's own words. */
const only = Effect.fnUntraced(function* (sku: string, prompt: Option.Option<string>, approve: Approve) {
  const warehouse = yield* Warehouse
  const product = yield* warehouse.product(sku)
  const runs = yield* threadsOf(sku)
  const thread = `ask-${product.sku}-${runs + 1}`
  const request = Option.getOrElse(
    prompt,
    () => `Restock ${product.sku} (${product.name}). Place an order if it is needed.`
  )
  const agent = Option.isSome(prompt) ? Advisor : Buyer
  const input = {
    prompt: request.includes(product.sku) ? request : `${request} (product ${product.sku}, ${product.name})`
  }
  while (true) {
    const outcome = yield* Thread.run(agent, { thread, input, run: thread })
    if (outcome._tag === "Waiting") {
      yield* answerAsks(thread, approve, outcome.asks)
      continue
    }
    const { output, text, turns } = outcome.state
    yield* Console.log(output === undefined ? text : JSON.stringify(output, undefined, 2))
    return yield* Console.log(`\n${turns.length} turns; thread ${thread}`)
  }
})

const threadsOf = (sku: string) =>
  Stream.unwrap(Effect.map(Effect.service(Journal.Journal), (journal) => journal.threads())).pipe(
    Stream.filter(({ thread }) => thread.startsWith(`ask-${sku}-`)),
    Stream.runCount
  )

const flags = {
  approve: Flag.Literals("approve", ["ask", "all", "none"]).pipe(
    Flag.withDescription(
      "Orders above the limit: ask in the terminal, approve all, or none (default: ask if there is a terminal)"
    ),
    Flag.optional
  ),
  approveAbove: Flag.Finite("approve-above").pipe(
    Flag.withDescription("The limit in euros above which an order needs approval"),
    Flag.filter(
      (limit) => limit >= 0,
      () => "a limit of at least 0"
    ),
    Flag.withDefault(1000)
  ),
  only: Flag.String("only").pipe(Flag.withDescription("Ask about this product (SKU) only"), Flag.optional),
  prompt: Flag.String("prompt").pipe(
    Flag.withDescription("With --only: what to ask, in your own words"),
    Flag.optional
  ),
  thread: Flag.String("thread").pipe(
    Flag.withDescription("The thread to run or go on with"),
    Flag.filter(
      (thread) => thread.trim().length > 0,
      () => "a name that is not empty"
    ),
    Flag.withDefault("restock")
  ),
  directory: Flag.String("directory").pipe(
    Flag.withDescription("Where the database and the journal are kept"),
    Flag.withDefault(".selvage")
  ),
  data: Flag.String("data").pipe(
    Flag.withDescription("Where the CSV files are (default: those of the example)"),
    Flag.optional
  ),
  fresh: Flag.Boolean("fresh").pipe(
    Flag.withDescription("Start over: forget database and journal"),
    Flag.withDefault(false)
  ),
  crash: Flag.Boolean("crash").pipe(
    Flag.withDescription("Kill the job at random moments and prove that nothing is lost or doubled"),
    Flag.withDefault(false)
  ),
  kills: Flag.Int("kills").pipe(
    Flag.withDescription("With --crash: how many times"),
    Flag.filter(
      (kills) => kills >= 1 && kills <= 1000,
      () => "a number from 1 to 1000"
    ),
    Flag.withDefault(6)
  )
}

class WrongUse extends Schema.TaggedError<WrongUse>()("WrongUse", { reason: Schema.String }) {
  override get message() {
    return this.reason
  }
}

// A wrong use gets one clear message; the whole help would push it off the screen.
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag !== "InvalidInvocation"
      ? CliOutput.defaultPresenter.present(event)
      : Console.error(
          `${event.errors.map(({ message }) => message.replaceAll(/\s*\n\s*/g, " ")).join("\n")}\nSee demo --help`
        )
}

/**
 * How long a restart after a kill in the middle of an order waits for an order that may still arrive. Here it goes into a
 * local file; over a network it takes longer.
 */
const leaseTtl = "2 seconds"

const command = Command.make("demo", flags, (options) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const here = yield* path.fromFileUrl(new URL(".", import.meta.url))
    const stdio = yield* Stdio.Stdio
    const data = Option.getOrElse(options.data, () => path.join(here, "data"))
    const interactive = (yield* stdio.stdinIsTerminal) && (yield* stdio.stdoutIsTerminal)
    const approve = Option.getOrElse(options.approve, (): Approve => (interactive ? "ask" : "none"))
    if (Option.isSome(options.prompt) && Option.isNone(options.only)) {
      return yield* new WrongUse({ reason: "--prompt needs --only SKU: say which product it is about." })
    }
    if (approve === "ask" && !interactive && !options.crash) {
      return yield* new WrongUse({ reason: "--approve ask needs a terminal: use --approve all or --approve none." })
    }
    if (options.crash) return yield* crash({ main: path.join(here, "main.ts"), data, kills: options.kills })
    const files = {
      database: path.join(options.directory, "warehouse.db"),
      journal: path.join(options.directory, "journal.db")
    }
    if (options.fresh) {
      for (const file of Object.values(files)) {
        for (const suffix of ["", "-wal", "-shm"]) yield* fs.remove(file + suffix, { force: true })
      }
    }
    yield* fs.makeDirectory(options.directory, { recursive: true })

    const program = Effect.gen(function* () {
      const report = yield* load(data)
      const models = yield* Models.Models
      const model = yield* models.description("smart")
      yield* Console.log(
        `${report.products} products, ${report.suppliers} suppliers, ${report.offers} offers${report.loaded ? " loaded" : " in the database"}, ${report.notes.length} rows with notes`
      )
      yield* Console.log(
        `model: ${model}; orders above ${Report.euros(options.approveAbove * 100)} ${approve === "ask" ? "wait for your approval" : approve === "all" ? "are approved" : "are not approved (--approve all|ask)"}`
      )
      if (Option.isSome(options.only)) return yield* only(options.only.value, options.prompt, approve)
      yield* Console.log(`thread: ${options.thread}; journal: ${files.journal}\n`)
      yield* restock(options.thread, approve, model)
      yield* Console.log(`\nLook inside: npx -y pnpm@12.4.2 selvage show ${options.thread} · start over: --fresh`)
    })
    yield* program.pipe(
      Effect.provideService(Lease.Ttl, leaseTtl),
      Effect.provide([PurchasingLive, approvalAbove(options.approveAbove * 100)]),
      Effect.provide([Warehouse.layer, Layer.succeed(Agent.Pricing, (model, usage) => Prices.cost(model, usage))]),
      Effect.provide([
        SqliteClient.layer({ filename: files.database }),
        SqliteJournal.layer({ filename: files.journal }),
        Models.layerConfig
      ])
    )
  })
).pipe(Command.withDescription("A purchasing agent restocks a warehouse"))

/** How the command ends: done, failed as the message on stderr says, or used wrongly. */
export type ExitCode = 0 | 1 | 2

/** Runs the command on arguments. What went wrong stands on stderr. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<ExitCode, never, Command.Environment> =>
  Command.runWith(command, { version: "0.1.0" })(args).pipe(
    Effect.as<ExitCode>(0),
    Effect.catch((error): Effect.Effect<ExitCode> =>
      CliError.isCliError(error)
        ? Effect.succeed(2)
        : Effect.as(
            Console.error(error instanceof Error ? error.message : String(error)),
            error instanceof WrongUse ? 2 : 1
          )
    ),
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideService(
      CliConfig.CliConfig,
      CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
    )
  )
