import { describe, expect, it } from 'vitest'
import { createTurns } from './turns.ts'

/** Lets everything that is settled run. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('turns', () => {
  it('are taken by so many at once, and then in the order in which they were asked for', async () => {
    const turns = createTurns(2)
    const began: number[] = []
    const ends: (() => void)[] = []
    const all = [0, 1, 2, 3, 4].map(async (i) => {
      const end = await turns.take()
      began.push(i)
      ends.push(end)
    })
    await settled()
    expect(began).toEqual([0, 1])
    ends[1]?.()
    ends[1]?.() // harmless
    await settled()
    expect(began).toEqual([0, 1, 2])
    for (const end of ends) end()
    await settled()
    for (const end of ends) end()
    await Promise.all(all)
    expect(began).toEqual([0, 1, 2, 3, 4])
    for (const end of ends) end()
    await Promise.all([turns.take(), turns.take()])
    let third = false
    void turns.take().then(() => {
      third = true
    })
    await settled()
    expect(third).toBe(false)
  })

  it('are not taken by those who gave up waiting', async () => {
    const turns = createTurns(1)
    const end = await turns.take()
    const controller = new AbortController()
    const first = turns.take(controller.signal)
    const second = turns.take()
    const reason = new Error('no longer wanted')
    controller.abort(reason)
    await expect(first).rejects.toBe(reason)
    await expect(turns.take(controller.signal)).rejects.toBe(reason)
    end()
    await second
  })

  it('are given up for all who wait, and for nobody else', async () => {
    const turns = createTurns(1)
    const end = await turns.take()
    const reason = new Error('away')
    const waiting = [turns.take(), turns.take()]
    turns.sendAway(reason)
    for (const one of waiting) await expect(one).rejects.toBe(reason)
    end()
    await turns.take()
  })
})
