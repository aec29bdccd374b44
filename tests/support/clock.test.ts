import { describe, expect, it } from 'vitest'
import { canShiftClock, DAY_MS } from './clock.ts'
import { useRedis } from './redis.ts'
import { useServerClock } from './use-server-clock.ts'

/** How far the server's clock may stand beside the machine's, ms: the machine may be busy. */
const NEAR_MS = 2_000

describe.skipIf(!canShiftClock)('a Redis server whose clock is set', () => {
  const clock = useServerClock()
  const redis = useRedis({ binary: clock.binary })
  const ahead = async () => {
    const [seconds, micros] = (await redis.client().call('TIME')) as [string, string]
    return Number(seconds) * 1000 + Number(micros) / 1000 - Date.now()
  }

  it('tells the time of the machine until it is told otherwise', async () => {
    expect(Math.abs(await ahead())).toBeLessThan(NEAR_MS)
  })

  it('jumps forward and back while it runs, and its uptime does not', async () => {
    for (const aheadMs of [3 * DAY_MS, 0, -DAY_MS, 1_500]) {
      clock.set(aheadMs)
      expect(Math.abs((await ahead()) - aheadMs)).toBeLessThan(NEAR_MS)
    }
    expect(await redis.client().ping()).toBe('PONG')
  })

  it('gives out stream ids of its own time, which never go back', async () => {
    const client = redis.client()
    clock.set(3 * DAY_MS)
    const future = String(await client.xadd('s', '*', 'a', 'b'))
    expect(Number(future.split('-')[0]) - Date.now()).toBeGreaterThan(3 * DAY_MS - NEAR_MS)
    clock.set(0)
    expect(await client.xadd('s', '*', 'a', 'b')).toBe(`${future.split('-')[0]}-1`)
  })

  it('keeps its time over a restart', async () => {
    clock.set(DAY_MS)
    await redis.server.restart()
    expect(Math.abs((await ahead()) - DAY_MS)).toBeLessThan(NEAR_MS)
  })
})
