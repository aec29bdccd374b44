import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { type KeyNames, type PartitionKeys, partitionKeys } from './keys.ts'

// ioredis' own calculation, as its Cluster client routes by it (CRC16 mod 16384 over the hash tag).
const slotOf: (key: string) => number = createRequire(createRequire(import.meta.url).resolve('ioredis'))(
  'cluster-key-slot',
)

const names: Omit<KeyNames, 'cluster'> = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
}

function allKeys(keys: PartitionKeys): string[] {
  const { partition: _partition, group: _group, breaker, dictionary, ...rest } = keys
  return [...Object.values(rest), breaker('github'), dictionary('0123456789abcdef')]
}

describe('partitionKeys', () => {
  it('names the stream and its dead letters literally where there is one partition', () => {
    expect(partitionKeys({ ...names, cluster: false })).toMatchObject({
      partition: 0,
      stream: 'webhook-events',
      deadLetters: 'webhook-events-dlq',
      group: 'webhook-processors',
      ledger: '{webhook-events}:ledger',
    })
  })

  it('puts the partition into the hash tag on a Cluster', () => {
    expect(partitionKeys({ ...names, cluster: true }, 3)).toMatchObject({
      partition: 3,
      stream: 'webhook-events:{3}',
      deadLetters: 'webhook-events-dlq:{3}',
      ledger: 'webhook-events:{3}:ledger',
    })
  })

  it('keeps every key of a partition in one slot on a Cluster', () => {
    for (let p = 0; p < 64; p++) {
      const slots = new Set(allKeys(partitionKeys({ ...names, cluster: true }, p)).map(slotOf))
      expect(slots.size, `partition ${p}`).toBe(1)
    }
  })

  it('spreads partitions over slots', () => {
    const slots = new Set(
      Array.from({ length: 64 }, (_, p) => slotOf(partitionKeys({ ...names, cluster: true }, p).stream)),
    )
    expect(slots.size).toBe(64)
  })

  it('has the dead letters in another slot without Cluster names: such scripts are for one server', () => {
    const keys = partitionKeys({ ...names, cluster: false })
    expect(slotOf(keys.stream)).toBe(3950)
    expect(slotOf(keys.deadLetters)).toBe(5002)
    const companions = allKeys(keys).filter((key) => key !== keys.deadLetters)
    expect(new Set(companions.map(slotOf))).toEqual(new Set([3950]))
  })

  it('gives every purpose and partition its own key', () => {
    const keys = [0, 1, 2].flatMap((p) => allKeys(partitionKeys({ ...names, cluster: true }, p)))
    expect(new Set(keys).size).toBe(keys.length)
    const single = allKeys(partitionKeys({ ...names, cluster: false }))
    expect(new Set(single).size).toBe(single.length)
  })
})
