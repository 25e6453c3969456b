/** A response of undici's `request` in the interface of the standard, which costs what is asked of it. */
import { pipeline, type Readable } from "node:stream"
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib"
import type { Dispatcher } from "undici"

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
const decoded = (body: Readable, codings: ReadonlyArray<string>): Readable => {
  const names = codings.map((coding) => coding.trim().toLowerCase())
  if (names.length === 0 || !names.every(isKnown)) return body
  const streams = names.toReversed().map((name) => decoders[name]())
  // What is wrong with one of them is wrong with the last.
  pipeline([body, ...streams], () => {})
  return streams.at(-1)!
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
  readonly next: () => Promise<Uint8Array<ArrayBuffer> | undefined>
  /** Lets go of what has not arrived. */
  readonly cancel: () => Promise<unknown>
}

const ofStream = (body: ReadableStream<Uint8Array<ArrayBuffer>> | null): Pieces => {
  const reader = body?.getReader()
  return {
    next: async () => (await reader?.read())?.value,
    cancel: async () => reader?.cancel()
  }
}

/** As the standard says it: the signal's reason where it aborted, else that the connection did not hold. */
const terminated = (cause: unknown, signal: AbortSignal | undefined): unknown =>
  signal?.aborted === true ? signal.reason : new TypeError("terminated", { cause })

const ofReadable = (body: Readable, signal: AbortSignal | undefined): Pieces => {
  const iterator: AsyncIterator<Uint8Array<ArrayBuffer>> = body[Symbol.asyncIterator]()
  let left = false
  return {
    next: async () => {
      try {
        const { done, value } = await iterator.next()
        return done === true ? undefined : value
      } catch (cause) {
        if (left) return undefined
        throw terminated(cause, signal)
      }
    },
    cancel: async () => {
      left = true
      body.destroy()
    }
  }
}

/** A stream of the web that takes the pieces with the first read, so that one which is only looked at takes none. */
const streamOf = (take: () => Pieces | undefined): ReadableStream<Uint8Array<ArrayBuffer>> => {
  let pieces: Pieces | undefined
  return new ReadableStream(
    {
      pull: async (controller) => {
        pieces ??= take()
        const piece = await pieces?.next()
        if (piece === undefined) controller.close()
        else controller.enqueue(piece)
      },
      cancel: async () => {
        pieces ??= take()
        await pieces?.cancel()
      }
    },
    { highWaterMark: 0 }
  )
}

// Without redirects to follow there is `null`, or nothing at all from the undici that Node brings.
const historyOf = (context: object | null | undefined): ReadonlyArray<URL> =>
  context && "history" in context && Array.isArray(context.history) ? context.history : []

const withoutFragment = ({ href, hash }: URL): string => (hash === "" ? href : href.slice(0, -hash.length))

const withoutBody = new Set([101, 103, 204, 205, 304])

/** What is left of a response whose body somebody reads: every other attempt fails as one on a locked stream does. */
const taken = (): Response => {
  const response = new Response("")
  response.body?.getReader()
  return response
}

/** The response: bodies are read by {@link Answer.pieces}, and in all other ways by a `Response` of the standard that is made of them. */
export class Answer implements Response {
  readonly headers: Headers
  readonly status: number
  readonly statusText: string
  readonly ok: boolean
  readonly redirected: boolean
  readonly type = "basic"
  readonly url: string
  #pieces: Pieces | undefined
  #isTaken = false
  #isDisturbed = false
  #stream: ReadableStream<Uint8Array<ArrayBuffer>> | undefined
  #standard: Response | undefined

  private constructor(
    { body, context, headers, statusCode, statusText }: Dispatcher.ResponseData,
    method: string,
    url: URL,
    signal: AbortSignal | undefined
  ) {
    // Who looks later finds out what became of it.
    body.on("error", () => {})
    this.headers = headersOf(headers)
    this.status = statusCode
    this.statusText = statusText
    this.ok = statusCode >= 200 && statusCode < 300
    const history = historyOf(context)
    this.redirected = history.length > 1
    this.url = withoutFragment(history.at(-1) ?? url)
    if (withoutBody.has(statusCode) || method === "HEAD") void body.dump()
    else {
      const coding = this.headers.get("content-encoding") ?? ""
      this.#pieces = ofReadable(decoded(body, coding === "" ? [] : coding.split(",")), signal)
    }
  }

  static make(response: Dispatcher.ResponseData, method: string, url: URL, signal: AbortSignal | undefined): Answer {
    try {
      return new Answer(response, method, url, signal)
    } catch (cause) {
      response.body.destroy()
      throw cause
    }
  }

  /** The body of a response, whoever made it. It belongs to who asks for it. */
  static pieces(response: Response): Pieces {
    if (!(response instanceof Answer)) return ofStream(response.body)
    const pieces = response.#pieces
    const isRead = response.#standard !== undefined || response.#stream?.locked === true
    if (pieces === undefined || isRead) return ofStream(response.body)
    // SDKs look at `body` and do not read it; from now on it is locked.
    response.#stream?.getReader()
    response.#pieces = undefined
    response.#isTaken = true
    return pieces
  }

  get #body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#stream === undefined && this.#pieces === undefined) return null
    this.#stream ??= streamOf(() => {
      const pieces = this.#pieces
      this.#pieces = undefined
      this.#isDisturbed = true
      return pieces
    })
    return this.#stream
  }

  get #whole(): Response {
    if (this.#standard === undefined) {
      const { headers, status, statusText } = this
      this.#isTaken ||= this.#isDisturbed || this.#stream?.locked === true
      this.#standard = this.#isTaken ? taken() : new Response(this.#body, { headers, status, statusText })
    }
    return this.#standard
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#isTaken) return this.#stream ?? this.#whole.body
    return this.#standard === undefined ? this.#body : this.#standard.body
  }
  get bodyUsed(): boolean {
    return this.#isDisturbed || (this.#standard?.bodyUsed ?? false)
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#whole.arrayBuffer()
  }
  blob(): Promise<Blob> {
    return this.#whole.blob()
  }
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.#whole.arrayBuffer())
  }
  clone(): Response {
    const { redirected, type, url } = this
    // A response that is made by hand has no address.
    const known = (made: Response): Response =>
      Object.defineProperties(made, {
        redirected: { value: redirected },
        type: { value: type },
        url: { value: url },
        clone: { value: () => known(Response.prototype.clone.call(made)) }
      })
    return known(this.#whole.clone())
  }
  formData(): Promise<FormData> {
    return this.#whole.formData()
  }
  json(): Promise<unknown> {
    return this.#whole.json()
  }
  text(): Promise<string> {
    return this.#whole.text()
  }
}
