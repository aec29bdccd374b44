/**
 * Rebuilds the contexts that cold storage holds, in a Redis that has lost them. Each comes back cold: its head and index are made
 * of its objects, its events stay where they are.
 *
 *   dictionaries ──▶ published again
 *   names of objects ──▶ by context ──▶ those that hold all its events, read and checked ──▶ its events indexed ──▶ one script: head and parts
 *                                          └─ damaged: the others are tried; what is in none is told as missing
 *
 * Whatever happens on the way, a further run goes on: a context that is there already is left alone. A context that began anew
 * since (an event of its subject came) gets its past back in front of what it has; an event that was sent again meanwhile counts once.
 */
import { dictionaryOf, noteLearned, readDictionary } from '@weir/core/dictionaries'
import { Fault, isFault } from '@weir/core/faults'
import type { Opener } from '@weir/core/keyring/keyring'
import type { Partition } from '@weir/core/partition'
import type { RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import type { ColdStore } from '../cold/cold-store.ts'
import { type ContextId, contextIdBytes } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { HEAD_VERSION, ID_BYTES, IDENTITY_AT } from '../head.ts'
import { openedFor } from '../opening.ts'
import { DICTIONARIES } from './archive.ts'
import { type ContextObject, decodeContextObject, objectDigest } from './context-object.ts'
import type { Library } from './library.ts'
import {
  encodeRef,
  type NamedObject,
  OBJECTS,
  type ObjectRef,
  partField,
  type Range,
  readObjectName,
} from './parts.ts'
import { type SegmentCodec, segmentHead } from './segment.ts'

export interface RestoreOptions {
  readonly store: ColdStore
  readonly places: readonly ContextPlace[]
  placeOf(id: ContextId): ContextPlace
  /** Where dictionaries are published. */
  readonly partitions: readonly Pick<Partition, 'link' | 'keys'>[]
  readonly library: Library
  /** To see whether what comes back can be read. */
  readonly codec: Pick<SegmentCodec, 'decode'>
  readonly opener: Opener
  readonly concurrency: number
  /** Of this tenant only. */
  readonly tenant?: string | undefined
  /** Reads and checks, and writes nothing. */
  readonly dryRun: boolean
  readonly signal?: AbortSignal | undefined
  /** Told now and then. */
  onProgress(done: number, of: number): void
}

/** What is wrong with an object, or with a context. */
export interface RestoreProblem {
  /** Name of an object, or id of a context. */
  readonly what: string
  readonly problem: string
}

export interface Restored {
  /** Contexts that came back, or would. */
  readonly contexts: number
  readonly events: number
  /** Contexts that were there already. */
  readonly there: number
  /** Objects that were read and are sound; their bytes. */
  readonly objects: number
  readonly bytes: number
  /** Objects whose events others hold too. */
  readonly superseded: number
  readonly dictionaries: number
  /** Contexts whose events came back and cannot be opened here: a key or a dictionary is missing, or was destroyed. */
  readonly unreadable: number
  /** Events that are in no object any more: those behind them came back without them. */
  readonly missing: number
  readonly problems: readonly RestoreProblem[]
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** Problems that are told one by one. */
const MAX_PROBLEMS = 1_000
/** Index entries written at once. */
const INDEX_PAGE = 1_000
/** Redis tells apart this many bytes of a head, of whatever length its identity is. */
const FIXED_HEAD = IDENTITY_AT - 2

/*
 * KEYS  1 head, 2 log, 3 raw, 4 parts, 5 active, 6 dirty
 * ARGV  1 context, 2 head without ids, 3 ids, 4 when it was last active, ms, then fields of parts and references
 * Reply 'restored', or 'there'
 */
const RESTORE = defineScript(
  'restore-context',
  `
local call = redis.call
if call('EXISTS', KEYS[4]) == 1 then return 'there' end
local made, ids = ARGV[2], ARGV[3]
local head = call('GET', KEYS[1])
local known = {}
if head then
  for at = 1, #ids, ${ID_BYTES} do known[string.sub(ids, at, at + ${ID_BYTES - 1})] = true end
  local start, own, kept = ${IDENTITY_AT} + struct.unpack('>I2', head, ${FIXED_HEAD + 1}) + 1, {}, {}
  local n = 0
  for at = start, #head, ${ID_BYTES} do
    local id = string.sub(head, at, at + ${ID_BYTES - 1})
    if known[id] then
      call('LSET', KEYS[2], n, '')
      call('LSET', KEYS[3], n, '')
    else
      kept[#kept + 1] = id
    end
    n = n + 1
  end
  if #kept < n then
    call('LREM', KEYS[2], 0, '')
    call('LREM', KEYS[3], 0, '')
  end
  local events, bytes = struct.unpack('>I4I6', made, 2)
  local _, own_bytes = struct.unpack('>I4I6', head, 2)
  made = string.sub(made, 1, 1) .. struct.pack('>I4I6', events + #kept, bytes + own_bytes) .. string.sub(made, 12, 17) ..
    string.sub(head, 18, start - 1)
  ids = ids .. table.concat(kept)
end
call('SET', KEYS[1], made .. ids)
for i = 5, #ARGV, 2 do call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
call('ZADD', KEYS[5], 'GT', ARGV[4], ARGV[1])
call('ZADD', KEYS[6], 'NX', ARGV[4], ARGV[1])
return 'restored'
`,
)

interface Found {
  readonly object: ContextObject
  readonly ref: ObjectRef
}

/** Throws Fault COLD_UNAVAILABLE, COLD_REFUSED, REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY; what came back until then is back. */
export async function restoreContexts(options: RestoreOptions): Promise<Restored> {
  const { store, placeOf, tenant, dryRun, signal, library, codec, opener } = options
  const sum = {
    contexts: 0,
    events: 0,
    there: 0,
    objects: 0,
    bytes: 0,
    superseded: 0,
    dictionaries: 0,
    unreadable: 0,
    missing: 0,
  }
  const problems: RestoreProblem[] = []
  const note = (what: string, problem: string) => {
    if (problems.length < MAX_PROBLEMS) problems.push({ what, problem })
  }

  for await (const { name } of store.list(DICTIONARIES, undefined, signal)) {
    if (await restoreDictionary(name)) sum.dictionaries++
  }
  const byContext = new Map<ContextId, (NamedObject & { readonly name: string })[]>()
  for await (const { name } of store.list(
    tenant === undefined ? OBJECTS : `${OBJECTS}${tenant}/`,
    undefined,
    signal,
  )) {
    const named = readObjectName(name)
    if (named === undefined) note(name, 'is not the name of a context')
    else byContext.set(named.id, [...(byContext.get(named.id) ?? []), { ...named, name }])
  }
  let done = 0
  const left = byContext.entries()
  const worker = async () => {
    for (const [id, objects] of left) {
      if (signal?.aborted) return
      await restoreContext(id, objects)
      done++
      options.onProgress(done, byContext.size)
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, worker))
  return { ...sum, problems, complete: signal?.aborted !== true }

  async function restoreDictionary(name: string): Promise<boolean> {
    const [id = '', owner] = name.slice(DICTIONARIES.length).split('/').toReversed()
    if (owner !== undefined && tenant !== undefined && owner !== tenant) return false
    const bytes = await store.get(name, signal)
    if (bytes === undefined) return false
    try {
      if (
        owner === undefined
          ? dictionaryOf(bytes).id !== id
          : readDictionary(bytes, id, owner, opener) === undefined
      ) {
        note(name, 'is another dictionary than its name says, or damaged')
        return false
      }
    } catch (error) {
      // It comes back all the same: the key may come back too.
      if (!isFault(error, 'KEY_MISSING') && !isFault(error, 'KEY_DESTROYED')) throw error
    }
    if (!dryRun)
      for (const { link, keys } of options.partitions) {
        if (owner !== undefined) await noteLearned(link, keys, owner, id)
        await link.call('SET', keys.dictionary(id), bytes, 'NX')
      }
    return true
  }

  async function restoreContext(
    id: ContextId,
    objects: readonly (NamedObject & { readonly name: string })[],
  ): Promise<void> {
    const place = placeOf(id)
    if ((await place.link.call('EXISTS', place.keys.parts(id))) === 1) {
      sum.there++
      return
    }
    const given = await givenUp(place, objects)
    const sound = new Map<string, Found>()
    let candidates = objects.filter(({ name }) => !given.has(name))
    let chosen: readonly { readonly name: string }[] = []
    for (let again = true; again; ) {
      again = false
      chosen = covering(candidates)
      for (const { name } of chosen) {
        if (sound.has(name)) continue
        const found = await fetched(id, name)
        if (found !== undefined) sound.set(name, found)
        else {
          candidates = candidates.filter((each) => each.name !== name)
          again = true
          break
        }
      }
    }
    const parts = chosen.flatMap(({ name }) => sound.get(name) ?? [])
    if (parts.length === 0) return
    sum.superseded += candidates.length - parts.length
    const last = parts.at(-1) as Found
    const events = parts.reduce((total, { object }) => total + object.count, 0)
    const gaps = last.object.from + last.object.count - events
    if (gaps > 0) {
      sum.missing += gaps
      note(id, `${gaps} of its events are in no object any more`)
    }
    if (!(await readable(id, parts))) sum.unreadable++
    if (!dryRun) {
      await index(place, id, parts)
      const outcome = await write(place, id, parts)
      if (outcome === 'there') {
        sum.there++
        return
      }
    }
    sum.contexts++
    sum.events += events
  }

  /** undefined for one that is damaged or gone, which is told. */
  async function fetched(id: ContextId, name: string): Promise<Found | undefined> {
    const bytes = await store.get(name, signal)
    try {
      if (bytes === undefined) throw new Fault('RECORD_CORRUPT', `object ${name} is gone`)
      const object = decodeContextObject(name, bytes)
      const named = readObjectName(name)
      if (object.id !== id || object.from !== named?.from || object.count !== named.count)
        throw new Fault('RECORD_CORRUPT', `object ${name} holds something else than its name says`)
      const { contentBytes } = segmentHead(id, object.segment)
      sum.objects++
      sum.bytes += bytes.length
      const ref = {
        name,
        bytes: bytes.length,
        contentBytes,
        sha256: objectDigest(bytes),
        sealedWith: object.sealedWith,
      }
      return { object, ref }
    } catch (error) {
      if (!isFault(error, 'RECORD_CORRUPT') && !isFault(error, 'RECORD_NEWER')) throw error
      note(name, error.message)
      return undefined
    }
  }

  async function readable(id: ContextId, parts: readonly Found[]): Promise<boolean> {
    for (const { object, ref } of parts) {
      const owner = { id, tenant: object.tenant, tool: object.tool }
      try {
        if (!dryRun) await library.need([segmentHead(id, object.segment).dictionary], object.tenant)
        await openedFor(opener, object.tenant, () => codec.decode(owner, object.segment))
      } catch (error) {
        if (!isFault(error) || error.code === 'REDIS_UNAVAILABLE') throw error
        note(ref.name, error.message)
        return false
      }
    }
    return true
  }
}

/**
 * Those that are about to be deleted, as their context was removed, or as others hold their events. Asked after it was not there, and before
 * they are read: whoever removes it says both at once.
 */
async function givenUp(
  { link, keys }: ContextPlace,
  objects: readonly { readonly name: string }[],
): Promise<ReadonlySet<string>> {
  const names = objects.map(({ name }) => name)
  const [garbage, puts] = (await Promise.all([
    link.call('SMISMEMBER', keys.garbage, ...names),
    link.call('ZMSCORE', keys.puts, ...names),
  ])) as [number[], RedisReply[]]
  return new Set(names.filter((_, at) => garbage[at] === 1 || puts[at] !== null))
}

/** Before the context itself: who dies in between leaves entries that lead nowhere, and a further run makes both. */
async function index({ link, keys }: ContextPlace, id: ContextId, parts: readonly Found[]): Promise<void> {
  const own = contextIdBytes(id)
  const writes: Promise<unknown>[] = []
  for (const { object } of parts) {
    for (let at = 0; at < object.ids.length; at += ID_BYTES) {
      const event = object.ids.subarray(at, at + ID_BYTES)
      writes.push(link.call('HSET', keys.events(event), event, own))
      if (writes.length === INDEX_PAGE) await Promise.all(writes.splice(0))
    }
  }
  await Promise.all(writes)
}

async function write({ link, keys }: ContextPlace, id: ContextId, parts: readonly Found[]): Promise<string> {
  const objects = parts.map(({ object }) => object)
  const newest = objects.reduce((last, each) => (each.lastEventAt >= last.lastEventAt ? each : last))
  const lastAccessAt = Math.max(...objects.map((each) => each.lastAccessAt))
  const fixed = Buffer.alloc(IDENTITY_AT)
  fixed.writeUInt8(HEAD_VERSION, 0)
  fixed.writeUInt32BE(
    objects.reduce((sum, { count }) => sum + count, 0),
    1,
  )
  fixed.writeUIntBE(
    objects.reduce((sum, { segment }) => sum + segment.length, 0),
    5,
    6,
  )
  fixed.writeUIntBE(Math.min(...objects.map((each) => each.firstReceivedAt)), 11, 6)
  fixed.writeUIntBE(newest.lastEventAt, 17, 6)
  fixed.writeUInt32BE(Math.max(...objects.map((each) => each.accesses)), 23)
  fixed.writeUIntBE(lastAccessAt, 27, 6)
  fixed.writeUInt16BE(newest.identity.length, FIXED_HEAD)
  let from = 0
  const fields = parts.flatMap(({ object: { count }, ref }) => {
    const field = partField({ from, count }, 'cold')
    from += count
    return [field, encodeRef(ref)]
  })
  const reply = await link.run(
    RESTORE,
    [keys.head(id), keys.log(id), keys.raw(id), keys.parts(id), keys.active, keys.dirty],
    [
      id,
      Buffer.concat([fixed, newest.identity]),
      Buffer.concat(objects.map(({ ids }) => ids)),
      Math.max(newest.lastEventAt, lastAccessAt),
      ...fields,
    ],
  )
  return String(reply)
}

/**
 * Which of these hold as many of the events as can be, in their order, none twice, in as few objects as can be. Where events are
 * in none, it goes on behind them.
 */
export function covering<T extends Range>(objects: readonly T[]): readonly T[] {
  const byStart = new Map<number, T[]>()
  for (const object of objects) byStart.set(object.from, [...(byStart.get(object.from) ?? []), object])
  const starts = [...byStart.keys()].sort((a, b) => a - b)
  /** For each of the starts: the best way from there. Behind the last one there is nothing. */
  const best: { readonly events: number; readonly path: readonly T[] }[] = []
  best[starts.length] = { events: 0, path: [] }
  const after = (position: number) => {
    let [low, high] = [0, starts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((starts[middle] as number) < position) low = middle + 1
      else high = middle
    }
    return best[low] as { readonly events: number; readonly path: readonly T[] }
  }
  for (let n = starts.length - 1; n >= 0; n--) {
    const start = starts[n] as number
    let found = after(start + 1)
    for (const object of byStart.get(start) ?? []) {
      const rest = after(start + object.count)
      const events = object.count + rest.events
      const better =
        events > found.events || (events === found.events && rest.path.length + 1 < found.path.length)
      if (better) found = { events, path: [object, ...rest.path] }
    }
    best[n] = found
  }
  return best[0]?.path ?? []
}
