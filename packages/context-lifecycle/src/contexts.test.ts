import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import type { Fault } from '@weir/core/faults'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { destroyKeys, rotateKeys } from '@weir/core/keyring/changes'
import { createUnpacker } from '@weir/core/packing'
import type { EventRecord } from '@weir/core/record'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled, eventOf, pullRequest, recordOf, type Sent } from '../../../tests/support/contexts.ts'
import { MASTER_KEY, useKeyrings } from '../../../tests/support/keyring.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { contextIdOf } from './context-id.ts'
import { contextKeys } from './context-keys.ts'
import type { Contexts } from './contexts.ts'

const redis = useRedis()
const keyrings = useKeyrings()
const keys = contextKeys('webhook-events', false, 0)
let link: RedisLink

const connect = () =>
  connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'contexts',
  })
beforeEach(async () => {
  link = connect()
  await link.ready()
})
afterEach(() => link.close())

type Keyring = ReturnType<typeof keyrings.open>

function contextsOn(to: RedisLink = link, keyring?: Keyring): Contexts {
  return assembled(to, { keyring }).contexts
}

/** An event as a consumer has it. */
function made(sent: Sent): { event: HandlerEvent; record: EventRecord; body: Buffer } {
  const { record, body } = recordOf(sent)
  return { event: eventOf(record, sent.keyring), record, body }
}

const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')

async function append(contexts: Contexts, sent: Sent) {
  const one = made(sent)
  return { ...(await contexts.append(one.event, one.record)), ...one }
}

describe('an event', () => {
  it('comes into the context of its subject, which is made by the first one', async () => {
    const contexts = contextsOn()
    expect(await contexts.read(SITE_7)).toBeUndefined()
    const first = await append(contexts, { delivery: '1', json: pullRequest(7, 'opened') })
    expect(first).toMatchObject({ context: SITE_7, events: 1 })
    const comment = {
      action: 'created',
      issue: { ...pullRequest(7, '').pull_request, pull_request: {} },
      comment: {
        body: 'Looks good, @bob. See PROJ-12.',
        user: { login: 'carol' },
        created_at: '2023-11-14T22:20:00Z',
      },
      repository: { full_name: 'acme/site' },
      sender: { login: 'carol' },
    }
    expect(await append(contexts, { delivery: '2', json: comment, type: 'issue_comment' })).toMatchObject({
      events: 2,
    })
    expect(await contexts.read(SITE_7)).toMatchObject({
      id: SITE_7,
      tenant: 'acme',
      tool: 'github',
      kind: 'pull_request',
      subject: 'acme/site#7',
      title: 'Change 7',
      state: 'open',
      events: 2,
      mentioned: ['bob'],
      references: [{ tool: 'jira', key: 'PROJ-12' }],
      timeline: [
        { digest: { what: 'opened', who: 'alice' } },
        { digest: { what: 'commented', who: 'carol' } },
      ],
    })
  })

  it('changes nothing when it comes again, by whichever consumer, at once or later', async () => {
    const [one, other] = [contextsOn(), contextsOn()]
    const sent = { delivery: '1', json: pullRequest(7, 'opened') }
    const answers = await Promise.all([one, other, one, other].map((contexts) => append(contexts, sent)))
    expect(answers.map(({ events }) => events).sort()).toEqual([1, undefined, undefined, undefined])
    await append(one, { delivery: '2', json: pullRequest(7, 'closed') })
    expect(await append(other, sent)).toMatchObject({ events: undefined })
    const context = await one.read(SITE_7)
    expect(context?.events).toBe(2)
    expect(context?.timeline).toHaveLength(2)
    expect(await link.call('LLEN', keys.raw(SITE_7))).toBe(2)
  })

  it('that says nothing of a subject comes into the context of its kind', async () => {
    const contexts = contextsOn()
    const { context } = await append(contexts, { delivery: '1', json: [1, 2], type: 'ping', tool: 'generic' })
    expect(await contexts.read(context)).toMatchObject({ kind: 'type', subject: 'type/ping', events: 1 })
  })

  it('is told apart by tenant', async () => {
    const contexts = contextsOn()
    await append(contexts, { delivery: '1', json: pullRequest(7, 'opened') })
    await append(contexts, { delivery: '1', json: pullRequest(7, 'opened'), tenant: 'other' })
    expect((await contexts.read(SITE_7))?.events).toBe(1)
    expect((await contexts.read(contextIdOf('other', 'github', 'acme/site#7')))?.events).toBe(1)
  })

  it('gives its bytes back, byte for byte, and tells its context', async () => {
    const contexts = contextsOn()
    const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()))
    const sent = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        append(contexts, { delivery: `${n}`, json: pullRequest(7, 'edited', { n }) }),
      ),
    )
    for (const { event, body } of sent) {
      const record = await contexts.record(SITE_7, event.id)
      expect(unpacker.unpack(record!).body.equals(body)).toBe(true)
      expect(await contexts.contextOf(event.id)).toBe(SITE_7)
    }
    const stranger = recordOf({ delivery: 'never sent', json: {} }).record.id
    expect(await contexts.record(SITE_7, stranger)).toBeUndefined()
    expect(await contexts.contextOf(stranger)).toBeUndefined()
  })

  it('is not appended when Redis is out of memory, and is when there is room again', async () => {
    const contexts = contextsOn()
    await append(contexts, { delivery: '1', json: pullRequest(7, 'opened') })
    await link.call('CONFIG', 'SET', 'maxmemory', '1')
    const second = { delivery: '2', json: pullRequest(7, 'closed') }
    await expect(append(contexts, second)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    await link.call('CONFIG', 'SET', 'maxmemory', '0')
    expect((await contexts.read(SITE_7))?.timeline).toHaveLength(1)
    expect(await append(contexts, second)).toMatchObject({ events: 2 })
  })
})

describe('a context', () => {
  it('is the same in whatever order its events arrive, in one process or several', async () => {
    const times = ['10:00:00', '10:00:01', '10:05:00', '11:00:00', '12:00:00', '12:00:01']
    const sent = times.map((time, n) => ({
      delivery: `${n}`,
      json: pullRequest(7, n === 5 ? 'closed' : 'edited', {
        title: `Title ${n}`,
        updated_at: `2023-11-14T${time}Z`,
        closed_at: n === 5 ? `2023-11-14T${time}Z` : null,
      }),
    }))
    const contexts = contextsOn()
    for (const each of sent) await append(contexts, each)
    const expected = await contexts.read(SITE_7)
    expect(expected).toMatchObject({ state: 'closed', title: 'Title 5' })
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(sent, { minLength: sent.length }), async (order) => {
        await link.call('FLUSHALL')
        const others = [contextsOn(), contextsOn()]
        await Promise.all(order.map((each, n) => append(others[n % 2] as Contexts, each)))
        expect(await contexts.read(SITE_7)).toEqual(expected)
      }),
      { numRuns: 20 },
    )
  })

  it('of thousands of events tells the newest, and still knows each', async () => {
    const contexts = contextsOn()
    const many = 3_000
    const ids: string[] = []
    for (let from = 0; from < many; from += 500) {
      const made = await Promise.all(
        Array.from({ length: 500 }, (_, i) =>
          append(contexts, {
            delivery: `${from + i}`,
            json: pullRequest(7, 'edited', {
              updated_at: new Date(1_600_000_000_000 + from + i).toISOString(),
            }),
          }),
        ),
      )
      ids.push(...made.map(({ event }) => event.id))
    }
    const context = await contexts.read(SITE_7, { limit: 1_200 })
    expect(context?.events).toBe(many)
    expect(context?.timeline).toHaveLength(1_200)
    for (const n of [0, 1, 1_499, many - 1]) expect((await contexts.record(SITE_7, ids[n]!))?.id).toBe(ids[n])
    expect(await append(contexts, { delivery: '0', json: pullRequest(7, 'edited') })).toMatchObject({
      events: undefined,
    })
  })

  it('counts who reads it, and is listed by what happened last', async () => {
    const contexts = contextsOn()
    for (const n of [1, 2, 3]) await append(contexts, { delivery: `${n}`, json: pullRequest(n, 'opened') })
    await append(contexts, { delivery: 'x', json: pullRequest(1, 'opened'), tenant: 'other' })
    const one = contextIdOf('acme', 'github', 'acme/site#1')
    await contexts.read(one)
    expect((await contexts.read(one, { access: true }))?.accesses).toBe(1)
    expect(await contexts.read(one, { access: true })).toMatchObject({
      accesses: 2,
      lastAccessAt: expect.any(Number),
    })
    const listed = await contexts.list({ limit: 10 })
    expect(listed).toHaveLength(4)
    expect(listed[0]).toMatchObject({ id: one, subject: 'acme/site#1', events: 1, accesses: 2 })
    const subjects = async (options: Parameters<typeof contexts.list>[0]) =>
      (await contexts.list(options)).map(({ subject }) => subject)
    expect(await subjects({ limit: 10, tenant: 'other' })).toEqual(['acme/site#1'])
    expect(await subjects({ limit: 10, tool: 'jira' })).toEqual([])
    expect(await subjects({ limit: 2 })).toHaveLength(2)
    expect(await contexts.read(contextIdOf('acme', 'github', 'nothing'), { access: true })).toBeUndefined()
  })

  it('that was damaged is a fault of its own', async () => {
    const contexts = contextsOn()
    await append(contexts, { delivery: '1', json: pullRequest(7, 'opened') })
    await append(contexts, { delivery: '2', json: pullRequest(8, 'opened') })
    await link.call('SETRANGE', keys.head(SITE_7), 35, 'xxx')
    await expect(contexts.read(SITE_7)).rejects.toMatchObject({ code: 'RECORD_CORRUPT' })
    const left: string[] = []
    const onUnreadable = (id: string, { code }: Fault) => void left.push(`${id} ${code}`)
    expect(await contexts.list({ limit: 10, onUnreadable })).toMatchObject([{ subject: 'acme/site#8' }])
    expect(left).toEqual([`${SITE_7} RECORD_CORRUPT`])
  })
})

describe('an encrypted context', () => {
  const SECRET = 'q7Zk3v0XoWhatNobodyShouldRead'
  async function gateway() {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    return keyring
  }
  const secretive = (n: number) => pullRequest(n, 'opened', { title: SECRET, body: `${SECRET} PROJ-1` })

  it('shows nothing in Redis but whose it is, and opens for who has the key, also after it was rotated', async () => {
    const keyring = await gateway()
    const contexts = contextsOn(link, keyring)
    const { event, body } = await append(contexts, { delivery: '1', json: secretive(7), keyring })
    await rotateKeys(keyrings.store, createTenantCipher([MASTER_KEY]), 'acme', 5)
    await keyring.lookAgain('acme')
    await append(contexts, { delivery: '2', json: secretive(7), keyring })
    const client = redis.client()
    for (const key of await client.keys('*')) {
      const dump = (await client.dumpBuffer(key))!
      for (const word of [SECRET, 'acme/site', 'alice', 'opened'])
        expect(dump.includes(word), `${key} ${word}`).toBe(false)
    }
    // By a process that knows neither key yet.
    const later = keyrings.open()
    const read = contextsOn(link, later)
    expect(await read.read(SITE_7)).toMatchObject({ title: SECRET, subject: 'acme/site#7', events: 2 })
    expect(await read.list({ limit: 5 })).toMatchObject([{ subject: 'acme/site#7' }])
    const record = await read.record(SITE_7, event.id)
    const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()), { opener: later })
    expect(unpacker.unpack(record!).body.equals(body)).toBe(true)
  })

  it('that was plain before encryption was switched on hides its subject from its next event on', async () => {
    const plain = contextsOn()
    const { event } = await append(plain, { delivery: '1', json: pullRequest(7, 'opened') })
    const keyring = await gateway()
    const contexts = contextsOn(link, keyring)
    expect((await redis.client().getBuffer(keys.head(SITE_7)))!.includes('acme/site')).toBe(true)
    await append(contexts, { delivery: '2', json: pullRequest(7, 'closed'), keyring })
    await append(contexts, { delivery: '3', json: pullRequest(7, 'reopened'), keyring })
    expect((await redis.client().getBuffer(keys.head(SITE_7)))!.includes('acme/site')).toBe(false)
    const context = await contexts.read(SITE_7)
    expect(context).toMatchObject({ subject: 'acme/site#7', events: 3 })
    expect(context?.timeline).toHaveLength(3)
    expect((await contexts.record(SITE_7, event.id))?.id).toBe(event.id)
  })

  it('is unreadable once its key was destroyed, and says so', async () => {
    const keyring = await gateway()
    const contexts = contextsOn(link, keyring)
    await append(contexts, { delivery: '1', json: secretive(7), keyring })
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    await expect(contexts.read(SITE_7)).rejects.toMatchObject({ code: 'KEY_DESTROYED' })
    expect(await contexts.list({ limit: 5 })).toEqual([])
  })

  it('goes on under the new key with what comes after that, and has lost what was before', async () => {
    const keyring = await gateway()
    const contexts = contextsOn(link, keyring)
    const before = await append(contexts, { delivery: '1', json: secretive(7), keyring })
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    await keyring.prepare('acme')
    expect(await append(contexts, { delivery: '2', json: pullRequest(7, 'closed'), keyring })).toMatchObject({
      events: 2,
    })
    const context = await contexts.read(SITE_7)
    expect(context).toMatchObject({ subject: 'acme/site#7', title: 'Change 7', events: 2 })
    expect(context?.timeline.map(({ digest }) => digest.what)).toEqual(['closed'])
    const record = await contexts.record(SITE_7, before.event.id)
    const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()), { opener: keyring })
    expect(() => unpacker.unpack(record!)).toThrow(expect.objectContaining({ code: 'KEY_DESTROYED' }))
  })
})
