import { Fault } from '@weir/core/faults'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manualClock, rejection } from '../../../tests/support/ai.ts'
import { within, withRetries } from './retry.ts'
import { Unavailable } from './unavailable.ts'

const failing = (failures: number, retryAfterMs?: number) => {
  let calls = 0
  return async () => {
    calls += 1
    if (calls <= failures)
      throw new Unavailable(`failure ${calls}`, retryAfterMs === undefined ? {} : { retryAfterMs })
    return calls
  }
}

describe('withRetries', () => {
  const settings = { attempts: 4, baseDelayMs: 100, maxDelayMs: 300 }

  it('tries again after pauses that double up to the longest', async () => {
    const clock = manualClock(10_000)
    expect(await withRetries({ ...settings, clock, random: () => 1 }, failing(3))).toBe(4)
    expect(clock.waits).toEqual([100, 200, 300])
  })

  it('takes a random part of each pause, and never more than it allows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (part) => {
        const clock = manualClock(10_000)
        await withRetries({ ...settings, clock, random: () => part }, failing(3))
        expect(clock.waits).toEqual([100 * part, 200 * part, 300 * part])
      }),
    )
  })

  it('throws what the last attempt threw', async () => {
    const clock = manualClock(10_000)
    const error = await rejection(withRetries({ ...settings, clock, random: () => 0.5 }, failing(4)))
    expect(error.message).toBe('failure 4')
  })

  it('waits as long as it is asked to', async () => {
    const clock = manualClock(10_000)
    await withRetries({ ...settings, clock, random: () => 0 }, failing(1, 250))
    expect(clock.waits).toEqual([250])
  })

  it('gives up at once when it is asked to wait longer than it may', async () => {
    const clock = manualClock(10_000)
    const error = await rejection(withRetries({ ...settings, clock, random: () => 0 }, failing(1, 301)))
    expect(error).toMatchObject({ code: 'AI_UNAVAILABLE', retryAfterMs: 301 })
    expect(clock.waits).toEqual([])
  })

  it('does not repeat what would fail again', async () => {
    let calls = 0
    const refused = async () => {
      calls += 1
      throw new Fault('AI_REFUSED', 'no')
    }
    const options = { ...settings, clock: manualClock(10_000), random: () => 0 }
    await expect(withRetries(options, refused)).rejects.toMatchObject({ code: 'AI_REFUSED' })
    expect(calls).toBe(1)
  })

  it('stops in a pause when the signal is aborted', async () => {
    const clock = manualClock()
    const stop = new AbortController()
    const result = rejection(withRetries({ ...settings, clock, random: () => 1 }, failing(9), stop.signal))
    await clock.began(1)
    stop.abort(new Error('stopped'))
    expect((await result).message).toBe('stopped')
  })
})

describe('within', () => {
  const forever = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

  it('ends what takes too long, and says so', async () => {
    const clock = manualClock()
    let seen: AbortSignal | undefined
    const result = rejection(
      within(50, clock, (signal) => {
        seen = signal
        return forever(signal)
      }),
    )
    await clock.advance(50)
    expect(await result).toMatchObject({ code: 'AI_UNAVAILABLE', message: 'no answer within 50 ms' })
    expect(seen?.aborted).toBe(true)
  })

  it('resolves with what is there in time, and leaves no timer', async () => {
    const clock = manualClock()
    expect(await within(50, clock, async () => 7)).toBe(7)
    await clock.advance(1_000)
  })

  it('rejects with the reason of the signal, also of one that was aborted before', async () => {
    const stop = new AbortController()
    const result = rejection(within(50, manualClock(), forever, stop.signal))
    stop.abort(new Error('stopped'))
    expect((await result).message).toBe('stopped')
    expect((await rejection(within(50, manualClock(), forever, stop.signal))).message).toBe('stopped')
  })
})
