import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createWorkers } from './workers.ts'

describe('workers', () => {
  it('are as many as there are', () => {
    const workers = createWorkers(2)
    expect([workers.take(), workers.take(), workers.take()]).toEqual([true, true, false])
    workers.release()
    expect(workers.busy).toBe(1)
    expect([workers.take(), workers.take()]).toEqual([true, false])
  })

  it('call who waits, once, the first first', () => {
    const workers = createWorkers(1)
    const called: string[] = []
    workers.take()
    const wait = (name: string) =>
      workers.onFree(() => {
        called.push(name)
        workers.take()
      })
    wait('a')
    wait('b')
    workers.release()
    expect(called).toEqual(['a'])
    workers.release()
    expect(called).toEqual(['a', 'b'])
    workers.release()
    expect(called).toEqual(['a', 'b'])
  })

  it('call the next one when the first has nothing to do any more', () => {
    const workers = createWorkers(1)
    const called: string[] = []
    workers.take()
    workers.onFree(() => void called.push('idle'))
    workers.onFree(() => void called.push(String(workers.take())))
    workers.release()
    expect(called).toEqual(['idle', 'true'])
  })

  it('take turns between partitions that never run out of work, whatever the order in which they finish', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(), { minLength: 50, maxLength: 50 }),
        (count, finishing) => {
          const workers = createWorkers(count)
          const running: number[] = []
          const taken = [0, 0, 0]
          const work = (partition: number) => {
            while (workers.take()) {
              running.push(partition)
              taken[partition]! += 1
            }
            workers.onFree(() => work(partition))
          }
          // The first one takes them all; nobody starves, though it would take the next ones too.
          for (const partition of [0, 1, 2]) work(partition)
          for (const choice of finishing) {
            running.splice(choice % running.length, 1)
            workers.release()
            expect(workers.busy).toBe(count)
          }
          expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(count + 1)
        },
      ),
    )
  })
})
