import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { systemClock } from '@weir/core/clock'
import { destroyKeys } from '@weir/core/keyring/changes'
import type { Keyring } from '@weir/core/keyring/keyring'
import { openPipelineView } from '@weir/core/pipeline-view'
import { pipelineViewOptions } from '@weir/core/view/options'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../tests/support/contexts.ts'
import { useKeyrings } from '../../../tests/support/keyring.ts'
import { type EventPlan, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { expectProblem, useApi } from './server.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const keyrings = useKeyrings()
const openPipeline = usePipeline(redis)
const serve = useApi()

const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')

/** The API on contexts, in which something may happen. */
async function open(keyring?: Keyring) {
  const pipeline = await openPipeline(keyring === undefined ? {} : { sealing: keyring })
  const { contexts, remember, keys } = contextsOf(pipeline, keyring)
  const places = [{ keys: pipeline.keys, link: pipeline.link }] as const
  const view = openPipelineView(pipelineViewOptions(pipeline.config, places, systemClock, keyring))
  return {
    pipeline,
    keys,
    ...(await serve(view, { contexts })),
    async happens(plan: EventPlan) {
      const accepted = await pipeline.accept({ tenant: 'acme', type: 'pull_request', ...plan })
      const entries = await pipeline.read('consumer-1')
      await remember(...entries)
      await pipeline.settle(...entries)
      return accepted
    },
  }
}

describe('GET /contexts', () => {
  it('lists them by what happened last, also by tenant and tool', async () => {
    const { get, happens } = await open()
    expect((await get('/contexts')).json()).toEqual({ contexts: [], unreadable: 0 })
    await happens({ json: pullRequest(7, 'opened') })
    await happens({ json: pullRequest(8, 'opened') })
    await happens({ json: pullRequest(7, 'closed') })
    await happens({ tenant: 'globex', json: pullRequest(1, 'opened') })
    await get(`/contexts/${SITE_7}`)
    const subjects = async (query: string) => {
      const { contexts } = (await get(`/contexts${query}`)).json() as { contexts: { subject: string }[] }
      return contexts.map(({ subject }) => subject)
    }
    expect(await subjects('')).toEqual(['acme/site#7', 'acme/site#1', 'acme/site#8'])
    expect(await subjects('?tenant=globex')).toEqual(['acme/site#1'])
    expect(await subjects('?tool=jira')).toEqual([])
    expect((await get('/contexts?limit=1')).json()).toEqual({
      contexts: [
        {
          ...{ context_id: SITE_7, tenant: 'acme', tool: 'github', kind: 'pull_request' },
          ...{ subject: 'acme/site#7', events: 2, accesses: 1, active_at: expect.stringMatching(/Z$/) },
          tier: 'hot',
        },
      ],
      unreadable: 0,
    })
  })

  it.each(['limit=0', 'limit=1001', 'tenant=a/b', 'tool=UPPER', 'after=x'])(
    'answers 400 to ?%s',
    async (query) => {
      const { get } = await open()
      expectProblem(await get(`/contexts?${query}`), 'REQUEST_INVALID')
    },
  )
})

describe('GET /contexts/:id', () => {
  it('tells what happened around its subject, every field of it, and counts as an access', async () => {
    const { get, happens } = await open()
    const opened = await happens({ json: pullRequest(7, 'opened', { body: 'See PROJ-12, @bob.' }) })
    const closed = await happens({ json: pullRequest(7, 'closed') })
    expect((await get(`/contexts/${SITE_7}`)).status).toBe(200)
    const answer = await get(`/contexts/${SITE_7}`)
    const document = answer.json() as { importance: number; importance_parts: Record<string, number>[] }
    const time = expect.stringMatching(/^\d{4}-.*Z$/)
    const entry = { at: time, received_at: time, who: 'alice', severity: null }
    const link = 'https://github.com/acme/site/pull/7'
    expect(document).toEqual({
      ...{ context_id: SITE_7, tenant: 'acme', tool: 'github', kind: 'pull_request', subject: 'acme/site#7' },
      ...{ title: 'Change 7', link, state: 'closed', severity: null },
      importance: expect.any(Number),
      importance_parts: expect.any(Array),
      summary: null,
      ...{ events: 2, raw_bytes: expect.any(Number), accesses: 2, last_access_at: time },
      ...{ tier: 'hot', withheld: null },
      ...{ first_at: time, last_at: time, people: [{ name: 'alice', events: 2 }], mentioned: ['bob'] },
      related: [{ tool: 'jira', subject: 'PROJ-12', context_id: contextIdOf('acme', 'jira', 'PROJ-12') }],
      named_by: [],
      timeline: [
        {
          ...{
            ...entry,
            event_id: opened.id,
            event: 'pull_request.opened',
            what: 'opened',
            state: 'open',
            link,
          },
          text: 'See PROJ-12, @bob.',
        },
        {
          ...{
            ...entry,
            event_id: closed.id,
            event: 'pull_request.closed',
            state: 'closed',
            link,
            text: null,
          },
          what: expect.any(String),
        },
      ],
    })
    const sum = document.importance_parts.reduce((total, part) => total + part.weight! * part.value!, 0)
    expect(sum).toBeCloseTo(document.importance, 3)
    expect((await get(`/contexts/${SITE_7}?limit=1`)).json()).toMatchObject({
      events: 2,
      timeline: [{ event_id: closed.id }],
    })
  })

  it('answers 400 and 404 to what is no context', async () => {
    const { get } = await open()
    for (const id of ['x', 'ctx_short', 'evt_0123456789012345678901', `ctx_${'a'.repeat(22)}`])
      expectProblem(await get(`/contexts/${id}`), 'CONTEXT_ID_MALFORMED')
    expectProblem(await get(`/contexts/${SITE_7}`), 'CONTEXT_UNKNOWN')
    expectProblem(await get(`/contexts/${SITE_7}?limit=0`), 'REQUEST_INVALID')
  })

  it('answers 500 to one that was damaged, and 410 to one whose key was destroyed', async () => {
    const keyring = keyrings.open()
    const { get, happens, pipeline, keys } = await open(keyring)
    await happens({ json: pullRequest(7, 'opened') })
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    expectProblem(await get(`/contexts/${SITE_7}`), 'KEY_DESTROYED')
    expect((await get('/contexts')).json()).toEqual({ contexts: [], unreadable: 1 })
    await pipeline.link.call('SETRANGE', keys.head(SITE_7), 35, 'xxx')
    expectProblem(await get(`/contexts/${SITE_7}`), 'RECORD_CORRUPT')
  })

  it('answers 503 while Redis is away', async () => {
    const { get, happens, pipeline } = await open()
    const { id } = await happens({ json: pullRequest(7, 'opened') })
    await redis.server.kill('SIGKILL')
    await expect.poll(() => pipeline.link.connected).toBe(false)
    for (const path of ['/contexts', `/contexts/${SITE_7}`, `/events/${id}`])
      expectProblem(await get(path), 'REDIS_UNAVAILABLE')
    await redis.server.restart()
  })

  it('needs the token, and is nothing where there are no contexts', async () => {
    const { ask, pipeline } = await open()
    for (const path of ['/contexts', `/contexts/${SITE_7}`]) {
      expectProblem(await ask(path), 'TOKEN_REQUIRED')
      expectProblem(await (await serve(pipeline.view)).get(path), 'ROUTE_UNKNOWN')
    }
  })
})

describe('an event whose entry was trimmed', () => {
  it('is told with its context, which has its bytes', async () => {
    const { get, happens, pipeline } = await open()
    const { id, body } = await happens({ json: pullRequest(7, 'opened') })
    const before = (await get(`/events/${id}`)).json() as object
    expect(before).toMatchObject({ place: 'settled', context: SITE_7, stream_id: expect.any(String) })
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    const after = await get(`/events/${id}`)
    expect(after.status).toBe(200)
    expect(after.json()).toEqual({ ...before, stream_id: null })
    expect(after.json()).toMatchObject({
      bytes_available: true,
      size: body.length,
      event: 'pull_request.opened',
    })
    const raw = await get(`/events/${id}/raw`)
    expect(raw.status).toBe(200)
    expect(raw.bytes).toEqual(body)
    expect(raw.headers.get('content-type')).toBe('application/json')
  })

  it('has no context and no bytes where there are no contexts', async () => {
    const { happens, pipeline } = await open()
    const { id } = await happens({ json: pullRequest(7, 'opened') })
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    const { get } = await serve(pipeline.view)
    expect((await get(`/events/${id}`)).json()).toMatchObject({ context: null, bytes_available: false })
    expectProblem(await get(`/events/${id}/raw`), 'BYTES_GONE')
  })

  it('answers 410 when its key was destroyed', async () => {
    const keyring = keyrings.open()
    const { get, happens, pipeline } = await open(keyring)
    const { id } = await happens({ json: pullRequest(7, 'opened') })
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    expectProblem(await get(`/events/${id}/raw`), 'KEY_DESTROYED')
    expect((await get(`/events/${id}`)).json()).toMatchObject({
      context: SITE_7,
      bytes_available: false,
      bytes_problem: expect.stringContaining('was destroyed'),
    })
  })
})
