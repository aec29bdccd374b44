import { describe, expect, it } from 'vitest'
import type { AuditNote } from './auditor.ts'
import { NO_AUDIT } from './auditor.ts'
import { createNoteTally, type NoteTallyOptions } from './note-tally.ts'

/** A tally of which time passes only when the test says so. */
function setUp(options: Partial<NoteTallyOptions> = {}) {
  let at = 0
  const waiting: { due: number; end(): void }[] = []
  const noted: AuditNote[] = []
  const tally = createNoteTally({
    auditor: { ...NO_AUDIT, note: (note) => noted.push(note) },
    intervalMs: 1_000,
    maxKinds: 10,
    others: { action: 'a', target: 'others', outcome: 'refused' },
    clock: {
      monotonic: () => at,
      wait: (ms, signal) =>
        new Promise((resolve) => {
          waiting.push({ due: at + ms, end: resolve })
          signal?.addEventListener('abort', () => resolve())
        }),
    },
    ...options,
  })
  return {
    tally,
    noted,
    count: (kind: string, times = 1) => {
      const note = () => ({ action: 'a', target: kind, outcome: 'refused', detail: { why: kind } })
      for (let i = 0; i < times; i++) tally.count(kind, note)
    },
    /** Lets time pass and what is due happen. */
    async pass(ms: number) {
      at += ms
      for (const each of waiting) if (each.due <= at) each.end()
      await Promise.resolve()
      await Promise.resolve()
    },
    taken: () => noted.splice(0).map(({ target, detail }) => `${target} ${detail?.count}`),
  }
}

describe('a tally', () => {
  it('makes one note of each kind and interval, with the count', async () => {
    const { count, pass, noted } = setUp()
    count('x', 50_000)
    count('y')
    await pass(999)
    expect(noted).toEqual([])
    await pass(1)
    expect(noted).toEqual([
      { action: 'a', target: 'x', outcome: 'refused', detail: { why: 'x', count: 50_000, seconds: 1 } },
      { action: 'a', target: 'y', outcome: 'refused', detail: { why: 'y', count: 1, seconds: 1 } },
    ])
    await pass(60_000)
    expect(noted).toHaveLength(2)
  })

  it('notes seldom what does not end: twice as long each time, up to a minute', async () => {
    const { count, pass, taken } = setUp()
    let notes = 0
    for (let second = 0; second < 3_600; second++) {
      count('flood', 100)
      await pass(1_000)
      notes += taken().length
    }
    expect(notes).toBeGreaterThan(60)
    expect(notes).toBeLessThan(70)
    // Quiet for as long as that, and the next one is noted soon.
    await pass(60_000)
    await pass(60_000)
    taken()
    count('new')
    await pass(1_000)
    expect(taken()).toEqual(['new 1'])
  })

  it('costs nothing where there is no audit trail', () => {
    const { tally } = setUp({ auditor: NO_AUDIT })
    tally.count('x', () => {
      throw new Error('nobody asks')
    })
    tally.stop()
  })

  it('counts kinds that are too many together', async () => {
    const { count, pass, taken } = setUp({ maxKinds: 2 })
    for (let i = 0; i < 1_000; i++) count(`k${i}`)
    count('k1')
    await pass(1_000)
    expect(taken()).toEqual(['k0 1', 'k1 2', 'others 998'])
    count('k7')
    await pass(2_000)
    expect(taken()).toEqual(['k7 1'])
  })

  it('notes what it has when it is stopped, and at once what comes then', async () => {
    const { tally, count, pass, taken } = setUp()
    count('x', 3)
    tally.stop()
    tally.stop()
    expect(taken()).toEqual(['x 3'])
    count('x')
    expect(taken()).toEqual(['x 1'])
    await pass(5_000)
    expect(taken()).toEqual([])
  })
})
