/** A response of undici's `request` in the interface of the standard, which does no more than it is asked for. */
import { pipeline, Readable } from "node:stream"
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib"
import type { Dispatcher } from "undici"

type Raw = Dispatcher.ResponseData["body"]

// As Node's own `fetch` does: what there is of a body that was cut is given.
const lenient = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }
const decoders = {
  gzip: () => createGunzip(lenient),
  "x-gzip": () => createGunzip(lenient),
  deflate: () => createInflate(lenient),
  br: () =>
    createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH, finishFlush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => createZstdDecompress()
} as const

const isKnown = (coding: string): coding is keyof typeof decoders => Object.hasOwn(decoders, coding)

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

/** As the standard says it: the signal's reason where it aborted, else that the connection did not hold. */
const terminated = (cause: unknown, signal: AbortSignal | undefined): unknown =>
  signal?.aborted === true ? signal.reason : new TypeError("terminated", { cause })

// Without the iterator of Node's streams, which costs as much as all the rest of reading a short body.
const ofRaw = (body: Raw, signal: AbortSignal | undefined): Pieces => {
  let wake: (() => void) | undefined
  const look = () => {
    wake?.()
    wake = undefined
  }
  for (const event of ["readable", "end", "error", "close"]) body.on(event, look)
  const next = async (): Promise<Uint8Array | undefined> => {
    while (true) {
      const piece: Uint8Array | null = body.read()
      if (piece !== null) return piece
      if (body.readableEnded) return undefined
      // All of this may have come before anybody looked.
      if (body.errored !== null || body.closed || body.destroyed) throw terminated(body.errored ?? undefined, signal)
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
  #web: ReadableStream<Uint8Array> | undefined
  readonly #signal: AbortSignal | undefined

  private constructor(
    { body, context, headers, statusCode, statusText }: Dispatcher.ResponseData,
    method: string,
    url: URL,
    signal: AbortSignal | undefined
  ) {
    this.#signal = signal
    // Who looks later finds out what became of it.
    body.on("error", () => {})
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

  static make(response: Dispatcher.ResponseData, method: string, url: URL, signal: AbortSignal | undefined): Answer {
    try {
      return new Answer(response, method, url, signal)
    } catch (cause) {
      response.body.destroy()
      throw cause
    }
  }

  /** The body of a response, whoever made it. */
  static pieces(response: Response): Pieces {
    return response instanceof Answer && response.#body !== null && !(response.#body instanceof Response)
      ? ofRaw(response.#body, response.#signal)
      : ofStream(response.body)
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#body === null || this.#body instanceof Response) return this.#body?.body ?? null
    return (this.#web ??= Readable.toWeb(this.#body))
  }
  get bodyUsed(): boolean {
    return this.#body?.bodyUsed ?? false
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#read((body) => body.arrayBuffer())
  }
  blob(): Promise<Blob> {
    return this.#read((body) => body.blob())
  }
  bytes(): Promise<Uint8Array> {
    return this.#read((body) => body.bytes())
  }
  json(): Promise<unknown> {
    return this.#read((body) => body.json())
  }
  text(): Promise<string> {
    return this.#read((body) => body.text())
  }
  formData(): Promise<FormData> {
    return this.#whole().formData()
  }
  clone(): Response {
    return this.#whole().clone()
  }

  async #read<A>(as: (body: Raw | Response) => Promise<A>): Promise<A> {
    const body = this.#body ?? this.#whole()
    if (body.bodyUsed) throw new TypeError("Body is unusable: Body has already been read")
    if (body instanceof Response || this.#web !== undefined) return as(this.#whole())
    try {
      return await as(body)
    } catch (cause) {
      throw body.errored === null ? cause : terminated(cause, this.#signal)
    }
  }

  #whole(): Response {
    if (this.#body instanceof Response) return this.#body
    const { headers, status, statusText } = this
    const made = new Response(this.body, { headers, status, statusText })
    this.#body = made
    return made
  }
}
