import { describe, expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { Checks } from './document.ts'
import { createHealthReporter, type HealthReporterOptions, readHealthReports } from './reports.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)

/** A pause that ends when the test says so, or with the reporter. */
function handClock() {
  const pauses: (() => void)[] = []
  const wait = (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve()
      signal?.addEventListener('abort', () => resolve(), { once: true })
      pauses.push(resolve)
    })
  return { pauses, wait }
}

async function open() {
  const { link, keys } = await openPipeline()
  const key = keys.health
  const reporter = (name: string, checks: () => Checks, options: Partial<HealthReporterOptions> = {}) => {
    const clock = handClock()
    const told: string[] = []
    const onTrouble = (reason: string) => void told.push(reason)
    return {
      clock,
      told,
      ...createHealthReporter({
        link,
        key,
        name,
        component: 'curator',
        checks,
        clock,
        onTrouble,
        ...options,
      }),
    }
  }
  const redisMs = async () => Number(((await link.call('TIME')) as Buffer[])[0]) * 1000
  /** A report as one would have written it so long ago. */
  const written = async (name: string, ageMs: number, json: string) =>
    link.call('HSET', key, name, `${(await redisMs()) - ageMs} ${json}`)
  return { link, key, reporter, written, read: () => readHealthReports(link, key) }
}

const OK: Checks = { cold_storage: { state: 'ok', age_ms: 5, breaker: 'closed' } }

describe('reports of health', () => {
  it('are written while a process runs, as it is then, and taken back when it stops', async () => {
    const { reporter, read, link, key } = await open()
    let checks = OK
    const one = reporter('curator-1', () => checks)
    const two = reporter('gateway-1', () => ({ spool: { state: 'off', age_ms: null } }), {
      component: 'gateway',
    })
    one.start()
    two.start()
    await expect.poll(async () => (await read()).map(({ name }) => name)).toEqual(['curator-1', 'gateway-1'])
    const [report, other] = await read()
    expect(report).toMatchObject({
      component: 'curator',
      checks: { cold_storage: { state: 'ok', breaker: 'closed' } },
    })
    expect(other?.checks).toEqual({ spool: { state: 'off', age_ms: null } })
    checks = { cold_storage: { state: 'failing', age_ms: 1, breaker: 'open' } }
    await expect.poll(() => one.clock.pauses.length).toBe(1)
    one.clock.pauses[0]?.()
    await expect.poll(async () => (await read())[0]?.checks.cold_storage?.state).toBe('failing')
    await one.stop()
    expect((await read()).map(({ name }) => name)).toEqual(['gateway-1'])
    await Promise.all([two.stop(), two.stop()])
    expect(await link.call('EXISTS', key)).toBe(0)
  })

  it('grow old by the clock of Redis, and those of the dead are not shown', async () => {
    const { written, read } = await open()
    await written('silent', 10_000, JSON.stringify({ component: 'curator', checks: OK }))
    await written('dead', 60_000, JSON.stringify({ component: 'curator', checks: OK }))
    const reports = await read()
    expect(reports.map(({ name }) => name)).toEqual(['silent'])
    expect(reports[0]?.ageMs).toBeGreaterThanOrEqual(10_000)
    expect(reports[0]?.checks.cold_storage?.age_ms).toBe((reports[0]?.ageMs ?? 0) + 5)
  })

  it('that are no reports are left out', async () => {
    const { written, read, link, key } = await open()
    await written('no-json', 0, '{')
    await written('no-component', 0, '{"checks":{}}')
    await written('no-state', 0, '{"component":"curator","checks":{"ai":{"state":"superb","age_ms":0}}}')
    await written('no-check', 0, '{"component":"curator","checks":{"ai":null}}')
    await link.call('HSET', key, 'no-time', 'hello')
    expect(await read()).toEqual([])
  })

  it('of the long dead are removed by who writes', async () => {
    const { written, reporter, link, key } = await open()
    await written('long-dead', 700_000, JSON.stringify({ component: 'curator', checks: OK }))
    await link.call('HSET', key, 'garbage', 'hello')
    const one = reporter('curator-1', () => OK)
    one.start()
    await expect.poll(async () => String(await link.call('HKEYS', key))).toBe('curator-1')
    await one.stop()
  })

  it('are no trouble while Redis is away, and tell once when they are refused', async () => {
    const { reporter, link, key } = await open()
    await link.call('SET', key, 'not a hash')
    const refused = reporter('curator-1', () => OK)
    refused.start()
    for (let round = 1; round <= 2; round++) {
      await expect.poll(() => refused.clock.pauses.length).toBe(round)
      refused.clock.pauses[round - 1]?.()
    }
    await expect.poll(() => refused.clock.pauses.length).toBe(3)
    expect(refused.told).toEqual([expect.stringContaining('WRONGTYPE')])
    await refused.stop()
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    const away = reporter('curator-2', () => OK)
    away.start()
    await expect.poll(() => away.clock.pauses.length).toBe(1)
    await away.stop()
    expect(away.told).toEqual([])
    await redis.server.restart()
  })
})
