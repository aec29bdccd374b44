import { createDictionarySet, dictionaryOf, publishDictionaries } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import { type HandlerEvent, PermanentError } from '@weir/core/handlers/handler'
import { linkOf } from '@weir/core/redis/link'
import { wakeParked } from '@weir/core/stream/parked'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { onGithub, withConsumer } from './testing.ts'

const redis = useRedis()

const pingOf = (event: HandlerEvent) => (event.payload as { n: number }).n
const numbered = (n: number) => ({ body: JSON.stringify({ n }) })

describe('the way of an event', () => {
  it('is handed to its handler once, and settled', async () => {
    const seen: HandlerEvent[] = []
    await withConsumer(redis, {}, [onGithub((event) => void seen.push(event))], async (world) => {
      const event = await world.admit({ body: '{"action":"opened"}', tenant: 'acme' })
      await world.until({ accepted: 1, settled: 1, pending: 0 })
      expect(seen).toMatchObject([{ id: event.id, tenant: 'acme', name: 'issues.opened', attempt: 1 }])
      expect(seen[0]?.body.equals(event.body)).toBe(true)
      await world.rest()
      expect(world.consumer.metrics.settled.values()).toEqual([
        { value: 1, labels: { tool: 'github', outcome: 'settled' } },
      ])
    })
  })

  it('is settled when no handler wants it', async () => {
    await withConsumer(redis, {}, [], async (world) => {
      await world.admit()
      await world.admit({ tool: 'jira', type: 'jira:issue_created' })
      await world.until({ settled: 2 })
    })
  })

  it('goes to all handlers that want it; those that succeeded run again when a later one fails', async () => {
    const runs: string[] = []
    let failures = 1
    const handlers = [
      onGithub((_, ctx) => void runs.push(ctx.idempotencyKey), 'first'),
      onGithub((_, ctx) => {
        runs.push(ctx.idempotencyKey)
        if (failures-- > 0) throw new Error('not yet')
      }, 'second'),
    ]
    await withConsumer(redis, {}, handlers, async (world) => {
      const { id } = await world.admit()
      await world.until({ settled: 1 })
      expect(runs).toEqual([`${id}:first`, `${id}:second`, `${id}:first`, `${id}:second`])
    })
  })
})

describe('a failure', () => {
  it('is tried again with backoff, and settled when it succeeds', async () => {
    const attempts: [number, string][] = []
    const handler = onGithub((event, ctx) => {
      attempts.push([event.attempt, ctx.idempotencyKey])
      if (event.attempt < 3) throw new Error('not yet')
    })
    await withConsumer(redis, {}, [handler], async (world) => {
      const { id } = await world.admit()
      await world.until({ settled: 1, parked: 0, dead: 0 })
      expect(attempts).toEqual([1, 2, 3].map((n) => [n, `${id}:test`]))
    })
  })

  it('is dead-lettered after max_retries = 3, four attempts, with error, reason, attempts and times', async () => {
    const attempts: number[] = []
    const handler = onGithub((event) => {
      attempts.push(event.attempt)
      throw new Error(`attempt ${event.attempt} failed`)
    })
    await withConsumer(redis, {}, [handler], async (world) => {
      const event = await world.admit()
      await world.until({ dead: 1, parked: 0, pending: 0, settled: 0 })
      expect(attempts).toEqual([1, 2, 3, 4])
      const [letter] = await world.letters()
      expect(letter).toMatchObject({
        streamId: event.streamId,
        reason: 'handler',
        error: 'attempt 4 failed',
        record: { id: event.id, attempts: 4 },
      })
      const started = Number(event.streamId.split('-')[0])
      expect(letter!.firstFailedAt).toBeGreaterThanOrEqual(started)
      expect(letter!.deadAt).toBeGreaterThan(letter!.firstFailedAt)
      await world.rest()
      expect(await world.consumer.metrics.failed.get()).toMatchObject({
        values: [{ value: 1, labels: { tool: 'github', reason: 'handler' } }],
      })
      const { retries, registry } = world.consumer.metrics
      expect(retries.values()).toEqual([{ value: 3, labels: { tool: 'github' } }])
      const text = await registry.metrics()
      for (const stage of ['decode', 'handlers', 'settle'])
        expect(text).toContain(`webhook_stage_duration_seconds_count{stage="${stage}"} 4`)
    })
  })

  it('max_retries = 0 is one attempt', async () => {
    let runs = 0
    const handler = onGithub(() => {
      runs++
      throw new Error('no')
    })
    await withConsumer(redis, { maxRetries: 0 }, [handler], async (world) => {
      await world.admit()
      await world.until({ dead: 1 })
      expect(runs).toBe(1)
    })
  })

  it('a dead event is accepted again under the same id', async () => {
    let broken = true
    const handler = onGithub(() => {
      if (broken) throw new PermanentError('broken')
    })
    await withConsumer(redis, {}, [handler], async (world) => {
      const first = await world.admit({ delivery: 'same' })
      await world.until({ dead: 1 })
      broken = false
      const again = await world.admit({ delivery: 'same' })
      expect(again.id).toBe(first.id)
      await world.until({ accepted: 2, settled: 1, dead: 1 })
    })
  })

  it('PermanentError is dead at once', async () => {
    const handler = onGithub(() => {
      throw new PermanentError('this repository is archived')
    })
    await withConsumer(redis, {}, [handler], async (world) => {
      await world.admit()
      await world.until({ dead: 1 })
      expect(await world.letters()).toMatchObject([
        { reason: 'permanent', error: 'this repository is archived', record: { attempts: 1 } },
      ])
    })
  })

  it('whatever is thrown is a failure, not a crash', async () => {
    const thrown: unknown[] = ['text', undefined, null, 7, { strange: true }]
    const handler = onGithub((event) => {
      throw thrown[pingOf(event)]
    })
    await withConsumer(redis, { maxRetries: 0 }, [handler], async (world) => {
      await world.admitMany(thrown.length, numbered)
      await world.until({ dead: thrown.length })
    })
  })

  it("a handler's own trouble with a Redis of its own is a failure like any other", async () => {
    const handler = onGithub(() => {
      throw new Fault('REDIS_UNAVAILABLE', "the handler's own Redis is away")
    })
    await withConsumer(redis, { maxRetries: 1 }, [handler], async (world) => {
      await world.admit()
      await world.until({ dead: 1 })
      expect(await world.letters()).toMatchObject([{ reason: 'handler', record: { attempts: 2 } }])
    })
  })
})

describe('what cannot be read', () => {
  it('a malformed body is dead at once; no handler sees it', async () => {
    let runs = 0
    const handler = onGithub(() => void runs++)
    await withConsumer(redis, {}, [handler], async (world) => {
      await world.admit({ body: '{"action":' })
      await world.until({ dead: 1 })
      expect(runs).toBe(0)
      expect(await world.letters()).toMatchObject([{ reason: 'malformed', record: { attempts: 1 } }])
      const [letter] = await world.letters()
      expect(letter?.error).toMatch(/not JSON/)
    })
  })

  it('a record that is none goes to the dead letters as it is, and holds nothing up', async () => {
    const handler = onGithub(() => undefined)
    await withConsumer(redis, {}, [handler], async (world) => {
      const { stream } = world.keys
      const good = await world.admit()
      await world.link.call('XADD', stream, '*', 'foo', 'bar')
      await world.link.call('XADD', stream, '*', 'v', '99', 'id', good.id, 'body', 'x')
      await world.link.call('XADD', stream, '*', 'v', '1', 'id', '../../etc', 'body', 'x')
      const { fields } = await world.admit()
      const unreadable = fields.map((value, index) => (fields[index - 1] === 'body' ? 'no frame' : value))
      unreadable[3] = good.id
      await world.link.call('XADD', stream, '*', ...unreadable)
      await world.admit()
      await world.until({ accepted: 7, settled: 3, dead: 4, pending: 0 })
      const letters = await world.letters()
      expect(letters.map(({ reason }) => reason)).toEqual(['corrupt', 'corrupt', 'corrupt', 'corrupt'])
      const texts = letters.map(({ fields }) => fields.map(String))
      expect(texts.filter((text) => text[0] === 'foo' && text[1] === 'bar')).toHaveLength(1)
    })
  })

  it('an entry of thousands of fields that somebody wrote into the stream', async () => {
    await withConsumer(redis, {}, [], async (world) => {
      const fields = Array.from({ length: 10_000 }, (_, index) => `f${index}`)
      await world.link.call('XADD', world.keys.stream, '*', ...fields)
      await world.admit()
      await world.until({ accepted: 2, settled: 1, dead: 1, pending: 0 })
    })
  })
})

describe('a missing dictionary', () => {
  it('lets the event wait, loudly and without using an attempt, until it is published', async () => {
    const attempts: number[] = []
    const handler = onGithub((event) => void attempts.push(event.attempt))
    await withConsumer(redis, {}, [handler], async (world) => {
      const dictionary = dictionaryOf(Buffer.from('"action":"opened","delivery":"'.repeat(50)))
      const dictionaries = createDictionarySet(new Map([['github', dictionary]]))
      const event = await world.admit({ dictionaries })
      await world.admit()
      await world.until({ settled: 1, parked: 1, dead: 0 })
      const [state] = (await world.link.call('HVALS', world.keys.parkedState)) as Buffer[]
      expect(JSON.parse(String(state))).toMatchObject({ id: event.id, n: 0, reason: 'dictionary' })
      expect(world.lines).toContainEqual(
        expect.objectContaining({
          level: 50,
          event_id: event.id,
          reason: 'dictionary',
          err: expect.stringContaining(`dictionary ${dictionary.id} is neither bundled nor published`),
        }),
      )
      await world.rest()
      expect(await world.consumer.metrics.missingDictionary.get()).toMatchObject({ values: [{ value: 1 }] })
      expect(world.consumer.metrics.retries.values()).toEqual([])

      await publishDictionaries(world.link, world.keys, dictionaries)
      await wakeParked(world.link, world.keys, 'dictionary')
      await world.until({ settled: 2, parked: 0 })
      expect(attempts).toEqual([1, 1])
    })
  })

  it('published already, it is fetched on the way', async () => {
    await withConsumer(redis, {}, [], async (world) => {
      const dictionary = dictionaryOf(Buffer.from('"action":"opened","delivery":"'.repeat(60)))
      const dictionaries = createDictionarySet(new Map([['github', dictionary]]))
      await publishDictionaries(world.link, world.keys, dictionaries)
      await world.admit({ dictionaries })
      await world.until({ settled: 1 })
      expect(world.lines.filter(({ level }) => level >= 40)).toEqual([])
    })
  })
})

describe('handler_timeout', () => {
  it('aborts the signal, and counts as an attempt', async () => {
    const reasons: unknown[] = []
    const handler = onGithub(
      (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason)
            reject(new Error('gave up'))
          })
        }),
    )
    await withConsumer(redis, { handlerTimeoutMs: 50, maxRetries: 1 }, [handler], async (world) => {
      await world.admit()
      await world.until({ dead: 1 })
      expect(reasons).toEqual([1, 2].map(() => expect.objectContaining({ code: 'HANDLER_TIMEOUT' })))
      expect(await world.letters()).toMatchObject([
        {
          reason: 'timeout',
          error: 'handler did not finish within 50 ms (consumer.handler_timeout)',
          record: { attempts: 2 },
        },
      ])
    })
  })

  it('does not wait for a handler that ignores the signal, nor trips over what it does later', async () => {
    const late = Promise.withResolvers<void>()
    const handler = onGithub((event) => (event.attempt === 1 ? late.promise : undefined))
    await withConsumer(redis, { handlerTimeoutMs: 50, numWorkers: 1 }, [handler], async (world) => {
      await world.admit()
      await world.until({ settled: 1 })
      late.reject(new Error('far too late'))
      await world.admit()
      await world.until({ settled: 2, dead: 0 })
    })
  })

  it('starts no further handler of an event whose time is up', async () => {
    const slow = Promise.withResolvers<void>()
    const runs: string[] = []
    const handlers = [
      onGithub((event) => {
        runs.push(`slow ${event.attempt}`)
        return event.attempt === 1 ? slow.promise : undefined
      }, 'slow'),
      onGithub((event) => void runs.push(`next ${event.attempt}`), 'next'),
    ]
    await withConsumer(redis, { handlerTimeoutMs: 50 }, handlers, async (world) => {
      await world.admit()
      await world.until({ settled: 1 })
      slow.resolve()
      await new Promise((resolve) => setImmediate(resolve))
      expect(runs).toEqual(['slow 1', 'slow 2', 'next 2'])
    })
  })
})

describe('how much at once', () => {
  it('a slow event blocks nothing behind it', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = onGithub((event) => (pingOf(event) === 0 ? gate.promise : undefined))
    await withConsumer(redis, { numWorkers: 2, prefetchCount: 10 }, [handler], async (world) => {
      await world.admitMany(200, numbered)
      await world.until({ settled: 199, pending: 1 })
      gate.resolve()
      await world.until({ settled: 200 })
    })
  })

  it('nor does one that fails and waits long for its next attempt', async () => {
    const handler = onGithub((event) => {
      if (pingOf(event) === 0 && event.attempt === 1) throw new Error('once')
    })
    const backoff = { baseMs: 3_600_000, maxMs: 3_600_000 }
    await withConsumer(redis, { backoff, prefetchCount: 1 }, [handler], async (world) => {
      await world.admitMany(20, numbered)
      await world.until({ settled: 19, parked: 1, pending: 0 })
      await wakeParked(world.link, world.keys, 'retry')
      await world.until({ settled: 20 })
    })
  })

  it('num_workers handlers run, never more', async () => {
    let running = 0
    let most = 0
    const gate = Promise.withResolvers<void>()
    const handler = onGithub(async () => {
      most = Math.max(most, ++running)
      await gate.promise
      running--
    })
    await withConsumer(redis, { numWorkers: 7 }, [handler], async (world) => {
      await world.admitMany(100)
      await expect.poll(() => running).toBe(7)
      await expect.poll(() => world.consumer.state()).toMatchObject({ held: 100, running: 7 })
      gate.resolve()
      await world.until({ settled: 100 })
      expect(most).toBe(7)
    })
  })

  it('prefetch_count entries are held, never more', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = onGithub(() => gate.promise)
    await withConsumer(
      redis,
      { numWorkers: 3, prefetchCount: 10, batchSize: 4 },
      [handler],
      async (world) => {
        await world.admitMany(50)
        await world.until({ pending: 10, unread: 40 })
        await world.admitMany(50)
        await world.until({ pending: 10, unread: 90 })
        gate.resolve()
        await world.until({ settled: 100 })
      },
    )
  })

  it('retries that come due while a read waits for new events do not lift it above prefetch_count', async () => {
    const gate = Promise.withResolvers<void>()
    let most = 0
    const handler = onGithub((event) => {
      most = Math.max(most, world_?.consumer.state().held ?? 0)
      if (pingOf(event) < 10 && event.attempt === 1) throw new Error('once')
      return gate.promise
    })
    let world_: { readonly consumer: { state(): { readonly held: number } } } | undefined
    const backoff = { baseMs: 3_600_000, maxMs: 3_600_000 }
    const settings = { backoff, prefetchCount: 10, batchSize: 10, blockTimeoutMs: 5_000 }
    await withConsumer(redis, settings, [handler], async (world) => {
      world_ = world
      await world.admitMany(10, numbered)
      await world.until({ parked: 10, pending: 0, unread: 0 })
      await wakeParked(world.link, world.keys, 'retry')
      await expect.poll(() => world.consumer.state().running).toBeGreaterThan(0)
      await world.admitMany(30, (index) => numbered(100 + index))
      await expect.poll(() => world.consumer.state().held).toBe(10)
      gate.resolve()
      await world.until({ settled: 40 })
      expect(most).toBeLessThanOrEqual(10)
    })
  })

  it('with prefetch_count = 1 new events and retries still take turns', async () => {
    const handler = onGithub((event) => {
      if (event.attempt < 4) throw new Error('three times')
    })
    const settings = { prefetchCount: 1, batchSize: 100, numWorkers: 1, blockTimeoutMs: 20 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(10)
      await world.until({ settled: 10, dead: 0 })
    })
  })

  it('a read asks for batch_size entries at most', async () => {
    const asked: number[] = []
    const monitor = await redis.client().monitor()
    monitor.on('monitor', (_time: string, args: string[]) => {
      if (args[0]?.toUpperCase() === 'XREADGROUP') asked.push(Number(args[args.indexOf('COUNT') + 1]))
    })
    await withConsumer(redis, { batchSize: 8, prefetchCount: 1000 }, [], async (world) => {
      await world.admitMany(100)
      await world.until({ settled: 100 })
    })
    monitor.disconnect()
    expect(Math.max(...asked)).toBe(8)
  })
})

describe('20,000 events', () => {
  /** Timers that are set in this process. */
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

  it('leave nothing behind: no entry held, no listener, and no timer for each', async () => {
    let mostTimers = 0
    const handler = onGithub((event) => {
      const n = pingOf(event)
      if (n % 500 === 0) mostTimers = Math.max(mostTimers, timers())
      if (n % 100 === 0 && event.attempt === 1) throw new Error('once')
    })
    const client = redis.client({ protocol: 2 })
    const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)])
    let before = 0
    const link = linkOf(client)
    await link.ready()
    const listening = listeners()
    await withConsumer(
      redis,
      { numWorkers: 50 },
      [handler],
      async (world) => {
        for (let from = 0; from < 20_000; from += 2_000) {
          await world.admitMany(2_000, (index) => numbered(from + index))
        }
        before = timers()
        world.consumer.start()
        await world.until({ settled: 20_000, parked: 0, pending: 0 })
        await world.rest()
        expect(world.consumer.state()).toMatchObject({ held: 0, running: 0, unsettled: 0 })
        await world.consumer.stop()
        expect(listeners()).toEqual(listening)
      },
      { deps: { link }, started: false },
    )
    client.disconnect()
    // One for each loop, and for each command in flight; 1,000 events were held at once.
    expect(mostTimers - before).toBeLessThan(100)
  }, 120_000)
})
