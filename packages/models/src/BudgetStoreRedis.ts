/**
 * The accounts of budgets on Redis (`effect/persistence/Redis`), for many processes. Each operation is one Lua script.
 *
 * A book is a hash with a field per slot and the sums of its open holds, a sorted set of those holds by the time at which
 * they end, and one of those that have expired; a hold is a key of its own, which Redis forgets when its time has come. Every
 * script first takes out of the sums what has expired, and puts in again what by its time has not.
 *
 * **Gotchas**
 *
 * - All keys share one hash tag, for one reservation spans many accounts: in a Redis Cluster budgets live on one shard.
 * - Redis must not evict these keys (`maxmemory-policy noeviction`, or `volatile-*` away from them), and what it has not
 *   written to disk when it dies was never spent: use `appendonly yes`.
 */
import { plainCause } from "@selvage/core/Errors"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import {
  type Amount,
  BudgetStore,
  BudgetUnavailable,
  type Charge,
  keptHolds,
  lacking,
  type Line,
  maxEnded,
  never,
  type Options,
  rememberMillis,
  type Reply
} from "./BudgetStore.ts"

// Keys are a book's hash, the sets of its open and of its expired holds, and the hold. A member of the set is `id|ends|tokens|micros`, the value
// of a hold `ends|tokens|micros`; a slot's field is `s:START`, its value `ends|tokens|micros`.
// Numbers are printed with %.0f: Lua would write large ones with an exponent; and Redis does not take -0.
const library = `
local function text(n) return string.format("%.0f", n) end
local function less(book, field, amount)
  if amount ~= "0" then redis.call("HINCRBY", book, field, "-" .. amount) end
end
local function move(book, from, to, low, high, sign)
  local members = redis.call("ZRANGEBYSCORE", from, low, high, "WITHSCORES")
  for i = 1, #members, 2 do
    local tokens, micros = string.match(members[i], "|(%d+)|(%d+)$")
    redis.call("ZADD", to, members[i + 1], members[i])
    if sign < 0 then
      less(book, "rt", tokens)
      less(book, "rm", micros)
    else
      redis.call("HINCRBY", book, "rt", tokens)
      redis.call("HINCRBY", book, "rm", micros)
    end
  end
  if #members > 0 then redis.call("ZREMRANGEBYSCORE", from, low, high) end
end
local function expire(book, open, past, now)
  move(book, open, past, "-inf", text(now), -1)
  move(book, past, open, "(" .. text(now), "+inf", 1)
end
local function fold(book, ended)
  if #ended <= ${maxEnded} then return end
  table.sort(ended, function(one, other) return one[2] > other[2] end)
  local last = ended[${maxEnded / 2 + 1}]
  local tokens, micros = 0, 0
  for i = ${maxEnded / 2 + 1}, #ended do
    tokens = tokens + ended[i][3]
    micros = micros + ended[i][4]
    redis.call("HDEL", book, ended[i][1])
  end
  local most = ${Number.MAX_SAFE_INTEGER}
  redis.call("HSET", book, last[1], text(last[2]) .. "|" .. text(math.min(tokens, most)) .. "|" .. text(math.min(micros, most)))
end
local function sums(book, open, past, now, before)
  expire(book, open, past, now)
  local all = redis.call("HGETALL", book)
  local spentTokens, spentMicros, reservedTokens, reservedMicros, latest, ended = 0, 0, 0, 0, 0, {}
  for i = 1, #all, 2 do
    local field, value = all[i], all[i + 1]
    if field == "rt" then reservedTokens = tonumber(value)
    elseif field == "rm" then reservedMicros = tonumber(value)
    elseif string.sub(field, 1, 2) == "s:" then
      local ends, tokens, micros = string.match(value, "^(%d+)|(%d+)|(%d+)$")
      ends, tokens, micros = tonumber(ends), tonumber(tokens), tonumber(micros)
      latest = math.max(latest, ends)
      if ends > now then
        spentTokens = spentTokens + tokens
        spentMicros = spentMicros + micros
      elseif before and ends <= before then ended[#ended + 1] = { field, ends, tokens, micros }
      end
    end
  end
  if before then
    fold(book, ended)
    local over = redis.call("ZCOUNT", past, "-inf", text(before)) - ${keptHolds}
    if over > 0 then redis.call("ZREMRANGEBYRANK", past, 0, over - 1) end
  end
  return spentTokens, spentMicros, reservedTokens, reservedMicros, redis.call("ZCARD", open), latest
end
local function keep(key, millis)
  if millis < 0 then redis.call("PERSIST", key)
  elseif redis.call("PTTL", key) < millis then redis.call("PEXPIRE", key, text(millis)) end
end
`

/** Millis for which a book is kept after this charge; -1: for ever. */
const keptFor = (ends: number, expires: number, now: number, remember: number): number =>
  ends === never ? -1 : Math.max(ends, expires) - now + remember

// A ceiling that is not there is -1. Answers {0} if reserved, else {line, sums, then a value of each slot and hold}.
const reserveScript = Redis.script(
  (keys: ReadonlyArray<string>, parameters: ReadonlyArray<string | number>) => [...keys, ...parameters],
  {
    numberOfKeys: (keys) => keys.length,
    lua: `${library}
local id, tokens, micros, now, expires, remember = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local lines = #KEYS / 4
local latest = {}
for i = 1, lines do
  local book, open, past = KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1]
  local at = 6 + 5 * (i - 1)
  local maxTokens, maxMicros, maxHolds = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local st, sm, rt, rm, holds, last = sums(book, open, past, now, now - remember)
  latest[i] = last
  if (maxTokens >= 0 and st + rt + tokens > maxTokens) or (maxMicros >= 0 and sm + rm + micros > maxMicros) or holds >= maxHolds then
    local answer = { text(i), text(st), text(sm), text(rt), text(rm), text(holds) }
    local all = redis.call("HGETALL", book)
    for j = 1, #all, 2 do
      if string.sub(all[j], 1, 2) == "s:" then answer[#answer + 1] = all[j + 1] end
    end
    for _, member in ipairs(redis.call("ZRANGE", open, 0, -1)) do
      answer[#answer + 1] = string.match(member, "|(%d+|%d+|%d+)$")
    end
    return answer
  end
end
for i = 1, lines do
  local book, open, past = KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1]
  local at = 6 + 5 * (i - 1)
  local ends, kept = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local amount = text(ends) .. "|" .. text(tokens) .. "|" .. text(micros)
  if ends > now then
    redis.call("HINCRBY", book, "rt", text(tokens))
    redis.call("HINCRBY", book, "rm", text(micros))
    redis.call("ZADD", open, text(math.min(ends, expires)), id .. "|" .. amount)
  end
  redis.call("SET", KEYS[4 * i], amount, "PX", text(math.max(1, expires - now + remember)))
  if kept >= 0 then kept = math.max(kept, latest[i] - now + remember) end
  keep(book, kept)
  keep(open, kept)
  keep(past, kept)
end
return { "0" }
`
  }
).withReturnType<ReadonlyArray<string>>()

const renewScript = Redis.script(
  (keys: ReadonlyArray<string>, parameters: ReadonlyArray<string | number>) => [...keys, ...parameters],
  {
    numberOfKeys: (keys) => keys.length,
    lua: `${library}
local id, now, expires, remember = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for i = 1, #KEYS / 4 do
  local book, open, past, hold = KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i]
  local ends, kept = tonumber(ARGV[4 + 2 * i - 1]), tonumber(ARGV[4 + 2 * i])
  local held = redis.call("GET", hold)
  if held and ends > now and redis.call("EXISTS", book) == 1 then
    local tokens, micros = string.match(held, "|(%d+)|(%d+)$")
    redis.call("ZREM", past, id .. "|" .. held)
    if redis.call("ZADD", open, text(math.min(ends, expires)), id .. "|" .. held) == 1 then
      redis.call("HINCRBY", book, "rt", tokens)
      redis.call("HINCRBY", book, "rm", micros)
    end
    redis.call("PEXPIRE", hold, text(math.max(1, expires - now + remember)))
    keep(book, kept)
    keep(open, kept)
  end
end
return "0"
`
  }
).withReturnType<string>()

// Answers for each charge {spent tokens, spent micros}, or {} if it was not held.
const settleScript = Redis.script(
  (keys: ReadonlyArray<string>, parameters: ReadonlyArray<string | number>) => [...keys, ...parameters],
  {
    numberOfKeys: (keys) => keys.length,
    lua: `${library}
local id, counts, tokens, micros, now = ARGV[1], ARGV[2] == "1", tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local answer = {}
for i = 1, #KEYS / 4 do
  local book, open, past, hold = KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i]
  local at = 5 + 3 * (i - 1)
  local slot, ends, kept = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local held = redis.call("GET", hold)
  if held and redis.call("EXISTS", book) == 1 then
    local st, sm = sums(book, open, past, now)
    local heldTokens, heldMicros = string.match(held, "|(%d+)|(%d+)$")
    if redis.call("ZREM", open, id .. "|" .. held) == 1 then
      less(book, "rt", heldTokens)
      less(book, "rm", heldMicros)
    end
    redis.call("ZREM", past, id .. "|" .. held)
    if counts then
      local known = redis.call("HGET", book, "s:" .. slot)
      local e, t, m = tonumber(ends), 0, 0
      if known then
        local known, tokens, micros = string.match(known, "^(%d+)|(%d+)|(%d+)$")
        e, t, m = math.max(e, tonumber(known)), tonumber(tokens), tonumber(micros)
      end
      redis.call("HSET", book, "s:" .. slot, text(e) .. "|" .. text(t + tokens) .. "|" .. text(m + micros))
      keep(book, kept)
    end
    answer[i] = { text(st), text(sm) }
  else
    answer[i] = {}
  end
  redis.call("DEL", hold)
end
return answer
`
  }
).withReturnType<ReadonlyArray<ReadonlyArray<string>>>()

const sumsScript = Redis.script((keys: ReadonlyArray<string>, now: number) => [...keys, now], {
  numberOfKeys: (keys) => keys.length,
  lua: `${library}
local answer = {}
for i = 1, #KEYS / 3 do
  local st, sm, rt, rm, holds = sums(KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i], tonumber(ARGV[1]))
  answer[i] = { text(st), text(sm), text(rt), text(rm), text(holds) }
end
return answer
`
}).withReturnType<ReadonlyArray<ReadonlyArray<string>>>()

const Numbers = Schema.Array(Schema.FiniteFromString)
const decodeReserved = Schema.decodeUnknownEffect(Schema.Array(Schema.String))
const decodeRows = Schema.decodeUnknownEffect(Schema.Array(Numbers))

const sumsOf = (row: ReadonlyArray<number>) => {
  const [spentTokens = 0, spentMicros = 0, reservedTokens = 0, reservedMicros = 0, holds = 0] = row
  return {
    spent: { tokens: spentTokens, micros: spentMicros },
    reserved: { tokens: reservedTokens, micros: reservedMicros },
    holds
  }
}

/** Options of the store on Redis. */
export interface RedisOptions extends Options {
  /** What its keys start with. It becomes their hash tag. Default `selvage:budget`. */
  readonly prefix?: string | undefined
}

const make = Effect.fnUntraced(function* (options: RedisOptions | undefined) {
  const redis = yield* Redis.Redis
  const remember = rememberMillis(options)
  const prefix = `{${options?.prefix ?? "selvage:budget"}}`
  const bookKeys = (book: string) => [`${prefix}:book:${book}`, `${prefix}:open:${book}`, `${prefix}:past:${book}`]
  const keysOf = (charges: ReadonlyArray<Charge>, id: string) =>
    charges.flatMap(({ book }) => [...bookKeys(book), `${prefix}:hold:${id}:${book}`])
  const guarded =
    (operation: string) =>
    <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.mapError(effect, (cause) => new BudgetUnavailable({ operation, cause: plainCause(cause) }))

  const reserve = redis.eval(reserveScript)
  const renew = redis.eval(renewScript)
  const settle = redis.eval(settleScript)
  const sums = redis.eval(sumsScript)

  const refused = (
    lines: Arr.NonEmptyReadonlyArray<Line>,
    amount: Amount,
    now: number,
    answer: ReadonlyArray<string>
  ): Reply => {
    const [index = 1, ...row] = answer.slice(0, 6).map(Number)
    const line = lines[index - 1] ?? lines[0]
    const own = sumsOf(row)
    const slots = answer.slice(6).map((slot) => {
      const [ends = 0, tokens = 0, micros = 0] = slot.split("|").map(Number)
      return { ends, amount: { tokens, micros } }
    })
    return {
      _tag: "Refused",
      index: index - 1,
      resource: lacking(line, own, amount) ?? "holds",
      sums: own,
      slots: slots.filter(({ ends }) => ends > now)
    }
  }

  const end = (
    request: { readonly id: string; readonly charges: ReadonlyArray<Charge>; readonly now: number },
    usage: Amount | undefined
  ) =>
    settle(keysOf(request.charges, request.id), [
      request.id,
      usage === undefined ? 0 : 1,
      usage?.tokens ?? 0,
      usage?.micros ?? 0,
      request.now,
      ...request.charges.flatMap(({ ends, slot }) => [slot, ends, keptFor(ends, request.now, request.now, remember)])
    ])

  return BudgetStore.of({
    reserve: ({ amount, expires, id, lines, now }) =>
      reserve(keysOf(lines, id), [
        id,
        amount.tokens,
        amount.micros,
        now,
        expires,
        remember,
        ...lines.flatMap(({ ceiling, ends, maxHolds }) => [
          ends,
          keptFor(ends, expires, now, remember),
          ceiling.tokens ?? -1,
          ceiling.micros ?? -1,
          maxHolds
        ])
      ]).pipe(
        Effect.flatMap(decodeReserved),
        guarded("reserve an amount"),
        Effect.map((answer): Reply => (answer[0] === "0" ? { _tag: "Reserved" } : refused(lines, amount, now, answer)))
      ),
    renew: ({ charges, expires, id, now }) =>
      renew(keysOf(charges, id), [
        id,
        now,
        expires,
        remember,
        ...charges.flatMap(({ ends }) => [ends, keptFor(ends, expires, now, remember)])
      ]).pipe(guarded("renew an amount"), Effect.asVoid),
    settle: (request) =>
      end(request, request.usage).pipe(
        Effect.flatMap(decodeRows),
        guarded("settle an amount"),
        Effect.map((rows) =>
          rows.map(([tokens, micros]) =>
            tokens === undefined || micros === undefined ? undefined : { tokens, micros }
          )
        )
      ),
    release: (request) => end(request, undefined).pipe(guarded("release an amount"), Effect.asVoid),
    sums: (books, now) =>
      books.length === 0
        ? Effect.succeed([])
        : sums(books.flatMap(bookKeys), now).pipe(
            Effect.flatMap(decodeRows),
            guarded("read the sums of its accounts"),
            Effect.map(Arr.map(sumsOf))
          ),
    forget: (books) =>
      books.length === 0
        ? Effect.void
        : redis.send("DEL", ...books.flatMap(bookKeys)).pipe(guarded("forget accounts"), Effect.asVoid)
  })
})

/** Accounts on the `Redis` in the context. */
export const layer = (options?: RedisOptions): Layer.Layer<BudgetStore, never, Redis.Redis> =>
  Layer.effect(BudgetStore, make(options))
