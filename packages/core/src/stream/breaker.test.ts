import { describe, expect, it } from 'vitest'
import { passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import {
  acquireProbe,
  BREAKER_GAUGE,
  type BreakerSettings,
  readBreaker,
  releaseProbe,
  reportBreaker,
  resetBreaker,
} from './breaker.ts'

const settings: BreakerSettings = { failureThreshold: 3, openDurationMs: 400, probeLeaseMs: 300 }
const world = useWorld()

const fail = (link: RedisLink, failures = 1, probe = false) =>
  reportBreaker(link, world.keys, 'github', settings, failures, probe)
const succeed = (link: RedisLink, probe = false) =>
  reportBreaker(link, world.keys, 'github', settings, 0, probe)

/** Opens the breaker and waits until it is half-open. */
async function halfOpen(link: RedisLink): Promise<void> {
  await fail(link, settings.failureThreshold)
  await passed(link, (await redisTime(link)) + settings.openDurationMs + 1)
  expect(await readBreaker(link, world.keys, 'github')).toMatchObject({ state: 'half-open' })
}

describe('closed', () => {
  it('is the state of a tool that nobody heard of', async () => {
    const link = await world.link()
    expect(await readBreaker(link, world.keys, 'github')).toEqual({
      state: 'closed',
      failures: 0,
      waitMs: 0,
      since: 0,
    })
    expect(await acquireProbe(link, world.keys, 'github', settings)).toMatchObject({ state: 'closed' })
    expect(await link.call('DBSIZE')).toBe(0)
  })

  it('opens at the threshold of failures in a row, over all consumers', async () => {
    const links = [await world.link(), await world.link(), await world.link()]
    expect(await fail(links[0]!)).toMatchObject({ state: 'closed', failures: 1, changed: false })
    expect(await fail(links[1]!)).toMatchObject({ state: 'closed', failures: 2, changed: false })
    const opened = await fail(links[2]!)
    expect(opened).toMatchObject({
      state: 'open',
      failures: 3,
      changed: true,
      waitMs: settings.openDurationMs,
    })
    expect(opened.since).toBeLessThanOrEqual(await redisTime(links[0]!))
    expect(opened.since).toBeGreaterThan((await redisTime(links[0]!)) - 1_000)
  })

  it('counts several at once', async () => {
    const link = await world.link()
    expect(await fail(link, 5)).toMatchObject({ state: 'open', failures: 5, changed: true })
  })

  it('starts to count anew after a success', async () => {
    const link = await world.link()
    await fail(link, 2)
    expect(await succeed(link)).toMatchObject({ state: 'closed', failures: 0, changed: false })
    expect(await fail(link, 2)).toMatchObject({ state: 'closed', failures: 2 })
  })

  it('is a matter of one tool', async () => {
    const link = await world.link()
    await fail(link, 3)
    expect(await readBreaker(link, world.keys, 'jira')).toMatchObject({ state: 'closed' })
  })
})

describe('open', () => {
  it('says how long until a probe may run', async () => {
    const link = await world.link()
    await fail(link, 3)
    const { waitMs } = await readBreaker(link, world.keys, 'github')
    expect(waitMs).toBeGreaterThan(0)
    expect(waitMs).toBeLessThanOrEqual(settings.openDurationMs)
    expect(await acquireProbe(link, world.keys, 'github', settings)).toMatchObject({ state: 'open' })
  })

  it('does not change by outcomes of events that were under way', async () => {
    const link = await world.link()
    const { since } = await fail(link, 3)
    expect(await succeed(link)).toMatchObject({ state: 'open', changed: false, since })
    const later = await fail(link)
    expect(later).toMatchObject({ state: 'open', changed: false, since })
    expect(later.waitMs).toBeLessThanOrEqual(settings.openDurationMs)
  })

  it('does not change by the outcome of a probe that came too late', async () => {
    const link = await world.link()
    await halfOpen(link)
    await acquireProbe(link, world.keys, 'github', settings)
    expect(await fail(link, 1, true)).toMatchObject({ state: 'open' })
    expect(await succeed(link, true)).toMatchObject({ state: 'open', changed: false })
  })
})

describe('half-open', () => {
  it('lets one event through as the probe, whoever asks', async () => {
    const links = [await world.link(), await world.link(), await world.link()]
    await halfOpen(links[0]!)
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => acquireProbe(links[i % 3]!, world.keys, 'github', settings)),
    )
    expect(answers.filter(({ waitMs }) => waitMs === 0)).toHaveLength(1)
    for (const { state, waitMs } of answers) {
      expect(state).toBe('half-open')
      expect(waitMs).toBeLessThanOrEqual(settings.probeLeaseMs)
    }
  })

  it('lets another through when the prober died', async () => {
    const link = await world.link()
    await halfOpen(link)
    expect((await acquireProbe(link, world.keys, 'github', settings)).waitMs).toBe(0)
    const { waitMs } = await acquireProbe(link, world.keys, 'github', settings)
    await passed(link, (await redisTime(link)) + waitMs)
    expect((await acquireProbe(link, world.keys, 'github', settings)).waitMs).toBe(0)
  })

  it('lets another through when the probe is given back unused', async () => {
    const link = await world.link()
    await releaseProbe(link, world.keys, 'github')
    expect(await link.call('DBSIZE')).toBe(0)
    await halfOpen(link)
    await acquireProbe(link, world.keys, 'github', settings)
    await releaseProbe(link, world.keys, 'github')
    expect(await acquireProbe(link, world.keys, 'github', settings)).toMatchObject({
      state: 'half-open',
      waitMs: 0,
    })
  })

  it('closes when the probe succeeds', async () => {
    const link = await world.link()
    await halfOpen(link)
    await acquireProbe(link, world.keys, 'github', settings)
    expect(await succeed(link, true)).toEqual({
      state: 'closed',
      failures: 0,
      waitMs: 0,
      since: 0,
      changed: true,
    })
    expect(await fail(link, 2)).toMatchObject({ state: 'closed' })
  })

  it('opens again for the whole duration when the probe fails, and stays the same outage', async () => {
    const link = await world.link()
    await halfOpen(link)
    const { since } = await acquireProbe(link, world.keys, 'github', settings)
    const again = await fail(link, 1, true)
    expect(again).toMatchObject({ state: 'open', changed: false, since, waitMs: settings.openDurationMs })
    await passed(link, (await redisTime(link)) + again.waitMs)
    expect((await acquireProbe(link, world.keys, 'github', settings)).waitMs).toBe(0)
  })

  it('ignores other events that were under way', async () => {
    const link = await world.link()
    await halfOpen(link)
    await acquireProbe(link, world.keys, 'github', settings)
    expect(await succeed(link)).toMatchObject({ state: 'half-open', changed: false })
    expect(await fail(link)).toMatchObject({ state: 'half-open', changed: false })
  })

  it('that was closed by another probe is not opened again by one failure of a late one', async () => {
    const link = await world.link()
    await halfOpen(link)
    await acquireProbe(link, world.keys, 'github', settings)
    await succeed(link, true)
    expect(await fail(link, 1, true)).toMatchObject({ state: 'closed', failures: 1, changed: false })
  })
})

describe('reset', () => {
  it('closes at once and says whether it was open', async () => {
    const link = await world.link()
    expect(await resetBreaker(link, world.keys, 'github')).toBe(false)
    await fail(link, 3)
    expect(await resetBreaker(link, world.keys, 'github')).toBe(true)
    expect(await readBreaker(link, world.keys, 'github')).toEqual({
      state: 'closed',
      failures: 0,
      waitMs: 0,
      since: 0,
    })
  })
})

it('the gauge has a number for every state', () => {
  expect(BREAKER_GAUGE).toEqual({ closed: 0, open: 1, 'half-open': 2 })
})
