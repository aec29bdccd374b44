import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import { linkOf } from '@weir/core/redis/link'
import { describe, expect, it } from 'vitest'
import { startProxy } from '../../../tests/support/proxy.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { effects, onGithub, withConsumer } from './testing.ts'

const redis = useRedis()

describe('the group', () => {
  it('starts at 0: what was admitted before the first consumer is processed', async () => {
    const { handler, keys } = effects()
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        await world.admitMany(250)
        world.consumer.start()
        await world.until({ settled: 250 })
        expect(keys.size).toBe(250)
      },
      { started: false },
    )
  })

  it('that is destroyed while events are read, run and parked is made anew; nothing is missed', async () => {
    const { handler, keys } = effects()
    const gate = Promise.withResolvers<void>()
    let held = true
    const slow = onGithub(async (event, ctx) => {
      if (held) await gate.promise
      if (event.attempt === 1 && (event.payload as { n: number }).n % 3 === 0) throw new Error('once')
      await handler.run(event, ctx)
    })
    const settings = { prefetchCount: 20, numWorkers: 5, trimIntervalMs: 10 }
    await withConsumer(redis, settings, [slow], async (world) => {
      await world.admitMany(60, (n) => ({ body: JSON.stringify({ n }) }))
      await world.until({ pending: 20 })
      await world.link.call('XGROUP', 'DESTROY', world.keys.stream, world.keys.group)
      held = false
      gate.resolve()
      await world.until({ settled: 60, pending: 0, parked: 0, unread: 0 })
      expect(keys.size).toBe(60)

      await world.link.call('XGROUP', 'DESTROY', world.keys.stream, world.keys.group)
      await world.admitMany(20, (n) => ({ body: JSON.stringify({ n }) }))
      await world.until({ accepted: 80, settled: 80, pending: 0, parked: 0, unread: 0 })
      expect(keys.size).toBe(80)
    })
  })

  it('goes on with new events after FLUSHALL, and publishes its dictionaries again', async () => {
    const { handler, keys } = effects()
    const gate = Promise.withResolvers<void>()
    let first = true
    const slow = onGithub(async (event, ctx) => {
      if (first) await gate.promise
      await handler.run(event, ctx)
    })
    const dictionary = dictionaryOf(Buffer.alloc(200, 'dictionary'))
    const dictionaries = createDictionarySet(new Map([['github', dictionary]]))
    await withConsumer(
      redis,
      { numWorkers: 3 },
      [slow],
      async (world) => {
        await world.admitMany(10)
        await world.until({ pending: 10 })
        await world.link.call('FLUSHALL')
        first = false
        gate.resolve()
        await world.rest()
        keys.clear()
        await world.admitMany(10)
        await world.until({ accepted: 10, settled: 10 })
        expect(keys.size).toBe(10)
        expect(await world.link.call('GET', world.keys.dictionary(dictionary.id))).toEqual(dictionary.bytes)
      },
      { balanced: false, deps: { dictionaries } },
    )
  })
})

describe('a lost answer', () => {
  it('to a read: the entries are taken up again without waiting to be reclaimed', async () => {
    const { handler, keys } = effects()
    const proxy = await startProxy(redis.port)
    const settings = { blockTimeoutMs: 30_000, reclaimIdleMs: 60_000 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        proxy.stall('replies')
        await world.admit()
        await world.until({ pending: 1 }) // delivered into nothing
        await world.admitMany(4)
        await world.until({ pending: 1, unread: 4 })
        proxy.resume()
        proxy.dropClients()
        await world.until({ settled: 6 })
        expect(keys.size).toBe(6)
      },
      { blockingUrl: proxy.url },
    )
    await proxy.close()
  })

  it('to a read on a connection that was killed', async () => {
    const { handler, keys } = effects()
    await withConsumer(redis, { reclaimIdleMs: 60_000 }, [handler], async (world) => {
      const control = redis.client()
      for (let round = 0; round < 20; round++) {
        const admitted = world.admitMany(20)
        const clients = String(await control.call('CLIENT', 'LIST'))
        const id = /id=(\d+) [^\n]*name=consumer-read /.exec(clients)?.[1]
        if (id !== undefined) await control.call('CLIENT', 'KILL', 'ID', id)
        await admitted
      }
      await world.until({ settled: 400 })
      expect(keys.size).toBe(400)
    })
  })

  it('to a read whose server did not notice that its client had gone', async () => {
    const { handler, keys } = effects()
    const proxy = await startProxy(redis.port)
    const settings = { blockTimeoutMs: 30_000, reclaimIdleMs: 60_000 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        const before = proxy.clients
        proxy.dropClients()
        await expect.poll(() => proxy.clients).toBe(before)
        await expect.poll(() => world.consumer.state().redis).toBe(true)
        await world.admitMany(50) // Redis may hand them to the connection that is gone
        await world.until({ settled: 51 })
        expect(keys.size).toBe(51)
      },
      { blockingUrl: proxy.url },
    )
    await proxy.close()
  })

  it('to an acknowledgement: settled once, by the ledger', async () => {
    const { handler } = effects()
    const proxy = await startProxy(redis.port)
    await withConsumer(
      redis,
      { commandTimeoutMs: 200 },
      [handler],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        proxy.stall('replies')
        await world.admitMany(5)
        await world.until({ settled: 6 })
        expect(world.consumer.state()).toMatchObject({ held: 5, unsettled: 5 }) // it does not know
        proxy.resume()
        await world.rest()
        await world.until({ accepted: 6, settled: 6 })
      },
      { url: proxy.url, blockingUrl: redis.url },
    )
    await proxy.close()
  })
})

describe('a half-open connection', () => {
  it('of the blocking read is dropped by the watchdog', async () => {
    const { handler, keys } = effects()
    const proxy = await startProxy(redis.port)
    const settings = { blockTimeoutMs: 100, commandTimeoutMs: 200, reclaimIdleMs: 60_000 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        proxy.stall('both')
        await world.admitMany(5)
        await expect
          .poll(() => world.lines.some(({ msg }) => msg === 'blocking read was not answered; reconnecting'))
          .toBe(true)
        proxy.resume()
        await world.until({ settled: 6 })
        expect(keys.size).toBe(6)
      },
      { blockingUrl: proxy.url },
    )
    await proxy.close()
  })
})

describe('a network that swallows everything for a while, without closing anything', () => {
  it.each(['the blocking connection', 'the other connection', 'both connections'])('on %s', async (which) => {
    const { handler, keys } = effects()
    const proxy = await startProxy(redis.port)
    const settings = { blockTimeoutMs: 100, commandTimeoutMs: 200, reclaimIdleMs: 60_000 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        proxy.swallow()
        await world.admitMany(5)
        // New connections are accepted as well, and never answered.
        const known = proxy.connections
        proxy.dropClients()
        await expect.poll(() => proxy.connections).toBeGreaterThan(known)
        proxy.resume()
        await world.until({ settled: 6 })
        await world.admitMany(5)
        await world.until({ settled: 11 })
        expect(keys.size).toBe(11)
      },
      {
        url: which === 'the blocking connection' ? redis.url : proxy.url,
        blockingUrl: which === 'the other connection' ? redis.url : proxy.url,
      },
    )
    await proxy.close()
  })
})

describe('a network that answers new connections with silence', () => {
  it('is asked again and again, until it speaks', async () => {
    const { handler, keys } = effects()
    const proxy = await startProxy(redis.port)
    await withConsumer(
      redis,
      { blockTimeoutMs: 100, commandTimeoutMs: 200 },
      [handler],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        proxy.swallow()
        const known = proxy.connections
        // Each of them stands, and nothing that was said on it was heard.
        await expect.poll(() => proxy.connections, { timeout: 20_000 }).toBeGreaterThan(known + 3)
        proxy.resume()
        await world.admitMany(5)
        await world.until({ settled: 6 })
        expect(keys.size).toBe(6)
      },
      { blockingUrl: proxy.url },
    )
    await proxy.close()
  })
})

describe('Redis away', () => {
  it('for a moment or longer: handlers go on, outcomes wait, everything is settled when it is back', async () => {
    const { handler, keys } = effects()
    const settings = { prefetchCount: 100, numWorkers: 5, blockTimeoutMs: 100, commandTimeoutMs: 200 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(300)
      for (const how of ['restart', 'stop-and-continue', 'restart'] as const) {
        await world.admitMany(100)
        if (how === 'restart') {
          await redis.server.kill('SIGKILL')
          await expect.poll(() => world.consumer.state().redis).toBe(false)
          await redis.server.restart()
        } else {
          await redis.server.kill('SIGSTOP')
          const since = performance.now()
          await expect.poll(() => performance.now() - since).toBeGreaterThan(3 * settings.commandTimeoutMs)
          await redis.server.kill('SIGCONT')
        }
        await world.link.ready()
      }
      await world.until({ accepted: 600, settled: 600 })
      expect(keys.size).toBe(600)
    })
  })

  it('costs an event that waits for a worker neither its place nor a delivery', async () => {
    const gate = Promise.withResolvers<void>()
    let blocked = true
    const handler = onGithub(() => (blocked ? gate.promise : undefined))
    const settings = { numWorkers: 1, reclaimIdleMs: 400, handlerTimeoutMs: 60_000 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(10)
      await world.until({ pending: 10 })
      await expect.poll(() => world.consumer.state().running).toBe(1)
      await redis.server.kill('SIGKILL')
      await expect.poll(() => world.consumer.state().redis).toBe(false)
      // The queue is asked for while Redis is away, longer than an ownership may go unconfirmed.
      const away = performance.now()
      await expect.poll(() => performance.now() - away).toBeGreaterThan(300)
      blocked = false
      gate.resolve()
      await expect.poll(() => world.consumer.state().unsettled).toBeGreaterThan(0)
      expect(world.consumer.state().held).toBe(10)
      await redis.server.restart()
      await world.link.ready()
      await world.until({ settled: 10 })
      expect(world.lines.filter(({ msg }) => msg.includes('took over'))).toEqual([])
    })
  })

  it('leaves no listeners behind, however long it lasts', async () => {
    const client = redis.client({
      protocol: 2,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: 500,
      retryStrategy: () => 50,
    })
    const link = linkOf(client)
    await link.ready()
    const gate = Promise.withResolvers<void>()
    const handler = onGithub(() => gate.promise)
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        await world.admitMany(3)
        await expect.poll(() => world.consumer.state().running).toBe(3)
        await redis.server.kill('SIGKILL')
        gate.resolve()
        await expect.poll(() => world.consumer.state().unsettled).toBe(3)
        const since = performance.now()
        await expect.poll(() => performance.now() - since).toBeGreaterThan(1_500)
        // The link's and the consumer's own, and one for each part that waits: reader, retries, settler, clock.
        expect(client.listenerCount('ready')).toBeLessThanOrEqual(6)
        await redis.server.restart()
        await world.link.ready()
        await world.until({ settled: 3 })
      },
      { deps: { link } },
    )
    client.disconnect()
  })
})
