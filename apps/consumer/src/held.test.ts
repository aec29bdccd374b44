import { decodeRecord } from '@weir/core/record'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHeld, type HeldItem } from './held.ts'
import { makeEvent } from './testing.ts'

const record = decodeRecord(makeEvent().fields)
const item = (streamId: string, suspect = false): HeldItem => ({
  streamId,
  holding: { kind: 'pending', consumer: 'c' },
  record,
  appendedAt: 0,
  attempts: 0,
  deliveries: suspect ? 3 : 1,
  suspect,
  confirmedAt: 0,
  state: 'queued',
  trace: undefined,
  abort: undefined,
})
const nothing = () => undefined
const never = new AbortController().signal

/** True when the promise has resolved by the next turn of the event loop. */
async function settled(promise: Promise<void>): Promise<boolean> {
  let done = false
  void promise.then(() => {
    done = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  return done
}

describe('the queue', () => {
  it('hands items out in the order in which they came, once each', () => {
    const held = createHeld(10, nothing)
    held.add([item('1-0'), item('2-0')])
    held.add([item('3-0')])
    expect([held.take(), held.take(), held.take(), held.take()].map((each) => each?.streamId)).toEqual([
      '1-0',
      '2-0',
      '3-0',
      undefined,
    ])
    expect(held.size).toBe(3) // taken is not gone
  })

  it('hands a suspect out before what came earlier: while it waits, the death of others accuses it', () => {
    const held = createHeld(10, nothing)
    held.add([item('1-0'), item('2-0')])
    held.add([item('3-0', true)])
    held.add([item('4-0', true), item('5-0')])
    expect(held.queued).toBe(5)
    expect(Array.from({ length: 6 }, () => held.take()?.streamId)).toEqual([
      '3-0',
      '4-0',
      '1-0',
      '2-0',
      '5-0',
      undefined,
    ])
    expect(held.queued).toBe(0)
  })

  it('hands a suspect out first again when it was put back', () => {
    const held = createHeld(10, nothing)
    held.add([item('1-0', true), item('2-0'), item('3-0')])
    const suspect = held.take()
    held.requeue(suspect!)
    const fresh = [held.take(), held.take()]
    held.requeue(fresh[1]!)
    expect(fresh.map((each) => each?.streamId)).toEqual(['1-0', '2-0'])
    expect([held.take(), held.take()].map((each) => each?.streamId)).toEqual(['3-0', '2-0'])
  })

  it('tells the executor that there is work, and only then', () => {
    let told = 0
    const held = createHeld(10, () => {
      told++
    })
    held.add([])
    expect(told).toBe(0)
    held.add([item('1-0'), item('2-0')])
    expect(told).toBe(1)
  })

  it('passes over items that were lost to another consumer while they waited', () => {
    const held = createHeld(10, nothing)
    const lost = item('1-0')
    held.add([lost, item('2-0')])
    held.remove(lost)
    expect(lost.state).toBe('gone')
    expect(held.has('1-0')).toBe(false)
    expect(held.take()?.streamId).toBe('2-0')
  })

  it('takes an item back into the queue, behind the others', () => {
    const held = createHeld(10, nothing)
    held.add([item('1-0'), item('2-0')])
    const first = held.take() as HeldItem
    held.requeue(first)
    expect([held.take(), held.take(), held.take()].map((each) => each?.streamId)).toEqual([
      '2-0',
      '1-0',
      undefined,
    ])
    expect(held.size).toBe(2)
  })

  it('does not take back what is gone', () => {
    const held = createHeld(10, nothing)
    held.add([item('1-0')])
    const first = held.take() as HeldItem
    held.remove(first)
    held.requeue(first)
    expect(held.take()).toBeUndefined()
    expect(first.state).toBe('gone')
  })

  it('does not mistake an old item for a new one with the same id', () => {
    const held = createHeld(10, nothing)
    const before = item('1-0', true)
    held.add([before])
    held.remove(before)
    const again = item('1-0')
    held.add([again])
    held.remove(before)
    expect(held.has('1-0')).toBe(true)
    expect(held.suspect).toBe(false)
    expect(held.take()).toBe(again)
  })
})

describe('room', () => {
  it('counts what is held and what is promised to a read that is under way', () => {
    const held = createHeld(10, nothing)
    held.add([item('1-0'), item('2-0')])
    expect(held.room).toBe(8)
    const reservation = held.reserve(5)
    expect(reservation.count).toBe(5)
    expect(held.room).toBe(3)
    const rest = held.reserve(100)
    expect(rest.count).toBe(3)
    expect(held.reserve(1).count).toBe(0)
    rest.release()
    rest.release() // twice is once
    expect(held.room).toBe(3)
    reservation.release()
    expect(held.room).toBe(8)
  })

  it('is never negative: what was lost and found again may stand above the limit', () => {
    const held = createHeld(1, nothing)
    held.add([item('1-0'), item('2-0')])
    expect(held.room).toBe(0)
    expect(held.reserve(1).count).toBe(0)
  })

  it('whenRoom waits for a removal or for a promise that is given back', async () => {
    const held = createHeld(1, nothing)
    const only = item('1-0')
    held.add([only])
    const first = held.whenRoom(never)
    expect(await settled(first)).toBe(false)
    held.remove(only)
    expect(await settled(first)).toBe(true)

    const { release } = held.reserve(1)
    const second = held.whenRoom(never)
    expect(await settled(second)).toBe(false)
    release()
    expect(await settled(second)).toBe(true)
  })

  it('whenRoom and whenEmpty end when the signal aborts, and leave no listener behind', async () => {
    const held = createHeld(1, nothing)
    held.add([item('1-0')])
    const controller = new AbortController()
    const { signal } = controller
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    const waits = [held.whenRoom(signal), held.whenEmpty(signal)]
    expect(await settled(Promise.race(waits))).toBe(false)
    controller.abort()
    await Promise.all(waits)
    expect(listeners).toBe(0)
    await held.whenRoom(signal) // aborted already
    expect(listeners).toBe(0)
  })

  it('whenEmpty waits for the last one', async () => {
    const held = createHeld(5, nothing)
    await held.whenEmpty(never)
    const two = [item('1-0'), item('2-0')]
    held.add(two)
    const empty = held.whenEmpty(never)
    held.remove(two[0]!)
    expect(await settled(empty)).toBe(false)
    held.remove(two[1]!)
    expect(await settled(empty)).toBe(true)
  })

  it('whenNoSuspect waits for the one suspect', async () => {
    const held = createHeld(5, nothing)
    await held.whenNoSuspect(never)
    const suspect = item('1-0', true)
    held.add([suspect, item('2-0')])
    const free = held.whenNoSuspect(never)
    expect(await settled(free)).toBe(false)
    held.remove(suspect)
    expect(await settled(free)).toBe(true)
  })
})

describe('against a model', () => {
  type Step =
    | { readonly do: 'add'; readonly count: number; readonly suspect: boolean }
    | { readonly do: 'take' }
    | { readonly do: 'remove'; readonly pick: number }
    | { readonly do: 'requeue'; readonly pick: number }
    | { readonly do: 'reserve'; readonly count: number }
    | { readonly do: 'release'; readonly pick: number }
  const steps: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      do: fc.constant('add' as const),
      count: fc.integer({ min: 0, max: 5 }),
      suspect: fc.boolean(),
    }),
    fc.record({ do: fc.constant('take' as const) }),
    fc.record({ do: fc.constant('remove' as const), pick: fc.nat() }),
    fc.record({ do: fc.constant('requeue' as const), pick: fc.nat() }),
    fc.record({ do: fc.constant('reserve' as const), count: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ do: fc.constant('release' as const), pick: fc.nat() }),
  )

  it('size, room, suspects and the order of the queue are right after any walk', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(steps, { maxLength: 3_000, size: 'max' }),
        (limit, walk) => {
          const held = createHeld(limit, nothing)
          let next = 0
          let first: HeldItem[] = []
          let queue: HeldItem[] = []
          const present = new Set<HeldItem>()
          const reservations: { count: number; release: () => void }[] = []
          for (const step of walk) {
            switch (step.do) {
              case 'add': {
                const added = Array.from({ length: step.count }, () => item(`${++next}-0`, step.suspect))
                held.add(added)
                if (step.suspect) first.push(...added)
                else queue.push(...added)
                for (const each of added) present.add(each)
                break
              }
              case 'take': {
                const taken = held.take()
                expect(taken).toBe(first.shift() ?? queue.shift())
                if (taken !== undefined) expect(taken.state).toBe('running')
                break
              }
              case 'remove': {
                const victim = [...present][step.pick % present.size]
                if (victim === undefined) break
                held.remove(victim)
                present.delete(victim)
                first = first.filter((each) => each !== victim)
                queue = queue.filter((each) => each !== victim)
                break
              }
              case 'requeue': {
                const running = [...present].filter(({ state }) => state === 'running')
                const chosen = running[step.pick % running.length]
                if (chosen === undefined) break
                held.requeue(chosen)
                if (chosen.suspect) first.push(chosen)
                else queue.push(chosen)
                break
              }
              case 'reserve':
                reservations.push(held.reserve(step.count))
                break
              case 'release':
                if (reservations.length > 0)
                  reservations.splice(step.pick % reservations.length, 1)[0]?.release()
                break
            }
            const reserved = reservations.reduce((sum, { count }) => sum + count, 0)
            expect(held.size).toBe(present.size)
            expect(held.room).toBe(Math.max(0, limit - present.size - reserved))
            expect(held.suspect).toBe([...present].some(({ suspect }) => suspect))
            expect([...held.all()].length).toBe(present.size)
          }
        },
      ),
      { numRuns: 30 },
    )
  })
})
