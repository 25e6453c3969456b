import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { constants, brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { setImmediate as immediate } from "node:timers/promises"
import { Agent, type Dispatcher, errors } from "undici"
import * as Fetch from "../src/Fetch.ts"
import { nobody, serve, stalling } from "./servers.ts"
import { patiently, runs } from "../../testing/test/measures.ts"

type Init = NonNullable<Parameters<Fetch.Fetch>[1]>

const collected = async (response: Response): Promise<ReadonlyArray<Uint8Array>> => {
  const all: Array<Uint8Array> = []
  for await (const piece of response.body ?? []) all.push(piece)
  return all
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => assert.fail(`there is no rejection, but ${String(value)}`),
    (thrown: unknown) => thrown
  )

/** The rejection of what has to be one of these, with its cause. */
const typeError = async (promise: Promise<unknown>, message: string): Promise<unknown> => {
  const error = await rejection(promise)
  assert.instanceOf(error, TypeError)
  assert.strictEqual(error.message, message)
  return error.cause
}

const bytesOf = async ({ next }: Fetch.Pieces): Promise<Buffer> => {
  const pieces: Array<Uint8Array> = []
  for (let piece = await next(); piece !== undefined; piece = await next()) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** A connection is free a little after the end of what it brought. */
const settled = () => immediate().then(immediate).then(immediate)

/** A request as a server echoes it. */
const echoing = serve((reply, { body, headers, method }) => {
  reply.end(JSON.stringify({ method, type: headers["content-type"], body: body.toString() }))
})

const form = () => {
  const made = new FormData()
  made.append("model", "whisper-1")
  made.append("file", new File(["\u0000 \r\n--x ü"], "ü.wav", { type: "audio/wav" }))
  return made
}

const streamOf = (...chunks: ReadonlyArray<string>) =>
  ReadableStream.from(chunks.map((chunk) => new TextEncoder().encode(chunk)))

const bodies: ReadonlyArray<{
  readonly name: string
  readonly init: () => Init
  readonly type: string | undefined
  readonly body: string
}> = [
  { name: "a string", init: () => ({ body: "grüezi" }), type: "text/plain;charset=UTF-8", body: "grüezi" },
  {
    name: "a string that says what it is",
    init: () => ({ body: '{"ü":1}', headers: { "Content-Type": "application/json" } }),
    type: "application/json",
    body: '{"ü":1}'
  },
  { name: "an empty string", init: () => ({ body: "" }), type: "text/plain;charset=UTF-8", body: "" },
  { name: "bytes", init: () => ({ body: Buffer.from("bytes") }), type: undefined, body: "bytes" },
  {
    name: "an ArrayBuffer",
    init: () => ({ body: new TextEncoder().encode("ab").buffer }),
    type: undefined,
    body: "ab"
  },
  {
    name: "a search",
    init: () => ({ body: new URLSearchParams({ a: "1 2", ü: "&" }) }),
    type: "application/x-www-form-urlencoded;charset=UTF-8",
    body: "a=1+2&%C3%BC=%26"
  },
  { name: "a blob", init: () => ({ body: new Blob(["blob"], { type: "text/x" }) }), type: "text/x", body: "blob" },
  {
    name: "a stream",
    init: () => ({ body: streamOf("one ", "two"), duplex: "half" }),
    type: undefined,
    body: "one two"
  }
]

const long = "a piece of text, again and again; ".repeat(500)

const codings: ReadonlyArray<readonly [coding: string, encoded: (body: Buffer) => Buffer]> = [
  ["gzip", gzipSync],
  ["x-gzip", gzipSync],
  ["GZip", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
  ["zstd", zstdCompressSync],
  ["gzip, br", (body) => brotliCompressSync(gzipSync(body))],
  ["deflate,gzip , zstd", (body) => zstdCompressSync(gzipSync(deflateSync(body)))]
]

const random = (length: number) =>
  Buffer.from(Array.from({ length }, (_, index) => (index * index * 2654435761) >>> 13))

const secrets = { authorization: "Bearer s", "api-key": "s", "x-api-key": "s", cookie: "s", "x-other": "kept" }

const fetches: ReadonlyArray<readonly [name: string, fetch: Fetch.Fetch]> = [
  ["this fetch", Fetch.fetch],
  ["the global one", globalThis.fetch]
]

for (const [name, fetch] of fetches) {
  describe(`${name} sends`, () => {
    it.effect("JSON, and gives what was answered", () =>
      Effect.gen(function* () {
        const server = yield* serve((reply) => {
          reply.setHeader("set-cookie", ["a=1", "b=2"])
          reply.writeHead(201, "Made", { "content-type": "application/json", "x-id": "7" })
          reply.end('{"made":true}')
        })
        yield* Effect.promise(async () => {
          const response = await fetch(`${server.url}/things?a=1#part`, {
            method: "POST",
            headers: [
              ["Content-Type", "application/json"],
              ["X-One", "1"],
              ["x-one", "2"]
            ],
            body: '{"name":"ü"}'
          })
          assert.strictEqual(response.status, 201)
          assert.strictEqual(response.statusText, "Made")
          assert.isTrue(response.ok)
          assert.strictEqual(response.url, `${server.url}/things?a=1`)
          assert.isFalse(response.redirected)
          assert.strictEqual(response.type, "basic")
          assert.strictEqual(response.headers.get("X-Id"), "7")
          assert.deepStrictEqual(response.headers.getSetCookie(), ["a=1", "b=2"])
          assert.deepStrictEqual(await response.json(), { made: true })
        })
        const [received] = server.received
        assert.strictEqual(received?.method, "POST")
        assert.strictEqual(received?.path, "/things?a=1")
        assert.deepInclude(received?.headers, {
          "content-type": "application/json",
          "content-length": "13",
          "x-one": "1, 2"
        })
        assert.strictEqual(String(received?.body), '{"name":"ü"}')
      })
    )

    it.effect("headers in whatever form they come", () =>
      Effect.gen(function* () {
        class Foreign {
          readonly #own = [["x-one", "1"]] as const;
          [Symbol.iterator]() {
            return this.#own[Symbol.iterator]()
          }
        }
        const forms: ReadonlyArray<unknown> = [
          { "X-One": "1" },
          { "x-one": " 1 " },
          { "x-one": 1 },
          Object.assign(Object.create({ "x-two": "inherited" }), { "x-one": "1" }),
          new Map([["x-one", "1"]]),
          new Headers({ "x-one": "1" }),
          new Foreign(),
          [["x-one", "1"]]
        ]
        const { received, url } = yield* echoing
        yield* Effect.promise(async () => {
          for (const headers of forms)
            await fetch(url, { method: "DELETE", headers: headers as Record<string, string> })
        })
        for (const { headers } of received) assert.deepInclude(headers, { "x-one": "1" })
        assert.strictEqual(received.length, forms.length)
        assert.isFalse(received.some(({ headers }) => "x-two" in headers))
      })
    )

    for (const { body, init, name, type } of bodies) {
      it.effect(`${name} as a body`, () =>
        Effect.gen(function* () {
          const { received, url } = yield* echoing
          const echo = yield* Effect.promise(async () => (await fetch(url, { method: "POST", ...init() })).json())
          assert.deepStrictEqual(echo, JSON.parse(JSON.stringify({ method: "POST", type, body })))
          const length = name === "a stream" ? undefined : String(Buffer.byteLength(body))
          assert.strictEqual(received[0]?.headers["content-length"], length)
        })
      )
    }

    it.effect("a form, whole", () =>
      Effect.gen(function* () {
        const { received, url } = yield* echoing
        yield* Effect.promise(async () => {
          await fetch(url, { method: "POST", body: form() })
          const [{ body, headers } = assert.fail()] = received
          const arrived = await new Response(body, {
            headers: { "content-type": headers["content-type"] ?? "" }
          }).formData()
          assert.strictEqual(arrived.get("model"), "whisper-1")
          const file = arrived.get("file")
          assert(file instanceof File)
          assert.deepInclude({ name: file.name, type: file.type }, { name: "ü.wav", type: "audio/wav" })
          assert.strictEqual(await file.text(), "\u0000 \r\n--x ü")
          assert.strictEqual(headers["content-length"], String(body.length))
        })
      })
    )

    it.effect("a Request, to which options may be added, to a URL", () =>
      Effect.gen(function* () {
        const { received, url } = yield* echoing
        yield* Effect.promise(async () => {
          const made = new Request(new URL(url), { method: "PUT", body: "asked", headers: { "x-one": "1" } })
          await fetch(made.clone())
          await fetch(made, { headers: { "x-two": "2" } })
          await fetch(new URL("/path", url))
        })
        assert.deepStrictEqual(
          received.map(({ body, headers, method, path }) => [
            method,
            path,
            String(body),
            headers["x-one"],
            headers["x-two"]
          ]),
          [
            ["PUT", "/", "asked", "1", undefined],
            ["PUT", "/", "asked", undefined, "2"],
            ["GET", "/path", "", undefined, undefined]
          ]
        )
      })
    )

    it.effect("methods as the standard writes them, and no body with GET", () =>
      Effect.gen(function* () {
        const { received, url } = yield* echoing
        yield* Effect.promise(async () => {
          for (const method of ["post", "Put", "delete", "PATCH"]) await fetch(url, { method })
          const headers = { "content-type": "text/plain" }
          for (const method of ["GET", "HEAD"]) {
            await typeError(
              fetch(url, { method, headers, body: "x" }),
              "Request with GET/HEAD method cannot have body."
            )
          }
          assert.instanceOf(await rejection(fetch(url, { method: "CONNECT" })), TypeError)
        })
        assert.deepStrictEqual(
          received.map(({ method }) => method),
          ["POST", "PUT", "DELETE", "PATCH"]
        )
      })
    )

    it.effect("one request after another", () =>
      Effect.gen(function* () {
        const { received, url } = yield* echoing
        yield* Effect.promise(async () => {
          for (let n = 0; n < 3; n++) {
            await (await fetch(url, { method: "POST", body: "x" })).text()
            await settled()
          }
        })
        assert.strictEqual(received.length, 3)
      })
    )
  })

  describe(`${name} reads`, () => {
    /** Answers with `{"ü":1}` in a form that its path names. */
    const speaking = serve((reply, { path }) => {
      reply.setHeader(
        "content-type",
        path === "/form" ? "application/x-www-form-urlencoded" : "application/json; charset=utf-8"
      )
      reply.end(path === "/form" ? "a=1&b=%C3%BC" : path === "/broken" ? '{"ü":' : '{"ü":1}')
    })

    it.effect("a body in every form", () =>
      Effect.gen(function* () {
        const { url } = yield* speaking
        yield* Effect.promise(async () => {
          const text = '{"ü":1}'
          assert.strictEqual(await (await fetch(url)).text(), text)
          assert.deepStrictEqual(await (await fetch(url)).json(), { ü: 1 })
          assert.deepStrictEqual(await (await fetch(url)).bytes(), new TextEncoder().encode(text))
          assert.deepStrictEqual(new Uint8Array(await (await fetch(url)).arrayBuffer()), new TextEncoder().encode(text))
          const blob = await (await fetch(url)).blob()
          assert.strictEqual(blob.type, "application/json;charset=utf-8")
          assert.strictEqual(await blob.text(), text)
          const data = await (await fetch(`${url}/form`)).formData()
          assert.deepStrictEqual(Array.from(data), [
            ["a", "1"],
            ["b", "ü"]
          ])
          assert.instanceOf(await rejection((await fetch(url)).formData()), TypeError)
          assert.instanceOf(await rejection((await fetch(`${url}/broken`)).json()), SyntaxError)
        })
      })
    )

    it.effect("a body as a stream of the web", () =>
      Effect.gen(function* () {
        const { url } = yield* speaking
        yield* Effect.promise(async () => {
          const response = await fetch(url)
          assert.strictEqual(response.body, response.body)
          const chunks: Array<Uint8Array> = []
          for await (const chunk of response.body ?? []) chunks.push(chunk)
          assert.strictEqual(Buffer.concat(chunks).toString(), '{"ü":1}')
          assert.isTrue(response.bodyUsed)
          const locked = await fetch(url)
          locked.body?.getReader()
          assert.isFalse(locked.bodyUsed)
          assert.instanceOf(await rejection(locked.text()), TypeError)
        })
      })
    )

    it.effect("a body once", () =>
      Effect.gen(function* () {
        const { url } = yield* speaking
        yield* Effect.promise(async () => {
          for (const read of ["text", "json", "bytes", "arrayBuffer", "blob"] as const) {
            const response = await fetch(url)
            assert.isFalse(response.bodyUsed)
            const first = response[read]()
            assert.isTrue(response.bodyUsed)
            const second = rejection(response.text())
            await first
            assert.instanceOf(await second, TypeError)
            assert.instanceOf(await rejection(response.formData()), TypeError)
            assert.throws(() => response.clone(), TypeError)
            assert.isTrue(response.bodyUsed)
          }
        })
      })
    )

    it.effect("a body twice, from a clone", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply, { path }) => {
          if (path === "/there") reply.writeHead(203, { "x-id": "7" }).end("there")
          else reply.writeHead(302, { location: "/there" }).end()
        })
        yield* Effect.promise(async () => {
          const response = await fetch(url)
          const clone = response.clone()
          for (const one of [response, clone, clone.clone()]) {
            assert.strictEqual(one.url, `${url}/there`)
            assert.isTrue(one.redirected)
            assert.strictEqual(one.type, "basic")
            assert.strictEqual(one.status, 203)
            assert.isTrue(one.ok)
            assert.strictEqual(one.headers.get("x-id"), "7")
            assert.isFalse(one.bodyUsed)
            assert.strictEqual(await one.text(), "there")
            assert.isTrue(one.bodyUsed)
          }
        })
      }).pipe(Effect.asVoid)
    )

    it.effect("no body where there can be none", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply, { path }) => {
          reply.writeHead(
            Number(path.slice(1)),
            path === "/200" ? { "content-length": "5", "content-encoding": "gzip" } : {}
          )
          reply.end()
        })
        yield* Effect.promise(async () => {
          for (const [status, method] of [
            [204, "POST"],
            [205, "GET"],
            [304, "GET"],
            [200, "HEAD"]
          ] as const) {
            const response = await fetch(`${url}/${status}`, { method })
            assert.strictEqual(response.status, status)
            assert.isNull(response.body)
            assert.isNull(response.clone().body)
            assert.strictEqual(await response.text(), "")
            assert.isFalse(response.bodyUsed)
            assert.isUndefined(await Fetch.pieces(response).next())
            await Fetch.pieces(response).cancel()
            await settled()
          }
        })
      })
    )

    for (const [coding, encoded] of codings) {
      it.effect(`a body in ${coding}, also where it asked for none`, () =>
        Effect.gen(function* () {
          const { url } = yield* serve((reply) => {
            reply.writeHead(200, { "content-encoding": coding }).end(encoded(Buffer.from(long)))
          })
          yield* Effect.promise(async () => {
            const headers = { "accept-encoding": "identity" }
            assert.strictEqual(await (await fetch(url, { headers })).text(), long)
            assert.strictEqual(String(await bytesOf(Fetch.pieces(await fetch(url, { headers })))), long)
            const response = await fetch(url, { headers })
            assert.strictEqual(await response.clone().text(), long)
            assert.strictEqual(response.headers.get("content-encoding"), coding)
          })
        })
      )
    }

    it.effect("a body in a coding that nobody knows as it is", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply, { path }) => {
          reply.writeHead(200, { "content-encoding": path.slice(1) }).end(gzipSync("known"))
        })
        yield* Effect.promise(async () => {
          for (const coding of ["lzma", "lzma,gzip", "gzip,lzma", "toString"]) {
            const bytes = await (await fetch(`${url}/${coding}`)).bytes()
            assert.deepStrictEqual(Buffer.from(bytes), gzipSync("known"))
          }
        })
      })
    )

    it.effect("what there is of a body in gzip that was cut, and nothing of an empty one", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply, { path }) => {
          reply.writeHead(200, { "content-encoding": "gzip" })
          reply.end(path === "/empty" ? "" : gzipSync(long).subarray(0, -8))
        })
        yield* Effect.promise(async () => {
          assert.strictEqual(await (await fetch(url)).text(), long)
          assert.strictEqual(await (await fetch(`${url}/empty`)).text(), "")
        })
      })
    )

    it.effect("pieces of a body in gzip as they arrive", () =>
      Effect.gen(function* () {
        let goOn = () => {}
        const { url } = yield* serve((reply) => {
          reply.writeHead(200, { "content-encoding": "gzip" })
          reply.write(gzipSync("first", { finishFlush: constants.Z_SYNC_FLUSH }))
          goOn = () => reply.destroy()
        })
        yield* Effect.promise(async () => {
          const body = Fetch.pieces(await fetch(url))
          assert.strictEqual(String(Buffer.from((await body.next()) ?? [])), "first")
          goOn()
          assert.instanceOf(await typeError(bytesOf(body), "terminated"), Error)
        })
      })
    )

    it.effect("any body whole, however it is cut and coded", () =>
      Effect.gen(function* () {
        let answer: { readonly coding: string | undefined; readonly chunks: ReadonlyArray<Uint8Array> }
        const { url } = yield* serve((reply) => {
          reply.writeHead(200, answer.coding === undefined ? {} : { "content-encoding": answer.coding })
          for (const chunk of answer.chunks) if (chunk.length > 0) reply.write(chunk)
          reply.end()
        })
        const cuts = fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 4 })
        const body = fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.nat(100_000).map((length) => new Uint8Array(random(length)))
        )
        const coding = fc.option(fc.constantFrom(...codings), { nil: undefined })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(body, coding, cuts, fc.boolean(), async (body, coding, cuts, inPieces) => {
              const sent = coding?.[1](Buffer.from(body)) ?? body
              let from = 0
              const chunks = [...cuts, sent.length].map((length) => sent.subarray(from, (from += length)))
              answer = { coding: coding?.[0], chunks }
              const response = await fetch(url)
              const arrived = inPieces ? await bytesOf(Fetch.pieces(response)) : Buffer.from(await response.bytes())
              assert.isTrue(arrived.equals(body))
            }),
            { numRuns: runs(10) }
          )
        )
      })
    )
  })

  describe(`${name}, redirected,`, () => {
    /** Sends every request on with a status in its path to `/there`, which echoes. */
    const redirecting = serve((reply, { body, headers, method, path }) => {
      const [, status] = /^\/(3\d\d)$/.exec(path) ?? []
      if (status !== undefined) reply.writeHead(Number(status), { location: "/there#part" }).end("moved")
      else reply.end(JSON.stringify({ method, type: headers["content-type"], body: body.toString() }))
    })

    for (const [status, method, keeps] of [
      [301, "GET", false],
      [302, "GET", false],
      [303, "GET", false],
      [307, "POST", true],
      [308, "POST", true]
    ] as const) {
      for (const init of [
        { body: "{}", headers: { "content-type": "text/plain;charset=UTF-8" } },
        ...bodies.flatMap(({ init, name }) => (name === "a stream" ? [] : [init()]))
      ]) {
        it.effect(`by ${status} asks with ${method} from POST with ${Object.prototype.toString.call(init.body)}`, () =>
          Effect.gen(function* () {
            const { received, url } = yield* redirecting
            yield* Effect.promise(async () => {
              const response = await fetch(`${url}/${status}`, { method: "POST", ...init })
              assert.strictEqual(response.status, 200)
              assert.isTrue(response.redirected)
              assert.strictEqual(response.url, `${url}/there`)
              await response.text()
            })
            const [first, second] = received
            assert.strictEqual(second?.method, method)
            assert.strictEqual(String(second?.body), keeps ? String(first?.body) : "")
            assert.strictEqual(second?.headers["content-type"], keeps ? first?.headers["content-type"] : undefined)
          })
        )
      }
    }

    it.effect("rejects where a stream would have to be sent again", () =>
      Effect.gen(function* () {
        const { url } = yield* redirecting
        yield* Effect.promise(async () => {
          const sent = () => ({ method: "POST", body: streamOf("once"), duplex: "half" }) as const
          await typeError(fetch(`${url}/307`, sent()), "fetch failed")
          assert.deepInclude(await (await fetch(`${url}/303`, sent())).json(), { method: "GET", body: "" })
        })
      })
    )

    it.effect("to another origin, does not tell it secrets", () =>
      Effect.gen(function* () {
        const there = yield* echoing
        const { received, url } = yield* serve((reply, { path }) => {
          if (path === "/stay") reply.end()
          else reply.writeHead(307, { location: path === "/here" ? "/stay" : there.url }).end()
        })
        yield* Effect.promise(async () => {
          await fetch(`${url}/here`, { method: "POST", headers: secrets })
          await fetch(`${url}/away`, { method: "POST", headers: secrets })
        })
        assert.deepInclude(received[1]?.headers, secrets)
        const told = Object.keys(secrets).filter((header) => there.received[0]?.headers[header] !== undefined)
        // The global one knows of no keys in headers of a provider's own.
        assert.deepStrictEqual(told, name === "this fetch" ? ["x-other"] : ["api-key", "x-api-key", "x-other"])
      })
    )

    it.effect("goes as far as 20 times, and then rejects", () =>
      Effect.gen(function* () {
        const { received, url } = yield* serve((reply, { path }) => {
          const left = Number(path.slice(1))
          if (left === 0) reply.end("there")
          else reply.writeHead(302, { location: `/${left - 1}` }).end()
        })
        yield* Effect.promise(async () => {
          assert.strictEqual(await (await fetch(`${url}/20`)).text(), "there")
          assert.strictEqual(received.length, 21)
          assert.instanceOf(await typeError(fetch(`${url}/21`), "fetch failed"), Error)
        })
      })
    )

    it.effect("may be told to reject, or to leave it to the caller", () =>
      Effect.gen(function* () {
        const { received, url } = yield* redirecting
        yield* Effect.promise(async () => {
          for (const status of [301, 302, 303, 307, 308]) {
            await typeError(fetch(`${url}/${status}`, { redirect: "error" }), "fetch failed")
            const manual = await fetch(`${url}/${status}#part`, { redirect: "manual" })
            assert.strictEqual(manual.status, status)
            assert.strictEqual(manual.url, `${url}/${status}`)
            assert.isFalse(manual.redirected)
            assert.strictEqual(manual.headers.get("location"), "/there#part")
            assert.strictEqual(await manual.text(), "moved")
          }
          for (const redirect of ["error", "manual"] as const) {
            assert.strictEqual((await fetch(`${url}/304`.replace("304", "there"), { redirect })).status, 200)
          }
        })
        assert.strictEqual(received.length, 12)
      })
    )

    it.effect("rejects without waiting for the rest of a body", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply) => {
          reply.writeHead(302, { location: "/there" })
          reply.write("moved")
        })
        yield* Effect.promise(() => typeError(fetch(url, { redirect: "error" }), "fetch failed"))
      })
    )

    it.effect("is not by a 304, nor by a 302 that does not say where", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply, { path }) => void reply.writeHead(Number(path.slice(1))).end())
        yield* Effect.promise(async () => {
          for (const redirect of ["follow", "error", "manual"] as const) {
            assert.strictEqual((await fetch(`${url}/304`, { redirect })).status, 304)
          }
          assert.strictEqual((await fetch(`${url}/302`)).status, 302)
        })
      })
    )
  })

  describe(`${name} fails`, () => {
    it.effect("where nobody listens, with the reason as its cause", () =>
      Effect.gen(function* () {
        const url = yield* nobody
        const cause = yield* Effect.promise(() => typeError(fetch(url), "fetch failed"))
        assert.deepInclude(cause, { code: "ECONNREFUSED" })
      })
    )

    it.effect("for an address with credentials, which it does not repeat in full, and for none", () =>
      Effect.promise(async () => {
        const json = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }
        for (const init of [undefined, json]) {
          const address = "http://user:word@127.0.0.1:1/"
          assert.include(String(await rejection(Fetch.fetch(address, init))), "includes credentials")
        }
        const error = await rejection(fetch("http://user:word@127.0.0.1:1/"))
        assert.instanceOf(error, TypeError)
        assert.include(error.message, "includes credentials")
        assert.instanceOf(await rejection(fetch("no address")), TypeError)
      })
    )

    it.effect("for a header that cannot be sent", () =>
      Effect.promise(async () => {
        assert.instanceOf(await rejection(fetch("http://127.0.0.1:1/", { headers: { "x-one": "€" } })), TypeError)
        assert.instanceOf(await rejection(fetch("http://127.0.0.1:1/", { headers: { "x one": "1" } })), TypeError)
      })
    )

    it.effect("where its own body does", () =>
      Effect.gen(function* () {
        const { url } = yield* echoing
        yield* Effect.promise(async () => {
          const body = new ReadableStream({
            pull: (controller) => controller.error(new Error("mine"))
          })
          const error = await rejection(fetch(url, { method: "POST", body, duplex: "half" }))
          assert.instanceOf(error, TypeError)
        })
      })
    )

    it.effect("where the connection is cut before the headers", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply) => reply.destroy())
        const cause = yield* Effect.promise(() => typeError(fetch(url), "fetch failed"))
        assert.deepInclude(cause, { code: "UND_ERR_SOCKET" })
      })
    )

    for (const [how, read] of [
      ["text", (response: Response) => response.text()],
      ["JSON", (response: Response) => response.json()],
      ["a stream", (response: Response) => collected(response)],
      ["a clone", (response: Response) => response.clone().text()],
      ["pieces", (response: Response) => bytesOf(Fetch.pieces(response))]
    ] as const) {
      for (const headers of [{}, { "content-length": "100" }, { "content-encoding": "gzip" }]) {
        const said = Object.keys(headers).at(0) ?? "nothing"
        it.effect(`where the connection is cut in a body with ${said} that is read as ${how}`, () =>
          Effect.gen(function* () {
            let cut = () => {}
            const { url } = yield* serve((reply) => {
              reply.writeHead(200, headers)
              reply.write(gzipSync(random(10_000)).subarray(0, 50))
              cut = () => reply.destroy()
            })
            yield* Effect.promise(async () => {
              const reading = read(await fetch(url))
              cut()
              assert.deepInclude(await typeError(reading, "terminated"), { code: "UND_ERR_SOCKET" })
            })
          })
        )
      }
    }

    it.effect("where a body is not in the coding that it claims", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply) => {
          reply.writeHead(200, { "content-encoding": "gzip" }).end("plain text")
        })
        yield* Effect.promise(async () => {
          assert.deepInclude(await typeError((await fetch(url)).text(), "terminated"), { code: "Z_DATA_ERROR" })
          const pieces = Fetch.pieces(await fetch(url))
          assert.deepInclude(await typeError(pieces.next(), "terminated"), { code: "Z_DATA_ERROR" })
        })
      })
    )
  })

  describe(`${name}, aborted,`, () => {
    for (const reason of [new Error("mine"), "a word", undefined]) {
      const rejectsWithReason = async (promise: Promise<unknown>) => {
        const error = await rejection(promise)
        if (reason === undefined) assert.deepInclude(error, { name: "AbortError" })
        else assert.strictEqual(error, reason)
      }
      const what = reason === undefined ? "an AbortError" : `the reason, ${String(reason)},`

      it.effect(`before it began rejects with ${what} and sends nothing`, () =>
        Effect.gen(function* () {
          const { received, sockets, url } = yield* echoing
          yield* Effect.promise(async () => {
            await rejectsWithReason(fetch(url, { signal: AbortSignal.abort(reason) }))
            await rejectsWithReason(fetch(new Request(url, { signal: AbortSignal.abort(reason) })))
          })
          assert.strictEqual(received.length, 0)
          assert.strictEqual(sockets.size, 0)
        })
      )

      it.effect(`before the headers rejects with ${what} and closes the socket`, () =>
        Effect.gen(function* () {
          const server = yield* stalling("before the headers")
          const controller = new AbortController()
          const pending = rejectsWithReason(fetch(server.url, { signal: controller.signal }))
          yield* server.arrived
          controller.abort(reason)
          yield* Effect.promise(() => pending)
          yield* server.closed
        })
      )

      for (const [how, read] of [
        ["text", (response: Response) => response.text()],
        ["a stream", (response: Response) => collected(response)],
        ["a clone", (response: Response) => response.clone().text()],
        ["pieces", (response: Response) => bytesOf(Fetch.pieces(response))]
      ] as const) {
        for (const headers of [{}, { "content-encoding": "br" }]) {
          const coded = "content-encoding" in headers ? " (coded)" : ""
          it.effect(`in a body that is read as ${how}${coded} rejects with ${what} and closes the socket`, () =>
            Effect.gen(function* () {
              const server = yield* stalling("in the body", headers)
              const controller = new AbortController()
              yield* Effect.promise(async () => {
                const response = await fetch(server.url, { signal: controller.signal })
                const reading = rejectsWithReason(read(response))
                controller.abort(reason)
                await reading
              })
              yield* server.closed
            })
          )
        }
      }

      it.effect(`before its body is read rejects with ${what} when it is`, () =>
        Effect.gen(function* () {
          const server = yield* stalling("in the body")
          const controller = new AbortController()
          yield* Effect.promise(async () => {
            const response = await fetch(server.url, { signal: controller.signal })
            controller.abort(reason)
            await rejectsWithReason(response.text())
          })
          yield* server.closed
        })
      )
    }

    it.effect("by time rejects with a TimeoutError", () =>
      patiently(
        Effect.fnUntraced(function* (millis) {
          const server = yield* stalling("before the headers")
          const arrived = yield* Effect.forkChild(server.arrived)
          const signal = AbortSignal.timeout(millis)
          const error = yield* Effect.promise(() => rejection(fetch(server.url, { signal })))
          assert.deepInclude(error, { name: "TimeoutError" })
          if (arrived.pollUnsafe() === undefined) return yield* Effect.fail("the time was over before it was sent")
          return yield* server.closed
        })
      )
    )

    it.effect("after its end keeps what it has", () =>
      Effect.gen(function* () {
        const { url } = yield* echoing
        const controller = new AbortController()
        yield* Effect.promise(async () => {
          assert.include(await (await fetch(url, { signal: controller.signal })).text(), "GET")
          await settled()
          controller.abort()
          await (await fetch(url)).text()
        })
      })
    )
  })

  describe(`pieces of ${name}`, () => {
    it.effect("end with undefined, and stay there", () =>
      Effect.gen(function* () {
        const { url } = yield* serve((reply) => void reply.end("one"))
        yield* Effect.promise(async () => {
          const { next } = Fetch.pieces(await fetch(url))
          assert.strictEqual(Buffer.from((await next()) ?? []).toString(), "one")
          assert.isUndefined(await next())
          assert.isUndefined(await next())
          await settled()
          await (await fetch(url)).text()
        })
      })
    )

    it.effect("arrive as they were sent", () =>
      Effect.gen(function* () {
        let goOn = () => {}
        const { url } = yield* serve((reply) => {
          reply.write("one")
          goOn = () => void reply.write("two", () => reply.end())
        })
        yield* Effect.promise(async () => {
          const { next } = Fetch.pieces(await fetch(url))
          assert.strictEqual(Buffer.from((await next()) ?? []).toString(), "one")
          const second = next()
          goOn()
          assert.strictEqual(Buffer.from((await second) ?? []).toString(), "two")
          assert.isUndefined(await next())
        })
      })
    )

    for (const headers of [{}, { "content-encoding": "gzip" }]) {
      const coded = "content-encoding" in headers ? ", coded," : ""
      it.effect(`that nobody wants${coded} close the socket, and end`, () =>
        Effect.gen(function* () {
          const server = yield* stalling("in the body", headers)
          yield* Effect.promise(async () => {
            const pieces = Fetch.pieces(await fetch(server.url))
            if (coded === "") await pieces.next()
            const pending = pieces.next()
            await pieces.cancel()
            assert.isUndefined(await pending)
            assert.isUndefined(await pieces.next())
            await pieces.cancel()
          })
          yield* server.closed
        })
      )
    }

    it.effect("are those of a body that an SDK has looked at, and lock it", () =>
      Effect.gen(function* () {
        const { url } = yield* echoing
        yield* Effect.promise(async () => {
          const response = await fetch(url)
          const { body } = response
          assert.strictEqual(response.body, body)
          assert.isFalse(body?.locked)
          await bytesOf(Fetch.pieces(response))
          assert.isTrue(body?.locked)
          assert.strictEqual(response.body, body)
          assert.instanceOf(await rejection(response.text()), TypeError)
        })
      })
    )

    it.effect("are not those of a body that somebody has read or reads", () =>
      Effect.gen(function* () {
        const { url } = yield* echoing
        yield* Effect.promise(async () => {
          const response = await fetch(url)
          await response.text()
          assert.throws(() => Fetch.pieces(response), TypeError)
          const read = await fetch(url)
          Fetch.pieces(read)
          assert.throws(() => Fetch.pieces(read), TypeError)
          assert.instanceOf(await rejection(read.text()), TypeError)
        })
      })
    )
  })
}

describe("silence", () => {
  const patience = 60
  const silent = Fetch.make({ silence: patience })

  it.effect("before the headers ends a request", () =>
    Effect.gen(function* () {
      const server = yield* stalling("before the headers")
      const cause = yield* Effect.promise(() => typeError(silent(server.url), "fetch failed"))
      assert.instanceOf(cause, errors.HeadersTimeoutError)
      yield* server.closed
    })
  )

  it.effect("in a body ends it, however it is read", () =>
    Effect.gen(function* () {
      for (const read of [
        (response: Response) => bytesOf(Fetch.pieces(response)),
        (response: Response) => response.text()
      ]) {
        const server = yield* stalling("in the body")
        const cause = yield* Effect.promise(async () => typeError(read(await silent(server.url)), "terminated"))
        assert.instanceOf(cause, errors.BodyTimeoutError)
        yield* server.closed
      }
    })
  )

  it.effect("is not what lies between pieces that come in time", () =>
    Effect.gen(function* () {
      const { url } = yield* serve((reply) => {
        let left = 5
        const write = () => {
          if (left-- === 0) return reply.end()
          reply.write("x")
          return setTimeout(write, patience / 2)
        }
        write()
      })
      const text = yield* Effect.promise(async () => (await Fetch.make({ silence: patience * 300 })(url)).text())
      assert.strictEqual(text, "xxxxx")
    })
  )

  /** A dispatcher for the life of the scope, and what was sent by it. */
  const watched = (options: Agent.Options) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Agent(options)),
        (agent) => Effect.promise(() => agent.destroy())
      ),
      (agent) => {
        const sent: Array<Dispatcher.DispatchOptions> = []
        const dispatcher = agent.compose((dispatch) => (options, handler) => {
          sent.push(options)
          return dispatch(options, handler)
        })
        return { dispatcher, sent }
      }
    )

  it.effect("is as long as the dispatcher of a request says, where it brings one", () =>
    Effect.gen(function* () {
      const server = yield* stalling("before the headers")
      const own = yield* watched({ headersTimeout: patience, bodyTimeout: patience })
      const made = yield* watched({})
      const patient = Fetch.make({ dispatcher: made.dispatcher, silence: 60_000 })
      const init: object = { dispatcher: own.dispatcher }
      const cause = yield* Effect.promise(() => typeError(patient(server.url, init), "fetch failed"))
      assert.instanceOf(cause, errors.HeadersTimeoutError)
      assert.strictEqual(own.sent.length, 1)
      assert.strictEqual(made.sent.length, 0)
    })
  )

  it.effect("is as long as the dispatcher of a fetch says, where nothing else is said", () =>
    Effect.gen(function* () {
      const server = yield* stalling("in the body")
      const { dispatcher, sent } = yield* watched({ bodyTimeout: patience })
      const send = Fetch.make({ dispatcher })
      const cause = yield* Effect.promise(async () => typeError((await send(server.url)).text(), "terminated"))
      assert.instanceOf(cause, errors.BodyTimeoutError)
      assert.strictEqual(sent.length, 1)
    })
  )

  it.effect("without end is no limit", () =>
    Effect.gen(function* () {
      const { url } = yield* echoing
      const { dispatcher, sent } = yield* watched({ headersTimeout: 1, bodyTimeout: 1 })
      const send = Fetch.make({ dispatcher, silence: Infinity })
      yield* Effect.promise(async () => (await send(url)).text())
      assert.deepInclude(sent[0], { headersTimeout: 0, bodyTimeout: 0 })
    })
  )
})

describe("this fetch alone", () => {
  it.effect("asks for bodies that are not compressed, unless it is told otherwise", () =>
    Effect.gen(function* () {
      const { received, url } = yield* echoing
      yield* Effect.promise(async () => {
        await Fetch.fetch(url)
        await Fetch.fetch(url, { headers: { "Accept-Encoding": "br" } })
      })
      assert.deepStrictEqual(
        received.map(({ headers }) => headers["accept-encoding"]),
        ["identity", "br"]
      )
    })
  )
})
