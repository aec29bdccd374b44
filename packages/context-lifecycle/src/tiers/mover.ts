/**
 * Moves one context between the tiers, a segment at a time (moves.ts has the steps). It decides nothing about when: the sweep and
 * `force-transition` do.
 */
import { type Fault, isFault } from '@weir/core/faults'
import { NO_KEYRING, type Sealing } from '@weir/core/keyring/keyring'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { decodeRawElement } from '../elements.ts'
import {
  clearIdentity,
  corrupt,
  decodeHead,
  encodeIdentity,
  type Head,
  ID_BYTES,
  identityBytes,
  sealedSubject,
} from '../head.ts'
import { openedFor } from '../opening.ts'
import { type Archive, fetchReferred, refOf } from './archive.ts'
import type { Library } from './library.ts'
import { type Look, lookAt } from './look.ts'
import {
  cool,
  type Frozen,
  freeze,
  heat,
  joinedRange,
  type Moved,
  type ReadSegment,
  thaw,
  warmSegment,
} from './moves.ts'
import { encodeRef, type ObjectRef, type Part, type Range } from './parts.ts'
import { type Content, joined, type Owner, type SegmentCodec, sealedPayload, segmentHead } from './segment.ts'
import { isStuck } from './trouble.ts'

/** What came of it. */
export type Outcome =
  /** `parts`: how many were switched. */
  | { readonly kind: 'moved'; readonly parts: number }
  /** It is there already, or is gone. */
  | { readonly kind: 'nothing' }
  /** Something happened to it meanwhile: it stays where it is. */
  | { readonly kind: 'active' }
  /** It was asked whether it stays, and does. */
  | { readonly kind: 'stays' }
  /** It cannot be moved until this is mended (a key or dictionary is missing, or bytes are damaged). */
  | { readonly kind: 'stuck'; readonly why: Fault }

export interface Mover {
  /**
   * Hot to warm.
   * @param score among the hot, as it was claimed; undefined = whatever happened since
   * @param stays asked before anything is moved, with what was read of it
   */
  cool(
    id: ContextId,
    since: number,
    score?: string,
    stays?: (look: Look) => Promise<boolean>,
  ): Promise<Outcome>
  /** Warm to cold. @param active its last activity, as it was read; undefined = whatever happened since */
  freeze(id: ContextId, active?: string): Promise<Outcome>
  /** Cold to warm: the newest parts, of so many bytes of content. */
  thaw(id: ContextId, maxBytes: number): Promise<Outcome>
  /** Warm to hot: the newest parts, of so many bytes of content. */
  heat(id: ContextId, maxBytes: number): Promise<Outcome>
}

export interface MoverOptions {
  placeOf(id: ContextId): ContextPlace
  readonly codec: SegmentCodec
  readonly library: Library
  readonly archive: Archive
  readonly keyring: Sealing | undefined
  /** Whether what is written is encrypted. */
  readonly encrypts: boolean
  /** The most content of a segment that is made of several events, bytes. */
  readonly segmentBytes: number
  readonly keyOf: (sealed: Buffer) => string | undefined
}

interface Size extends Pick<Range, 'count'> {
  readonly contentBytes: number
}

function sizeOf(parts: readonly Size[]): Size {
  return {
    count: parts.reduce((sum, { count }) => sum + count, 0),
    contentBytes: parts.reduce((sum, { contentBytes }) => sum + contentBytes, 0),
  }
}

/** Events of one segment, whatever their size: a script that makes them hot again takes some milliseconds. */
const SEGMENT_EVENTS = 2_000
/** So much packs to no more than a few hundred KB of content, mostly; what is read at once of the hot records, bytes. */
const PACKED_SHARE = 1 / 8
/** A segment of so little content is always put together with the next, so that a context is one object to fetch, bytes. */
const SMALL_BYTES = 256 * 1024
/** Larger ones only with so much of their own size: each event is rewritten a few times, not every day. */
const GROWTH = 4

function caught(act: () => unknown): unknown {
  try {
    act()
    return undefined
  } catch (error) {
    return error
  }
}

function outcomeOf(moved: Moved): Outcome {
  return moved === 'moved' ? { kind: 'moved', parts: 1 } : { kind: 'active' }
}

export function createMover(options: MoverOptions): Mover {
  const { placeOf, codec, library, archive, keyring, encrypts, segmentBytes, keyOf } = options
  const opener = keyring ?? NO_KEYRING

  /** What may be mended later, told; anything else is thrown. */
  async function unlessStuck(move: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await move()
    } catch (error) {
      if (isStuck(error)) return { kind: 'stuck', why: error }
      throw error
    }
  }

  /** Reads a head, and sees to it that its tenant's key can be had. */
  async function prepared(id: ContextId, bytes: Buffer): Promise<Head> {
    const tenant = clearIdentity(bytes)?.tenant
    if (tenant === undefined) throw corrupt(id, 'has no identity')
    if (encrypts && keyring?.ready(tenant) === false) await keyring.prepare(tenant)
    return openedFor(opener, tenant, () => decodeHead(id, bytes, opener))
  }

  const ownerOf = (id: ContextId, { identity }: Head): Owner => ({
    id,
    tenant: identity.tenant,
    tool: identity.tool,
  })

  /** The content of a segment; its dictionary is fetched first. */
  async function contentOf(owner: Owner, segment: Buffer): Promise<Content> {
    await library.need([segmentHead(owner.id, segment).dictionary], owner.tenant)
    return codec.decode(owner, segment)
  }

  /** The oldest hot events, as many as belong into one segment. */
  async function absorbed(owner: Owner, look: Look): Promise<Content> {
    const { digests, records } = look
    await library.need(
      new Set(records.map((element) => decodeRawElement(owner.id, owner, element).dictionary)),
      owner.tenant,
    )
    const content: Content[] = []
    let bytes = 0
    for (const [at, record] of records.entries()) {
      const one = codec.absorb(owner, { digests: [digests[at] as Buffer], records: [record] })
      if (at > 0 && bytes + one.bytes > segmentBytes) break
      content.push(one)
      bytes += one.bytes
    }
    return joined(content)
  }

  /** The warm part before, when it should be put into the same segment. What cannot be opened stays by itself. */
  async function mergeable(
    place: ContextPlace,
    owner: Owner,
    look: Look,
    fresh: Content,
  ): Promise<(ReadSegment & { readonly content: Content }) | undefined> {
    const part = look.parts.at(-1)
    if (part === undefined || !part.warm) return undefined
    const segment = await warmSegment(place, owner.id, part)
    if (segment === undefined) return undefined
    const { contentBytes } = segmentHead(owner.id, segment)
    const after = { count: fresh.digests.length, contentBytes: fresh.bytes }
    if (!goTogether({ count: part.count, contentBytes }, after)) return undefined
    try {
      return { part, segment, content: await contentOf(owner, segment) }
    } catch (error) {
      if (!isStuck(error)) throw error
      return undefined
    }
  }

  function goTogether(before: Size, after: Size): boolean {
    if (before.contentBytes + after.contentBytes > segmentBytes) return false
    if (before.count + after.count > SEGMENT_EVENTS) return false
    return before.contentBytes <= SMALL_BYTES || before.contentBytes <= GROWTH * after.contentBytes
  }

  /** `more`: events of it were hot that are so still. */
  async function coolOnce(
    id: ContextId,
    since: number,
    score: string | undefined,
    stays: ((look: Look) => Promise<boolean>) | undefined,
  ): Promise<{ readonly outcome: Outcome; readonly more: boolean }> {
    const place = placeOf(id)
    const look = await lookAt(place, id, { oldest: SEGMENT_EVENTS, bytes: segmentBytes * PACKED_SHARE })
    if (look === undefined || look.hotEvents === 0) return { outcome: { kind: 'nothing' }, more: false }
    if (await stays?.(look)) return { outcome: { kind: 'stays' }, more: false }
    const head = await prepared(id, look.head)
    const owner = ownerOf(id, head)
    const fresh = await absorbed(owner, look)
    const merged = await mergeable(place, owner, look, fresh)
    const content = merged === undefined ? fresh : joined([merged.content, fresh])
    const from = head.events - look.hotEvents
    const count = fresh.digests.length
    const moved = await cool(place, id, {
      taken: { from, count },
      ids: head.ids.subarray(from * ID_BYTES, (from + count) * ID_BYTES),
      score,
      segment: codec.encode(owner, content),
      merged,
      since,
    })
    return { outcome: outcomeOf(moved), more: count < look.hotEvents }
  }

  /** Parts that belong into one object: at least one of them is in none yet. */
  function groupsOf(parts: readonly (Part & Size)[]): Part[][] {
    const groups: (Part & Size)[][] = []
    for (const part of parts) {
      const group = groups.at(-1)
      const worth = group !== undefined && (!part.cold || group.some(({ cold }) => !cold))
      if (worth && goTogether(sizeOf(group), part)) group.push(part)
      else groups.push([part])
    }
    return groups.filter((group) => group.some(({ warm }) => warm))
  }

  async function freezeGroup(
    place: ContextPlace,
    id: ContextId,
    head: Head,
    bytes: Buffer,
    group: readonly Part[],
    active: string | undefined,
  ): Promise<Outcome> {
    const owner = ownerOf(id, head)
    const frozen: (Frozen & { readonly ref: ObjectRef | undefined; content(): Promise<Content> })[] = []
    for (const part of group) {
      const segment = part.warm ? await warmSegment(place, id, part) : undefined
      const ref = part.cold ? await refOf(place, id, part) : undefined
      if (segment === undefined && ref === undefined) return { kind: 'active' }
      const held = async () => segment ?? (await archive.fetch(ref as ObjectRef)).segment
      const content = async () => contentOf(owner, await held())
      frozen.push({ part, segment, object: ref?.name, ref, content })
    }
    const [only] = frozen
    if (frozen.length === 1 && only?.ref !== undefined && (await isSound(only.ref))) {
      return outcomeOf(await freeze(place, id, frozen, undefined, '', active))
    }
    let segment: Buffer
    try {
      segment = await segmentOf(owner, frozen)
    } catch (error) {
      if (group.length === 1 || !isStuck(error)) throw error
      // What cannot be opened goes by itself, as it is.
      for (const part of group.filter(({ warm }) => warm)) {
        const outcome = await freezeGroup(place, id, head, bytes, [part], active)
        if (outcome.kind !== 'moved') return outcome
      }
      return { kind: 'moved', parts: 1 }
    }
    await haveDictionary(owner, segment)
    const { from, count } = joinedRange(group)
    // With the key of today: the one before may be forgotten one day.
    const identity = encrypts ? encodeIdentity(id, head.identity, keyring) : identityBytes(bytes)
    const ref = await archive.keep(place, {
      ...owner,
      from,
      count,
      identity,
      ids: head.ids.subarray(from * ID_BYTES, (from + count) * ID_BYTES),
      segment,
      firstReceivedAt: head.firstReceivedAt,
      lastEventAt: head.lastEventAt,
      accesses: head.accesses,
      lastAccessAt: head.lastAccessAt ?? 0,
      sealedWith: keysIn(segment, identity),
    })
    return outcomeOf(await freeze(place, id, frozen, ref, encodeRef(ref), active))
  }

  /** Whether the object is there and whole: what it holds may be dropped elsewhere. */
  async function isSound(ref: ObjectRef): Promise<boolean> {
    try {
      await archive.fetch(ref)
      return true
    } catch (error) {
      if (!isFault(error, 'RECORD_CORRUPT')) throw error
      return false
    }
  }

  /**
   * The dictionary of a segment goes into cold storage beside it, so it must be known, also where nobody opens the segment. One that
   * nobody can ever open needs none.
   */
  async function haveDictionary(owner: Owner, segment: Buffer): Promise<void> {
    try {
      await library.need([segmentHead(owner.id, segment).dictionary], owner.tenant)
    } catch (error) {
      const why = caught(() => codec.decode(owner, segment))
      if (!isFault(why, 'KEY_DESTROYED')) throw error
    }
  }

  /** Ids of the keys that an object is sealed with. */
  function keysIn(segment: Buffer, identity: Buffer): readonly string[] {
    const sealed = [sealedPayload(segment), sealedSubject(identity)].flatMap((bytes) => bytes ?? [])
    return [...new Set(sealed.flatMap((bytes) => keyOf(bytes) ?? []))]
  }

  /** One segment goes on as it is, unless it is to be encrypted from now on. */
  async function segmentOf(
    owner: Owner,
    frozen: readonly { readonly segment: Buffer | undefined; readonly content: () => Promise<Content> }[],
  ): Promise<Buffer> {
    const [only] = frozen
    if (frozen.length === 1 && only?.segment !== undefined) {
      if (!encrypts || segmentHead(owner.id, only.segment).sealed) return only.segment
    }
    const contents: Content[] = []
    for (const { content } of frozen) contents.push(await content())
    return codec.encode(owner, joined(contents))
  }

  async function freezeAll(id: ContextId, active: string | undefined): Promise<Outcome> {
    const place = placeOf(id)
    const look = await lookAt(place, id, { newest: 0 })
    if (look === undefined || !look.parts.some(({ warm }) => warm)) return { kind: 'nothing' }
    const head = await prepared(id, look.head)
    const sized: (Part & { contentBytes: number })[] = []
    for (const part of look.parts) {
      const segment = part.warm ? await warmSegment(place, id, part) : undefined
      const ref = segment === undefined ? await refOf(place, id, part) : undefined
      if (segment === undefined && ref === undefined) return { kind: 'active' }
      const contentBytes =
        segment === undefined ? (ref as ObjectRef).contentBytes : segmentHead(id, segment).contentBytes
      sized.push({ ...part, contentBytes })
    }
    let parts = 0
    for (const group of groupsOf(sized)) {
      const outcome = await freezeGroup(place, id, head, look.head, group, active)
      if (outcome.kind !== 'moved') return outcome
      parts++
    }
    return { kind: 'moved', parts }
  }

  async function thawNewest(id: ContextId, maxBytes: number): Promise<Outcome> {
    const place = placeOf(id)
    const look = await lookAt(place, id, { newest: 0 })
    if (look === undefined) return { kind: 'nothing' }
    let left = maxBytes
    let parts = 0
    for (const part of look.parts.toReversed()) {
      if (part.warm) continue
      const ref = await refOf(place, id, part)
      if (ref === undefined) return { kind: 'active' }
      if (parts > 0 && ref.contentBytes > left) break
      left -= ref.contentBytes
      const object = await fetchReferred(archive, place, id, part, ref)
      if (object === undefined) return { kind: 'active' }
      const moved = await thaw(place, id, part, ref.name, object.segment)
      if (moved !== 'moved') return outcomeOf(moved)
      parts++
    }
    return parts > 0 ? { kind: 'moved', parts } : { kind: 'nothing' }
  }

  async function heatNewest(id: ContextId, maxBytes: number): Promise<Outcome> {
    const place = placeOf(id)
    const look = await lookAt(place, id, { newest: 0 })
    if (look === undefined || look.parts.length === 0) return { kind: 'nothing' }
    const head = await prepared(id, look.head)
    const owner = ownerOf(id, head)
    let left = maxBytes
    let parts = 0
    for (const part of look.parts.toReversed()) {
      const segment = part.warm ? await warmSegment(place, id, part) : undefined
      if (segment === undefined) break
      const { contentBytes, sealed } = segmentHead(id, segment)
      if (parts > 0 && contentBytes > left) break
      left -= contentBytes
      if (sealed && keyring?.ready(owner.tenant) === false) await keyring.prepare(owner.tenant)
      const elements = codec.release(owner, await contentOf(owner, segment))
      const moved = await heat(place, id, { part, segment }, elements)
      if (moved !== 'moved') return outcomeOf(moved)
      parts++
    }
    return parts > 0 ? { kind: 'moved', parts } : { kind: 'nothing' }
  }

  return {
    cool: (id, since, score, stays) =>
      unlessStuck(async () => {
        for (let parts = 0; ; parts++) {
          const { outcome, more } = await coolOnce(id, since, score, parts === 0 ? stays : undefined)
          if (outcome.kind === 'nothing' && parts > 0) return { kind: 'moved', parts }
          if (outcome.kind !== 'moved') return outcome
          if (!more) return { kind: 'moved', parts: parts + 1 }
        }
      }),
    freeze: (id, active) => unlessStuck(() => freezeAll(id, active)),
    thaw: (id, maxBytes) => unlessStuck(() => thawNewest(id, maxBytes)),
    heat: (id, maxBytes) => unlessStuck(() => heatNewest(id, maxBytes)),
  }
}
