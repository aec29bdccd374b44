import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createReplaySuspects } from './replay-suspects.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()
const signature = (body: number) => digest(`body ${body}`).toString('hex')
const delivery = (id: number) => digest(`delivery ${id}`).subarray(0, 16)

describe('replay suspects', () => {
  it('are bodies that come again under another id, however often', () => {
    const suspects = createReplaySuspects(10)
    expect(suspects.isSuspect(signature(1), delivery(1))).toBe(false)
    expect(suspects.isSuspect(signature(1), delivery(2))).toBe(true)
    expect(suspects.isSuspect(signature(1), delivery(2))).toBe(true)
  })

  it('are no redeliveries: the same body under the same id', () => {
    const suspects = createReplaySuspects(10)
    for (let i = 0; i < 3; i++) expect(suspects.isSuspect(signature(1), delivery(1))).toBe(false)
  })

  it('are remembered as many as there is room for, the oldest forgotten first', () => {
    const suspects = createReplaySuspects(3)
    for (const body of [1, 2, 3, 4]) suspects.isSuspect(signature(body), delivery(body))
    expect(suspects.size).toBe(3)
    expect(suspects.isSuspect(signature(2), delivery(9))).toBe(true)
    expect(suspects.isSuspect(signature(1), delivery(9))).toBe(false)
  })

  it('are found in any order of events as in a list of the last ones', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.tuple(fc.nat(12), fc.nat(3)), { maxLength: 100 }),
        (capacity, events) => {
          const suspects = createReplaySuspects(capacity)
          const list: [number, number][] = []
          for (const [body, id] of events) {
            const known = list.find(([each]) => each === body)
            expect(suspects.isSuspect(signature(body), delivery(id))).toBe(
              known !== undefined && known[1] !== id,
            )
            if (known === undefined) list.push([body, id])
            if (list.length > capacity) list.shift()
          }
        },
      ),
    )
  })
})
