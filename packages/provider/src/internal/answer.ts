/** A response of undici's `request` in the interface of the standard, which does no more than it is asked for. */
import { pipeline, Readable } from "node:stream"
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib"
import type { Dispatcher } from "undici"

type Raw = Dispatcher.ResponseData["body"]

const decoders = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress
} as const

const isKnown = (coding: string): coding is keyof typeof decoders => coding in decoders

// The last coding was applied last; one that nobody knows is left to the reader, as the standard says.
const decoded = (body: Raw, codings: ReadonlyArray<string>): Raw | Response => {
  if (codings.length === 0 || !codings.every(isKnown)) return body
  const streams = codings.toReversed().map((coding) => decoders[coding]())
  const last = pipeline([body, ...streams], () => {})
  return new Response(Readable.toWeb(last as unknown as Readable))
}

const headersOf = (raw: Dispatcher.ResponseData["headers"]): Headers => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(raw)) {
    if (typeof value === "string") headers.append(name, value)
    else for (const one of value ?? []) headers.append(name, one)
  }
  return headers
}

/** What arrives of a body. */
export interface Pieces {
  /** The next piece, `undefined` at the end. One at a time. */
  readonly next: () => Promise<Uint8Array | undefined>
  /** Lets go of what has not arrived. */
  readonly cancel: () => Promise<unknown>
}

const ofStream = (body: ReadableStream<Uint8Array> | null): Pieces => {
  const reader = body?.getReader()
  return {
    next: async () => (await reader?.read())?.value,
    cancel: async () => reader?.cancel()
  }
}

// As the standard's streams say it; an abort is no failure of the connection.
const terminated = (cause: Error): unknown =>
  cause.name === "AbortError" ? cause : new TypeError("terminated", { cause })

// Without the iterator of Node's streams, which costs as much as all the rest of reading a short body.
const ofRaw = (body: Raw): Pieces => {
  let wake: (() => void) | undefined
  let state: "open" | "ended" | "closed" | { readonly failed: unknown } = "open"
  const becomes = (next: typeof state) => {
    if (state === "open") state = next
    wake?.()
    wake = undefined
  }
  body.on("readable", () => becomes("open"))
  body.on("end", () => becomes("ended"))
  body.on("error", (cause) => becomes({ failed: terminated(cause) }))
  body.on("close", () => becomes("closed"))
  const next = async (): Promise<Uint8Array | undefined> => {
    while (true) {
      const piece: Uint8Array | null = body.read()
      if (piece !== null) return piece
      if (state === "ended") return undefined
      // Before its end and without an error: it was let go.
      if (state === "closed") throw new TypeError("terminated")
      if (state !== "open") throw state.failed
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  return {
    next,
    cancel: async () => {
      body.destroy()
    }
  }
}

const historyOf = (context: object): ReadonlyArray<URL> =>
  "history" in context && Array.isArray(context.history) ? context.history : []

const withoutBody = new Set([101, 103, 204, 205, 304])

/** The response. Whatever is asked for that undici's body does not have is asked of a `Response` made of it. */
export class Answer implements Response {
  readonly headers: Headers
  readonly status: number
  readonly statusText: string
  readonly ok: boolean
  readonly redirected: boolean
  readonly type = "basic"
  readonly url: string
  #body: Raw | Response | null

  private constructor(
    { body, context, headers, statusCode, statusText }: Dispatcher.ResponseData,
    method: string,
    url: URL
  ) {
    this.headers = headersOf(headers)
    this.status = statusCode
    this.statusText = statusText
    this.ok = statusCode >= 200 && statusCode < 300
    const history = historyOf(context)
    this.redirected = history.length > 1
    this.url = String(history.at(-1) ?? url)
    const coding = this.headers.get("content-encoding") ?? ""
    const codings = coding === "" ? [] : coding.split(",").map((one) => one.trim().toLowerCase())
    this.#body = withoutBody.has(statusCode) || method === "HEAD" ? null : decoded(body, codings)
    if (this.#body === null) void body.dump()
  }

  static make(response: Dispatcher.ResponseData, method: string, url: URL): Answer {
    return new Answer(response, method, url)
  }

  /** The body of a response, whoever made it. */
  static pieces(response: Response): Pieces {
    return response instanceof Answer && response.#body !== null && !(response.#body instanceof Response)
      ? ofRaw(response.#body)
      : ofStream(response.body)
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#body?.body ?? null
  }
  get bodyUsed(): boolean {
    return this.#body?.bodyUsed ?? false
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return (this.#body ?? this.#whole()).arrayBuffer()
  }
  blob(): Promise<Blob> {
    return (this.#body ?? this.#whole()).blob()
  }
  bytes(): Promise<Uint8Array> {
    return (this.#body ?? this.#whole()).bytes()
  }
  json(): Promise<unknown> {
    return (this.#body ?? this.#whole()).json()
  }
  text(): Promise<string> {
    return (this.#body ?? this.#whole()).text()
  }
  formData(): Promise<FormData> {
    return this.#whole().formData()
  }
  clone(): Response {
    return this.#whole().clone()
  }

  #whole(): Response {
    const { headers, status, statusText } = this
    const made = new Response(this.body, { headers, status, statusText })
    this.#body = made
    return made
  }
}
