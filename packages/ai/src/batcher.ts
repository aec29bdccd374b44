/**
 * Gathers texts of concurrent callers into batches.
 *
 *   wanted ──▶ waiting ──(batchSize texts, or windowMs after the first)──▶ a batch, under way ──▶ each caller gets its own
 *
 * A batch that fails fails its callers, and nobody else. Where the provider refuses what is in it (AI_INPUT_REFUSED), it is
 * halved until the text that is to blame stands alone: only that one fails.
 */
import type { Clock } from '@weir/core/clock'
import { isFault } from '@weir/core/faults'
import type { Embeddings } from './embedder.ts'
import { estimateTokens } from './tokens.ts'
import { Unavailable } from './unavailable.ts'

export interface BatcherOptions {
  /** Most texts in one batch. */
  readonly batchSize: number
  /** How long the first text of a batch waits for others, ms. */
  readonly windowMs: number
  /** Most batches under way at once. */
  readonly concurrent: number
  /** Most texts held, waiting and under way. */
  readonly maxWaiting: number
  readonly clock: Clock
  send(texts: readonly string[], signal: AbortSignal): Promise<Embeddings>
}

export interface Embedded {
  readonly vector: Float32Array
  /** Its part of what its batch cost, by its length. */
  readonly tokens: number
}

export interface Batcher {
  /** Texts held now, waiting and under way. */
  readonly held: number
  /**
   * Throws Fault AI_UNAVAILABLE when too many are held or it was stopped, what `send` throws, and the signal's reason: then
   * the text is not sent any more, unless its batch is under way.
   */
  embed(text: string, signal?: AbortSignal): Promise<Embedded>
  /** Ends what is under way and refuses everything from then on. Harmless when repeated. */
  stop(): void
}

/**
 * Tokens of one batch at most, as estimated. OpenAI takes 300,000 in a request; half of that leaves room for texts that have
 * more than is estimated.
 */
const BATCH_TOKENS = 150_000

interface Item {
  readonly text: string
  readonly size: number
  /** Its caller has gone. */
  gone: boolean
  resolve(embedded: Embedded): void
  reject(reason: unknown): void
}

export function createBatcher(options: BatcherOptions): Batcher {
  const { batchSize, windowMs, concurrent, maxWaiting, clock } = options
  const stopped = new AbortController()
  let waiting: Item[] = []
  let held = 0
  let underWay = 0
  /** Ends the window that is open now. */
  let windowOpen: AbortController | undefined

  function openWindow(): void {
    const opened = new AbortController()
    windowOpen = opened
    void clock.wait(windowMs, opened.signal).then(() => {
      if (windowOpen !== opened) return
      windowOpen = undefined
      flush(true)
    })
  }

  function closeWindow(): void {
    const open = windowOpen
    windowOpen = undefined
    open?.abort()
  }

  /** @param all also a batch that is not full */
  function flush(all: boolean): void {
    while (underWay < concurrent && waiting.length > 0 && (all || isFull())) {
      const batch = take()
      if (batch.length > 0) void run(batch)
    }
    if (waiting.length === 0) closeWindow()
    // Those that are left wait for a batch to end, or for the rest of their window.
    else if (windowOpen === undefined && underWay < concurrent) openWindow()
  }

  function isFull(): boolean {
    return waiting.length >= batchSize || tokensOf(waiting) >= BATCH_TOKENS
  }

  function take(): Item[] {
    const batch: Item[] = []
    let tokens = 0
    for (const item of waiting) {
      if (batch.length > 0 && (batch.length >= batchSize || tokens + item.size > BATCH_TOKENS)) break
      batch.push(item)
      tokens += item.size
    }
    waiting = waiting.slice(batch.length)
    return batch
  }

  async function run(batch: readonly Item[]): Promise<void> {
    underWay += 1
    await settle(batch)
    underWay -= 1
    // What could not leave while too many were under way has waited longer than its window.
    flush(windowOpen === undefined)
  }

  async function settle(batch: readonly Item[]): Promise<void> {
    const wanted = batch.filter(({ gone }) => !gone)
    if (wanted.length === 0) return
    try {
      const texts = wanted.map(({ text }) => text)
      const { vectors, tokens } = await options.send(texts, stopped.signal)
      const estimated = tokensOf(wanted) || 1
      for (const [at, item] of wanted.entries())
        item.resolve({ vector: vectors[at] as Float32Array, tokens: (tokens * item.size) / estimated })
    } catch (error) {
      if (wanted.length > 1 && isFault(error, 'AI_INPUT_REFUSED')) {
        const middle = wanted.length >> 1
        await settle(wanted.slice(0, middle))
        await settle(wanted.slice(middle))
      } else for (const item of wanted) item.reject(error)
    }
  }

  return {
    get held() {
      return held
    },
    embed(text, signal) {
      if (stopped.signal.aborted) return Promise.reject(stopped.signal.reason)
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (held >= maxWaiting) {
        const why = `${held} texts wait for embeddings already (webhook.ai.embedding.max_waiting)`
        return Promise.reject(new Unavailable(why))
      }
      held += 1
      const { promise, resolve, reject } = Promise.withResolvers<Embedded>()
      const item: Item = { text, size: estimateTokens(text), gone: false, resolve, reject }
      const leave = () => {
        item.gone = true
        waiting = waiting.filter((other) => other !== item)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', leave, { once: true })
      waiting.push(item)
      if (windowOpen === undefined && underWay < concurrent) openWindow()
      flush(false)
      return promise.finally(() => {
        held -= 1
        signal?.removeEventListener('abort', leave)
      })
    },
    stop() {
      if (stopped.signal.aborted) return
      stopped.abort(new Unavailable('the enrichment is being stopped'))
      closeWindow()
      for (const item of waiting) item.reject(stopped.signal.reason)
      waiting = []
    },
  }
}

function tokensOf(items: readonly Item[]): number {
  return items.reduce((sum, { size }) => sum + size, 0)
}
