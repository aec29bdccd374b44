/** The trace of a request: which have one, what it says, what it costs a stranger's wish, and where it is found again. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  githubHeaders,
  POLL,
  SECRET,
  send,
  sendGithub,
  storedEvents,
  type TestGateway,
  withGateway,
} from './support/gateway.ts'
import { useRedis } from './support/redis.ts'
import { recordTraces } from './support/spans.ts'

const redis = useRedis()
const body = Buffer.from('{"action":"opened","secret":"of somebody"}')
const STRANGER = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

function traced<T>(
  use: (running: TestGateway, traces: ReturnType<typeof recordTraces>) => Promise<T>,
  { rate = 1, flags = {} }: { rate?: number; flags?: Readonly<Record<string, unknown>> } = {},
) {
  const traces = recordTraces(rate)
  return withGateway({ redisUrl: redis.url, tracer: traces.tracer, flags }, (running) => use(running, traces))
}

describe('a traced request', () => {
  it('is a span of the server with its stages, and the record carries it on', () =>
    traced(async ({ port }, { span, under }) => {
      const headers = [...githubHeaders(body, 'd-1', 'pull_request'), 'X-Request-ID', 'proxy-1']
      const { json } = await send(port, '/webhooks/github/acme', { headers, body })
      const root = span('POST /webhooks/:tool/:tenant')
      expect(root).toMatchObject({
        kind: 'server',
        parentId: undefined,
        links: [],
        failure: undefined,
        attributes: {
          'http.request.method': 'POST',
          'http.route': '/webhooks/:tool/:tenant',
          'http.response.status_code': 202,
          'http.request.body.size': body.length,
          'weir.tool': 'github',
          'weir.tenant': 'acme',
          'weir.type': 'pull_request',
          'weir.outcome': 'accepted',
          'weir.event_id': json.event_id,
          'weir.request_id': 'proxy-1',
        },
      })
      expect(under(root)).toEqual(['body', 'verify', 'pack', 'admit'])
      const stages = ['body', 'verify', 'pack', 'admit'].map(span)
      for (const [at, stage] of stages.entries()) {
        expect(stage.endMs).toBeGreaterThanOrEqual(stage.startMs)
        const before = at === 0 ? root.startMs : stages[at - 1]!.endMs
        // Packing begins when the other requests of the same turn have been verified.
        if (stage.name === 'pack') expect(stage.startMs).toBeGreaterThanOrEqual(before)
        else expect(stage.startMs).toBe(before)
        expect(stage.endMs).toBeLessThanOrEqual(root.endMs)
      }
      expect(Math.abs(root.startMs - Date.now())).toBeLessThan(60_000)
      const [event] = await storedEvents(redis.client())
      expect(event?.traceparent).toBe(`00-${root.traceId}-${root.spanId}-01`)
    }))

  it('is named by every line of the log about it, next to the correlation id', () =>
    traced(async ({ port, log }, { spans }) => {
      await sendGithub(port, 'd-1', body)
      await sendGithub(port, 'd-1', body)
      const lines = log.filter(({ event }) => event === 'webhook')
      const roots = spans.filter(({ parentId }) => parentId === undefined)
      expect(lines.map(({ outcome, trace_id }) => [outcome, trace_id])).toEqual([
        ['accepted', roots[0]?.traceId],
        ['duplicate', roots[1]?.traceId],
      ])
      expect(lines[0]).toMatchObject({ request_id: expect.stringMatching(/^evt_/) })
      expect(roots[1]).toMatchObject({
        attributes: { 'weir.outcome': 'duplicate', 'weir.event_id': lines[1]?.id },
      })
    }))

  it('has its refusal in it, once its sender was believed', () =>
    traced(async ({ port, log }, { span }) => {
      const unreadable = Buffer.from('{')
      const headers = githubHeaders(unreadable, 'd-1').map((text) =>
        text === 'application/json' ? 'image/png' : text,
      )
      expect((await send(port, '/webhooks/github', { headers, body: unreadable })).status).toBe(415)
      const root = span('POST /webhooks/:tool')
      expect(root).toMatchObject({
        failure: undefined,
        attributes: {
          'http.response.status_code': 415,
          'weir.outcome': 'refused',
          'weir.code': expect.any(String),
        },
      })
      expect(log.find(({ outcome }) => outcome === 'refused')).toMatchObject({ trace_id: root.traceId })
    }))

  it('shows the spool, where its event had to go there', () =>
    traced(async ({ port, log }, { span, under }) => {
      await redis.server.kill('SIGKILL')
      await expect
        .poll(async () => (await send(port, '/ready', { method: 'GET' })).json.status, POLL)
        .toBe('degraded')
      expect((await sendGithub(port, 'd-1', body)).status).toBe(202)
      expect(under(span('admit'))).toEqual(['spool'])
      const root = span('POST /webhooks/:tool')
      expect(root.attributes['weir.outcome']).toBe('spooled')
      expect(log.find(({ outcome }) => outcome === 'spooled')).toMatchObject({ trace_id: root.traceId })
      // It is drained with its trace.
      await redis.server.restart()
      await expect
        .poll(async () => (await storedEvents(redis.client())).map(({ traceparent }) => traceparent), POLL)
        .toEqual([`00-${root.traceId}-${root.spanId}-01`])
    }))

  it('says nothing secret, and nothing of the body', () =>
    traced(async ({ port }, { spans }) => {
      const headers = [...githubHeaders(body, 'd-1'), 'Authorization', 'Bearer hunter2']
      await send(port, '/webhooks/github', { headers, body })
      const all = JSON.stringify(spans)
      for (const secret of [SECRET, 'of somebody', 'hunter2', 'sha256=']) expect(all).not.toContain(secret)
    }))

  it('is the example of its stages in OpenMetrics', () =>
    traced(async ({ port }, { span }) => {
      await sendGithub(port, 'd-1', body)
      const scrape = (accept: string) =>
        send(port, '/metrics', { method: 'GET', headers: ['Accept', accept] })
      const open = await scrape('application/openmetrics-text;version=1.0.0')
      expect(open.headers['content-type']).toMatch(/^application\/openmetrics-text/)
      const { traceId } = span('POST /webhooks/:tool')
      for (const stage of ['body', 'verify', 'pack', 'admit', 'total']) {
        expect(open.text).toMatch(
          new RegExp(
            `^webhook_ingest_stage_duration_seconds_bucket\\{le="[^"]+",stage="${stage}"\\} 1 # \\{trace_id="${traceId}"\\} `,
            'm',
          ),
        )
      }
      const plain = await scrape('text/plain')
      expect(plain.text).toContain('webhook_ingest_stage_duration_seconds_bucket')
      expect(plain.text).not.toContain(traceId)
    }))
})

describe('what is not traced', () => {
  it('leaves nothing: no span, no traceparent, no trace_id, no exemplar', () =>
    traced(
      async ({ port, log }, { spans }) => {
        await sendGithub(port, 'd-1', body)
        expect(spans).toEqual([])
        const [event] = await storedEvents(redis.client())
        expect(event?.traceparent).toBe('')
        const line = log.find(({ outcome }) => outcome === 'accepted')
        expect(line).toBeDefined()
        expect(line).not.toHaveProperty('trace_id')
        const accept = ['Accept', 'application/openmetrics-text']
        expect((await send(port, '/metrics', { method: 'GET', headers: accept })).text).not.toContain(' # {')
      },
      { rate: 0 },
    ))

  it('are requests that were not believed, however many come', () =>
    traced(async ({ port, log }, { spans }) => {
      const headers = githubHeaders(body, 'd-1', 'push', 'another secret')
      expect((await send(port, '/webhooks/github', { headers, body })).status).toBe(401)
      expect(
        (await send(port, '/webhooks/github', { headers: ['Content-Type', 'application/json'], body }))
          .status,
      ).toBe(401)
      expect(spans).toEqual([])
      for (const line of log.filter(({ event }) => event === 'webhook'))
        expect(line).not.toHaveProperty('trace_id')
    }))
})

describe('a trace that a sender brings along', () => {
  const headers = (delivery: string, traceparent: string) => [
    ...githubHeaders(body, delivery),
    'traceparent',
    traceparent,
  ]
  const unsampled = STRANGER.replace(/01$/, '00')

  it('is named by a link, and decides nothing', () =>
    traced(async ({ port }, { span }) => {
      await send(port, '/webhooks/github', { headers: headers('d-1', unsampled), body })
      const root = span('POST /webhooks/:tool')
      expect(root.parentId).toBeUndefined()
      expect(root.traceId).not.toBe(STRANGER.slice(3, 35))
      expect(root.links).toEqual([
        { traceId: STRANGER.slice(3, 35), spanId: STRANGER.slice(36, 52), sampled: false },
      ])
    }))

  it('cannot have everything traced', () =>
    traced(
      async ({ port }, { spans }) => {
        await send(port, '/webhooks/github', { headers: headers('d-1', STRANGER), body })
        expect(spans).toEqual([])
        // Nor may it have the consumers trace it.
        expect((await storedEvents(redis.client()))[0]?.traceparent).toBe('')
      },
      { rate: 0 },
    ))

  it('is gone on with where the configuration trusts all senders; then they decide', () =>
    traced(
      async ({ port }, { spans, span }) => {
        await send(port, '/webhooks/github', { headers: headers('d-1', unsampled), body })
        expect(spans).toEqual([])
        await send(port, '/webhooks/github', { headers: headers('d-2', STRANGER), body })
        expect(span('POST /webhooks/:tool')).toMatchObject({
          traceId: STRANGER.slice(3, 35),
          parentId: STRANGER.slice(36, 52),
          remoteParent: true,
          links: [],
        })
        await sendGithub(port, 'd-3', body)
        const roots = spans.filter(({ parentId }) => parentId === undefined)
        expect(roots).toHaveLength(1)
      },
      { flags: { 'observability.tracing.incoming': 'continue' } },
    ))

  it('that is none is passed over', () =>
    traced(async ({ port }, { span }) => {
      const digest = createHash('sha256').update('x').digest('hex')
      await send(port, '/webhooks/github', { headers: headers('d-1', digest), body })
      expect(span('POST /webhooks/:tool').links).toEqual([])
    }))
})
