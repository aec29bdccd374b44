/** The curator's rounds: a sweep, then prewarming; the trouble of one is not the other's. */
import { contextKeys } from '@weir/context-lifecycle/context-keys'
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import { Fault } from '@weir/core/faults'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../tests/support/ai.ts'
import { createCurator } from './curator.ts'
import { createCuratorMetrics } from './metrics.ts'

interface Rounds {
  readonly sweeps?: Error[]
  readonly prewarmings?: Error[]
  readonly places?: readonly ContextPlace[]
}

/** So many rounds; what becomes of each is taken from the lists, at their end all is well. */
async function rounds(count: number, { sweeps = [], prewarmings = [], places = [] }: Rounds) {
  const lines: string[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line).event) })
  const metrics = createCuratorMetrics()
  const clock = manualClock()
  const steps: string[] = []
  const next = (what: string, errors: Error[]) => {
    steps.push(what)
    const error = errors.shift()
    if (error !== undefined) throw error
  }
  const curator = createCurator({
    sweep: {
      async run() {
        next('sweep', sweeps)
        return { looked: 0, collected: 0, coldAway: undefined }
      },
    },
    prewarmer: {
      async run() {
        next('prewarm', prewarmings)
        metrics.prewarmed('warmed')
        metrics.prewarmed('hit')
        return { warmed: 1, coldAway: undefined }
      },
    },
    library: { refresh: async () => undefined },
    places,
    intervalMs: 10_000,
    sizeIntervalMs: 60_000,
    clock,
    metrics,
    log,
  })
  curator.start()
  for (let round = 1; round < count; round++) {
    await clock.began(round)
    await clock.advance(10_000)
  }
  await clock.began(count)
  await curator.stop()
  const metric = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value
  return { steps, lines, metric }
}

const away = () => new Fault('REDIS_UNAVAILABLE', 'Redis is away')
const full = () => new Fault('REDIS_OUT_OF_MEMORY', 'Redis is full')

describe('a round', () => {
  it('sweeps, then prewarms, and counts what came of it', async () => {
    const { steps, lines, metric } = await rounds(2, {})
    expect(steps).toEqual(['sweep', 'prewarm', 'sweep', 'prewarm'])
    expect(lines).toEqual(['prewarmed', 'prewarmed'])
    expect(await metric('webhook_context_prewarmed_total')).toBe(2)
    expect(await metric('webhook_context_prewarm_hits_total')).toBe(2)
    expect(await metric('webhook_context_prewarm_misses_total')).toBe(0)
  })

  it('whose prewarming fails has swept all the same; it is told once, and when it is over', async () => {
    const { lines, metric } = await rounds(4, { prewarmings: [full(), full(), away()] })
    expect(lines).toEqual(['prewarming_failed', 'prewarming_failed', 'prewarming_back', 'prewarmed'])
    expect(await metric('webhook_context_sweep_failures_total')).toBe(0)
  })

  it('whose sweep fails is counted and told once, and prewarms', async () => {
    const { steps, lines, metric } = await rounds(3, { sweeps: [away(), away()] })
    expect(steps).toHaveLength(6)
    expect(lines.filter((event) => event !== 'prewarmed')).toEqual(['sweep_failed', 'sweep_back'])
    expect(await metric('webhook_context_sweep_failures_total')).toBe(2)
  })

  it('says nothing of the bytes of the tiers where Redis’ user may not ask for them, and is no failure', async () => {
    const asked: string[] = []
    const call = async (command: string) => {
      asked.push(command)
      if (command === 'MEMORY') throw new Fault('REDIS_UNSUITABLE', 'this user may not run memory|usage')
      return command === 'ZRANDMEMBER' ? ['ctx_0123456789abcdefghijkl'] : 1
    }
    const link = { connected: true, call, run: async () => [0, 0] } as unknown as ContextPlace['link']
    const places = [{ link, keys: contextKeys('webhook-events', false, 0) }]
    const { lines, metric } = await rounds(2, { places })
    expect(asked).toContain('MEMORY')
    expect(await metric('webhook_context_bytes')).toBeUndefined()
    expect(await metric('webhook_contexts')).toBe(1)
    expect(await metric('webhook_context_sweep_failures_total')).toBe(0)
    expect(lines).not.toContain('sweep_failed')
  })
})
