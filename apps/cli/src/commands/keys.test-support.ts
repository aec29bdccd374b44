/** A pipeline whose events are encrypted, a keyring in a directory of its own, and webhook-cli on both. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import {
  createDictionarySet,
  dictionaryOf,
  fetchDictionary,
  giveLearned,
  sealDictionary,
} from '@weir/core/dictionaries'
import { createDirectoryStore } from '@weir/core/keyring/directory-store'
import type { KeyStore } from '@weir/core/keyring/key-store'
import { createKeyring, type Keyring } from '@weir/core/keyring/keyring'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { reportGateway } from '@weir/core/stream/ledger'
import { sealedWith } from '@weir/security/envelope'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { afterEach } from 'vitest'
import { type Outcome, run } from '../cli.test-support.ts'
import type { Io } from '../io.ts'

export const MASTER = 'hR9vC1mZ0qWk7TxYb3NfJs5LpEgUa8Dd2oViQw64'
export const OTHER_MASTER = 'Zx7Pq2Lm9Tn4Rv6Kc1Wb8Hs3Jd5Fg0Ye+Ua/oIiQ'
export const DAY_MS = 86_400_000

/** A clock so far ahead. */
export const later = (ms: number): Partial<Io> => ({
  clock: { ...systemClock, now: () => Date.now() + ms },
})

interface Pipeline {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  /** Redis' own time, ms. */
  now(): Promise<number>
}

export interface SealedWorld<Opened extends Pipeline> {
  readonly pipeline: Opened
  readonly directory: string
  readonly store: KeyStore
  /** A gateway's: it follows when it is told to look again. */
  readonly keyring: Keyring
  cli(args: readonly string[], io?: Partial<Io>): Promise<Outcome>
  /** Ids of the keys of a tenant, in their order. */
  keysOf(tenant: string): Promise<readonly string[]>
  /** Gives a tenant a learned dictionary for github, sealed; returns its id. */
  learn(tenant: string, text: string): Promise<string>
  /** The key that a dictionary is sealed with. */
  dictionaryKey(id: string): Promise<string | undefined>
  /** The text of a dictionary, as somebody reads it who starts now. */
  readDictionary(id: string, tenant: string): Promise<string>
  /** A gateway's report, so long ago. */
  report(name: string, spooled: number, agoMs?: number): Promise<void>
  /** The answer of `keys status --json`, for one key. */
  standing(id: string, ...args: string[]): Promise<Record<string, unknown> | undefined>
}

/**
 * Opens worlds whose first master key is for new keys.
 * @param openPipeline on that Redis; its events are sealed with the keyring that it is given
 */
export function useSealedWorlds<Opened extends Pipeline>(
  redis: { readonly url: string },
  openPipeline: (options: { readonly sealing: Keyring }) => Promise<Opened>,
): (masters?: readonly [string, ...string[]]) => Promise<SealedWorld<Opened>> {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })
  return async (masters = [MASTER]) => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-cli-keys-'))
    const store = createDirectoryStore(join(directory, 'keyring'))
    const cipher = createTenantCipher(masters)
    const options = { maxTenants: 10, refreshMs: 60_000, clock: systemClock, tell: () => undefined }
    const keyring = createKeyring({ store, cipher, ...options })
    ends.push(async () => {
      await keyring.stop()
      rmSync(directory, { recursive: true })
    })
    const pipeline = await openPipeline({ sealing: keyring })
    const { link, keys } = pipeline
    const env = {
      REDIS_URL: redis.url,
      WEBHOOK_KEYRING_DIRECTORY: join(directory, 'keyring'),
      ENCRYPTION_MASTER_KEY: masters[0],
      ENCRYPTION_PREVIOUS_MASTER_KEYS: masters[1],
    }
    const world: SealedWorld<Opened> = {
      pipeline,
      directory: join(directory, 'keyring'),
      store,
      keyring,
      cli: (args, io = {}) => run(args, { ...io, env: { ...env, ...io.env } }),
      keysOf: async (tenant) => (await store.read(tenant))?.keys.map(({ id }) => id) ?? [],
      async learn(tenant, text) {
        if (!keyring.ready(tenant)) await keyring.prepare(tenant)
        const dictionary = sealDictionary(keyring, tenant, dictionaryOf(Buffer.from(text)))
        const { id, bytes } = dictionary
        const note = { id, at: 1, bytes: bytes.length, events: 64, ratioBefore: 2, ratioAfter: 3 }
        await giveLearned([{ link, keys }], `${tenant}/github`, dictionary, note)
        return id
      },
      dictionaryKey: async (id) => sealedWith((await link.call('GET', keys.dictionary(id))) as Buffer),
      async readDictionary(id, tenant) {
        const fresh = createKeyring({ store, cipher, ...options })
        await fresh.lookAgain(tenant)
        const set = createDictionarySet(new Map())
        const { bytes } = await fetchDictionary(link, keys, set, id, tenant, fresh)
        return bytes.toString()
      },
      report: async (name, spooled, agoMs = 0) =>
        reportGateway(link, keys, name, '', { spooled, at: (await pipeline.now()) - agoMs }),
      async standing(id, ...args) {
        const { tenants } = (await world.cli(['keys', 'status', '--json', ...args])).json() as {
          tenants: { keys: Record<string, unknown>[]; destroyed: Record<string, unknown>[] }[]
        }
        return tenants.flatMap((each) => [...each.keys, ...each.destroyed]).find((key) => key.id === id)
      },
    }
    return world
  }
}
