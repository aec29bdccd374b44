/**
 * Search over the contexts of all tiers: the cards of all contexts are held in memory, kept up with, and ranked.
 *
 *   new ──load──▶ loaded ──round, every `pollMs`──▶ in step with Redis as of then
 *                   │ Redis away → answers go on out of what is held, and say as of when
 *   before it is loaded → REDIS_UNAVAILABLE
 *
 * What is answered is looked for in Redis first: a context that was removed a moment ago is not shown, nor is one whose
 * tenant's keys were destroyed.
 */
import type { Clock } from '@weir/core/clock'
import { Fault, isFault } from '@weir/core/faults'
import { NO_KEYRING, type Opener } from '@weir/core/keyring/keyring'
import { shardOf } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { createCardFollower } from './card-follower.ts'
import { createCardIndex, type Filters, type Ranked, type ShownCard } from './card-index.ts'
import { createOpenedCards } from './opened-cards.ts'
import { checkedQuery } from './question.ts'
import type { Explained } from './rank.ts'

/** What turns a question into a vector. Its model must be the one that made the cards' embeddings. */
export interface QueryEmbedder {
  readonly model: string
  /** Of unit length. @param signal aborts when nobody waits any more */
  embed(text: string, signal: AbortSignal): Float32Array | Promise<Float32Array>
}

export interface ContextSearchOptions {
  /** Every shard, in their order. */
  readonly places: readonly [ContextPlace, ...ContextPlace[]]
  /** For what is encrypted; undefined without a master key. */
  readonly keyring?: Opener | undefined
  /** undefined = questions are answered without meaning. */
  readonly embedder?: QueryEmbedder | undefined
  /** A question waits so long for its embedding, ms; then it is answered without. Default: 2,000. */
  readonly embedTimeoutMs?: number
  /** How often changes are asked for, ms. Default: 2,000. */
  readonly pollMs?: number
  readonly clock: Clock
  tell?(event: SearchEvent): void
}

/** What an operator should hear of it. */
export type SearchEvent =
  | { readonly kind: 'loading'; readonly cards: number }
  | { readonly kind: 'loaded'; readonly cards: number; readonly unreadable: number; readonly ms: number }
  /** Changes cannot be had: mostly, Redis is away. Told once, until it is `back`. */
  | { readonly kind: 'away'; readonly error: unknown }
  | { readonly kind: 'back' }
  /** The embedder did not answer, or not in time. */
  | { readonly kind: 'no-embedding'; readonly error: unknown }

export interface SearchQuery extends Filters {
  readonly q: string
  /** At most so many results. */
  readonly limit: number
}

export interface SearchResult extends ShownCard {
  /** 0 to 1 */
  readonly score: number
  /** They add up to the score. */
  readonly parts: readonly Explained[]
}

export interface SearchAnswer {
  /** Best first. */
  readonly results: readonly SearchResult[]
  /** When what is held was in step with Redis last, ms. */
  readonly asOf: number
  /** Contexts that were searched. */
  readonly searched: number
  /** Contexts left out because their cards cannot be opened, or are damaged. */
  readonly unreadable: number
  /** Whether meaning was looked at: `off` without an embedder, `failed` when it did not answer. */
  readonly meaning: 'on' | 'off' | 'failed'
}

export interface ContextSearch {
  /** Once, for whoever asks a single question. Throws Fault REDIS_UNAVAILABLE. */
  load(): Promise<void>
  /** Loads, trying again while that fails, and keeps up until `stop`. Resolves when loaded or stopped; never rejects. */
  start(): Promise<void>
  /**
   * Throws `RangeError` for a question that is empty or too long (question.ts), Fault REDIS_UNAVAILABLE before it is loaded.
   */
  search(query: SearchQuery): Promise<SearchAnswer>
  /** Harmless when never started or stopped twice. */
  stop(): Promise<void>
  readonly facts: {
    readonly cards: number
    readonly embedded: number
    readonly unreadable: number
    /** undefined = not loaded yet */
    readonly asOf: number | undefined
  }
}

const EMBED_TIMEOUT_MS = 2_000
const POLL_MS = 2_000
/** Ranked beyond what is asked for, in case some were removed a moment ago. */
const SPARE = 20

export function createContextSearch(options: ContextSearchOptions): ContextSearch {
  const { places, embedder, clock, embedTimeoutMs = EMBED_TIMEOUT_MS, pollMs = POLL_MS } = options
  const tell = options.tell ?? (() => undefined)
  const index = createCardIndex()
  const opened = createOpenedCards(index, options.keyring ?? NO_KEYRING)
  const followers = places.map((place) =>
    createCardFollower({
      place,
      async changed(cards) {
        await opened.take(cards)
        if (asOf === undefined) tell({ kind: 'loading', cards: index.size })
      },
      gone: opened.forget,
    }),
  )
  const stopped = new AbortController()
  let asOf: number | undefined
  let away = false
  let round: Promise<void> | undefined
  const loaded = Promise.withResolvers<void>()
  let running: Promise<void> | undefined

  /** All places once. Whoever asks while one is under way waits for that one: two at once would tell changes twice. */
  function inStep(): Promise<void> {
    round ??= lookAtAll().finally(() => {
      round = undefined
    })
    return round
  }

  async function lookAtAll(): Promise<void> {
    const [began, at] = [clock.monotonic(), clock.now()]
    for (const follower of followers) await follower.round()
    await opened.review()
    const first = asOf === undefined
    asOf = at
    const ms = clock.monotonic() - began
    if (first) tell({ kind: 'loaded', cards: index.size, unreadable: opened.unreadable.size, ms })
  }

  /** Whatever goes wrong, it goes on: what is held answers, and says how old it is. */
  async function follow(): Promise<void> {
    while (!stopped.signal.aborted) {
      try {
        await inStep()
        if (away) tell({ kind: 'back' })
        away = false
        loaded.resolve()
      } catch (error) {
        if (!away) tell({ kind: 'away', error })
        away = true
      }
      await clock.wait(pollMs, stopped.signal)
    }
    loaded.resolve()
  }

  async function embeddingOf(asked: string): Promise<Float32Array | undefined> {
    if (embedder === undefined) return undefined
    const abort = new AbortController()
    const late = clock.wait(embedTimeoutMs, abort.signal).then(() => {
      throw new Error(`no embedding within ${embedTimeoutMs} ms`)
    })
    try {
      const made = embedder.embed(asked, abort.signal)
      return made instanceof Float32Array ? made : await Promise.race([made, late])
    } catch (error) {
      tell({ kind: 'no-embedding', error })
      return undefined
    } finally {
      late.catch(() => undefined)
      abort.abort()
    }
  }

  /** Those that are still there; all, where Redis cannot say. */
  async function stillThere(ranked: readonly Ranked[], limit: number): Promise<readonly Ranked[]> {
    const found: Ranked[] = []
    for (let from = 0; found.length < limit && from < ranked.length; from += limit) {
      const some = ranked.slice(from, from + limit)
      const there = await Promise.all(some.map(({ card }) => isThere(card.id)))
      found.push(...some.filter(({ card }, at) => there[at] === true && opened.mayShow(card.id)))
    }
    return found.slice(0, limit)
  }

  async function isThere(id: string): Promise<boolean> {
    const { link, keys } = places[shardOf(id, places.length)] as ContextPlace
    try {
      return (await link.call('EXISTS', keys.head(id))) === 1
    } catch (error) {
      if (isFault(error, 'REDIS_UNAVAILABLE')) return true
      throw error
    }
  }

  return {
    load: inStep,
    start() {
      running ??= follow()
      return loaded.promise
    },
    async search({ q, limit, ...filters }) {
      const asked = checkedQuery(q)
      if (asOf === undefined)
        throw new Fault(
          'REDIS_UNAVAILABLE',
          'the contexts that are searched have not been loaded from Redis yet',
        )
      const vector = await embeddingOf(asked)
      const embedding = vector && embedder && { model: embedder.model, vector }
      const ranked = index.rank({ ...filters, asked, embedding, now: clock.now(), limit: limit + SPARE })
      const found = await stillThere(ranked, limit)
      return {
        results: found.map(({ card, score, parts }) => ({ ...card, score, parts })),
        asOf,
        searched: index.size,
        unreadable: opened.unreadable.size,
        meaning: embedder === undefined ? 'off' : vector === undefined ? 'failed' : 'on',
      }
    },
    async stop() {
      stopped.abort()
      await running
    },
    get facts() {
      const { cards, embedded } = index.facts
      return { cards, embedded, unreadable: opened.unreadable.size, asOf }
    },
  }
}
