import { hash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  changedPlan,
  closedPlan,
  type PartitionPlan,
  partitionOf,
  placesOf,
  planFrom,
  planText,
  SINGLE_PLAN,
  searchOrder,
} from './plan.ts'

const locatorOf = (n: number) => hash('sha256', `delivery ${n}`, 'buffer').subarray(0, 16)
const first = (partitions: number): PartitionPlan => ({
  epoch: 1,
  partitions,
  highest: partitions,
  since: 1,
  earlier: [],
})
const counts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 })
const planOf = ([start, ...rest]: readonly number[]) =>
  rest.reduce((plan, partitions, i) => changedPlan(plan, partitions, i + 2), first(start as number))

describe('the partition of a key', () => {
  it('is spread evenly, and independently of the shards of its evidence', () => {
    const seen = Array.from({ length: 4 }, () => new Set<number>())
    const tally = [0, 0, 0, 0]
    for (let n = 0; n < 10_000; n++) {
      const partition = partitionOf(locatorOf(n), 4)
      tally[partition]!++
      seen[partition]!.add(locatorOf(n).readUInt32BE(0) % 64)
    }
    for (const count of tally) expect(Math.abs(count - 2_500)).toBeLessThan(250)
    for (const shards of seen) expect(shards.size).toBe(64)
  })

  it('is 0 where there is one', () => {
    expect(placesOf(SINGLE_PLAN, locatorOf(1))).toEqual({ partition: 0, evidence: [], settled: [] })
  })
})

describe('a plan', () => {
  it('remembers every partition that a key ever had, and none twice', () => {
    fc.assert(
      fc.property(counts, fc.nat(1_000_000), (each, n) => {
        const { partition, evidence, settled } = placesOf(planOf(each), locatorOf(n))
        const had = new Set(each.map((partitions) => partitionOf(locatorOf(n), partitions)))
        expect(partition).toBe(partitionOf(locatorOf(n), each.at(-1) as number))
        expect([partition, ...settled].sort()).toEqual([...had].sort())
        expect(evidence).toEqual(settled)
      }),
    )
  })

  it('forgets the evidence of what was closed, and never where something was settled', () => {
    fc.assert(
      fc.property(counts, fc.nat(1_000_000), (each, n) => {
        const plan = planOf(each)
        const closed = closedPlan(plan, plan.epoch - 1, 99)
        expect(placesOf(closed, locatorOf(n))).toEqual({ ...placesOf(plan, locatorOf(n)), evidence: [] })
      }),
    )
  })

  it('looks for an event everywhere, the likeliest partition first', () => {
    const plan = planOf([1, 4, 3])
    const order = searchOrder(plan, locatorOf(5))
    expect(order[0]).toBe(partitionOf(locatorOf(5), 3))
    expect([...order].sort()).toEqual([0, 1, 2, 3])
  })

  it('is read as it was written; nobody guesses where events belong from anything else', () => {
    fc.assert(
      fc.property(counts, (each) => {
        expect(planFrom(planText(planOf(each)))).toEqual(planOf(each))
      }),
    )
    for (const text of ['null', '{}', '{"epoch":0,"partitions":1,"highest":1,"since":0,"earlier":[]}', '[]'])
      expect(() => planFrom(text)).toThrow('no plan of partitions')
  })
})
