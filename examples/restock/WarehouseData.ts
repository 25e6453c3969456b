/**
 * Loads the warehouse's CSV files into a database, once and as a whole.
 *
 * **Files**
 *
 * - `products.csv`: `sku,name,category,stock,reorder_level,unit,demand,discontinued`; `demand` holds the units sold in
 *   each of the last 12 weeks, oldest first, separated by `;`; `discontinued` is `yes` or `no`.
 * - `suppliers.csv`: `id,name,lead_time_days,minimum_order_cents,reliability`; reliability is the share of deliveries
 *   on time, 0 to 1.
 * - `offers.csv`: `supplier_id,sku,unit_price_cents,minimum_units,pack_size`.
 *
 * RFC 4180 with a header, UTF-8; blank lines are skipped.
 *
 * **Missing values**
 *
 * An empty `stock`, week of `demand`, `reliability` or `unit_price_cents` is loaded as NULL and reported as a note, as
 * are a product without an offer and a supplier without a price. Any other empty cell, an unreadable one, a wrong number
 * of columns, a duplicate, or an offer of an unknown product or supplier is a {@link CsvRowInvalid}, and nothing is
 * loaded.
 */
import * as Arr from "effect/Array"
import * as Csv from "effect/encoding/Csv"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as SqlClient from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"

/** A row of a CSV file cannot be read; `column` is null where the row as a whole is wrong. */
export class CsvRowInvalid extends Schema.TaggedError<CsvRowInvalid>()("CsvRowInvalid", {
  file: Schema.String,
  line: Schema.Int,
  column: Schema.NullOr(Schema.String),
  reason: Schema.String
}) {
  override get message(): string {
    const column = this.column === null ? "" : `, column "${this.column}"`
    return `${this.file} line ${this.line}${column}: ${this.reason}. Correct the file and load again; nothing was loaded.`
  }
}

/** Something a reader of the data should know; `line` is null where it is about no single row. */
export const LoadNote = Schema.Struct({
  file: Schema.String,
  line: Schema.NullOr(Schema.Int),
  subject: Schema.String,
  message: Schema.String
})
export interface LoadNote extends Schema.Schema.Type<typeof LoadNote> {}

/** What the database holds after `load`; `loaded` says whether this call filled it. */
export interface LoadReport {
  readonly loaded: boolean
  readonly products: number
  readonly suppliers: number
  readonly offers: number
  readonly notes: ReadonlyArray<LoadNote>
}

/** How many weeks of demand a product has. */
export const demandWeeks = 12

const maximumRows = 100_000
const insertBatch = 500

const text = (maximum: number) =>
  Schema.String.check(
    Schema.isPattern(/\S/u, { message: "is empty" }),
    Schema.isMaxLength(maximum, { message: `is longer than ${maximum} characters` })
  )

const wholeMessage = { message: "is not a whole number from 0 to 999999999" }

const whole = Schema.String.check(Schema.isPattern(/^\d{1,9}$/, wholeMessage)).pipe(
  Schema.decodeTo(Schema.Natural, SchemaTransformation.transform({ decode: Number, encode: String }))
)

const positive = Schema.String.check(
  Schema.isPattern(/^0*[1-9]\d{0,8}$/, { message: "is not a whole number from 1 to 999999999" })
).pipe(Schema.decodeTo(Schema.Natural, SchemaTransformation.transform({ decode: Number, encode: String })))

const numberOrMissing = SchemaTransformation.transform<number | null, string>({
  decode: (cell) => (cell === "" ? null : Number(cell)),
  encode: (value) => (value === null ? "" : String(value))
})

const wholeOrMissing = Schema.String.check(Schema.isPattern(/^\d{0,9}$/, wholeMessage)).pipe(
  Schema.decodeTo(Schema.NullOr(Schema.Natural), numberOrMissing)
)

const shareOrMissing = Schema.String.check(
  Schema.isPattern(/^(?:|0(?:\.\d{1,6})?|1(?:\.0{1,6})?)$/, { message: "is not a share from 0 to 1" })
).pipe(Schema.decodeTo(Schema.NullOr(Schema.Finite), numberOrMissing))

const yesNo = Schema.String.check(Schema.isPattern(/^(?:yes|no)$/, { message: "is neither yes nor no" })).pipe(
  Schema.decodeTo(
    Schema.Boolean,
    SchemaTransformation.transform({ decode: (cell) => cell === "yes", encode: (value) => (value ? "yes" : "no") })
  )
)

const weeks = Schema.String.check(
  Schema.isPattern(new RegExp(`^\\d{0,9}(?:;\\d{0,9}){${demandWeeks - 1}}$`), {
    message: `is not ${demandWeeks} whole numbers separated by ";"`
  })
).pipe(
  Schema.decodeTo(
    Schema.Array(Schema.NullOr(Schema.Natural)),
    SchemaTransformation.transform<ReadonlyArray<number | null>, string>({
      decode: (cell) => cell.split(";").map((week) => (week === "" ? null : Number(week))),
      encode: (values) => values.map((week) => week ?? "").join(";")
    })
  )
)

const ProductRow = Schema.Struct({
  sku: text(40),
  name: text(200),
  category: text(80),
  stock: wholeOrMissing,
  reorder_level: whole,
  unit: text(40),
  demand: weeks,
  discontinued: yesNo
})

const SupplierRow = Schema.Struct({
  id: text(40),
  name: text(200),
  lead_time_days: whole,
  minimum_order_cents: whole,
  reliability: shareOrMissing
})

const OfferRow = Schema.Struct({
  supplier_id: text(40),
  sku: text(40),
  unit_price_cents: wholeOrMissing,
  minimum_units: positive,
  pack_size: positive
})

interface Located<Row> {
  readonly line: number
  readonly row: Row
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** The records of a file with the physical line each starts on. */
const readRecords = Effect.fnUntraced(function* (directory: string, file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const records = yield* fs.stream(path.join(directory, file)).pipe(
    Stream.pipeThroughChannel(Csv.decode()),
    Stream.take(maximumRows + 1),
    Stream.runCollect,
    Effect.catchTag("CsvError", (error) =>
      Effect.fail(new CsvRowInvalid({ file, line: error.line, column: null, reason: error.message }))
    )
  )
  let line = 1
  const located: Array<Located<Csv.Row>> = []
  for (const row of records) {
    if (row.length > 1 || row[0] !== "") located.push({ line, row })
    line += 1 + row.reduce((breaks, cell) => breaks + (cell.match(/\r\n|\r|\n/g)?.length ?? 0), 0)
  }
  if (located.length > maximumRows) {
    return yield* new CsvRowInvalid({ file, line, column: null, reason: `the file has more than ${maximumRows} rows` })
  }
  return located
})

/** The rows of a file decoded; the first one that cannot be fails with its place. */
const readTable = Effect.fnUntraced(function* <Row>(
  directory: string,
  file: string,
  columns: ReadonlyArray<string>,
  schema: Schema.Codec<Row, Record<string, string>>,
  key: (row: Row) => string
) {
  const [header, ...records] = yield* readRecords(directory, file)
  if (header === undefined || header.row.join() !== columns.join()) {
    const reason = `the header is not "${columns.join()}"`
    return yield* new CsvRowInvalid({ file, line: header?.line ?? 1, column: null, reason })
  }
  const decode = Schema.decodeUnknownEffect(schema)
  const seen = new Map<string, number>()
  const rows: Array<Located<Row>> = []
  for (const { line, row: cells } of records) {
    if (cells.length !== columns.length) {
      const reason = `the row has ${cells.length} columns, the header ${columns.length}`
      return yield* new CsvRowInvalid({ file, line, column: null, reason })
    }
    const row = yield* decode(Object.fromEntries(columns.map((column, index) => [column, cells[index]]))).pipe(
      Effect.mapError((error) => {
        const issue = formatIssue(error.issue).issues[0]
        const column = String(issue?.path?.[0] ?? columns[0])
        const cell = (cells[columns.indexOf(column)] ?? "").slice(0, 80)
        return new CsvRowInvalid({ file, line, column, reason: `"${cell}" ${issue?.message ?? "cannot be read"}` })
      })
    )
    const earlier = seen.get(key(row))
    if (earlier !== undefined) {
      const reason = `"${key(row)}" is already on line ${earlier}`
      return yield* new CsvRowInvalid({ file, line, column: columns[0] ?? null, reason })
    }
    seen.set(key(row), line)
    rows.push({ line, row })
  }
  return { rows, seen }
})

const readAll = Effect.fnUntraced(function* (directory: string) {
  const read = <Row, Fields extends Schema.Struct.Fields>(
    file: string,
    schema: Schema.Codec<Row, Record<string, string>> & { readonly fields: Fields },
    key: (row: Row) => string
  ) => readTable(directory, file, Object.keys(schema.fields), schema, key)
  const products = yield* read("products.csv", ProductRow, (row) => row.sku)
  const suppliers = yield* read("suppliers.csv", SupplierRow, (row) => row.id)
  const offers = yield* read("offers.csv", OfferRow, (row) => `${row.supplier_id} ${row.sku}`)
  for (const { line, row } of offers.rows) {
    const file = "offers.csv"
    if (!suppliers.seen.has(row.supplier_id)) {
      const reason = `"${row.supplier_id}" is not in suppliers.csv`
      return yield* new CsvRowInvalid({ file, line, column: "supplier_id", reason })
    }
    if (!products.seen.has(row.sku)) {
      return yield* new CsvRowInvalid({ file, line, column: "sku", reason: `"${row.sku}" is not in products.csv` })
    }
  }
  return { products: products.rows, suppliers: suppliers.rows, offers: offers.rows }
})

type Files = Effect.Success<ReturnType<typeof readAll>>

const notesOf = ({ offers, products, suppliers }: Files): ReadonlyArray<LoadNote> => {
  const offered = new Set(offers.map(({ row }) => row.sku))
  const priced = new Set(offers.filter(({ row }) => row.unit_price_cents !== null).map(({ row }) => row.supplier_id))
  const notes: Array<LoadNote> = []
  for (const { line, row } of products) {
    const note = (message: string) => notes.push({ file: "products.csv", line, subject: row.sku, message })
    if (row.stock === null) note("stock is missing; the product does not count as below its reorder level")
    const missing = row.demand.filter((week) => week === null).length
    if (missing > 0) note(`demand is missing for ${missing} of ${demandWeeks} weeks`)
    if (!offered.has(row.sku)) note("no supplier offers it")
  }
  for (const { line, row } of suppliers) {
    const note = (message: string) => notes.push({ file: "suppliers.csv", line, subject: row.id, message })
    if (row.reliability === null) note("reliability is missing")
    if (!priced.has(row.id)) note("no offer of this supplier has a price")
  }
  for (const { line, row } of offers) {
    if (row.unit_price_cents !== null) continue
    const subject = `${row.supplier_id} ${row.sku}`
    notes.push({ file: "offers.csv", line, subject, message: "the price is missing; it cannot be ordered" })
  }
  return notes
}

const createTables = Effect.fnUntraced(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS products (sku TEXT PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL,
    stock INTEGER, reorder_level INTEGER NOT NULL, unit TEXT NOT NULL, discontinued INTEGER NOT NULL)`
  yield* sql`CREATE TABLE IF NOT EXISTS demand (sku TEXT NOT NULL REFERENCES products (sku), week INTEGER NOT NULL,
    units INTEGER, PRIMARY KEY (sku, week))`
  yield* sql`CREATE TABLE IF NOT EXISTS suppliers (id TEXT PRIMARY KEY, name TEXT NOT NULL,
    lead_time_days INTEGER NOT NULL, minimum_order_cents INTEGER NOT NULL, reliability REAL)`
  yield* sql`CREATE TABLE IF NOT EXISTS offers (supplier_id TEXT NOT NULL REFERENCES suppliers (id),
    sku TEXT NOT NULL REFERENCES products (sku), unit_price_cents INTEGER, minimum_units INTEGER NOT NULL,
    pack_size INTEGER NOT NULL, PRIMARY KEY (sku, supplier_id))`
  yield* sql`CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, sku TEXT NOT NULL REFERENCES products (sku),
    supplier_id TEXT NOT NULL REFERENCES suppliers (id), units INTEGER NOT NULL, unit_price_cents INTEGER NOT NULL,
    cost_cents INTEGER NOT NULL, reason TEXT, idempotency_key TEXT, placed_at INTEGER NOT NULL,
    expected_at INTEGER NOT NULL)`
  yield* sql`CREATE TABLE IF NOT EXISTS load_notes (id INTEGER PRIMARY KEY, file TEXT NOT NULL, line INTEGER,
    subject TEXT NOT NULL, message TEXT NOT NULL)`
  yield* sql`CREATE TABLE IF NOT EXISTS loads (id INTEGER PRIMARY KEY, loaded_at INTEGER NOT NULL)`
})

const insertAll = Effect.fnUntraced(function* (table: string, rows: ReadonlyArray<Record<string, unknown>>) {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.forEach(
    Arr.chunksOf(rows, insertBatch),
    (batch) => sql`INSERT INTO ${sql(table)} ${sql.insert(batch)}`,
    {
      discard: true
    }
  )
})

const reportFrom = Effect.fnUntraced(function* (loaded: boolean) {
  const sql = yield* SqlClient.SqlClient
  const [counts] = yield* sql<{ products: number; suppliers: number; offers: number }>`SELECT
    (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM suppliers) AS suppliers,
    (SELECT count(*) FROM offers) AS offers`
  const notes = yield* sql<LoadNote>`SELECT file, line, subject, message FROM load_notes ORDER BY id`
  return { loaded, products: 0, suppliers: 0, offers: 0, ...counts, notes } satisfies LoadReport
})

/**
 * Creates the tables and loads the three files of `directory`, in one transaction. On a database that is already
 * loaded it changes nothing, does not read the files, and returns the same report with `loaded: false`.
 */
export const load = Effect.fnUntraced(function* (directory: string) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* createTables()
      const before = yield* sql`SELECT id FROM loads LIMIT 1`
      if (before.length > 0) return yield* reportFrom(false)
      const files = yield* readAll(directory)
      yield* insertAll(
        "products",
        files.products.map(({ row }) => Struct.omit(row, ["demand"]))
      )
      yield* insertAll(
        "demand",
        files.products.flatMap(({ row }) =>
          row.demand.map((units, index) => ({ sku: row.sku, week: index + 1, units }))
        )
      )
      yield* insertAll(
        "suppliers",
        files.suppliers.map(({ row }) => row)
      )
      yield* insertAll(
        "offers",
        files.offers.map(({ row }) => row)
      )
      yield* insertAll("load_notes", notesOf(files))
      yield* sql`INSERT INTO loads ${sql.insert({ id: 1, loaded_at: yield* Clock.currentTimeMillis })}`
      return yield* reportFrom(true)
    })
  )
})
