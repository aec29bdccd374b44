import { systemClock } from '@weir/core/clock'
import { Fault } from '@weir/core/faults'
import { shortOf } from '@weir/core/redis/durable'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createLog } from './log.ts'
import { createPulse, type Pulse } from './pulse.ts'

const redis = useRedis()
const POLL = { timeout: 10_000, interval: 10 }

interface World {
  readonly pulse: Pulse
  readonly link: RedisLink
  /** Every transition to up: true for a fresh connection. */
  readonly ups: boolean[]
}

async function withPulse(
  vet: () => Promise<void>,
  use: (world: World) => Promise<void>,
  { clock = systemClock, log = createLog('silent') } = {},
): Promise<void> {
  const link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 100,
    connectTimeoutMs: 1000,
    reconnectMaxDelayMs: 50,
    name: 'pulse',
  })
  const probe = async () => void (await link.call('SET', 'probe', '1'))
  const pulse = createPulse({ link, vet, probe, clock, log })
  const ups: boolean[] = []
  pulse.onUp((fresh) => ups.push(fresh))
  try {
    await use({ pulse, link, ups })
  } finally {
    pulse.stop()
    await link.close()
  }
}

const fit = async () => undefined

describe('the pulse', () => {
  it('is up once the server is connected and found fit', () =>
    withPulse(fit, async ({ pulse, ups }) => {
      expect(pulse.up).toBe(false)
      expect(await pulse.whenUp(5000)).toBe(true)
      expect(pulse.state).toBe('up')
      expect(ups).toEqual([true])
    }))

  it('goes with the connection and comes with the next', () =>
    withPulse(fit, async ({ pulse, ups }) => {
      await pulse.whenUp(5000)
      await redis.server.kill('SIGKILL')
      await expect.poll(() => pulse.state, POLL).toBe('disconnected')
      expect(await pulse.whenUp(20)).toBe(false)
      const waited = pulse.whenUp(10_000)
      await redis.server.restart()
      expect(await waited).toBe(true)
      expect(ups).toEqual([true, true])
    }))

  it('stops at a suspicion and goes on when the server answers, with the same connection', () =>
    withPulse(fit, async ({ pulse, ups }) => {
      await pulse.whenUp(5000)
      pulse.suspect()
      expect(pulse.state).toBe('stalled')
      expect(await pulse.whenUp(5000)).toBe(true)
      expect(ups).toEqual([true, false])
    }))

  it('gives up a connection that stays silent', () =>
    withPulse(fit, async ({ pulse, link, ups }) => {
      await pulse.whenUp(5000)
      let drops = 0
      link.onDisconnect(() => drops++)
      await redis.server.kill('SIGSTOP')
      pulse.suspect()
      await expect.poll(() => drops, POLL).toBeGreaterThan(0)
      expect(pulse.up).toBe(false)
      await redis.server.kill('SIGCONT')
      expect(await pulse.whenUp(10_000)).toBe(true)
      expect(ups.at(-1)).toBe(true)
    }))

  it('stays stalled while the server answers, but takes no writes', () =>
    withPulse(fit, async ({ pulse }) => {
      await pulse.whenUp(5000)
      const client = redis.client()
      await client.config('SET', 'min-replicas-to-write', '1')
      pulse.suspect()
      expect(await pulse.whenUp(300)).toBe(false)
      await client.config('SET', 'min-replicas-to-write', '0')
      expect(await pulse.whenUp(10_000)).toBe(true)
    }))

  it('looks for the master anew when one puts it off for long, and says once what is missing', async () => {
    const lines: Record<string, unknown>[] = []
    const log = createLog('debug', { write: (line: string) => void lines.push(JSON.parse(line)) })
    /** Seconds pass in milliseconds. */
    const clock = { ...systemClock, monotonic: () => performance.now() * 20 }
    let short = true
    const vet = async () => {
      if (short) throw shortOf('0 of 1 replicas')
    }
    const pulseWhile = async ({ pulse, link, ups }: World) => {
      const first = await link.ready().then(() => link.epoch)
      await expect.poll(() => link.epoch, POLL).toBeGreaterThan(first + 1)
      expect(pulse.up).toBe(false)
      short = false
      expect(await pulse.whenUp(10_000)).toBe(true)
      expect(ups).toEqual([true])
      const told = lines.filter(({ msg }) => msg === 'Redis is short of replicas')
      expect(told.map(({ reason }) => reason)).toEqual(['0 of 1 replicas'])
    }
    await withPulse(vet, pulseWhile, { clock, log })
  })

  it('says once why a server cannot be used, asks on, and takes it up when it can', async () => {
    const lines: Record<string, unknown>[] = []
    const log = createLog('debug', { write: (line: string) => void lines.push(JSON.parse(line)) })
    let questions = 0
    let fault: Fault | undefined = new Fault('REDIS_UNSUITABLE', 'may not INFO')
    const vet = async () => {
      questions++
      if (fault !== undefined) throw fault
    }
    /** A second passes in ten milliseconds. */
    const clock = {
      ...systemClock,
      wait: (ms: number, signal?: AbortSignal) => systemClock.wait(ms / 100, signal),
    }
    const repair = async ({ pulse }: World) => {
      await expect.poll(() => questions, POLL).toBeGreaterThan(3)
      expect(pulse.state).toBe('unsuitable')
      fault = new Fault('REDIS_UNSUITABLE', 'may not WAIT')
      const asked = questions
      await expect.poll(() => questions, POLL).toBeGreaterThan(asked + 3)
      fault = undefined
      expect(await pulse.whenUp(10_000)).toBe(true)
      const told = lines.filter(({ msg }) => msg === 'Redis cannot be used')
      expect(told.map(({ code, reason }) => `${code} ${reason}`)).toEqual([
        'REDIS_UNSUITABLE may not INFO',
        'REDIS_UNSUITABLE may not WAIT',
      ])
    }
    await withPulse(vet, repair, { clock, log })
  })

  it('is up although the memory is full: each event finds out for itself', () =>
    withPulse(fit, async ({ pulse }) => {
      await pulse.whenUp(5000)
      const client = redis.client()
      await client.config('SET', 'maxmemory', '1')
      pulse.suspect()
      expect(await pulse.whenUp(5000)).toBe(true)
      await client.config('SET', 'maxmemory', '0')
    }))

  it('never comes with a server that is not fit, until it is', () => {
    let found: Fault | undefined = new Fault('REDIS_UNSUITABLE', 'it evicts')
    const vet = async () => {
      if (found !== undefined) throw found
    }
    return withPulse(vet, async ({ pulse, ups }) => {
      await expect.poll(() => pulse.state, POLL).toBe('unsuitable')
      expect(await pulse.whenUp(50)).toBe(false)
      found = undefined
      expect(await pulse.whenUp(10_000)).toBe(true)
      expect(ups).toEqual([true])
    })
  })

  it('lets nobody wait any longer when it is stopped', () =>
    withPulse(
      () => new Promise(() => undefined),
      async ({ pulse }) => {
        const waited = pulse.whenUp(60_000)
        pulse.stop()
        expect(await waited).toBe(false)
        expect(await pulse.whenUp(60_000)).toBe(false)
      },
    ))
})
