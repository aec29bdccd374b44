/**
 * Cold storage as contexts use it: an object is written, read back and compared before anything refers to it, with the dictionary that it
 * needs beside it, and deleted when nothing refers to it any more.
 *
 *   announced (puts) ──put──▶ in the store ──read back, the same──▶ switched to (moves.ts, freeze) ──superseded──▶ in puts again
 *        └── whoever announced it died, or was overtaken ──▶ after an hour, if its context does not refer to it ──▶ garbage ──▶ deleted ◀──┘
 *
 * An hour for what is superseded, too: a Redis that fails over, or loses power, may lose the switch, and refers to the one before again.
 */
import { randomBytes } from 'node:crypto'
import type { DictionarySet } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import { defineScript } from '@weir/core/redis/script'
import { redisTime } from '@weir/core/redis/time'
import type { ColdStore } from '../cold/cold-store.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import {
  type ContextObject,
  decodeContextObject,
  encodeContextObject,
  objectDigest,
} from './context-object.ts'
import { decodeRef, type ObjectRef, objectName, partField, type Range, readObjectName } from './parts.ts'
import { segmentHead } from './segment.ts'

export interface Archive {
  /**
   * Writes an object and reads it back. Resolves with what refers to it. Throws Fault COLD_UNAVAILABLE or COLD_REFUSED; RECORD_CORRUPT
   * when what was read back is something else.
   */
  keep(place: ContextPlace, object: ContextObject): Promise<ObjectRef>
  /** Throws Fault COLD_UNAVAILABLE, COLD_REFUSED, or RECORD_CORRUPT when it is not there or damaged. */
  fetch(ref: Pick<ObjectRef, 'name' | 'sha256'>, signal?: AbortSignal): Promise<ContextObject>
  /** Deletes what nothing refers to any more; resolves with how many objects. Throws Fault COLD_UNAVAILABLE, REDIS_UNAVAILABLE. */
  collect(place: ContextPlace, signal?: AbortSignal): Promise<number>
}

export interface ArchiveOptions {
  /** Opens cold storage when it is first needed. */
  store(): Promise<ColdStore>
  readonly dictionaries: Pick<DictionarySet, 'known' | 'own'>
}

/** Dictionaries in cold storage: `dictionaries/<id>`, learned ones `dictionaries/<tenant>/<id>`. */
export const DICTIONARIES = 'dictionaries/'

/** An object that was announced or superseded so long ago and is referred to by nothing is given up, ms. */
const GIVEN_UP_MS = 3_600_000
/** Names taken at once. */
const PAGE = 100

/*
 * KEYS  1 puts
 * ARGV  1 name
 *
 * The first write is one that Redis does not refuse when it is out of memory: what is put into cold storage makes room.
 */
const ANNOUNCE = defineScript(
  'announce-object',
  `
local t = redis.call('TIME')
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZADD', KEYS[1], string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1])
`,
)

/*
 * KEYS  1 puts, 2 garbage, 3 parts of the context
 * ARGV  1 name
 *
 * In whatever field: a context that came back with a gap has its parts at other places than the names of its objects say.
 */
const GIVE_UP = defineScript(
  'give-up-object',
  `
local call = redis.call
if call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
for _, field in ipairs(call('HKEYS', KEYS[3])) do
  if string.sub(field, -5) ~= ':warm' and string.find(call('HGET', KEYS[3], field), ARGV[1], 1, true) then return 0 end
end
call('SADD', KEYS[2], ARGV[1])
return 1
`,
)

export function createArchive({ store: open, dictionaries }: ArchiveOptions): Archive {
  /** Names of dictionaries that are in the store, as far as this process knows. */
  const kept = new Set<string>()

  async function keepDictionary(store: ColdStore, tenant: string, id: string): Promise<void> {
    const dictionary = dictionaries.known(id)
    if (dictionary === undefined) return
    const shared = [...dictionaries.own()].some((own) => own.id === id)
    const name = shared ? DICTIONARIES + id : `${DICTIONARIES}${tenant}/${id}`
    if (kept.has(name)) return
    await putAndCompare(store, name, dictionary.sealed ?? dictionary.bytes)
    kept.add(name)
  }

  async function putAndCompare(store: ColdStore, name: string, bytes: Buffer): Promise<void> {
    await store.put(name, bytes)
    const again = await store.get(name)
    if (again?.equals(bytes)) return
    throw new Fault(
      'RECORD_CORRUPT',
      `object ${name} was written to ${store.place}, and ${again === undefined ? 'is not there' : 'is something else when it is read'}; the events stay where they are`,
    )
  }

  return {
    async keep({ link, keys }, object) {
      const store = await open()
      const { dictionary, contentBytes } = segmentHead(object.id, object.segment)
      if (dictionary !== '') await keepDictionary(store, object.tenant, dictionary)
      const bytes = encodeContextObject(object)
      const name = objectName(object, object, object.lastEventAt, randomBytes(8).toString('hex'))
      await link.run(ANNOUNCE, [keys.puts], [name])
      await putAndCompare(store, name, bytes)
      return {
        name,
        bytes: bytes.length,
        contentBytes,
        sha256: objectDigest(bytes),
        sealedWith: object.sealedWith,
      }
    },
    async fetch({ name, sha256 }, signal) {
      const store = await open()
      const bytes = await store.get(name, signal)
      if (bytes === undefined)
        throw new Fault('RECORD_CORRUPT', `object ${name} is not in ${store.place} any more`)
      if (sha256 !== objectDigest(bytes))
        throw new Fault('RECORD_CORRUPT', `object ${name} in ${store.place} is damaged, or was replaced`)
      return decodeContextObject(name, bytes)
    },
    async collect({ link, keys }, signal) {
      const old = (await redisTime(link)) - GIVEN_UP_MS
      const page = [keys.puts, '-inf', old, 'LIMIT', 0, PAGE] as const
      for (let found = PAGE; found === PAGE && !signal?.aborted; ) {
        const announced = (await link.call('ZRANGEBYSCORE', ...page)) as Buffer[]
        found = announced.length
        for (const name of announced.map(String)) {
          const object = readObjectName(name)
          if (object === undefined) await link.call('ZREM', keys.puts, name)
          else await link.run(GIVE_UP, [keys.puts, keys.garbage, keys.parts(object.id)], [name])
        }
      }
      let deleted = 0
      if ((await link.call('EXISTS', keys.garbage)) === 0) return deleted
      const store = await open()
      for (;;) {
        if (signal?.aborted) return deleted
        const names = (await link.call('SRANDMEMBER', keys.garbage, PAGE)) as Buffer[]
        if (names.length === 0) return deleted
        // At once: S3 takes tens of milliseconds for each, and promotions wait for the end of this.
        const ends = await Promise.allSettled(
          names.map(String).map(async (name) => {
            if (readObjectName(name) !== undefined) await store.delete(name, signal)
            await link.call('SREM', keys.garbage, name)
            deleted++
          }),
        )
        for (const end of ends) if (end.status === 'rejected') throw end.reason
      }
    },
  }
}

/** What refers to the object of a part; undefined when it is not cold. Throws Fault REDIS_UNAVAILABLE, RECORD_CORRUPT. */
export async function refOf(
  { link, keys }: ContextPlace,
  id: ContextId,
  part: Range,
): Promise<ObjectRef | undefined> {
  const found = await link.call('HGET', keys.parts(id), partField(part, 'cold'))
  return Buffer.isBuffer(found) ? decodeRef(id, String(found)) : undefined
}

/**
 * The object that the part refers to; undefined when that is another one by now: this one may have been deleted meanwhile. Throws as
 * `Archive.fetch`.
 */
export async function fetchReferred(
  archive: Pick<Archive, 'fetch'>,
  place: ContextPlace,
  id: ContextId,
  part: Range,
  ref: ObjectRef,
): Promise<ContextObject | undefined> {
  try {
    return await archive.fetch(ref)
  } catch (error) {
    const now = await refOf(place, id, part)
    if (now?.name === ref.name) throw error
    return undefined
  }
}
