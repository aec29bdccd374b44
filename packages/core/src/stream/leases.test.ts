import { describe, expect, it } from 'vitest'
import { Lease, type LeaseAnswer } from './leases.ts'
import type { LeasedPermits, RateLimit } from './limits.ts'

/** 16 ms per sixteenth, blocks of 50 at most. */
const LIMIT: RateLimit = { type: 'global', name: 'all', limit: 1_000, periodMs: 256 }
const STEP_MS = 16

interface Question {
  readonly want: number
  readonly unspent: { readonly cell: number; readonly permits: number }
  answer(permits: Partial<LeasedPermits>): Promise<void>
  fail(error: Error): Promise<void>
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A lease whose questions are answered by hand, at a time that the test sets. */
function leaseAt(limit = LIMIT) {
  const questions: Question[] = []
  const told: string[] = []
  const clock = { now: 1_000 }
  const waits: { readonly ms: number; end(): void }[] = []
  const lease = new Lease({
    limit,
    now: () => clock.now,
    wait: (ms) =>
      new Promise((resolve) => {
        waits.push({ ms, end: resolve })
      }),
    told: (result) => void told.push(result),
    ask: (want, unspent) =>
      new Promise((resolve, reject) => {
        questions.push({
          want,
          unspent,
          async answer(permits) {
            resolve({ permits: want, cell: 7, remainingMs: STEP_MS, waitMs: 1, ...permits })
            await settle()
          },
          async fail(error) {
            reject(error)
            await settle()
          },
        })
      }),
  })
  /** So many events of one turn of the event loop, and the end of that turn. */
  async function take(times: number): Promise<LeaseAnswer['kind'][]> {
    const answers = Array.from({ length: times }, () => lease.take().kind)
    await settle()
    return answers
  }
  return { lease, clock, questions, told, take, waits }
}

const all = (kind: LeaseAnswer['kind'], times: number) => new Array(times).fill(kind)

describe('permits of a large limit', () => {
  it('are not asked for below eight events in a sixteenth', async () => {
    const { clock, questions, take } = leaseAt()
    for (let i = 0; i < 20; i++) {
      expect(await take(7)).toEqual(all('none', 7))
      clock.now += STEP_MS
    }
    expect(questions).toEqual([])
  })

  it('are asked for once, in the background, and spent without asking', async () => {
    const { questions, told, take } = leaseAt()
    expect(await take(12)).toEqual([...all('none', 8), ...all('asking', 4)])
    expect(questions).toHaveLength(1)
    await questions[0]!.answer({ permits: 8 })
    expect(told).toEqual(['granted'])
    expect(await take(9)).toEqual([...all('spent', 8), 'asking'])
    expect(questions).toHaveLength(2)
  })

  it('are asked for again before the last is spent', async () => {
    const { questions, take } = leaseAt()
    await take(40)
    await questions[0]!.answer({ permits: 8 })
    expect(await take(5)).toEqual(all('spent', 5))
    expect(questions).toHaveLength(1)
    await take(1)
    expect(questions).toHaveLength(2)
    await questions[1]!.answer({})
    expect(await take(30)).toEqual(all('spent', 30))
  })

  it('are as many as were used in a sixteenth, at most a twentieth of the limit', async () => {
    const { clock, questions, take } = leaseAt()
    await take(30)
    expect(questions[0]!.want).toBe(30)
    await questions[0]!.fail(new Error('away'))
    clock.now += STEP_MS
    await take(1)
    expect(questions[1]!.want).toBe(30)
    await questions[1]!.fail(new Error('away'))
    await take(500)
    clock.now += STEP_MS
    await take(1)
    expect(questions[2]!.want).toBe(50)
  })

  it('are asked for at once when a burst comes soon after another; each sixteenth halves what is known of it', async () => {
    const { clock, questions, take } = leaseAt()
    await take(40)
    await questions[0]!.fail(new Error('away'))
    clock.now += 2 * STEP_MS
    expect(await take(3)).toEqual(['none', 'asking', 'asking'])
    expect(questions[1]!.want).toBe(20)
    await questions[1]!.fail(new Error('away'))
    clock.now += 3 * STEP_MS
    expect(await take(3)).toEqual(all('none', 3))
    expect(questions).toHaveLength(2)
  })

  it('are waited for until they are there, or the question has failed, or for 50 ms', async () => {
    const { lease, clock, questions, take, waits } = leaseAt()
    const waiting = () => {
      const answer = lease.take()
      if (answer.kind !== 'asking') throw new Error(`found ${answer.kind}`)
      const wait = { over: false }
      void answer.answered.then(() => {
        wait.over = true
      })
      return wait
    }
    await take(8)
    const first = waiting()
    await settle()
    expect(first.over).toBe(false)
    await questions[0]!.answer({ permits: 0, waitMs: 0 })
    expect(first.over).toBe(true)

    clock.now += STEP_MS
    await take(8)
    const second = waiting()
    await questions[1]!.fail(new Error('away'))
    expect(second.over).toBe(true)

    clock.now += STEP_MS
    await take(8)
    const third = waiting()
    const fourth = waiting()
    expect(waits.map(({ ms }) => ms)).toEqual([50, 50, 50])
    waits[2]!.end()
    await settle()
    expect([third.over, fourth.over]).toEqual([true, true])
  })

  it('are not asked for again, nor counted again, by an event that has waited', async () => {
    const { lease, questions, take } = leaseAt()
    await take(20)
    await questions[0]!.answer({ permits: 1 })
    expect(lease.take(true).kind).toBe('spent')
    await settle()
    expect(questions[1]!.want).toBe(20)
  })

  it('are never spent after their sixteenth, and go back with the next question', async () => {
    const { clock, questions, take } = leaseAt()
    await take(20)
    clock.now += 2
    // Half of the sixteenth was left when Redis answered, and the answer took 2 ms.
    await questions[0]!.answer({ permits: 20, cell: 7, remainingMs: 8 })
    expect(await take(3)).toEqual(all('spent', 3))
    clock.now += 5.9
    expect(await take(1)).toEqual(['spent'])
    clock.now += 0.1
    expect(await take(1)).toEqual(['none'])
    expect(questions[1]!.unspent).toEqual({ cell: 7, permits: 16 })
    await questions[1]!.answer({ permits: 4, cell: 8 })
    expect(await take(5)).toEqual([...all('spent', 4), 'asking'])
  })

  it('are given back once, also when nobody knows whether they arrived', async () => {
    const { clock, questions, told, take } = leaseAt()
    await take(20)
    await questions[0]!.answer({ permits: 20 })
    clock.now += STEP_MS
    await take(1)
    expect(questions[1]!.unspent).toEqual({ cell: 7, permits: 20 })
    await questions[1]!.fail(new Error('timed out'))
    expect(told).toEqual(['granted', 'failed'])
    await take(20)
    expect(questions).toHaveLength(2)
    clock.now += STEP_MS
    await take(1)
    expect(questions[2]!.unspent).toEqual({ cell: 7, permits: 0 })
  })

  it('of an event that was not accepted are spent by another, or given back; long after, they are lost', async () => {
    const { lease, clock, questions, take } = leaseAt()
    await take(10)
    await questions[0]!.answer({ permits: 8, cell: 7 })
    await take(8)
    await questions[1]!.answer({ permits: 0, waitMs: 1 })
    lease.giveBack(7)
    expect(await take(1)).toEqual(['spent'])
    clock.now += STEP_MS
    await take(1)
    lease.giveBack(7)
    await questions[2]!.answer({ permits: 8, cell: 8 })
    lease.giveBack(7)
    await take(8)
    expect(questions[3]!.unspent).toEqual({ cell: 7, permits: 2 })
    await questions[3]!.answer({ permits: 5, cell: 8 })
    clock.now += STEP_MS
    expect(await take(1)).toEqual(['none'])
    expect(questions[4]!.unspent).toEqual({ cell: 8, permits: 5 })
    lease.giveBack(7)
    await questions[4]!.answer({ permits: 1, cell: 9 })
    expect(await take(2)).toEqual(['spent', 'asking'])
    expect(questions[5]!.unspent).toEqual({ cell: 8, permits: 0 })
  })

  it('put aside too early are not spent when Redis still grants of the same sixteenth', async () => {
    const { clock, questions, take } = leaseAt()
    await take(10)
    await questions[0]!.answer({ permits: 8, cell: 7, remainingMs: 4 })
    clock.now += 5
    await take(1)
    expect(questions[1]!.unspent).toEqual({ cell: 7, permits: 8 })
    await questions[1]!.answer({ permits: 10, cell: 7, remainingMs: 3 })
    expect(await take(2)).toEqual(all('spent', 2))
    clock.now += 3
    expect(await take(1)).toEqual(['none'])
    expect(questions[2]!.unspent).toEqual({ cell: 7, permits: 8 })
  })
})

describe('without permits left in Redis', () => {
  it('events are refused for a sixteenth, then one asks again', async () => {
    const { lease, clock, questions, told, take } = leaseAt()
    await take(20)
    await questions[0]!.answer({ permits: 0, waitMs: 100 })
    expect(told).toEqual(['refused'])
    expect(lease.take()).toEqual({ kind: 'refused', retryAfterMs: 100 })
    clock.now += STEP_MS - 1
    expect(lease.take()).toEqual({ kind: 'refused', retryAfterMs: 100 - STEP_MS + 1 })
    expect(questions).toHaveLength(1)
    clock.now += 1
    expect(await take(1)).toEqual(['none'])
    expect(questions).toHaveLength(2)
  })

  it('no longer than until one may be granted', async () => {
    const { clock, questions, take } = leaseAt()
    await take(20)
    await questions[0]!.answer({ permits: 0, waitMs: 3 })
    expect(await take(1)).toEqual(['refused'])
    clock.now += 3
    expect(await take(1)).toEqual(['none'])
  })

  it('those in hand are spent first, and nobody asks meanwhile', async () => {
    const { questions, take } = leaseAt()
    await take(20)
    await questions[0]!.answer({ permits: 8 })
    expect(await take(6)).toEqual(all('spent', 6))
    await questions[1]!.answer({ permits: 0, waitMs: 10 })
    expect(await take(3)).toEqual(['spent', 'spent', 'refused'])
    expect(questions).toHaveLength(2)
  })
})

describe('a lease that nobody uses', () => {
  it('may be forgotten when nothing of it is out any more', async () => {
    const { lease, clock, questions, take } = leaseAt()
    await take(10)
    expect(lease.idle).toBe(false)
    clock.now += 10 * LIMIT.periodMs
    expect(lease.idle).toBe(false)
    await questions[0]!.answer({})
    expect(lease.idle).toBe(true)
  })
})
