/**
 * Makes the card of a context anew: its events are read, what came since the last card goes into the rolling summary, and what the
 * card says is embedded. Whoever enriches is handed in; without, or when it cannot now, the card keeps what the one before had,
 * and text search is up to date all the same.
 */
import type { Opener, Sealing } from '@weir/core/keyring/keyring'
import type { Context, TimelineEntry } from '../compose.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import type { Contexts } from '../contexts.ts'
import { importanceOf } from '../importance.ts'
import { noteNames } from '../links.ts'
import { caughtUp, type Lag } from './behind.ts'
import { type Card, cardOf, cardText } from './card.ts'
import { putCard } from './card-store.ts'
import { readCard } from './read-card.ts'

/** It was not done, and may be tried again. */
export interface Later {
  readonly kind: 'later'
  /** ms */
  readonly retryInMs: number
  readonly why: string
}

/** It will never be: the card does without. */
export interface Never {
  readonly kind: 'never'
  readonly why: string
}

/** Both may throw; what they throw ends the making after the card was put without. */
export interface Enricher {
  readonly embeddingModel: string
  embed(tenant: string, text: string, signal?: AbortSignal): Promise<Float32Array | Later | Never>
  /** @param previous the summary so far @param entries what came since, oldest first */
  summarise(
    tenant: string,
    request: {
      readonly subject: string
      readonly previous: string | undefined
      readonly entries: readonly string[]
    },
    signal?: AbortSignal,
  ): Promise<string | Later | Never>
}

export type MadeCard =
  /** `whole`: with all that there is to know. */
  | { readonly kind: 'made'; readonly enriched: boolean }
  /** Put, without what the enricher could not give now. */
  | Later
  /** There is no such context any more. */
  | { readonly kind: 'gone' }

export interface CardMakerOptions {
  placeOf(id: ContextId): ContextPlace
  readonly contexts: Pick<Contexts, 'read'>
  readonly opener: Opener
  /** undefined = nothing is encrypted; else made ready for the tenants that come. */
  readonly sealing: Sealing | undefined
  /** undefined = cards have no summary and no embedding. */
  readonly enricher: Enricher | undefined
  /** The enricher costs something: it is asked for contexts that are behind with the enrichment, and not whenever a card is made. */
  readonly enrichesLater: boolean
  /** Newest events that are looked at. */
  readonly events: number
  /** ms */
  now(): number
}

/** The steps of making a card, as they are told. */
export type CardStep = 'read' | 'summarise' | 'embed' | 'put'
/** Told that a step begins; what it returns is called when that ends. */
export type OnCardStep = (step: CardStep) => () => void

/** @param lag with what it is behind: only words, where the enricher is asked later */
export type CardMaker = (
  id: ContextId,
  lag: Lag,
  signal?: AbortSignal,
  onStep?: OnCardStep,
) => Promise<MadeCard>

/** Throws Fault REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY, KEY_MISSING, KEY_DESTROYED, RECORD_CORRUPT, or what the enricher throws. */
export function createCardMaker(options: CardMakerOptions): CardMaker {
  const { placeOf, contexts, opener, sealing, now } = options

  return async (id, lag, signal, onStep) => {
    const place = placeOf(id)
    const during = async <T>(step: CardStep, work: () => Promise<T>): Promise<T> => {
      const ended = onStep?.(step)
      try {
        return await work()
      } finally {
        ended?.()
      }
    }
    const context = await during('read', () => contexts.read(id, { limit: options.events }))
    if (context === undefined) {
      await caughtUp(place, lag, id, Number.MAX_SAFE_INTEGER)
      return { kind: 'gone' }
    }
    const { tenant } = context
    const later = options.enrichesLater && lag === 'words'
    const enricher = later ? undefined : options.enricher
    const before = await readCard(place, id, opener)
    if (sealing?.ready(tenant) === false) await sealing.prepare(tenant)
    let postponed: Later | undefined
    let failure: { readonly error: unknown } | undefined
    const unless = async <T extends string | Float32Array>(
      ask: () => Promise<T | Later | Never>,
    ): Promise<T | undefined> => {
      if (postponed !== undefined || failure !== undefined) return undefined
      try {
        const found = await ask()
        if (typeof found === 'string' || found instanceof Float32Array) return found
        if (found.kind === 'later') postponed = found
      } catch (error) {
        failure = { error }
      }
      return undefined
    }
    const told =
      enricher &&
      (await unless(() => during('summarise', () => summarised(enricher, context, before, signal))))
    const summary = told === undefined ? before?.summary : { text: told, events: context.events }
    const importance = importanceOf(context, now()).score
    const plain = cardOf(context, importance, { summary })
    const vector =
      enricher && (await unless(() => during('embed', () => enricher.embed(tenant, cardText(plain), signal))))
    const card: Card =
      vector === undefined
        ? { ...plain, ...(before?.embedding && { embedding: before.embedding }) }
        : cardOf(context, importance, {
            summary,
            embedding: { model: (enricher as Enricher).embeddingModel, vector },
          })
    const put = await during('put', async () => {
      const result = await putCard(place, card, sealing)
      await noteNames(placeOf, context)
      return result
    })
    if (failure !== undefined) throw failure.error
    if (postponed !== undefined) return postponed
    if (put !== 'older')
      await caughtUp(place, lag, id, context.events, later && options.enricher !== undefined)
    return put === 'gone' ? { kind: 'gone' } : { kind: 'made', enriched: enricher !== undefined }
  }
}

function summarised(
  enricher: Enricher,
  context: Context,
  before: Card | undefined,
  signal: AbortSignal | undefined,
): Promise<string | Later | Never> {
  const { subject, title, events, timeline, tenant } = context
  const known = before?.summary?.events ?? 0
  // In the order of arrival: what was received since, whenever it happened.
  const arrived = timeline.toSorted((a, b) => a.receivedAt - b.receivedAt)
  const fresh = new Set(arrived.slice(Math.max(0, arrived.length - (events - known))))
  const entries = timeline.filter((entry) => fresh.has(entry)).map(entryText)
  if (entries.length === 0) return Promise.resolve(before?.summary?.text ?? '')
  const about = title === null ? subject : `${subject}: ${title}`
  return enricher.summarise(tenant, { subject: about, previous: before?.summary?.text, entries }, signal)
}

/** `2026-05-01 alice merged: Fix the login · text` */
function entryText({ digest }: TimelineEntry): string {
  const { at, who, what, title, text, state } = digest
  const day = new Date(at).toISOString().slice(0, 10)
  const said = [title, text].filter(Boolean).join(' · ')
  const became = state === undefined || what.includes(state) ? '' : ` (${state})`
  return `${day} ${who === undefined ? '' : `${who} `}${what}${became}${said === '' ? '' : `: ${said}`}`
}
