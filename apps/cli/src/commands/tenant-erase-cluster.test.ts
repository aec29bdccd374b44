/** A tenant whose events are spread over the partitions of a Cluster, and its contexts over the shards. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCache } from '@weir/ai/cache'
import { loadConfig } from '@weir/core/config/load'
import { longMemory } from '@weir/core/config/parts'
import { dictionaryOf, giveLearned, readLearned } from '@weir/core/dictionaries'
import type { Partition } from '@weir/core/partition'
import { type Encoding, encodeRecord } from '@weir/core/record'
import type { RedisReply } from '@weir/core/redis/link'
import { ensureGroup } from '@weir/core/stream/group'
import { entriesOf } from '@weir/core/stream/reclaim'
import { settleDone } from '@weir/core/stream/settle'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { rememberPullRequests, useClusterPartitions } from '../../../../tests/support/cluster-partitions.ts'
import { recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import type { Evidence } from '../erasure-evidence.ts'

const redis = useRedis({ appendfsync: 'no', args: ['--cluster-enabled', 'yes'] })
const partitionsOf = useClusterPartitions(redis)
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-erase-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

async function append({ link, keys }: Partition, tenant: string) {
  const { record } = recordOf({ tenant, delivery: `${tenant} ${keys.partition}`, json: { of: tenant } })
  const { encoding, dictionary, packed } = record
  const body = { encoding: encoding as Encoding, dictionary, packed }
  const fields = encodeRecord({ ...record, headers: [], body: packed }, body)
  await link.call('XADD', keys.stream, '*', ...fields)
  return record
}

it('is erased in each of them, and others stay', async () => {
  const env = {
    REDIS_CLUSTER_ENABLED: 'true',
    REDIS_ADDRESSES: `127.0.0.1:${redis.port}`,
    REDIS_PARTITIONS: '2',
    WEIR_DATA_DIR: directory,
  }
  const partitions = await partitionsOf(env)
  const { config } = await loadConfig({ env })
  const { link: home, keys: homeKeys } = partitions[0]
  for (const tenant of ['acme', 'globex']) {
    await rememberPullRequests(config, { home, keyring: undefined }, 5, tenant)
    const dictionary = dictionaryOf(Buffer.from(`a dictionary of ${tenant}`))
    const note = { id: dictionary.id, at: 1, bytes: 20, events: 64, ratioBefore: 2, ratioAfter: 3 }
    await giveLearned(partitions, `${tenant}/github`, dictionary, note)
    const cache = createCache({
      ...{ link: home, prefix: homeKeys.ai, sealing: undefined, ttlMs: { embedding: 60_000, summary: 0 } },
      failed: (error) => {
        throw error
      },
    })
    await cache.put(tenant, 'embedding', new Map([['e', Buffer.from('x')]]))
  }
  for (const partition of partitions) {
    const { link, keys } = partition
    const entries = [await append(partition, 'acme'), await append(partition, 'globex')]
    await ensureGroup(link, keys)
    expect((await run(['tenant', 'erase', 'acme', '--yes'], { env })).err).toContain(
      'has 1 event that nobody has read',
    )
    const command = ['XREADGROUP', 'GROUP', keys.group, 'c', 'COUNT', 9, 'STREAMS', keys.stream, '>'] as const
    const reply = (await link.call(...command)) as RedisReply[][]
    const read = entriesOf((reply[0]?.[1] ?? []) as RedisReply[])
    const held = read.map(({ streamId }, at) => {
      return { streamId, holding: { kind: 'pending', consumer: 'c' } as const, record: entries[at]! }
    })
    expect(await settleDone(link, keys, longMemory(config, keys), held, 'settled', Date.now())).toBe(2)
  }

  const { code, out, err } = await run(['tenant', 'erase', 'acme', '--yes', '--json', '--trim'], { env })
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const { places, left } = JSON.parse(out) as Evidence
  expect(left).toEqual([])
  const found = Object.fromEntries(
    places.map(({ place, found: count, removed }) => [place, [count, removed]]),
  )
  expect(found).toMatchObject({
    contexts: [5, 5],
    stream_entries: [2, 2],
    dictionaries: [1, 1],
    ai_cache: [1, 1],
  })
  for (const { link, keys } of partitions) {
    expect([...(await readLearned(link, keys)).keys()]).toEqual(['globex/github'])
    expect(await link.call('XLEN', keys.stream)).toBe(0)
  }
  const { contexts } = (await run(['context', 'list', '--json'], { env })).json() as { contexts: object[] }
  expect(contexts).toHaveLength(5)
  for (const context of contexts) expect(context).toMatchObject({ tenant: 'globex' })
  expect(await home.call('EXISTS', `${homeKeys.ai}embedding:globex:e`)).toBe(1)
  expect((await run(['audit', 'ledger'], { env })).code).toBe(0)
})
