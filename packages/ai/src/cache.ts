/**
 * What providers made, kept in Redis by tenant and content, so that the same text is not paid for twice.
 *
 * Keys are made of a hash of the model and the text; values are bytes, sealed with the tenant's key where events are encrypted,
 * since embeddings and summaries reveal what they were made of. A cache may forget: when Redis is away or full, or a key is
 * missing, nothing is found and nothing is kept, and `failed` hears of it.
 *
 *   0 ‖ value        as it is
 *   1 ‖ …            sealed (the first byte of the envelope is its version)
 */
import { hash } from 'node:crypto'
import { Fault, isFault } from '@weir/core/faults'
import type { Sealing } from '@weir/core/keyring/keyring'
import type { RedisLink } from '@weir/core/redis/link'

export type CachedKind = 'embedding' | 'summary'

export interface CacheOptions {
  readonly link: RedisLink
  /** Beginning of every key, such as `{webhook-events}:ai:`. */
  readonly prefix: string
  /** Seals what is kept; undefined = it is kept as it is. */
  readonly sealing: Sealing | undefined
  /** ms; 0 = nothing of this kind is kept. */
  readonly ttlMs: Readonly<Record<CachedKind, number>>
  /** Told of every look-up or write that could not be done, and why. */
  failed(error: Fault): void
}

export interface Cache {
  /** What is kept under each name; undefined where nothing is. Never rejects for Redis or keys. */
  get(tenant: string, kind: CachedKind, names: readonly string[]): Promise<(Buffer | undefined)[]>
  put(tenant: string, kind: CachedKind, values: ReadonlyMap<string, Buffer>): Promise<void>
}

/** What a value is found by: 32 characters that say which parts it was made of. Parts are length-delimited, so that none imitates another. */
export function cacheName(...parts: readonly string[]): string {
  const written = parts.map((part) => `${part.length}:${part}`).join(',')
  return hash('sha256', written, 'buffer').subarray(0, 24).toString('base64url')
}

const PLAIN = Buffer.from([0])

export function createCache(options: CacheOptions): Cache {
  const { link, prefix, sealing, ttlMs } = options
  const keyOf = (tenant: string, kind: CachedKind, name: string) => `${prefix}${kind}:${tenant}:${name}`
  const belongs = (tenant: string, kind: CachedKind, name: string) => `ai\n${kind}\n${tenant}\n${name}`

  /** A value that cannot be opened is as good as none: whoever misses it makes it again. */
  function opened(tenant: string, kind: CachedKind, name: string, found: Buffer): Buffer | undefined {
    if (sealing === undefined) return found[0] === PLAIN[0] ? found.subarray(1) : undefined
    return found[0] === PLAIN[0] ? undefined : sealing.open(tenant, belongs(tenant, kind, name), found)
  }

  async function openOne(
    tenant: string,
    kind: CachedKind,
    name: string,
    found: Buffer,
  ): Promise<Buffer | undefined> {
    try {
      return opened(tenant, kind, name, found)
    } catch (error) {
      if (!isFault(error, 'KEY_MISSING')) throw error
      await sealing?.lookAgain(tenant)
      return opened(tenant, kind, name, found)
    }
  }

  async function orNothing<T>(nothing: T, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      options.failed(error)
      return nothing
    }
  }

  return {
    get(tenant, kind, names) {
      const nothing = names.map(() => undefined)
      if (names.length === 0 || ttlMs[kind] === 0) return Promise.resolve(nothing)
      return orNothing<(Buffer | undefined)[]>(nothing, async () => {
        const keys = names.map((name) => keyOf(tenant, kind, name))
        const found = (await link.call('MGET', ...keys)) as (Buffer | null)[]
        return Promise.all(
          found.map((value, at) =>
            value === null
              ? undefined
              : orNothing(undefined, () => openOne(tenant, kind, names[at] as string, value)),
          ),
        )
      })
    },
    put(tenant, kind, values) {
      if (values.size === 0 || ttlMs[kind] === 0) return Promise.resolve()
      return orNothing(undefined, async () => {
        if (sealing !== undefined && !sealing.ready(tenant)) await sealing.prepare(tenant)
        const writes = [...values].map(([name, value]) => {
          const kept =
            sealing === undefined
              ? Buffer.concat([PLAIN, value])
              : sealing.seal(tenant, belongs(tenant, kind, name), value)
          return link.call('SET', keyOf(tenant, kind, name), kept, 'PX', ttlMs[kind])
        })
        await Promise.all(writes)
      })
    },
  }
}
