import { type AuditNote, type Auditor, NO_AUDIT } from '@weir/core/audit/auditor'
import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import { mintEventId } from '@weir/core/event'
import { Fault } from '@weir/core/faults'
import { reportGateway } from '@weir/core/stream/ledger'
import { describe, expect, it } from 'vitest'
import { type PipelineOptions, type TestPipeline, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { bearerCheck } from './bearer.ts'
import { type Api, expectProblem, TOKEN, useApi } from './server.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const serve = useApi()

/** The API on an empty pipeline. */
async function open(options: PipelineOptions & { metricsOpen?: boolean; audit?: Auditor } = {}) {
  const pipeline = await openPipeline(options)
  return { pipeline, ...(await serve(pipeline.view, options)) }
}

const PROTECTED = [
  '/ledger',
  '/stats',
  '/breakers',
  '/dlq',
  '/metrics',
  '/health/webhook',
  '/openapi.json',
  '/events/x',
  '/events/x/raw',
  '/nothing',
]

describe('access', () => {
  it.each(PROTECTED)('%s needs the token', async (path) => {
    const { ask } = await open()
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      'Bearer wrong',
      `Basic ${TOKEN}`,
      TOKEN,
      `Bearer ${TOKEN}x`,
    ]) {
      const answer = await ask(path, authorization === undefined ? {} : { headers: { authorization } })
      expectProblem(answer, 'TOKEN_REQUIRED')
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="weir"')
    }
  })

  it('POST /dlq/:id/replay needs it too, and does nothing without', async () => {
    const { ask, pipeline } = await open()
    const { id } = await pipeline.kill()
    expectProblem(await ask(`/dlq/${id}/replay`, { method: 'POST' }), 'TOKEN_REQUIRED')
    expect(await pipeline.ledger()).toMatchObject({ dead: 1 })
  })

  it('takes the scheme in any case', async () => {
    const { ask } = await open()
    expect((await ask('/ledger', { headers: { authorization: `bearer ${TOKEN}` } })).status).toBe(200)
  })

  it.each(['/health', '/ready'])('%s is open', async (path) => {
    const { ask } = await open()
    expect((await ask(path)).status).toBe(200)
  })

  it('/metrics, /stats and /health/webhook are open when the configuration says so, and nothing else', async () => {
    const { ask } = await open({ metricsOpen: true })
    expect((await ask('/metrics')).status).toBe(200)
    expect((await ask('/health/webhook')).status).toBe(200)
    expect((await ask('/stats')).status).toBe(200)
    expectProblem(await ask('/ledger'), 'TOKEN_REQUIRED')
  })

  it('cannot be had with an empty token', () => {
    expect(() => bearerCheck('')).toThrow(TypeError)
    expect(bearerCheck('x')('Bearer ')).toBe(false)
  })
})

describe('the audit trail', () => {
  function listening(full = false) {
    const told: AuditNote[] = []
    const note = (entry: AuditNote) => void told.push(entry)
    const record = async (entry: AuditNote) => {
      if (full) throw new Fault('REDIS_OUT_OF_MEMORY', 'Redis refused append-audit')
      return { n: told.push(entry), hash: '' }
    }
    return { told, audit: { ...NO_AUDIT, note, record } }
  }

  it('is told of a replay before and after', async () => {
    const { told, audit } = listening()
    const { ask, pipeline } = await open({ audit })
    const { id } = await pipeline.kill()
    const headers = { authorization: `Bearer ${TOKEN}` }
    await ask(`/dlq/${id}/replay`, { method: 'POST', headers })
    await ask(`/dlq/${id}/replay`, { method: 'POST', headers })
    const entry = { actor: 'operator@127.0.0.1', action: 'dlq.replay', target: `letter ${id}` }
    expect(told).toEqual([
      { ...entry, outcome: 'intended' },
      { ...entry, outcome: 'replayed', detail: { intended: 1 } },
      { ...entry, outcome: 'intended' },
      { ...entry, outcome: 'absent', detail: { intended: 3 } },
    ])
  })

  it('that cannot be told is a reason not to replay', async () => {
    const { ask, pipeline } = await open({ audit: listening(true).audit })
    const { id } = await pipeline.kill()
    const answer = await ask(`/dlq/${id}/replay`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    expectProblem(answer, 'REDIS_OUT_OF_MEMORY')
    expect(await pipeline.ledger()).toMatchObject({ dead: 1 })
  })

  it('is told who came without the token, how often, and never what was shown', async () => {
    const { told, audit } = listening()
    const { ask } = await open({ audit })
    for (let i = 0; i < 20; i++) await ask('/ledger', { headers: { authorization: 'Bearer guess' } })
    await ask('/dlq')
    await ask('/ledger', { headers: { authorization: `Bearer ${TOKEN}` } })
    await expect.poll(() => told.length).toBe(2)
    const entry = { actor: '127.0.0.1', action: 'operations.access', outcome: 'refused' }
    expect(told).toMatchObject([
      { ...entry, detail: { shown: 'wrong', count: 20 } },
      { ...entry, detail: { shown: 'missing', count: 1 } },
    ])
    expect(JSON.stringify(told)).not.toContain('guess')
  })
})

describe('GET /events/:id', () => {
  it.each(['unread', 'pending', 'parked', 'dead', 'settled'])('knows an event that is %s', async (place) => {
    const { get, pipeline } = await open()
    const { id } = await pipeline.accept({
      type: 'push',
      json: { ref: 'refs/heads/main', repository: { full_name: 'a/b' } },
    })
    if (place !== 'unread') {
      const [entry] = await pipeline.read('consumer-1')
      if (place === 'parked') await pipeline.park(entry!)
      if (place === 'dead') await pipeline.bury(entry!)
      if (place === 'settled') await pipeline.settle(entry!)
    }
    const answer = await get(`/events/${id}`)
    expect(answer.status).toBe(200)
    const { idle_ms: _, ...document } = (await pipeline.view.find(id))!
    // Every field, and no other: the schema lets nothing else through.
    const idle = place === 'pending' ? expect.any(Number) : null
    expect(answer.json()).toEqual({ ...document, context: null, idle_ms: idle })
    expect(answer.json()).toMatchObject({ place, event: 'push', subject: { kind: expect.any(String) } })
  })

  it.each(['x', 'evt_short', `evt_${'a'.repeat(22)}`, '..%2f..%2fetc', 'evt_%00', 'e'.repeat(190)])(
    'answers 400 for %s',
    async (id) => {
      const { get } = await open()
      expectProblem(await get(`/events/${id}`), 'EVENT_ID_MALFORMED')
      expectProblem(await get(`/events/${id}/raw`), 'EVENT_ID_MALFORMED')
    },
  )

  it('answers 404 for an event that nobody knows', async () => {
    const { get } = await open()
    const id = mintEventId(Date.now())
    expectProblem(await get(`/events/${id}`), 'EVENT_UNKNOWN')
    expectProblem(await get(`/events/${id}/raw`), 'EVENT_UNKNOWN')
  })
})

describe('GET /events/:id/raw', () => {
  it('gives the bytes as sent, with their content type', async () => {
    const { get, pipeline } = await open()
    const body = Buffer.from([0x7b, 0x22, 0xff, 0x00, 0x0d, 0x0a, 0x22, 0x7d])
    const { id } = await pipeline.accept({ body })
    const answer = await get(`/events/${id}/raw`)
    expect(answer.status).toBe(200)
    expect(answer.bytes).toEqual(body)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${id}"`)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it('gives a body that came encoded as it came', async () => {
    const { get, pipeline } = await open()
    const body = Buffer.from([0x1f, 0x8b, 0x08, 0x00])
    const { id } = await pipeline.accept({ body, headers: [['content-encoding', 'gzip']] })
    const answer = await get(`/events/${id}/raw`)
    expect(answer.bytes).toEqual(body)
    expect(answer.headers.get('content-encoding')).toBeNull()
    expect(answer.headers.get('x-webhook-content-encoding')).toBe('gzip')
  })

  it('gives the bytes of dead and of settled events', async () => {
    const { get, pipeline } = await open()
    const dead = await pipeline.kill()
    const settled = await pipeline.accept()
    await pipeline.settle(...(await pipeline.read('consumer-1')))
    expect((await get(`/events/${dead.id}/raw`)).bytes).toEqual(dead.body)
    expect((await get(`/events/${settled.id}/raw`)).bytes).toEqual(settled.body)
  })

  it('answers 410 when the event is settled and its bytes are gone', async () => {
    const { get, pipeline } = await open()
    const { id } = await pipeline.accept()
    await pipeline.settle(...(await pipeline.read('consumer-1')))
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    expect((await get(`/events/${id}`)).json()).toMatchObject({ place: 'settled', bytes_available: false })
    expectProblem(await get(`/events/${id}/raw`), 'BYTES_GONE')
  })

  it('answers 503 when the dictionary is missing, naming it', async () => {
    const foreign = dictionaryOf(Buffer.from('of another version '.repeat(20)))
    const { get, pipeline } = await open({
      dictionaries: createDictionarySet(new Map([['github', foreign]])),
    })
    const { id } = await pipeline.accept()
    const answer = await get(`/events/${id}/raw`)
    expectProblem(answer, 'DICTIONARY_MISSING')
    expect(answer.text).toContain(foreign.id)
    expect((await get(`/events/${id}`)).json()).toMatchObject({ bytes_available: false })
  })
})

describe('GET /ledger', () => {
  it('answers exactly the counts', async () => {
    const { get, pipeline } = await open()
    await pipeline.kill()
    for (let i = 0; i < 4; i++) await pipeline.accept()
    const [settled, parked] = await pipeline.read('consumer-1', 3)
    await pipeline.settle(settled!)
    await pipeline.park(parked!)
    expect((await get('/ledger')).text).toBe(
      '{"accepted":5,"settled":1,"unread":1,"pending":1,"parked":1,"dead":1,"superseded":0,"purged":0,"spooled":0,"unaccounted":0}',
    )
  })

  it('answers null for what Redis cannot tell', async () => {
    const { get, pipeline } = await open()
    await makeLagUnknown(pipeline)
    expect((await get('/ledger')).json()).toMatchObject({ unread: null, unaccounted: null })
  })
})

/** Somebody else deletes from the stream: then Redis no longer knows what is unread. */
async function makeLagUnknown(pipeline: TestPipeline): Promise<void> {
  for (let i = 0; i < 3; i++) await pipeline.accept()
  await pipeline.read('consumer-1', 1)
  const [last] = (await pipeline.link.call('XREVRANGE', pipeline.keys.stream, '+', '-', 'COUNT', 1)) as [
    [Buffer],
  ]
  await pipeline.link.call('XDEL', pipeline.keys.stream, String(last[0]))
}

describe('GET /stats and /breakers', () => {
  it('answer what the view says, every field of it', async () => {
    const { get, pipeline } = await open()
    await pipeline.accept()
    await pipeline.read('consumer-1')
    const { link, keys } = pipeline
    const at = await pipeline.now()
    await link.call(
      'HSET',
      keys.consumers,
      'consumer-1',
      JSON.stringify({ at, held: 1, running: 1, metrics: [] }),
    )
    await reportGateway(link, keys, 'gateway-1', '', { spooled: 2, at })
    const stats = (await get('/stats')).json() as Record<string, unknown>
    const status = await pipeline.view.status()
    expect(Object.keys(stats)).toEqual(Object.keys(status))
    expect(stats).toMatchObject({
      verdict: 'balanced',
      ledger: status.ledger,
      lag: status.lag,
      breakers: status.breakers,
      gateways: [{ name: 'gateway-1', spooled: 2 }],
      consumers: [{ name: 'consumer-1', alive: true, pending: 1, held: 1, running: 1 }],
    })
    expect((await get('/breakers')).json()).toEqual({ breakers: await pipeline.view.breakers() })
  })
})

describe('GET /dlq', () => {
  it('answers pages that lead from one to the next', async () => {
    const { get, pipeline } = await open()
    for (let i = 0; i < 5; i++) await pipeline.kill({ tenant: i < 3 ? 'a' : 'b' })
    const seen: string[] = []
    let path = '/dlq?count=2'
    for (let page = 0; page < 3; page++) {
      const answer = await get(path)
      expect(answer.status).toBe(200)
      const { dead_letters: letters, next } = answer.json() as {
        dead_letters: { letter_id: string }[]
        next: string | null
      }
      seen.push(...letters.map((letter) => letter.letter_id))
      expect(next === null).toBe(page === 2)
      path = `/dlq?count=2&after=${next}`
    }
    expect(new Set(seen).size).toBe(5)
    expect((await get('/dlq?tenant=b&tool=github&reason=handler')).json()).toMatchObject({
      dead_letters: [{ tenant: 'b' }, { tenant: 'b' }],
      next: null,
    })
    expect((await get('/dlq')).json()).toEqual(await pipeline.view.deadLetters.page({}, 50))
  })

  it('filters by time', async () => {
    const { get, pipeline } = await open()
    await pipeline.kill()
    const future = new Date((await pipeline.now()) + 60_000).toISOString()
    expect((await get(`/dlq?since=${future}`)).json()).toEqual({ dead_letters: [], next: null })
    expect((await get(`/dlq?until=${future}`)).json()).toMatchObject({ dead_letters: [{}] })
  })

  it.each([
    'count=0',
    'count=1001',
    'count=x',
    'tool=UPPER',
    'tenant=a/b',
    'since=yesterday',
    'until=1',
    'reason=',
    'unknown=1',
    'count=1&count=2',
  ])('answers 400 to ?%s, and says what is wrong', async (query) => {
    const { get } = await open()
    const answer = await get(`/dlq?${query}`)
    expectProblem(answer, 'REQUEST_INVALID')
    expect((answer.json() as { detail: string }).detail).toMatch(/querystring/)
  })

  it('answers 400 to an after that is no letter', async () => {
    const { get } = await open()
    expectProblem(await get('/dlq?after=-'), 'LETTER_ID_MALFORMED')
  })
})

describe('POST /dlq/:id/replay', () => {
  const post = ({ ask }: Api, path: string) =>
    ask(path, { method: 'POST', headers: { authorization: `Bearer ${TOKEN}` } })

  it('takes a letter up again, once', async () => {
    const api = await open()
    const { id } = await api.pipeline.kill()
    const answer = await post(api, `/dlq/${id}/replay`)
    expect(answer.status).toBe(200)
    expect(answer.json()).toEqual({ outcome: 'replayed' })
    expectProblem(await post(api, `/dlq/${id}/replay`), 'LETTER_UNKNOWN')
    expect(await api.pipeline.ledger()).toMatchObject({ dead: 0, parked: 1 })
  })

  it('closes a letter that a redelivery has overtaken', async () => {
    const api = await open()
    const { id } = await api.pipeline.kill({ deliveryId: 'same' })
    await api.pipeline.accept({ deliveryId: 'same' })
    expect((await post(api, `/dlq/${id}/replay`)).json()).toEqual({ outcome: 'superseded' })
  })

  it('answers 400, 404 and 409 to what it cannot replay', async () => {
    const api = await open()
    expectProblem(await post(api, '/dlq/x/replay'), 'LETTER_ID_MALFORMED')
    expectProblem(await post(api, '/dlq/1-1/replay'), 'LETTER_UNKNOWN')
    const letter = await api.pipeline.link.call(
      'XADD',
      api.pipeline.keys.deadLetters,
      '*',
      'sid',
      '1-0',
      'reason',
      'corrupt',
    )
    expectProblem(await post(api, `/dlq/${String(letter)}/replay`), 'LETTER_UNREADABLE')
  })
})

describe('without Redis', () => {
  it('answers 503 with a problem, and recovers by itself', async () => {
    const { get, ask, pipeline } = await open()
    const { id } = await pipeline.accept()
    await redis.server.kill('SIGKILL')
    await expect.poll(() => pipeline.link.connected).toBe(false)
    for (const path of ['/ledger', '/stats', '/breakers', '/dlq', `/events/${id}`, `/events/${id}/raw`]) {
      const answer = await get(path)
      expectProblem(answer, 'REDIS_UNAVAILABLE')
      expect(answer.headers.get('retry-after')).toBe('1')
    }
    const ready = await ask('/ready')
    expect(ready.status).toBe(503)
    expect(ready.json()).toEqual({
      status: 'degraded',
      redis: 'disconnected',
      version: 'v1',
      uptime_seconds: expect.any(Number),
    })
    expect((await ask('/health')).json()).toEqual({ status: 'ok' })

    await redis.server.restart()
    await expect.poll(async () => (await ask('/ready')).status).toBe(200)
    expect((await ask('/ready')).json()).toMatchObject({ status: 'ok', redis: 'ok' })
    expect((await get('/ledger')).status).toBe(200)
  })
})
