/** Events that come in one turn are appended in one call, each as if it had come alone. */
import { deriveEventId, eventIdBytes, locatorOf } from '@weir/core/event'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { type ContextId, contextIdOf } from './context-id.ts'
import { contextKeys } from './context-keys.ts'
import { decodeHead, encodeIdentity } from './head.ts'
import { type Addition, createAppends } from './hot-append.ts'

const redis = useRedis()
const keys = contextKeys('webhook-events', false, 0)
let link: RedisLink
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'appends',
  })
  await link.ready()
})
afterEach(() => link.close())

const contextOf = (subject: number): ContextId => contextIdOf('acme', 'github', `acme/site#${subject}`)

function addition(subject: number, event: number, recordBytes = 20): Addition {
  const eventId = eventIdBytes(
    deriveEventId(locatorOf('acme', 'github', { kind: 'delivery-id', value: `${event}` })),
  )
  const subjectKey = { tenant: 'acme', tool: 'github', kind: 'issue', subject: `acme/site#${subject}` }
  return {
    eventId,
    identity: encodeIdentity(contextOf(subject), subjectKey, undefined),
    digest: Buffer.from(`digest ${event}`),
    record: Buffer.alloc(recordBytes, `record ${event} `),
    receivedAt: 1_700_000_000_000,
  }
}

/** Calls of the script since the last look. */
async function callsOfScript(): Promise<number> {
  const stats = String(await redis.client().info('commandstats'))
  await redis.client().config('RESETSTAT')
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

describe('events of one turn', () => {
  it('are appended in one call, and counted in their order', async () => {
    const appends = createAppends()
    const place = { link, keys }
    await appends.append(place, contextOf(1), addition(1, 0))
    await callsOfScript()
    const events = await Promise.all(
      [1, 2, 3, 4].map((n) => appends.append(place, contextOf(n % 2), addition(n % 2, n))),
    )
    expect(events).toEqual([2, 1, 3, 2])
    expect(await callsOfScript()).toBe(1)
  })

  it('are as many in a call as Redis does in half a millisecond, and large ones go alone', async () => {
    const appends = createAppends()
    const place = { link, keys }
    await appends.append(place, contextOf(1), addition(1, -1))
    await callsOfScript()
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => appends.append(place, contextOf(1), addition(1, n))),
    )
    expect(await callsOfScript()).toBe(3)
    await Promise.all([50, 51, 52].map((n) => appends.append(place, contextOf(1), addition(1, n, 40_000))))
    expect(await callsOfScript()).toBe(3)
  })

  it('the same one twice: appended once', async () => {
    const appends = createAppends()
    const place = { link, keys }
    const twice = [7, 7].map((n) => appends.append(place, contextOf(1), addition(1, n)))
    expect(await Promise.all(twice)).toEqual([1, undefined])
    expect(await link.call('LLEN', keys.log(contextOf(1)))).toBe(1)
  })

  it('are not held up by one whose context is broken', async () => {
    const appends = createAppends()
    const place = { link, keys }
    await link.call('SET', keys.raw(contextOf(2)), 'somebody wrote here')
    const results = await Promise.allSettled(
      [1, 2, 3].map((n) => appends.append(place, contextOf(n), addition(n, n))),
    )
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await link.call('ZRANGE', keys.hot, 0, -1)).toHaveLength(2)
  })

  it('out of memory: none is appended, and all say so', async () => {
    const appends = createAppends()
    const place = { link, keys }
    await redis.client().config('SET', 'maxmemory', '1')
    try {
      const results = await Promise.allSettled(
        [1, 2].map((n) => appends.append(place, contextOf(n), addition(n, n))),
      )
      for (const result of results)
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'REDIS_OUT_OF_MEMORY' } })
      expect(await redis.client().keys('*')).toEqual([])
    } finally {
      await redis.client().config('SET', 'maxmemory', '0')
    }
  })

  it('leave what each would have left alone, whatever their order, repeats included', async () => {
    const script = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 12 })), { maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(script, async (events) => {
        await redis.client().flushall()
        const place = { link, keys }
        // An event is of one subject.
        const of = events.map(([, event]) => [event % 4, event] as const)
        const together = createAppends()
        const counted = await Promise.all(
          of.map(([subject, event]) => together.append(place, contextOf(subject), addition(subject, event))),
        )
        const expected = new Map<number, number[]>()
        const numbers = of.map(([subject, event]) => {
          const there = expected.get(subject) ?? []
          expected.set(subject, there)
          if (there.includes(event)) return undefined
          return there.push(event)
        })
        expect(counted).toEqual(numbers)
        for (const [subject, there] of expected) {
          const id = contextOf(subject)
          const log = (await link.call('LRANGE', keys.log(id), 0, -1)) as Buffer[]
          expect(log.map(String)).toEqual(there.map((event) => `digest ${event}`))
          const head = decodeHead(
            id,
            (await link.call('GET', keys.head(id))) as Buffer,
            {
              open: () => undefined,
            } as never,
          )
          expect(head.events).toBe(there.length)
          expect(head.rawBytes).toBe(20 * there.length)
          const beginnings = there.map((event) => addition(subject, event).eventId.subarray(0, 8))
          expect(head.ids.equals(Buffer.concat(beginnings))).toBe(true)
        }
      }),
      { numRuns: 40 },
    )
  })
})
