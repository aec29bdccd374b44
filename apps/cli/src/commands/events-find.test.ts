import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const find = async (...args: string[]) => {
  const outcome = await run(['events', 'find', ...args, '--json'], { env: { REDIS_URL: redis.url } })
  const { events, looked } = outcome.json() as {
    events: { event_id: string; place: string }[]
    looked: { place: string; looked: number; complete: boolean }[]
  }
  return {
    code: outcome.code,
    ids: events.map(({ event_id: id }) => id),
    places: events.map(({ place }) => place),
    looked,
  }
}

/** One event in each state; their ids. */
async function oneOfEach(pipeline: TestPipeline) {
  const settled = await pipeline.accept({ tenant: 'acme', type: 'push' })
  await pipeline.settle(...(await pipeline.read('c', 1)))
  const parked = await pipeline.accept({ tenant: 'acme', type: 'issues' })
  const [toPark] = await pipeline.read('c', 1)
  await pipeline.park(toPark!)
  const dead = await pipeline.kill({ tool: 'jira', type: 'jira:issue_updated' }, { reason: 'handler' })
  const pending = await pipeline.accept({
    type: 'pull_request',
    json: pullRequest(42, 'opened'),
    deliveryId: '72d3162e',
  })
  await pipeline.read('c', 1)
  const unread = await pipeline.accept({ tool: 'generic', type: 'deploy', deliveryId: 'd-1' })
  return { settled: settled.id, parked: parked.id, dead: dead.id, pending: pending.id, unread: unread.id }
}

describe('events find', () => {
  it('finds an event in every state, wherever it is, newest first', async () => {
    const pipeline = await open()
    const ids = await oneOfEach(pipeline)
    for (const state of ['settled', 'parked', 'dead', 'pending', 'unread'] as const)
      expect(await find('--state', state), state).toMatchObject({
        code: 0,
        ids: [ids[state]],
        places: [state],
      })
    expect((await find('--since', '1h')).ids).toEqual([
      ids.unread,
      ids.pending,
      ids.dead,
      ids.parked,
      ids.settled,
    ])
    expect((await find('--until', '1h')).ids).toEqual([])
  })

  it('those of one millisecond in the order of the stream', async () => {
    const pipeline = await open()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.unshift((await pipeline.accept({ receivedAt: 1_800_000_000_000 })).id)
    expect((await find('--state', 'unread')).ids).toEqual(ids)
  })

  it('by tool, tenant, type, subject and delivery id', async () => {
    const pipeline = await open()
    const ids = await oneOfEach(pipeline)
    expect((await find('--tool', 'jira')).ids).toEqual([ids.dead])
    expect((await find('--tenant', 'acme')).ids).toEqual([ids.parked, ids.settled])
    expect((await find('--type', 'pull_request')).ids).toEqual([ids.pending])
    expect((await find('--type', 'pull_request.opened')).ids).toEqual([ids.pending])
    expect((await find('--type', 'pull_request.closed')).ids).toEqual([])
    expect((await find('--subject', 'ACME/site#42')).ids).toEqual([ids.pending])
    expect((await find('--subject', 'acme/site#43')).ids).toEqual([])
    // The id of the one follows from its delivery id; the other's has to be looked for.
    expect((await find('--delivery-id', '72d3162e')).ids).toEqual([ids.pending])
    expect((await find('--delivery-id', 'd-1')).ids).toEqual([ids.unread])
    expect((await find('--delivery-id', 'd-1', '--tenant', 'acme')).ids).toEqual([])
    expect(await find('--delivery-id', 'nobody')).toMatchObject({ code: 1, ids: [] })
  })

  it('in its context, where the stream has not got it any more', async () => {
    const pipeline = await open()
    const contexts = contextsOf(pipeline)
    const { id } = await pipeline.accept({ type: 'pull_request', json: pullRequest(7, 'opened') })
    const entries = await pipeline.read('c')
    await contexts.remember(...entries)
    await pipeline.settle(...entries)
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    const found = await find('--subject', 'acme/site#7')
    expect(found).toMatchObject({ code: 0, ids: [id], places: ['settled'] })
    expect(found.looked.map(({ place, looked }) => [place, looked])).toEqual([
      ['the stream', 0],
      ['parked events', 0],
      ['dead letters', 0],
      ['contexts', 1],
    ])
  })

  it('says how far it looked, and goes further when asked', async () => {
    const pipeline = await open()
    const { id } = await pipeline.accept({ tenant: 'rare' })
    for (let n = 0; n < 250; n++) await pipeline.accept({ tenant: 'often' })
    const near = await find('--tenant', 'rare', '--look', '200')
    expect(near).toMatchObject({ code: 1, ids: [] })
    expect(near.looked[0]).toMatchObject({ place: 'the stream', looked: 200, complete: false })
    const far = await find('--tenant', 'rare')
    expect(far).toMatchObject({ code: 0, ids: [id] })
    expect(far.looked[0]).toMatchObject({ looked: 251, complete: true })
    const { out } = await run(['events', 'find', '--tenant', 'rare', '--look', '200'], {
      env: { REDIS_URL: redis.url },
    })
    expect(out).toMatch(
      /nothing found\nlooked in the stream: 200 events, back to \S+ \(--look looks further\)/,
    )
  })

  it('wants to know something of the event', async () => {
    const { code, err } = await run(['events', 'find'], { env: { REDIS_URL: redis.url } })
    expect(code).toBe(2)
    expect(err).toContain('say what is known of the event')
  })
})
