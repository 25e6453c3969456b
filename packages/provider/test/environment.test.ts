/** What a `fetch` finds around it: proxies in the environment, and a dispatcher that was there first. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { once } from "node:events"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { promisify } from "node:util"
import { serve, stalling } from "./servers.ts"

const proxy = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      const asked: Array<string> = []
      const server = createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("data", (data) => {
          const [line = ""] = data.toString().split("\r\n")
          asked.push(line)
          const tunnel = line.startsWith("CONNECT ")
          socket.write(tunnel ? "HTTP/1.1 200 OK\r\n\r\n" : "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy")
        })
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      return { asked, server, sockets }
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  ),
  ({ asked, server }) => ({ asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
)

const run = promisify(execFile)
const module = new URL("../src/Fetch.ts", import.meta.url).href
const ours = `import { fetch } from ${JSON.stringify(module)};`

for (const [name, imports] of [
  ["this fetch", ours],
  ["the global one", ""]
] as const) {
  describe(`${name} in an environment with proxies`, () => {
    const asking = (url: string, environment: Record<string, string>, ...options: ReadonlyArray<string>) =>
      Effect.promise(async () => {
        const code = `${imports} console.log(await fetch(${JSON.stringify(url)}).then((answer) => answer.text(), String))`
        const { stdout } = await run(
          process.execPath,
          [...options, "--no-warnings", "--input-type=module", "--eval", code],
          { env: environment }
        )
        return stdout.trim()
      })

    it.effect("asks them where Node was told to, and not for what they are not for", () =>
      Effect.gen(function* () {
        const { asked, url } = yield* proxy
        const { url: near } = yield* serve((reply) => void reply.end("near"))
        const HTTP_PROXY = url
        const NODE_USE_ENV_PROXY = "1"
        assert.strictEqual(yield* asking("http://models.invalid/", { HTTP_PROXY, NODE_USE_ENV_PROXY }), "proxy")
        assert.strictEqual(yield* asking("http://models.invalid/", { HTTP_PROXY }, "--use-env-proxy"), "proxy")
        assert.isTrue(asked.some((line) => line.includes("models.invalid")))
        const before = asked.length
        assert.strictEqual(yield* asking(near, { HTTP_PROXY }), "near")
        assert.strictEqual(yield* asking(near, { HTTP_PROXY, NODE_USE_ENV_PROXY, NO_PROXY: "127.0.0.1" }), "near")
        assert.strictEqual(asked.length, before)
      })
    )
  })
}

// It made the dispatcher of all, where `node:http` was there before us; it is of an older undici.
describe("this fetch over the dispatcher of Node's own", () => {
  const node = `import "node:http"; ${ours} import { make, pieces } from ${JSON.stringify(module)};`

  const running = (code: string) =>
    Effect.promise(async () => {
      const { stdout } = await run(process.execPath, ["--no-warnings", "--input-type=module", "--eval", code])
      const said: unknown = JSON.parse(stdout)
      return said
    })

  it.effect("follows redirects, rejects them, and leaves them to the caller, as the global one does", () =>
    Effect.gen(function* () {
      const { url } = yield* serve((reply, { body, method, path }) => {
        const status = Number(path.slice(1))
        if (status === 307) reply.writeHead(307, { location: "/there" }).end()
        else if (status > 0) reply.writeHead(status).end()
        else reply.end(method + body)
      })
      const code = `
        const outcomes = []
        for (const redirect of ["follow", "manual", "error"]) {
          for (const path of ["/there", "/307", "/302", "/304"]) {
            const init = { method: "POST", body: "x", redirect }
            const outcome = await fetch(${JSON.stringify(url)} + path + "#part", init).then(
              async (answer) => [answer.status, answer.url, answer.redirected, await answer.text()],
              (error) => [String(error), /redirect/.test(String(error.cause))]
            )
            outcomes.push([redirect, path, ...outcome])
          }
        }
        console.log(JSON.stringify(outcomes))`
      const outcomes = yield* running(node + code)
      assert.deepStrictEqual(outcomes, yield* running(code))
      assert.deepInclude(outcomes, ["follow", "/307", 200, `${url}/there`, true, "POSTx"])
    })
  )

  it.effect("reads pieces, is aborted, and hears silence", () =>
    Effect.gen(function* () {
      const server = yield* stalling("in the body")
      const said = yield* running(`${node}
        const controller = new AbortController()
        const reading = pieces(await fetch(${JSON.stringify(server.url)}, { signal: controller.signal }))
        const first = new TextDecoder().decode(await reading.next())
        const second = reading.next().catch(String)
        controller.abort("a word")
        const silent = await make({ silence: 50 })(${JSON.stringify(server.url)})
        const third = await silent.text().catch((error) => String(error) + ", " + error.cause.name)
        console.log(JSON.stringify([first, await second, third]))`)
      assert.deepStrictEqual(said, ["begun", "a word", "TypeError: terminated, BodyTimeoutError"])
      yield* server.closed
    })
  )
})
