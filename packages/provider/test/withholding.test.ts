import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fetch from "../src/Fetch.ts"
import { serve } from "./servers.ts"

const secrets = { "x-gateway-token": "t0ken", authorization: "Bearer k3y", "x-api-key": "k3y", cookie: "k=3y" }
const plain = { "x-own": "1", "content-type": "application/json" }

const echoing = serve((reply, { headers, method, body }) =>
  reply.end(JSON.stringify({ headers, method, body: String(body) }))
)

const fetches = [
  ["this fetch", Fetch.make()],
  ["Node's own", globalThis.fetch]
] as const

for (const [name, fetch] of fetches) {
  describe(`secret headers with ${name}`, () => {
    const withholding = Fetch.withholding(fetch, ["X-Gateway-Token"])
    for (const status of [301, 302, 303, 307, 308]) {
      it.effect(`do not follow a redirect with ${status} to another origin, and do follow one to the same`, () =>
        Effect.gen(function* () {
          const other = yield* echoing
          const server = yield* serve((reply, { path }) => {
            if (path === "/other") reply.writeHead(status, { location: `${other.url}/there` }).end()
            else if (path === "/back") reply.writeHead(status, { location: "/other" }).end()
            else if (path === "/same") reply.writeHead(status, { location: "/there" }).end()
            else reply.end("{}")
          })
          const init = { method: "POST", body: "{}", headers: { ...plain, ...secrets } }
          const answers = yield* Effect.promise(() =>
            Promise.all(
              ["/other", "/back", "/same"].map(async (path) => (await withholding(`${server.url}${path}`, init)).text())
            )
          )
          assert.deepStrictEqual(
            answers.map((text) => text === "{}"),
            [false, false, true]
          )
          for (const { body, headers, method } of other.received) {
            assert.strictEqual(headers["x-own"], "1")
            for (const secret of Object.keys(secrets)) assert.notProperty(headers, secret)
            assert.strictEqual(method, status < 304 ? "GET" : "POST")
            assert.strictEqual(String(body), status < 304 ? "" : "{}")
          }
          const same = server.received.filter(({ path }) => path === "/there")
          assert.lengthOf(same, 1)
          for (const [secret, value] of Object.entries(secrets)) assert.propertyVal(same[0]!.headers, secret, value)
        }).pipe(Effect.scoped)
      )
    }

    it.effect("end with an error where redirects go on, leave HTTP or would send a stream again", () =>
      Effect.gen(function* () {
        const { received, url } = yield* serve((reply, { path }) =>
          reply.writeHead(307, { location: path === "/file" ? "file:///etc/passwd" : `${path}x` }).end()
        )
        const why = (path: string, init?: RequestInit) =>
          Effect.promise(() =>
            withholding(`${url}${path}`, init).then(
              () => assert.fail("it was answered"),
              (error: TypeError) => `${error.message}: ${String(error.cause)}`
            )
          )
        assert.match(yield* why("/"), /^fetch failed: .*20 redirects/)
        assert.lengthOf(received, 21)
        assert.match(yield* why("/file"), /^fetch failed: .*out of HTTP/)
        const body = ReadableStream.from([new TextEncoder().encode("x")])
        assert.match(yield* why("/s", { method: "POST", body, duplex: "half" } as RequestInit), /sent again/)
      }).pipe(Effect.scoped)
    )
  })
}
