/**
 * Erasing all contexts of one tenant, from every tier, whatever happens to them meanwhile.
 *
 *   every context ──▶ of this tenant? ──▶ its head read ──▶ one script (removal.ts): gone from Redis, its objects named as garbage
 *                                            ▲                 └─ an event came in between ──┐
 *                                            └───────────────────────────────────────────────┘
 *   garbage ──▶ deleted from cold storage        what is listed under the tenant's name afterwards ──▶ deleted too
 *
 * Nothing is remembered of how far it came: what is still there is what is left to do. So it may be killed anywhere and run again,
 * and two at once take turns.
 */
import type { RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import type { ColdStore } from './cold/cold-store.ts'
import type { ContextId } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'
import { contextsIn } from './every-context.ts'
import { clearIdentity, IDENTITY_AT } from './head.ts'
import { removeContext } from './removal.ts'
import { type Archive, DICTIONARIES } from './tiers/archive.ts'
import { OBJECTS, readObjectName } from './tiers/parts.ts'

/** What Redis holds of a tenant's contexts, in all tiers. */
export interface TenantContexts {
  readonly contexts: number
  readonly events: number
  /** Bytes of their records. */
  readonly rawBytes: number
  /** Contexts that do not say whose they are. */
  readonly ownerless: number
  /** Ids of the compression dictionaries that they name, and those that contexts of other tenants name. */
  readonly dictionaries: ReadonlySet<string>
  readonly others: ReadonlySet<string>
}

export interface ErasedContexts {
  readonly contexts: number
  readonly events: number
  readonly rawBytes: number
  /** Contexts that events kept coming to: they are left. */
  readonly busy: number
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** What cold storage holds of a tenant. */
export interface TenantObjects {
  readonly objects: number
  readonly bytes: number
  /** Ids of its learned dictionaries. */
  readonly dictionaries: ReadonlySet<string>
  /** Ids of dictionaries of other tenants, or of nobody. */
  readonly others: ReadonlySet<string>
  /** Objects that somebody said they would write, and that are not there: perhaps they are being written. */
  readonly announced: number
}

export interface ErasedObjects {
  /** Deleted because nothing refers to them any more; of whatever tenant. */
  readonly collected: number
  /** Of the tenant, and referred to by nothing that Redis knows. */
  readonly orphans: number
  readonly dictionaries: number
}

/** Contexts dealt with at once. */
const AT_ONCE = 20
/** Names taken off a list at once. */
const PAGE = 500
/** How often a context is read again to which an event came just then. */
const TRIES = 10
/** Redis compares times as doubles: later than any. */
const EVER = Number.MAX_SAFE_INTEGER

/*
 * KEYS  1 raw, 2 parts
 * ARGV  1 how many records were looked at before, 2 how many now
 * Reply {how many were, or -1 after the last, {dictionary…}}
 */
const NAMED_DICTIONARIES = defineScript(
  'context-dictionaries',
  `
local call = redis.call
local at, step = tonumber(ARGV[1]), tonumber(ARGV[2])
local known, named = {}, {}
local function add(id)
  if type(id) == 'string' and id ~= '' and not known[id] then
    known[id] = true
    named[#named + 1] = id
  end
end
if at == 0 then
  for _, field in ipairs(call('HKEYS', KEYS[2])) do
    if string.sub(field, -5) == ':warm' then
      local segment = call('HGET', KEYS[2], field)
      if #segment >= 11 then add(string.sub(segment, 12, 11 + string.byte(segment, 11))) end
    end
  end
end
local records = call('LRANGE', KEYS[1], at, at + step - 1)
for _, record in ipairs(records) do
  local line = string.find(record, '\\n', 17, true) or 17
  local readable, clear = pcall(cjson.decode, string.sub(record, 17, line - 1))
  if readable and type(clear) == 'table' then add(clear[4]) end
end
return {#records < step and -1 or at + step, named}
`,
)

/** Records looked at in one script: about a millisecond. */
const RECORDS = 50

/** While contexts are made, one may be counted twice. Throws Fault REDIS_UNAVAILABLE. */
export async function readTenantContexts(
  places: readonly ContextPlace[],
  tenant: string,
  signal?: AbortSignal,
): Promise<TenantContexts> {
  const sum = { contexts: 0, events: 0, rawBytes: 0, ownerless: 0 }
  const dictionaries = new Set<string>()
  const others = new Set<string>()
  for (const place of places) {
    for await (const some of contextsIn(place, AT_ONCE, signal)) {
      await Promise.all(
        some.map(async ({ id }) => {
          const head = await headOf(place, id)
          if (head === undefined) return
          const owner = clearIdentity(head)?.tenant
          if (owner === undefined) sum.ownerless++
          for (const name of await namedDictionaries(place, id))
            (owner === tenant ? dictionaries : others).add(name)
          if (owner !== tenant) return
          const { events, rawBytes } = countsIn(head)
          sum.contexts++
          sum.events += events
          sum.rawBytes += rawBytes
        }),
      )
    }
  }
  return { ...sum, dictionaries, others }
}

/** Throws Fault REDIS_UNAVAILABLE; what was removed until then is removed, and a further run goes on. */
export async function eraseContexts(
  places: readonly ContextPlace[],
  tenant: string,
  signal?: AbortSignal,
): Promise<ErasedContexts> {
  const sum = { contexts: 0, events: 0, rawBytes: 0, busy: 0 }
  for (const place of places) {
    for await (const some of contextsIn(place, AT_ONCE, signal)) {
      const outcomes = await Promise.all(some.map(({ id }) => eraseOne(place, id, tenant)))
      for (const outcome of outcomes) {
        if (outcome === 'busy') sum.busy++
        if (typeof outcome === 'string') continue
        sum.contexts++
        sum.events += outcome.events
        sum.rawBytes += outcome.rawBytes
      }
    }
  }
  return { ...sum, complete: signal?.aborted !== true }
}

async function eraseOne(
  place: ContextPlace,
  id: ContextId,
  tenant: string,
): Promise<{ readonly events: number; readonly rawBytes: number } | 'not-its' | 'busy'> {
  for (let tries = 0; tries < TRIES; tries++) {
    const head = await headOf(place, id)
    if (head === undefined || clearIdentity(head)?.tenant !== tenant) return 'not-its'
    if (await removeContext(place, id, EVER, head)) return countsIn(head)
  }
  return 'busy'
}

/** Throws Fault COLD_UNAVAILABLE, COLD_REFUSED, REDIS_UNAVAILABLE. */
export async function readTenantObjects(
  store: ColdStore,
  places: readonly ContextPlace[],
  tenant: string,
  signal?: AbortSignal,
): Promise<TenantObjects> {
  const names = new Set<string>()
  let bytes = 0
  for await (const object of store.list(`${OBJECTS}${tenant}/`, undefined, signal)) {
    names.add(object.name)
    bytes += object.bytes
  }
  const dictionaries = new Set<string>()
  const others = new Set<string>()
  for await (const { name } of store.list(DICTIONARIES, undefined, signal)) {
    const own = `${DICTIONARIES}${tenant}/`
    if (name.startsWith(own)) dictionaries.add(name.slice(own.length))
    else others.add(name.slice(name.lastIndexOf('/') + 1))
  }
  const announced = (await announcedBy(places, tenant)).filter((name) => !names.has(name))
  return { objects: names.size, bytes, dictionaries, others, announced: announced.length }
}

/**
 * Empties cold storage of a tenant whose contexts are gone from Redis. What others announced to write stays announced, so that
 * it is deleted when it turns out that nothing refers to it (archive.ts). Throws as {@link readTenantObjects}.
 */
export async function eraseObjects(
  { store, archive }: { readonly store: ColdStore; readonly archive: Pick<Archive, 'collect'> },
  places: readonly ContextPlace[],
  tenant: string,
  signal?: AbortSignal,
): Promise<ErasedObjects> {
  let collected = 0
  for (const place of places) collected += await archive.collect(place, signal)
  const orphans = await deleteAll(store, `${OBJECTS}${tenant}/`, signal)
  // Whoever announced one of these has written it, and finds its context gone.
  for (const { link, keys } of places)
    for (let at = 0; at < orphans.length; at += PAGE)
      await link.call('ZREM', keys.puts, ...orphans.slice(at, at + PAGE))
  const dictionaries = await deleteAll(store, `${DICTIONARIES}${tenant}/`, signal)
  return { collected, orphans: orphans.length, dictionaries: dictionaries.length }
}

async function deleteAll(store: ColdStore, prefix: string, signal?: AbortSignal): Promise<readonly string[]> {
  const names: string[] = []
  for await (const { name } of store.list(prefix, undefined, signal)) names.push(name)
  for (const name of names) await store.delete(name, signal)
  return names
}

/** Names of the objects of a tenant that somebody said they would write. */
async function announcedBy(places: readonly ContextPlace[], tenant: string): Promise<string[]> {
  const found: string[] = []
  for (const { link, keys } of places) {
    const names = (await link.call('ZRANGE', keys.puts, 0, -1)) as RedisReply[]
    found.push(...names.map(String).filter((name) => readObjectName(name)?.tenant === tenant))
  }
  return found
}

async function headOf({ link, keys }: ContextPlace, id: ContextId): Promise<Buffer | undefined> {
  const head = await link.call('GET', keys.head(id))
  return Buffer.isBuffer(head) && head.length >= IDENTITY_AT ? head : undefined
}

function countsIn(head: Buffer): { readonly events: number; readonly rawBytes: number } {
  return { events: head.readUInt32BE(1), rawBytes: head.readUIntBE(5, 6) }
}

async function namedDictionaries({ link, keys }: ContextPlace, id: ContextId): Promise<Set<string>> {
  const named = new Set<string>()
  for (let at = 0; at >= 0; ) {
    const reply = await link.run(NAMED_DICTIONARIES, [keys.raw(id), keys.parts(id)], [at, RECORDS])
    const [next, ids] = reply as [number, Buffer[]]
    for (const each of ids) named.add(String(each))
    at = next
  }
  return named
}
