import { describe, expect, it } from 'vitest'
import { usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { systemClock } from './clock.ts'
import { createDictionarySet, dictionaryOf, publishDictionaries } from './dictionaries.ts'
import { mintEventId } from './event.ts'
import { isFault } from './faults.ts'
import { openPipelineView } from './pipeline-view.ts'
import type { RedisLink } from './redis/link.ts'
import { reportBreaker } from './stream/breaker.ts'
import { reportGateway } from './stream/ledger.ts'
import { claimParked } from './stream/parked.ts'
import { settleDone } from './stream/settle.ts'
import { trimSettled } from './stream/trim.ts'
import type { TailDocument } from './view/documents.ts'
import { pipelineViewOptions } from './view/options.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

const PULL = {
  action: 'opened',
  number: 7,
  repository: { full_name: 'acme/site' },
  pull_request: { title: 'Mend the weir', html_url: 'https://github.com/acme/site/pull/7', number: 7 },
}

describe('finding an event', () => {
  it('says where an unread event is and what it is about', async () => {
    const pipeline = await open()
    const { id, streamId, body } = await pipeline.accept({ type: 'pull_request', json: PULL, tenant: 'acme' })
    expect(await pipeline.view.find(id)).toEqual({
      event_id: id,
      place: 'unread',
      stream_id: streamId,
      tool: 'github',
      tenant: 'acme',
      type: 'pull_request',
      event: 'pull_request.opened',
      subject: expect.objectContaining({ key: 'acme/site#7', title: 'Mend the weir' }),
      received_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      attempts: 0,
      deliveries: 0,
      consumer: null,
      idle_ms: null,
      due_at: null,
      reason: null,
      error: null,
      first_failed_at: null,
      dead_at: null,
      letter_id: null,
      bytes_available: true,
      bytes_problem: null,
      size: body.length,
      content_type: 'application/json',
    })
  })

  it('says who holds a pending event, and for how long', async () => {
    const pipeline = await open()
    const { id } = await pipeline.accept()
    await pipeline.read('consumer-1')
    expect(await pipeline.view.find(id)).toMatchObject({
      place: 'pending',
      consumer: 'consumer-1',
      deliveries: 1,
      idle_ms: expect.any(Number),
    })
  })

  it('says why and until when a parked event waits', async () => {
    const pipeline = await open()
    const { id } = await pipeline.accept()
    const [entry] = await pipeline.read('consumer-1')
    await pipeline.park(entry!, { attempts: 2, error: 'no answer', delayMs: 60_000 })
    const found = await pipeline.view.find(id)
    expect(found).toMatchObject({
      place: 'parked',
      attempts: 2,
      reason: 'retry',
      error: 'no answer',
      bytes_available: true,
    })
    const waitMs = Date.parse(found!.due_at!) - (await pipeline.now())
    expect(waitMs).toBeGreaterThan(50_000)
    expect(waitMs).toBeLessThanOrEqual(60_000)
    expect(Date.parse(found!.first_failed_at!)).toBeLessThanOrEqual(await pipeline.now())
  })

  it('says why a dead event died, and which letter it left', async () => {
    const pipeline = await open()
    const { id } = await pipeline.kill({}, { reason: 'timeout', error: 'took too long' })
    const { dead_letters: letters } = await pipeline.view.deadLetters.page({}, 10)
    expect(await pipeline.view.find(id)).toMatchObject({
      place: 'dead',
      reason: 'timeout',
      error: 'took too long',
      attempts: 4,
      letter_id: letters[0]?.letter_id,
      bytes_available: true,
    })
  })

  it('gives the bytes of a settled event until its entry is trimmed, and then still knows it', async () => {
    const pipeline = await open()
    const { id, body } = await pipeline.accept()
    const entries = await pipeline.read('consumer-1')
    await pipeline.settle(...entries)
    expect(await pipeline.view.raw(id)).toMatchObject({ kind: 'bytes', body, document: { place: 'settled' } })

    // XTRIM removes whole nodes only; without the approximation the one entry goes.
    await trimSettled(pipeline.link, pipeline.keys, 0)
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    const raw = await pipeline.view.raw(id)
    expect(raw).toMatchObject({
      kind: 'gone',
      document: { place: 'settled', stream_id: null, bytes_available: false },
    })
  })

  it('finds an event that moves to another place while it is looked for', async () => {
    const pipeline = await open()
    const { id } = await pipeline.kill()
    const { link, keys, view } = pipeline
    // Parked was looked at, and is empty; before the dead letters are, the letter is replayed.
    const overtaken: RedisLink = {
      ...link,
      connected: true,
      async call(command, ...args) {
        if (command === 'HGET' && args[0] === keys.deadIds) await view.deadLetters.replayOne(id)
        return link.call(command, ...args)
      },
    }
    const slow = openPipelineView(
      pipelineViewOptions(pipeline.config, [{ keys: pipeline.keys, link: overtaken }], systemClock),
    )
    expect(await slow.find(id)).toMatchObject({ place: 'parked', reason: 'replay' })
  })

  it('answers undefined for an event that nobody knows, and refuses what is no event id', async () => {
    const pipeline = await open()
    expect(await pipeline.view.find(mintEventId(Date.now()))).toBeUndefined()
    expect(await pipeline.view.raw(mintEventId(Date.now()))).toBeUndefined()
    await expect(pipeline.view.find('evt_*')).rejects.toThrow(RangeError)
  })

  it('gives back the very bytes and headers, whatever they are', async () => {
    const pipeline = await open()
    const body = Buffer.from([0x7b, 0xff, 0x00, 0x0a, 0x7d])
    const { id } = await pipeline.accept({ body, headers: [['x-github-event', 'push']] })
    const raw = await pipeline.view.raw(id)
    expect(raw).toMatchObject({ kind: 'bytes', body })
    expect(raw?.kind === 'bytes' && raw.headers).toEqual([
      ['content-type', 'application/json'],
      ['x-github-event', 'push'],
    ])
    expect(await pipeline.view.find(id)).toMatchObject({
      event: null,
      subject: null,
      bytes_available: true,
      size: 5,
    })
  })

  it('fetches a dictionary that another version packed with, and says so when it is nowhere', async () => {
    const foreign = dictionaryOf(Buffer.from('words of another version '.repeat(20)))
    const dictionaries = createDictionarySet(new Map([['github', foreign]]))
    const pipeline = await open({ dictionaries })
    const { id, body } = await pipeline.accept({ json: { text: 'words of another version' } })
    expect(await pipeline.view.find(id)).toMatchObject({
      place: 'unread',
      bytes_available: false,
      bytes_problem: expect.stringContaining(foreign.id),
    })
    await expect(pipeline.view.raw(id)).rejects.toSatisfy((error) => isFault(error, 'DICTIONARY_MISSING'))

    await publishDictionaries(pipeline.link, pipeline.keys, dictionaries)
    expect(await pipeline.view.raw(id)).toMatchObject({ kind: 'bytes', body })
  })
})

describe('the ledger', () => {
  it('adds the places up, with the lag and the ages', async () => {
    const pipeline = await open()
    for (let i = 0; i < 6; i++) await pipeline.accept()
    const [settled, parked, dead] = await pipeline.read('consumer-1', 4)
    await pipeline.settle(settled!)
    await pipeline.park(parked!)
    await pipeline.bury(dead!)
    const { audit, lag, oldest, group } = await pipeline.view.ledger()
    expect(audit).toEqual({
      verdict: 'balanced',
      losses: [],
      ledger: {
        accepted: 6,
        settled: 1,
        unread: 2,
        pending: 1,
        parked: 1,
        dead: 1,
        superseded: 0,
        purged: 0,
        spooled: 0,
        unaccounted: 0,
      },
    })
    expect(lag).toEqual({ messages: 4, unread: 2, pending: 1, parked: 1 })
    expect(oldest.overdue_ms).toBe(0)
    expect(group).toBe(true)
  })

  it('says LOSS when a gateway saw more acknowledged than Redis has', async () => {
    const pipeline = await open()
    const { streamId } = await pipeline.accept()
    const witness = `${Number(streamId.split('-')[0]) + 5}-0`
    await reportGateway(pipeline.link, pipeline.keys, 'gateway-1', witness, {
      spooled: 3,
      at: await pipeline.now(),
    })
    expect((await pipeline.view.ledger()).audit).toMatchObject({
      verdict: 'loss',
      losses: [{ stream: 'webhook-events', last_generated_id: streamId, witness_id: witness }],
      ledger: { spooled: 3 },
    })
  })

  it('says unbalanced when a counter is wrong, and unknown when Redis cannot tell', async () => {
    const pipeline = await open()
    for (let i = 0; i < 3; i++) await pipeline.accept()
    await pipeline.read('consumer-1', 1)
    await pipeline.link.call('HINCRBY', pipeline.keys.ledger, 'settled', 2)
    expect((await pipeline.view.ledger()).audit).toMatchObject({
      verdict: 'unbalanced',
      ledger: { unaccounted: -2 },
    })

    await pipeline.link.call('HDEL', pipeline.keys.ledger, 'settled')
    const [last] = (await pipeline.link.call('XREVRANGE', pipeline.keys.stream, '+', '-', 'COUNT', 1)) as [
      [Buffer],
    ]
    await pipeline.link.call('XDEL', pipeline.keys.stream, String(last[0]))
    const { audit, lag } = await pipeline.view.ledger()
    expect(audit).toMatchObject({ verdict: 'unknown', ledger: { unread: null, unaccounted: null } })
    expect(lag.messages).toBeNull()
  })
})

describe('status', () => {
  it('shows consumers by what they report and what Redis knows of them', async () => {
    const pipeline = await open()
    await pipeline.accept()
    await pipeline.accept()
    await pipeline.read('reporting', 1)
    await pipeline.read('silent', 1)
    const { link, keys } = pipeline
    const now = await pipeline.now()
    await link.call(
      'HSET',
      keys.consumers,
      'reporting',
      JSON.stringify({ at: now, held: 1, running: 1, metrics: [] }),
    )
    await link.call(
      'HSET',
      keys.consumers,
      'gone',
      JSON.stringify({ at: now - 120_000, held: 0, running: 0, metrics: [] }),
    )
    await link.call('HSET', keys.consumers, 'garbled', 'not JSON')
    const { consumers, redis: server, streams } = await pipeline.view.status()
    expect(consumers).toEqual([
      {
        name: 'gone',
        alive: false,
        seen_ms: expect.any(Number),
        pending: 0,
        idle_ms: null,
        held: 0,
        running: 0,
      },
      {
        name: 'reporting',
        alive: true,
        seen_ms: expect.any(Number),
        pending: 1,
        idle_ms: expect.any(Number),
        held: 1,
        running: 1,
      },
      {
        name: 'silent',
        alive: false,
        seen_ms: null,
        pending: 1,
        idle_ms: expect.any(Number),
        held: null,
        running: null,
      },
    ])
    expect(server).toMatchObject({
      version: expect.stringMatching(/^\d+\./),
      eviction_policy: 'noeviction',
      append_only: true,
    })
    expect(streams).toEqual([
      {
        name: 'webhook-events',
        length: 2,
        memory_bytes: expect.any(Number),
        last_generated_id: expect.any(String),
      },
    ])
    expect((await pipeline.view.reports()).map(({ name }) => name)).toEqual(['reporting'])
  })

  it('works on an empty server', async () => {
    const pipeline = await open()
    expect(await pipeline.view.status()).toMatchObject({
      verdict: 'balanced',
      group: false,
      consumers: [],
      gateways: [],
    })
  })

  it('leaves out what an ACL keeps from its user', async () => {
    const pipeline = await open()
    await pipeline.accept()
    await pipeline.link.call('ACL', 'SETUSER', 'default', '-info', '-memory')
    const { streams, redis: server } = await pipeline.view.status()
    await pipeline.link.call('ACL', 'SETUSER', 'default', '+@all')
    expect(streams).toMatchObject([{ length: 1, memory_bytes: null }])
    expect(server).toMatchObject({ version: null, append_only: null })
  })
})

describe('claiming pending entries', () => {
  it('gives back what was idle for so long, due now, keeping the deliveries before the last', async () => {
    const pipeline = await open()
    const { id, streamId } = await pipeline.accept()
    await pipeline.read('dead-consumer')
    const { link, keys } = pipeline
    await link.call(
      'XCLAIM',
      keys.stream,
      keys.group,
      'dead-consumer',
      0,
      streamId,
      'IDLE',
      600_000,
      'RETRYCOUNT',
      3,
    )
    await pipeline.accept()
    await pipeline.read('live-consumer')

    expect(await pipeline.view.claimPending(300_000, { dryRun: true })).toMatchObject({
      found: 1,
      released: 0,
    })
    expect(await pipeline.view.claimPending(300_000, { dryRun: false })).toEqual({
      found: 1,
      released: 1,
      gone: 0,
      byConsumer: new Map([['dead-consumer', 1]]),
    })
    expect(await pipeline.ledger()).toMatchObject({ pending: 1, parked: 1 })
    expect(await pipeline.view.find(id)).toMatchObject({
      place: 'parked',
      reason: 'reclaimed',
      deliveries: 2,
      attempts: 0,
      error: expect.stringContaining('dead-consumer held it for 600 s'),
      first_failed_at: null,
    })
    const { events } = await claimParked(link, keys, 'live-consumer:1', 60_000, 10, 1)
    expect(events).toMatchObject([{ streamId, state: { deliveries: 3, reason: 'reclaimed' } }])
  })

  it('lets a zombie that finishes after all settle it, once', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const entries = await pipeline.read('zombie')
    await pipeline.view.claimPending(0, { dryRun: false })
    await pipeline.settle(...entries)
    expect(await pipeline.ledger()).toMatchObject({ settled: 1, pending: 0, parked: 0 })
    const memory = { keys: pipeline.keys, horizonMs: 0, bloomBits: 1024, bloomHashes: 4, settledShards: 1 }
    expect(await settleDone(pipeline.link, pipeline.keys, memory, entries, 'settled', 0)).toBe(0)
  })

  it('makes no suspects of entries that were handed out once: all can be taken up together', async () => {
    const pipeline = await open()
    for (let i = 0; i < 5; i++) await pipeline.accept()
    await pipeline.read('dead-consumer')
    await pipeline.view.claimPending(0, { dryRun: false })
    const { events } = await claimParked(pipeline.link, pipeline.keys, 'live-consumer:1', 60_000, 10, 0)
    expect(events).toHaveLength(5)
  })

  it('goes on page by page, past entries that are gone from the stream', async () => {
    const pipeline = await open()
    const ids: string[] = []
    for (let i = 0; i < 120; i++) ids.push((await pipeline.accept()).streamId)
    await pipeline.read('dead-consumer')
    await pipeline.link.call('XDEL', pipeline.keys.stream, ids[0]!, ids[60]!)
    expect(await pipeline.view.claimPending(0, { dryRun: false })).toMatchObject({
      found: 120,
      released: 118,
      gone: 2,
    })
  })

  it('finds nothing where there is no stream or no group', async () => {
    const pipeline = await open()
    expect(await pipeline.view.claimPending(0, { dryRun: false })).toMatchObject({ found: 0 })
    await pipeline.accept()
    expect(await pipeline.view.claimPending(0, { dryRun: false })).toMatchObject({ found: 0 })
  })
})

describe('breakers', () => {
  const SETTINGS = { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 60_000 }

  it('are shown for every tool, and closed again by a reset that wakes what waits', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const [entry] = await pipeline.read('consumer-1')
    await pipeline.park(entry!, { reason: 'breaker', attempts: 0, error: '' })
    await reportBreaker(pipeline.link, pipeline.keys, 'github', SETTINGS, 1, false)

    const [github, jira] = await pipeline.view.breakers()
    expect(github).toMatchObject({
      tool: 'github',
      state: 'open',
      failures: 1,
      open_since: expect.any(String),
    })
    expect(github!.wait_ms).toBeGreaterThan(50_000)
    expect(jira).toEqual({ tool: 'jira', state: 'closed', failures: 0, open_since: null, wait_ms: 0 })

    expect(await pipeline.view.resetBreaker('github')).toEqual({ wasClosed: false, woken: 1 })
    expect((await pipeline.view.breakers())[0]).toMatchObject({ state: 'closed' })
    expect(await pipeline.link.call('EXISTS', pipeline.keys.breaker('github'))).toBe(0)
    const { events } = await claimParked(pipeline.link, pipeline.keys, 'consumer-1:1', 60_000, 10, 1)
    expect(events).toHaveLength(1)
  })
})

describe('tail', () => {
  it('shows events that were there, and those that come, and takes nothing away', async () => {
    const pipeline = await open()
    const link = (await open()).link
    const view = openPipelineView(
      pipelineViewOptions(pipeline.config, [{ keys: pipeline.keys, link }], systemClock),
    )
    await pipeline.accept()
    const before = await pipeline.accept({ type: 'pull_request', json: PULL })
    const stop = new AbortController()
    const events = view.tail({ last: 1, signal: stop.signal })
    const first = await events.next()
    expect(first.value).toMatchObject({
      event_id: before.id,
      event: 'pull_request.opened',
      subject: { key: 'acme/site#7' },
      size: before.body.length,
      problem: null,
    })
    const [second, accepted] = await Promise.all([events.next(), pipeline.accept({ tenant: 'acme' })])
    expect(second.value).toMatchObject({ event_id: accepted.id, tenant: 'acme' })
    await pipeline.link.call('XADD', pipeline.keys.stream, '*', 'not', 'a record')
    const third = (await events.next()).value as TailDocument
    expect(third).toMatchObject({ event_id: null, problem: expect.stringContaining('cannot be read') })
    stop.abort()
    expect((await events.next()).done).toBe(true)
    expect((await pipeline.view.ledger()).audit.ledger).toMatchObject({ unread: 4, pending: 0 })
  })

  it('goes on after an outage with what came meanwhile, and says that there was one', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const stop = new AbortController()
    const outages: string[] = []
    const onOutage = (state: string) => void outages.push(state)
    const events = pipeline.view.tail({ last: 1, signal: stop.signal, blockMs: 50, onOutage })
    await events.next()
    const next = events.next()
    await redis.server.restart('SIGKILL')
    const writer = await open()
    const { id } = await writer.accept({ deliveryId: 'after-the-outage' })
    expect((await next).value).toMatchObject({ event_id: id })
    expect(outages).toEqual(['away', 'back'])
    stop.abort()
    await events.return(undefined)
  })
})
