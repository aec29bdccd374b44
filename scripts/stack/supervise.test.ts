import type { Clock } from '@weir/core/clock'
import { describe, expect, it } from 'vitest'
import type { Exit } from '../tied-child.ts'
import { type Running, supervise } from './supervise.ts'

/** A world of processes that end when the test says so, and a clock that goes on only by waiting. */
function world({ failStarts = 0 } = {}) {
  const events: string[] = []
  let now = 0
  let launched = 0
  let failures = failStarts
  const current: { end: (exit: Exit) => void }[] = []
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    async wait(ms, signal) {
      if (!signal?.aborted) now += ms
    },
  }
  const launch = async (): Promise<Running> => {
    if (launched > 0 && failures > 0) {
      failures -= 1
      throw new Error('no such program')
    }
    launched += 1
    const pid = launched
    const exit = Promise.withResolvers<Exit>()
    current.push({ end: exit.resolve })
    return {
      pid,
      exit: exit.promise,
      end: (graceMs) => {
        events.push(`end ${pid} ${graceMs}`)
        exit.resolve({ code: 0, signal: null })
        return exit.promise
      },
      kill: () => {
        events.push(`kill ${pid}`)
        exit.resolve({ code: null, signal: 'SIGKILL' })
      },
    }
  }
  const givenUp = Promise.withResolvers<string>()
  const start = () =>
    supervise({
      launch,
      clock,
      onDeath: (how, pauseMs) => events.push(`death (${how}), pause ${pauseMs}`),
      onRestart: ({ pid }) => events.push(`restart ${pid}`),
      onGivenUp: (how) => givenUp.resolve(how),
    })
  /** Ends the newest process, after `afterMs`, and waits until something has followed from it. */
  const die = async (exit: Exit, afterMs = 0) => {
    const before = events.length
    now += afterMs
    current.at(-1)?.end(exit)
    await Promise.race([givenUp.promise, expect.poll(() => events.length).toBeGreaterThan(before + 1)])
  }
  return { events, start, die, givenUp: givenUp.promise }
}

describe('supervise', () => {
  it('starts a process again, after pauses that double', async () => {
    const { events, start, die } = world()
    const supervised = await start()
    await die({ code: 1, signal: null })
    await die({ code: null, signal: 'SIGKILL' })
    expect(events).toEqual([
      'death (exit code 1), pause 250',
      'restart 2',
      'death (signal SIGKILL), pause 500',
      'restart 3',
    ])
    expect(supervised.running?.pid).toBe(3)
    await supervised.stop(0)
  })

  it('forgets deaths that are more than a minute old', async () => {
    const { events, start, die } = world()
    const supervised = await start()
    for (let death = 0; death < 10; death += 1) await die({ code: 1, signal: null }, 61_000)
    expect(new Set(events.filter((event) => event.startsWith('death')))).toEqual(
      new Set(['death (exit code 1), pause 250']),
    )
    await supervised.stop(0)
  })

  it('gives up at the fifth death within a minute', async () => {
    const { events, start, die, givenUp } = world()
    await start()
    for (let death = 0; death < 5; death += 1) await die({ code: 7, signal: null })
    expect(await givenUp).toBe('exit code 7')
    expect(events.filter((event) => event.startsWith('restart'))).toHaveLength(4)
  })

  it('counts a start that fails as a death', async () => {
    const { events, start, die } = world({ failStarts: 2 })
    const supervised = await start()
    await die({ code: 1, signal: null })
    await expect.poll(() => events.at(-1)).toBe('restart 2')
    expect(events).toEqual([
      'death (exit code 1), pause 250',
      'death (no such program), pause 500',
      'death (no such program), pause 1000',
      'restart 2',
    ])
    await supervised.stop(0)
  })

  it('stops for good, as often as it is asked', async () => {
    const { events, start } = world()
    const supervised = await start()
    await Promise.all([supervised.stop(1000), supervised.stop(1000)])
    await supervised.stop(1000)
    expect(new Set(events)).toEqual(new Set(['end 1 1000']))
  })

  it('kills for good', async () => {
    const { events, start } = world()
    const supervised = await start()
    supervised.kill()
    await supervised.stop(1000)
    expect(events[0]).toBe('kill 1')
    expect(events.some((event) => event.startsWith('restart'))).toBe(false)
  })
})
