import { describe, expect, it } from 'vitest'
import { createEndOfReading, theOthers } from './turn.ts'

describe('the end of reading', () => {
  it('is one moment for all who ask in the same turn, and they go on in the order in which they asked', async () => {
    const endOfReading = createEndOfReading()
    const order: string[] = []
    const ask = async (name: string) => {
      await endOfReading()
      order.push(name)
    }
    const asked = [ask('a'), ask('b'), ask('c')]
    await Promise.resolve()
    expect(order).toEqual([])
    await Promise.all(asked)
    expect(order).toEqual(['a', 'b', 'c'])
  })

  it('comes anew in every turn', async () => {
    const endOfReading = createEndOfReading()
    const first = endOfReading()
    await first
    const second = endOfReading()
    expect(second).not.toBe(first)
    await second
  })

  it('comes after everything that what was read has set off', async () => {
    const endOfReading = createEndOfReading()
    const order: string[] = []
    const end = endOfReading().then(() => order.push('end'))
    process.nextTick(() => order.push('tick'))
    void Promise.resolve().then(() => order.push('microtask'))
    await end
    expect(order).toHaveLength(3)
    expect(order.at(-1)).toBe('end')
  })
})

describe('the others', () => {
  it('are waited for between two kinds of work, and all keep their order', async () => {
    const endOfReading = createEndOfReading()
    const order: string[] = []
    const work = async (name: string) => {
      await endOfReading()
      order.push(`verify ${name}`)
      await theOthers
      order.push(`pack ${name}`)
    }
    await Promise.all([work('a'), work('b'), work('c')])
    expect(order).toEqual(['verify a', 'verify b', 'verify c', 'pack a', 'pack b', 'pack c'])
  })

  it('cost one that is alone no turn of the event loop', async () => {
    const order: string[] = []
    setImmediate(() => order.push('turn'))
    process.nextTick(() => order.push('tick'))
    await theOthers
    order.push('went on')
    expect(order).not.toContain('turn')
  })
})
