import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { dictionaryOf, giveLearned } from '../dictionaries.ts'
import { mintEventId } from '../event.ts'
import { partitionKeys } from '../keys.ts'
import type { Partition } from '../partition.ts'
import { encodeRecord, type FieldList, type PackedBody } from '../record.ts'
import { countSealed, type KeyOf, sealedDictionaries } from './sealed-counts.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

const KEY = 'aaaaaaaaaaaaaaaa'
const OTHER = 'bbbbbbbbbbbbbbbb'
/** The envelope as @weir/security makes it, of which only the beginning matters here. */
const keyOf: KeyOf = (sealed) =>
  sealed.length >= 37 && sealed[0] === 1 ? sealed.toString('hex', 1, 9) : undefined
const envelope = (key: string, bytes = 100) =>
  Buffer.concat([Buffer.from([1]), Buffer.from(key, 'hex'), Buffer.alloc(bytes)])

function fieldsOf(tenant: string, body: PackedBody): FieldList {
  const id = mintEventId(1)
  const event = { id, tenant, tool: 'github', type: 'push', receivedAt: 1, locator: Buffer.alloc(16) }
  return encodeRecord({ ...event, derived: false, headers: [], body: Buffer.alloc(0), traceparent: '' }, body)
}
const sealed = (tenant: string, key = KEY) =>
  fieldsOf(tenant, { encoding: 'sealed-zstd', dictionary: '', packed: envelope(key) })
const plain = (tenant: string) =>
  fieldsOf(tenant, { encoding: 'zstd', dictionary: '', packed: envelope(KEY) })

const append = ({ link }: Partition, stream: string, fields: FieldList) =>
  link.call('XADD', stream, '*', ...fields)
const park = ({ link, keys }: Partition, name: string, fields: FieldList) =>
  link.call(
    'EVAL',
    `redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({unpack(ARGV, 2)}))`,
    1,
    keys.parkedRecords,
    name,
    ...fields,
  )

const NONE = { entries: 0, parked: 0, deadLetters: 0, dictionaries: 0 }
const note = (id: string) => ({ id, at: 1, bytes: 1, events: 64, ratioBefore: 2, ratioAfter: 3 })

async function dump({ link }: TestPipeline): Promise<string> {
  const names = ((await link.call('KEYS', '*')) as Buffer[]).map(String).sort()
  const dumps = await Promise.all(names.map(async (name) => String(await link.call('DUMP', name))))
  return JSON.stringify([names, dumps])
}

describe('countSealed', () => {
  it('counts by key and tenant, in every place and partition, and changes nothing', async () => {
    const pipeline = await open()
    const names = { stream: 'webhook-events', deadLetters: 'dead', group: 'g', cluster: true }
    const second = { link: pipeline.link, keys: partitionKeys(names, 1) }
    for (const partition of [pipeline, second]) {
      const { keys } = partition
      await append(partition, keys.stream, sealed('acme'))
      await append(partition, keys.stream, plain('acme'))
      await append(partition, keys.stream, sealed('globex', OTHER))
      await park(partition, '1-0', sealed('acme'))
      await park(partition, '2-0', plain('globex'))
      await append(partition, keys.deadLetters, [...sealed('acme'), 'sid', '1-0', 'reason', 'handler'])
      await append(partition, keys.deadLetters, [...plain('globex'), 'sid', '1-0'])
    }
    const before = await dump(pipeline)
    const { uses, complete } = await countSealed([pipeline, second], keyOf)
    expect(await dump(pipeline)).toBe(before)
    expect(complete).toBe(true)
    expect(uses).toEqual([
      { ...NONE, kind: 'sealed', key: KEY, tenant: 'acme', entries: 2, parked: 2, deadLetters: 2 },
      { ...NONE, kind: 'plain', key: '', tenant: 'acme', entries: 2 },
      { ...NONE, kind: 'sealed', key: OTHER, tenant: 'globex', entries: 2 },
      { ...NONE, kind: 'plain', key: '', tenant: 'globex', parked: 2, deadLetters: 2 },
    ])
  })

  it('goes through all pages', async () => {
    const pipeline = await open()
    for (let n = 0; n < 250; n++) {
      await append(pipeline, pipeline.keys.stream, sealed('acme'))
      await append(pipeline, pipeline.keys.deadLetters, sealed('acme'))
      await park(pipeline, `${n}-0`, sealed('acme'))
    }
    expect((await countSealed([pipeline], keyOf)).uses).toEqual([
      {
        kind: 'sealed',
        key: KEY,
        tenant: 'acme',
        entries: 250,
        parked: 250,
        deadLetters: 250,
        dictionaries: 0,
      },
    ])
  })

  it('counts what cannot be read as damaged, and never as plain', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    const cut = fieldsOf('acme', { encoding: 'sealed-zstd', dictionary: '', packed: Buffer.from([1, 2]) })
    await append(pipeline, keys.stream, cut)
    await append(pipeline, keys.deadLetters, ['sid', '1-0', 'reason', 'corrupt'])
    await link.call('HSET', keys.parkedRecords, '1-0', Buffer.from([0xc1, 0xff]), '2-0', Buffer.from([5]))
    expect((await countSealed([pipeline], keyOf)).uses).toEqual([
      { ...NONE, kind: 'damaged', key: '', tenant: 'acme', entries: 1 },
      { ...NONE, kind: 'damaged', key: '', tenant: '', parked: 2, deadLetters: 1 },
    ])
  })

  it('knows a sealed dictionary from a plain one whose bytes begin like it, and whose it is', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    const alike = dictionaryOf(envelope(OTHER))
    await giveLearned([pipeline], 'globex/github', alike, note(alike.id))
    const learned = { ...dictionaryOf(Buffer.from('of acme')), sealed: envelope(KEY) }
    await giveLearned([pipeline], 'acme/github', learned, note(learned.id))
    await link.call('SET', keys.dictionary('0123456789abcdef'), envelope(KEY)) // retired
    await link.call('SET', keys.dictionary('fedcba9876543210'), 'a starter of some version')
    await link.call('HSET', keys.learned, 'initech/github', JSON.stringify(note('1111111111111111'))) // gone
    const { uses } = await countSealed([pipeline], keyOf)
    const one = { ...NONE, dictionaries: 1 }
    expect(uses).toHaveLength(3)
    expect(uses).toEqual(
      expect.arrayContaining([
        { ...one, kind: 'sealed', key: KEY, tenant: 'acme' },
        { ...one, kind: 'sealed', key: KEY, tenant: '' },
        { ...one, kind: 'plain', key: '', tenant: 'globex' },
      ]),
    )
    const found: string[] = []
    for await (const { id } of sealedDictionaries(pipeline, keyOf)) found.push(id)
    expect(found.sort()).toEqual(['0123456789abcdef', learned.id].sort())
  })

  it('stops when told, and says so', async () => {
    const pipeline = await open()
    for (let n = 0; n < 250; n++) await append(pipeline, pipeline.keys.stream, sealed('acme'))
    const stop = new AbortController()
    let looks = 0
    const stopping: KeyOf = (bytes) => {
      looks += 1
      if (looks === 50) stop.abort()
      return keyOf(bytes)
    }
    const { uses, complete } = await countSealed([pipeline], stopping, stop.signal)
    expect(complete).toBe(false)
    expect(uses.reduce((sum, { entries }) => sum + entries, 0)).toBe(100)
  })
})
