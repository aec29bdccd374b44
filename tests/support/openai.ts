/**
 * A server that speaks the two endpoints of OpenAI's API that Weir uses, on loopback, with answers that tests choose:
 *
 *   const openai = useOpenAi()                         (use-openai.ts)
 *   openai.next(status(429, { 'retry-after': '2' }))    // the next request is answered so; those after it, well
 *   openai.requests                                     // what came, as it came
 *
 * Well answered, a text has a vector that depends on it alone, and a chat is summarised as `Summary of <n> lines.`
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const STUB_DIMENSIONS = 8

export interface StubRequest {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** The body as it came. */
  readonly text: string
  readonly body: {
    readonly model: string
    readonly input?: readonly string[]
    readonly dimensions?: number
    readonly messages?: readonly { readonly role: string; readonly content: string }[]
  }
}

/** Answers a request, or keeps silent. */
export type StubAnswer = (response: ServerResponse, request: StubRequest) => void

export interface OpenAiStub {
  /** Base URL, as `webhook.ai.base_url` has it. */
  readonly url: string
  readonly requests: readonly StubRequest[]
  /** The texts of all requests for embeddings, in their order. */
  readonly texts: readonly string[]
  /** How the next requests are answered, one each; then they are answered well again. */
  next(...answers: readonly StubAnswer[]): void
  /** How requests are answered from now on. */
  always(answer: StubAnswer): void
  /** Resolves when so many requests have come since the test began. */
  came(count: number): Promise<void>
}

export interface RunningOpenAi extends OpenAiStub {
  /** Forgets what came, and answers well again. */
  reset(): void
  stop(): Promise<void>
}

export async function startOpenAi(): Promise<RunningOpenAi> {
  let requests: StubRequest[] = []
  let answers: StubAnswer[] = []
  let usual: StubAnswer = well
  let waiting: { readonly count: number; readonly resolve: () => void }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const { url = '', headers } = request
      const came: StubRequest = { path: url, headers, text, body: JSON.parse(text) }
      requests.push(came)
      for (const { count, resolve } of waiting) if (requests.length >= count) resolve()
      // A client would send the next request on a connection that is being closed, and that looks like a reset.
      response.shouldKeepAlive = false
      const answer = answers.shift() ?? usual
      answer(response, came)
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    get requests() {
      return requests
    },
    get texts() {
      return requests.flatMap(({ body }) => body.input ?? [])
    },
    next: (...chosen) => void answers.push(...chosen),
    always(answer) {
      usual = answer
    },
    came: (count) =>
      new Promise((resolve) => {
        if (requests.length >= count) resolve()
        else waiting.push({ count, resolve })
      }),
    reset() {
      requests = []
      answers = []
      usual = well
      waiting = []
    },
    stop() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => void server.close(() => resolve()))
    },
  }
}

/** The vector that a text is answered with: not of length 1, as some services have them. */
export function stubVector(text: string, dimensions: number = STUB_DIMENSIONS): number[] {
  const vector = Array.from({ length: dimensions }, (_, at) => ((at * 7) % 5) / 10)
  for (let at = 0; at < text.length; at++) {
    const slot = (at * 31 + text.charCodeAt(at)) % dimensions
    vector[slot] = vector[slot]! + text.charCodeAt(at) / 100
  }
  return vector
}

/** Four characters a token. */
export function stubTokens(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0)
}

const well: StubAnswer = (response, request) => {
  if (request.path.endsWith('/embeddings')) return embeddings()(response, request)
  return chat(`Summary of ${request.body.messages?.at(-1)?.content.split('\n').length ?? 0} lines.`)(
    response,
    request,
  )
}

export interface EmbeddingChanges {
  readonly dimensions?: number
  /** What is done with the items before they are sent. */
  change?(items: { index: number; embedding: unknown }[]): unknown
  /** null = the answer says nothing of it. */
  readonly usage?: null
}

export function embeddings(changes: EmbeddingChanges = {}): StubAnswer {
  return (response, { body }) => {
    const input = body.input ?? []
    const dimensions = changes.dimensions ?? body.dimensions ?? STUB_DIMENSIONS
    const items = input.map((text, index) => ({
      object: 'embedding',
      index,
      embedding: stubVector(text, dimensions) as unknown,
    }))
    const tokens = stubTokens(input)
    json(200, {
      object: 'list',
      data: changes.change?.(items) ?? items,
      model: body.model,
      ...(changes.usage === null ? {} : { usage: { prompt_tokens: tokens, total_tokens: tokens } }),
    })(response)
  }
}

export function chat(content: unknown, choice: Record<string, unknown> = {}): StubAnswer {
  return (response, { body }) => {
    const read = stubTokens(body.messages?.map((message) => message.content) ?? [])
    json(200, {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      model: body.model,
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content }, ...choice }],
      usage: { prompt_tokens: read, completion_tokens: 20, total_tokens: read + 20 },
    })(response)
  }
}

/** A refusal as OpenAI words it: it quotes what was sent, as real ones do. */
export function status(
  code: number,
  headers: Record<string, string> = {},
  error: Record<string, unknown> = {},
): StubAnswer {
  return (response, request) =>
    json(
      code,
      {
        error: { message: `refused ${request.headers.authorization}: ${request.text}`, code: null, ...error },
      },
      headers,
    )(response)
}

function json(code: number, value: unknown, headers: Record<string, string> = {}) {
  return (response: ServerResponse) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(value))
  }
}

/** Anything, under any type. */
export function raw(text: string, type = 'text/html'): StubAnswer {
  return (response) => {
    response.writeHead(200, { 'content-type': type })
    response.end(text)
  }
}

export const silence: StubAnswer = () => undefined

export const reset: StubAnswer = (response) => {
  response.socket?.resetAndDestroy()
}

/** Half of an answer, then the connection breaks. */
export const brokenOff: StubAnswer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write('{"data":[', () => response.socket?.destroy())
}
