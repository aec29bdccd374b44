import fc from 'fast-check'
import { Counter, Histogram, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createCounter, createHistogram } from './tally.ts'

const label = fc.constantFrom('github', 'jira', 'with "quotes"\nand lines', '')
const buckets = [0.01, 0.5, 1]

describe('what is scraped is what prom-client would print', () => {
  it('of counters', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(label, label, fc.nat(5)), { maxLength: 20 }), async (additions) => {
        const [ours, theirs] = [new Registry(), new Registry()]
        const shape = { name: 'things_total', help: 'Things' }
        const counter = createCounter(ours, { ...shape, labels: ['tool', 'outcome'] })
        const peer = new Counter({ ...shape, labelNames: ['tool', 'outcome'], registers: [theirs] })
        for (const [tool, outcome, by] of additions) {
          counter.add(tool, outcome, by)
          peer.inc({ tool, outcome }, by)
        }
        expect(sorted(await ours.metrics())).toEqual(sorted(await theirs.metrics()))
        expect(counter.values().reduce((sum, { value }) => sum + value, 0)).toBe(
          additions.reduce((sum, [, , by]) => sum + by, 0),
        )
      }),
    )
  })

  it('of a counter without labels, which is 0 from the start', async () => {
    const [ours, theirs] = [new Registry(), new Registry()]
    const shape = { name: 'things_total', help: 'Things' }
    const counter = createCounter(ours, { ...shape, labels: [] })
    const peer = new Counter({ ...shape, registers: [theirs] })
    expect(await ours.metrics()).toBe(await theirs.metrics())
    counter.add('', '', 2)
    peer.inc(2)
    expect(await ours.metrics()).toBe(await theirs.metrics())
  })

  it.each([['one label'], ['two labels']])('of histograms with %s', async (labels) => {
    const two = labels === 'two labels'
    const value = fc.constantFrom(0, 0.009, 0.01, 0.2, 0.5, 1, 1.01, 50)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(label, label, value), { maxLength: 20 }), async (observations) => {
        const [ours, theirs] = [new Registry(), new Registry()]
        const shape = { name: 'thing_seconds', help: 'Seconds', buckets }
        const histogram = createHistogram(ours, {
          ...shape,
          label: 'tool',
          ...(two && { secondLabel: 'outcome' }),
        })
        const peer = new Histogram({
          ...shape,
          labelNames: two ? ['tool', 'outcome'] : ['tool'],
          registers: [theirs],
        })
        for (const [tool, outcome, seconds] of observations) {
          histogram.observe(tool, seconds, ...(two ? [outcome] : []))
          peer.observe(two ? { tool, outcome } : { tool }, seconds)
        }
        expect(sorted(await ours.metrics())).toEqual(sorted(await theirs.metrics()))
      }),
    )
  })
})

/** Series stand in any order; sums of fractions to ten digits. */
const sorted = (text: string) =>
  text
    .split('\n')
    .map((line) => line.replace(/[\d.]+$/, (number) => String(Number(Number(number).toPrecision(10)))))
    .sort()
