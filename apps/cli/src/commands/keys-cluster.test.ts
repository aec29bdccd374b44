/** The keys of tenants whose events are spread over the partitions of a Cluster. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { dictionaryOf, giveLearned, readLearned, sealDictionary } from '@weir/core/dictionaries'
import { createDirectoryStore } from '@weir/core/keyring/directory-store'
import { createKeyring } from '@weir/core/keyring/keyring'
import type { Partition } from '@weir/core/partition'
import { reportGateway } from '@weir/core/stream/ledger'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { afterEach, expect, it } from 'vitest'
import { rememberPullRequests, useClusterPartitions } from '../../../../tests/support/cluster-partitions.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import { DAY_MS, later, MASTER } from './keys.test-support.ts'

const redis = useRedis({ appendfsync: 'no', args: ['--cluster-enabled', 'yes'] })
const partitionsOf = useClusterPartitions(redis)
const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true })
})

/** Two partitions, and a keyring in which acme has a key. */
async function open() {
  const directory = mkdtempSync(join(tmpdir(), 'weir-cli-keys-'))
  directories.push(directory)
  const env = {
    REDIS_CLUSTER_ENABLED: 'true',
    REDIS_ADDRESSES: `127.0.0.1:${redis.port}`,
    REDIS_PARTITIONS: '2',
    WEBHOOK_KEYRING_DIRECTORY: directory,
    ENCRYPTION_MASTER_KEY: MASTER,
  }
  const partitions = await partitionsOf(env)
  const store = createDirectoryStore(directory)
  const cipher = createTenantCipher([MASTER])
  const options = { store, cipher, maxTenants: 10, refreshMs: 60_000, clock: systemClock }
  const keyring = createKeyring({ ...options, tell: () => undefined })
  await keyring.prepare('acme')
  const report = ({ link, keys }: Partition, spooled: number) =>
    reportGateway(link, keys, 'gw-1', '', { spooled, at: Date.now() })
  const cli = (...args: string[]) => run(args, { env, ...later(2 * DAY_MS) })
  return { env, partitions, store, cipher, keyring, report, cli }
}

it('are rotated, forgotten and destroyed with what each partition has', async () => {
  const { env, partitions, store, cipher, keyring, report, cli: whole } = await open()
  const dictionary = sealDictionary(keyring, 'acme', dictionaryOf(Buffer.from('a dictionary of acme')))
  const note = { id: dictionary.id, at: 1, bytes: 20, events: 64, ratioBefore: 2, ratioAfter: 3 }
  await giveLearned(partitions, 'acme/github', dictionary, note)
  const cli = (...args: string[]) => whole('keys', ...args)
  const published = () =>
    Promise.all(partitions.map(({ link, keys }) => link.call('GET', keys.dictionary(dictionary.id))))

  // The same bytes everywhere, as gateways keep one copy for all partitions.
  expect(await run(['keys', 'rotate'], { env })).toMatchObject({ code: 0, err: '' })
  const [first, second] = (await published()) as Buffer[]
  const newest = (await store.read('acme'))?.keys.at(-1)?.id
  expect(first && cipher.keyOf(first)).toBe(newest)
  expect(second).toEqual(first)
  expect((await cli('status', '--count', '--json')).json()).toMatchObject({
    tenants: [{ keys: [{ uses: { dictionaries: 0 } }, { uses: { dictionaries: 2 } }] }],
  })

  const [one, two] = partitions
  await report(one, 0)
  expect((await cli('forget', '--yes')).out).toContain(
    'gateway gw-1 does not report what it has spooled for partition 1',
  )
  await report(two, 4)
  expect((await cli('forget', '--yes')).out).toContain('gateway gw-1 reports 4 spooled events in partition 1')
  await report(two, 0)
  expect(await cli('forget', '--yes')).toMatchObject({ code: 0, err: '' })
  expect((await store.read('acme'))?.keys).toHaveLength(1)

  expect(await cli('destroy', '--tenant', 'acme', '--yes')).toMatchObject({ code: 0, err: '' })
  expect(await published()).toEqual([null, null])
  for (const { link, keys } of partitions) expect((await readLearned(link, keys)).size).toBe(0)
})

it('stay while contexts need them, which lie in places of their own', async () => {
  const { env, partitions, keyring, report, cli } = await open()
  const { config } = await loadConfig({ env: { ...env, WEBHOOK_ENCRYPTION_ENABLED: 'true' } })
  const places = await rememberPullRequests(config, { home: partitions[0].link, keyring }, 3)
  const shards = await Promise.all(places.map(({ keys }) => redis.client().zcard(keys.active)))
  expect(shards.filter((count) => count > 0).length).toBeGreaterThan(1)

  expect((await cli('context', 'list', '--json')).json()).toMatchObject({
    contexts: [{ tenant: 'acme' }, { tenant: 'acme' }, { tenant: 'acme' }],
  })
  expect(await cli('context', 'show', '--tool', 'github', '--tenant', 'acme', 'acme/site#2')).toMatchObject({
    code: 0,
    out: expect.stringContaining('Change 2'),
  })
  await cli('keys', 'rotate')
  for (const partition of partitions) await report(partition, 0)
  expect((await cli('keys', 'status', '--count', '--json')).json()).toMatchObject({
    tenants: [{ keys: [{ uses: { contexts: 3 } }, { uses: { contexts: 0 } }] }],
    count: { not_encrypted: { contexts: 3 } },
  })
  expect(await cli('keys', 'forget', '--yes')).toMatchObject({
    code: 1,
    out: expect.stringContaining('stays: 3 contexts need it'),
  })
})
