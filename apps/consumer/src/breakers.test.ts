import { partitionKeys } from '@weir/core/keys'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import type { BreakerState } from '@weir/core/stream/breaker'
import { readBreaker, resetBreaker } from '@weir/core/stream/breaker'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { type Breakers, createBreakers } from './breakers.ts'

const redis = useRedis()
const keys = partitionKeys({ stream: 's', deadLetters: 'd', group: 'g', cluster: false })
const settings = { failureThreshold: 3, openDurationMs: 60_000, probeLeaseMs: 60_000 }

let link: RedisLink
/** Round trips made. */
let asked: number
beforeEach(async () => {
  const connection = {
    commandTimeoutMs: 1_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 50,
    name: 'breakers',
  }
  const real = connectRedis({ url: redis.url, ...connection })
  await real.ready()
  asked = 0
  link = {
    ...real,
    get connected() {
      return real.connected
    },
    run(script, touched, args) {
      asked++
      return real.run(script, touched, args)
    },
  }
})
afterEach(() => link.close())

interface View {
  readonly breakers: Breakers
  readonly changes: [string, BreakerState['state']][]
  readonly closed: string[]
  now: number
}
function view(): View {
  const made: { -readonly [K in keyof View]: View[K] } = {
    breakers: undefined as unknown as Breakers,
    changes: [],
    closed: [],
    now: 0,
  }
  made.breakers = createBreakers({
    link,
    keys,
    settings,
    monotonic: () => made.now,
    onChange: (tool, state) => void made.changes.push([tool, state.state]),
    onClosed: (tool) => void made.closed.push(tool),
  })
  return made
}
const fail = async ({ breakers }: View, times = 1) => {
  for (let n = 0; n < times; n++) await breakers.report('github', 'failure', false)
}
/** As if open_duration had passed in Redis. */
const elapse = () => link.call('HSET', keys.breaker('github'), 'until', 1)

describe("a consumer's view of the breakers", () => {
  it('counts failures in a row also while Redis has not answered the first of them', async () => {
    const consumer = view()
    const { breakers } = consumer
    await breakers.gate('github')
    const outcomes = Array.from({ length: 10 }, () => ['failure', 'success', 'success', 'success'] as const)
    await Promise.all(outcomes.flat().map((outcome) => breakers.report('github', outcome, false)))
    expect(consumer.changes).toEqual([])
    // Of several successes one is enough.
    expect(asked).toBe(1 + 20)
    await Promise.all(
      ['success', 'failure', 'failure'].map((outcome) =>
        breakers.report('github', outcome as 'failure', false),
      ),
    )
    expect(consumer.changes).toEqual([])
    await Promise.all(
      ['failure', 'success'].map((outcome) => breakers.report('github', outcome as 'failure', false)),
    )
    expect(consumer.changes).toEqual([['github', 'open']])
  })

  it('asks Redis once for the first events of a tool, then costs nothing while all is well', async () => {
    const { breakers } = view()
    expect(await Promise.all([1, 2, 3].map(() => breakers.gate('github')))).toEqual(
      [1, 2, 3].map(() => ({ kind: 'pass' })),
    )
    expect(asked).toBe(1)
    expect(breakers.gate('github')).toBeUndefined()
    await breakers.report('github', 'success', false)
    expect(asked).toBe(1)
    expect([...breakers.states()]).toMatchObject([['github', { state: 'closed', failures: 0 }]])
  })

  it('asks again when the first question failed', async () => {
    const { breakers } = view()
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    await expect(breakers.gate('github')).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await redis.server.restart()
    await link.ready()
    expect(await breakers.gate('github')).toEqual({ kind: 'pass' })
  })

  it('opens after failures in a row, and tells how long to wait, without asking', async () => {
    const one = view()
    await fail(one, 2)
    expect(one.changes).toEqual([])
    await fail(one)
    expect(one.changes).toEqual([['github', 'open']])
    asked = 0
    one.now = 10_000
    const gate = await one.breakers.gate('github')
    expect(gate).toMatchObject({ kind: 'wait' })
    expect(gate?.kind === 'wait' && gate.waitMs).toBeGreaterThan(49_000)
    expect(gate?.kind === 'wait' && gate.waitMs).toBeLessThanOrEqual(50_000)
    expect(asked).toBe(0)
    expect(one.breakers.gate('generic')).toBeInstanceOf(Promise) // another tool
    expect(await one.breakers.gate('generic')).toEqual({ kind: 'pass' })
  })

  it('a success in between starts the count anew, and only then is Redis told of it', async () => {
    const one = view()
    await fail(one, 2)
    asked = 0
    await one.breakers.report('github', 'success', false)
    await one.breakers.report('github', 'success', false)
    expect(asked).toBe(1)
    await fail(one, 2)
    expect((await readBreaker(link, keys, 'github')).state).toBe('closed')
  })

  it('a consumer that comes later sees it open with its first event', async () => {
    await fail(view(), 3)
    expect(await view().breakers.gate('github')).toMatchObject({ kind: 'wait' })
  })

  it('one probe at a time; a failing one keeps it open, a succeeding one closes it', async () => {
    const [one, two] = [view(), view()]
    await fail(one, 3)
    await two.breakers.gate('github')
    await elapse()
    await Promise.all([one.breakers.refresh(), two.breakers.refresh()])
    const gates = await Promise.all([one.breakers.gate('github'), two.breakers.gate('github')])
    expect(gates.map((gate) => gate?.kind).sort()).toEqual(['probe', 'wait'])

    await one.breakers.report('github', 'failure', true)
    expect((await readBreaker(link, keys, 'github')).state).toBe('open')
    expect(await one.breakers.gate('github')).toMatchObject({ kind: 'wait' })
    await elapse()
    await one.breakers.refresh()
    expect(await one.breakers.gate('github')).toEqual({ kind: 'probe' })
    await one.breakers.report('github', 'success', true)
    expect(one.changes.at(-1)).toEqual(['github', 'closed'])
    expect(one.closed).toEqual(['github'])
    expect(one.breakers.gate('github')).toBeUndefined()
    expect(two.closed).toEqual([])
    await two.breakers.refresh()
    expect(two.closed).toEqual(['github'])
    expect(two.changes).toEqual([])
  })

  it('a probe that is given back is free for the next one', async () => {
    const one = view()
    await fail(one, 3)
    await elapse()
    await one.breakers.refresh()
    expect(await one.breakers.gate('github')).toEqual({ kind: 'probe' })
    expect(await one.breakers.gate('github')).toMatchObject({ kind: 'wait' })
    await one.breakers.release('github')
    expect(await one.breakers.gate('github')).toEqual({ kind: 'probe' })
  })

  it('giving a probe back after it was closed leaves it closed', async () => {
    const one = view()
    await fail(one, 3)
    await resetBreaker(link, keys, 'github')
    await one.breakers.release('github')
    expect(await link.call('EXISTS', keys.breaker('github'))).toBe(0)
  })

  it('notices that an operator closed it', async () => {
    const one = view()
    await fail(one, 3)
    await resetBreaker(link, keys, 'github')
    await one.breakers.refresh()
    expect(one.closed).toEqual(['github'])
    expect(one.breakers.gate('github')).toBeUndefined()
  })
})
