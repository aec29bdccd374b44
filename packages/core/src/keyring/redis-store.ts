/**
 * A keyring in a Redis of its own: one hash, a field per tenant.
 *
 * It must be another server than that of the events, or whoever has a backup of the events has the salts beside them. What
 * was replaced stays in the append-only file until the server rewrites that (BGREWRITEAOF), and in its backups.
 */
import { Fault, isFault, messageOf } from '../faults.ts'
import type { RedisLink } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { checkSuitability, infoField } from '../redis/suitability.ts'
import { type KeyStore, readTenantKeys, type TenantKeys, tenantKeysText } from './key-store.ts'

/*
 * KEYS  1 keyring
 * ARGV  1 tenant, 2 revision of the new entry, 3 the new entry
 * Reply 1 replaced | 0 another revision is stored than the one before it | -1 what is stored has no revision
 */
const REPLACE = defineScript(
  'replace-keys',
  `
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local revision = 0
if stored then
  local readable, entry = pcall(cjson.decode, stored)
  if not readable or type(entry) ~= 'table' or type(entry.revision) ~= 'number' then return -1 end
  revision = entry.revision
end
if revision ~= tonumber(ARGV[2]) - 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
`,
)

export interface RedisStoreOptions {
  /** Of the hash. */
  readonly key?: string
  /** For messages, without credentials; default: the address that the link is connected to. */
  readonly place?: string
  /** How long a question waits for the connection, ms. */
  readonly readyMs?: number
}

const READY_MS = 2_000

/**
 * Besides KEYRING_UNAVAILABLE its functions throw REDIS_UNSUITABLE, when the user of this connection may not do what they do.
 * A damaged entry is never replaced: `replace` throws its KEYRING_CORRUPT, until somebody brings it back or removes the field.
 */
export function createRedisStore(link: RedisLink, options: RedisStoreOptions = {}): KeyStore {
  const { key = 'weir:keyring', place, readyMs = READY_MS } = options
  const placeNow = () => place ?? (link.peer || 'Redis (not connected)')
  const whereIs = (tenant: string) => `field ${tenant} of the hash ${key} in ${placeNow()}`

  const asked = async <T>(what: string, ask: () => Promise<T>): Promise<T> => {
    try {
      // A process that has just started, or lost the connection, gets it in a moment.
      await link.ready(AbortSignal.timeout(readyMs))
      return await ask()
    } catch (cause) {
      const passing = isFault(cause, 'REDIS_UNAVAILABLE') || isFault(cause, 'REDIS_OUT_OF_MEMORY')
      if (isFault(cause) && !passing) throw cause
      throw new Fault(
        'KEYRING_UNAVAILABLE',
        `keyring: the hash ${key} in ${placeNow()} could not be ${what}: ${messageOf(cause)}; check the Redis server of the keyring`,
        { cause },
      )
    }
  }

  const read = async (tenant: string): Promise<TenantKeys | undefined> => {
    const text = await asked('read', () => link.call('HGET', key, tenant))
    return text === null ? undefined : readTenantKeys(String(text), tenant, whereIs(tenant))
  }

  return {
    get place() {
      return placeNow()
    },
    read,
    async readAll() {
      const tenants = new Map<string, TenantKeys>()
      const damaged = new Map<string, Fault>()
      const fields = (await asked('read', () => link.call('HGETALL', key))) as Buffer[]
      for (let i = 0; i < fields.length; i += 2) {
        const tenant = String(fields[i])
        try {
          tenants.set(tenant, readTenantKeys(String(fields[i + 1]), tenant, whereIs(tenant)))
        } catch (error) {
          if (!isFault(error, 'KEYRING_CORRUPT')) throw error
          damaged.set(tenant, error)
        }
      }
      return { tenants, damaged }
    },
    async replace(next) {
      const { tenant, revision } = next
      const text = tenantKeysText(next)
      // What nobody could read must not come in the place of something that can be read.
      readTenantKeys(text, tenant, `what was to be written for ${tenant}`)
      // The script sees no more of the stored entry than its revision; one that is damaged elsewhere is found here.
      const found = await read(tenant)
      if ((found?.revision ?? 0) !== revision - 1) return false
      const reply = await asked('written', () => link.run(REPLACE, [key], [tenant, revision, text]))
      if (reply === -1) {
        throw new Fault(
          'KEYRING_CORRUPT',
          `keyring: ${whereIs(tenant)} has no revision, and was not replaced; bring that entry back from a copy of the keyring`,
        )
      }
      return reply === 1
    },
    close: () => link.close(),
  }
}

/**
 * Can this server be trusted with keys? Returns sentences for the operator. Throws as `checkSuitability`, and in production
 * Fault REDIS_UNSUITABLE for the server that holds the events.
 * @param mainRunId run_id (INFO) of the server that holds the events; undefined when it is not known
 */
export async function checkKeyringServer(
  link: RedisLink,
  production: boolean,
  mainRunId: string | undefined,
): Promise<readonly string[]> {
  const { warnings } = await checkSuitability(link, production)
  const runId = infoField(await link.call('INFO', 'server'), 'run_id')
  if (mainRunId === undefined || runId !== mainRunId) return warnings
  const sentence =
    'The keyring is on the Redis server that holds the events: whoever has a backup of it has the keys beside what they encrypt, and a destroyed key comes back with it; give the keyring a server of its own'
  if (production) throw new Fault('REDIS_UNSUITABLE', sentence)
  return [...warnings, sentence]
}
