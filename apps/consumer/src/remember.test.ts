/** Stage 2: every event comes into its context before its handlers run, once, and nothing is acknowledged that did not. */
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { contextKeys } from '@weir/context-lifecycle/context-keys'
import type { Contexts } from '@weir/context-lifecycle/contexts'
import { createDictionarySet } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { createUnpacker } from '@weir/core/packing'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled } from '../../../tests/support/contexts.ts'
import { useKeyrings } from '../../../tests/support/keyring.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { onGithub, type WorldOptions, withConsumer } from './testing.ts'

const redis = useRedis()
const keyrings = useKeyrings()
const keys = contextKeys('webhook-events', false, 0)
let link: RedisLink
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 1_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'contexts',
  })
  await link.ready()
})
afterEach(() => link.close())

function contextsOf(keyring?: ReturnType<typeof keyrings.open>): Contexts {
  return assembled(link, { keyring }).contexts
}
const remembering = (contexts: Contexts): WorldOptions => ({ deps: { remember: contexts.append } })

const issue = (number: number, action = 'opened') =>
  JSON.stringify({
    action,
    issue: { number, title: `Issue ${number}`, state: 'open' },
    repository: { full_name: 'acme/site' },
    sender: { login: 'alice' },
  })
const SITE_1 = contextIdOf('default', 'github', 'acme/site#1')

describe('an event', () => {
  it('is in its context when its handler runs, with the bytes as sent', async () => {
    const contexts = contextsOf()
    const seen: unknown[] = []
    const handler = onGithub(async ({ id }: HandlerEvent) => {
      const context = await contexts.contextOf(id)
      seen.push((await contexts.read(context as string))?.timeline.map(({ eventId }) => eventId))
    })
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        const { id, body } = await world.admit({ body: issue(1) })
        await world.until({ settled: 1 })
        expect(seen).toEqual([[id]])
        const record = await contexts.record(SITE_1, id)
        expect(createUnpacker(createDictionarySet(new Map())).unpack(record!).body.equals(body)).toBe(true)
      },
      remembering(contexts),
    )
  })

  it('that nobody handles is remembered too', async () => {
    const contexts = contextsOf()
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        await world.admitMany(50, (n) => ({ body: issue(1 + (n % 5)) }))
        await world.until({ settled: 50 })
        const listed = await contexts.list({ limit: 10 })
        expect(listed.map(({ events }) => events)).toEqual([10, 10, 10, 10, 10])
      },
      remembering(contexts),
    )
  })

  it('is there once, however often it is tried', async () => {
    const contexts = contextsOf()
    let attempts = 0
    const handler = onGithub(() => {
      if (++attempts < 3) throw new Error('not yet')
    })
    await withConsumer(
      redis,
      { maxRetries: 3 },
      [handler],
      async (world) => {
        await world.admit({ body: issue(1) })
        await world.until({ settled: 1 })
        expect(attempts).toBe(3)
        expect((await contexts.read(SITE_1))?.events).toBe(1)
      },
      remembering(contexts),
    )
  })

  it('that becomes a dead letter has its place in the context as well', async () => {
    const contexts = contextsOf()
    const handler = onGithub(() => {
      throw new Error('never')
    })
    await withConsumer(
      redis,
      { maxRetries: 0 },
      [handler],
      async (world) => {
        await world.admit({ body: issue(1) })
        await world.until({ dead: 1 })
        expect((await contexts.read(SITE_1))?.events).toBe(1)
      },
      remembering(contexts),
    )
  })

  it('is encrypted in its context where events are', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('default')
    const contexts = contextsOf(keyring)
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        await world.admit({ body: issue(1), sealing: keyring })
        await world.until({ settled: 1 })
        for (const key of [keys.head(SITE_1), keys.log(SITE_1), keys.raw(SITE_1)])
          expect((await redis.client().dumpBuffer(key))!.includes('acme')).toBe(false)
        expect(await contexts.read(SITE_1)).toMatchObject({ subject: 'acme/site#1', title: 'Issue 1' })
      },
      { deps: { remember: contexts.append, opener: keyring } },
    )
  })
})

describe('while its context cannot take it', () => {
  /** Contexts that fail as the test says, first. */
  function failing(error: () => Error | undefined) {
    const contexts = contextsOf()
    let failed = 0
    const remember: Contexts['append'] = async (event, record) => {
      const why = error()
      if (why === undefined) return contexts.append(event, record)
      failed++
      throw why
    }
    return { contexts, remember, failures: () => failed }
  }

  it('(Redis is away) an event keeps its place, uses no attempt, and is neither handled nor acknowledged', async () => {
    let away = true
    let handled = 0
    const { remember, failures } = failing(() =>
      away ? new Fault('REDIS_UNAVAILABLE', 'the master of its shard is away') : undefined,
    )
    const handler = onGithub((event) => {
      handled = event.attempt
    })
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        await world.admit({ body: issue(1) })
        await expect.poll(failures).toBeGreaterThan(2)
        expect(handled).toBe(0)
        expect(await world.ledger()).toMatchObject({ pending: 1, settled: 0, parked: 0 })
        away = false
        await world.until({ settled: 1 })
        expect(handled).toBe(1)
        const told = world.lines.filter(({ level, msg }) => level >= 40 && msg === 'event put back')
        expect(told).toHaveLength(1)
      },
      { deps: { remember } },
    )
  })

  it('(Redis is full) likewise, until there is room', async () => {
    let full = true
    const { contexts, remember, failures } = failing(() =>
      full ? new Fault('REDIS_OUT_OF_MEMORY', 'maxmemory is reached') : undefined,
    )
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        await world.admitMany(20, () => ({ body: issue(1) }))
        await expect.poll(failures).toBeGreaterThan(40)
        expect(await world.ledger()).toMatchObject({ settled: 0, parked: 0, dead: 0 })
        full = false
        await world.until({ settled: 20 })
        expect((await contexts.read(SITE_1))?.events).toBe(20)
      },
      { deps: { remember } },
    )
  })

  it('(a defect) it is retried, and in the end a dead letter that says why', async () => {
    const { remember, failures } = failing(() => new Error('WRONGTYPE somebody wrote there'))
    await withConsumer(
      redis,
      { maxRetries: 1 },
      [],
      async (world) => {
        await world.admit({ body: issue(1) })
        await world.until({ dead: 1 })
        expect(failures()).toBe(2)
        expect(await world.letters()).toMatchObject([{ error: 'WRONGTYPE somebody wrote there' }])
      },
      { deps: { remember } },
    )
  })

  it('(its key cannot be had) it waits, loudly and without using an attempt', async () => {
    const { remember } = failing(() => new Fault('KEYRING_UNAVAILABLE', 'the keyring is away'))
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        await world.admit({ body: issue(1) })
        await world.until({ parked: 1 })
        const [state] = (await world.link.call('HVALS', world.keys.parkedState)) as Buffer[]
        expect(JSON.parse(String(state))).toMatchObject({ n: 0, reason: 'key' })
      },
      { deps: { remember } },
    )
  })

  it('a consumer that is stopped gives its event back', async () => {
    const { remember, failures } = failing(() => new Fault('REDIS_UNAVAILABLE', 'away'))
    await withConsumer(
      redis,
      { shutdownTimeoutMs: 200 },
      [],
      async (world) => {
        await world.admit({ body: issue(1) })
        await expect.poll(failures).toBeGreaterThan(0)
        await world.consumer.stop()
        expect(await world.ledger()).toMatchObject({ settled: 0, dead: 0, unaccounted: 0 })
        const other = world.start([], remembering(contextsOf()))
        await world.until({ settled: 1 })
        await other.stop()
      },
      { deps: { remember } },
    )
  })
})
