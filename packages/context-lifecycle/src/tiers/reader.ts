/** Reads the events of a context, in whatever tiers they are. */
import { Fault, isFault } from '@weir/core/faults'
import { NO_KEYRING, type Opener } from '@weir/core/keyring/keyring'
import type { Tier, Withheld } from '../compose.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { clearIdentity, decodeHead, type Head } from '../head.ts'
import { openedFor } from '../opening.ts'
import { type Archive, fetchReferred, refOf } from './archive.ts'
import type { Library } from './library.ts'
import { eventsInParts, type Look, lookAt, tierOf } from './look.ts'
import { warmSegment } from './moves.ts'
import type { Part } from './parts.ts'
import { type Content, type Owner, type SegmentCodec, segmentHead } from './segment.ts'

export interface ReadEvents {
  readonly head: Head
  readonly tier: Tier
  /** Elements of the log (elements.ts), in no order. */
  readonly digests: readonly Buffer[]
  /** Events among those asked for that cannot be had, because cold storage is away or an object is damaged. */
  readonly withheld: Withheld | undefined
}

export interface Reader {
  /**
   * The newest events; undefined when there is no such context. A look at it that was just taken spares another. Throws Fault REDIS_UNAVAILABLE, RECORD_CORRUPT, KEY_MISSING,
   * KEY_DESTROYED.
   */
  newest(id: ContextId, limit: number, look?: Look): Promise<ReadEvents | undefined>
  /**
   * The record (elements.ts) of the event that arrived as number `at`; undefined when it is gone. Throws as `newest`, and what
   * `Archive.fetch` throws.
   */
  record(id: ContextId, at: number): Promise<Buffer | undefined>
}

export interface ReaderOptions {
  placeOf(id: ContextId): ContextPlace
  readonly codec: Pick<SegmentCodec, 'decode'>
  readonly library: Library
  readonly archive: Pick<Archive, 'fetch'>
  readonly opener: Opener | undefined
}

/** Elements read from a list at once. */
const PAGE = 1_000
/** How often a context may be moved while it is read. */
const TRIES = 5

export function createReader(options: ReaderOptions): Reader {
  const { placeOf, codec, library, archive, opener = NO_KEYRING } = options

  const headOf = (id: ContextId, { head }: Look): Promise<Head> =>
    openedFor(opener, clearIdentity(head)?.tenant, () => decodeHead(id, head, opener))

  /** What a part holds; undefined when it was moved meanwhile. */
  async function contentOf(
    place: ContextPlace,
    owner: Owner,
    part: Part,
    read?: Buffer,
  ): Promise<Content | undefined> {
    let segment = read ?? (part.warm ? await warmSegment(place, owner.id, part) : undefined)
    if (segment === undefined && part.cold) {
      const ref = await refOf(place, owner.id, part)
      segment = ref && (await fetchReferred(archive, place, owner.id, part, ref))?.segment
    }
    if (segment === undefined) return undefined
    await library.need([segmentHead(owner.id, segment).dictionary], owner.tenant)
    return codec.decode(owner, segment)
  }

  /** The newest elements of the log; undefined when some were moved meanwhile. */
  async function newestHot(
    { link, keys }: ContextPlace,
    id: ContextId,
    look: Look,
    limit: number,
  ): Promise<Buffer[] | undefined> {
    const digests = [...look.digests]
    const wanted = Math.min(limit, look.hotEvents)
    while (digests.length < wanted) {
      const count = Math.min(PAGE, wanted - digests.length)
      // Counted from the front: events that come meanwhile do not shift what is behind them.
      const end = look.hotEvents - digests.length - 1
      const page = (await link.call('LRANGE', keys.log(id), end - count + 1, end)) as Buffer[]
      if (page.length < count) return undefined
      digests.push(...page)
    }
    if (wanted === look.digests.length) return digests
    const after = await lookAt({ link, keys }, id, { newest: 0 })
    return after !== undefined && eventsInParts(after) === eventsInParts(look) ? digests : undefined
  }

  /** undefined when it was moved meanwhile: it is to be read again. */
  async function tryNewest(
    id: ContextId,
    place: ContextPlace,
    look: Look,
    limit: number,
  ): Promise<ReadEvents | undefined> {
    const head = await headOf(id, look)
    const { tenant, tool } = head.identity
    const digests = await newestHot(place, id, look, limit)
    if (digests === undefined) return undefined
    let withheld: Withheld | undefined
    let found = digests.length
    for (const [n, part] of look.parts.toReversed().entries()) {
      if (found >= limit) break
      const wanted = Math.min(part.count, limit - found)
      found += wanted
      try {
        const read = n === 0 ? look.newestSegment : undefined
        const content = await openedFor(opener, tenant, () =>
          contentOf(place, { id, tenant, tool }, part, read),
        )
        if (content === undefined) return undefined
        digests.push(...content.digests.slice(part.count - wanted))
      } catch (error) {
        if (!isFault(error) || error.code === 'REDIS_UNAVAILABLE' || error.code === 'KEY_MISSING') throw error
        withheld = { events: (withheld?.events ?? 0) + wanted, why: withheld?.why ?? error }
      }
    }
    return { head, tier: tierOf(look), digests, withheld }
  }

  return {
    async newest(id, limit, given) {
      const place = placeOf(id)
      for (let tries = 0; tries < TRIES; tries++) {
        const whole = tries === 0 && given?.digests.length === given?.hotEvents ? given : undefined
        const look = whole ?? (await lookAt(place, id, { newest: Math.min(limit, PAGE) }))
        if (look === undefined) return undefined
        const found = await tryNewest(id, place, look, limit)
        if (found !== undefined) return found
      }
      throw movedAway(id)
    },
    async record(id, at) {
      const place = placeOf(id)
      for (let tries = 0; tries < TRIES; tries++) {
        const look = await lookAt(place, id, { newest: 0 })
        if (look === undefined) return undefined
        const head = await headOf(id, look)
        const { tenant, tool } = head.identity
        const part = look.parts.find(({ from, count }) => at >= from && at < from + count)
        if (part === undefined) {
          const inParts = eventsInParts(look)
          const element = await place.link.call('LINDEX', place.keys.raw(id), at - inParts)
          const after = await lookAt(place, id, { newest: 0 })
          if (after === undefined) return undefined
          if (eventsInParts(after) === inParts) return Buffer.isBuffer(element) ? element : undefined
        } else {
          const content = await openedFor(opener, tenant, () => contentOf(place, { id, tenant, tool }, part))
          if (content !== undefined) return content.records[at - part.from]
        }
      }
      throw movedAway(id)
    },
  }
}

function movedAway(id: ContextId): Fault {
  return new Fault(
    'REDIS_UNAVAILABLE',
    `context ${id} was moved ${TRIES} times while it was read; read it again`,
  )
}
