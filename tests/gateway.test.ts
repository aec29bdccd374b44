/** What the gateway answers to webhooks, and to signatures that do not hold. */
import { Agent } from 'node:http'
import { signGeneric } from '@weir/security/generic'
import { describe, expect, it } from 'vitest'
import {
  expectProblem,
  githubHeaders,
  SECRET,
  send,
  sendGithub,
  storedEvents,
  useGateway,
  withGateway,
} from './support/gateway.ts'

const { redis, gateway } = useGateway()

const body = Buffer.from('{"action":"opened","number":42}')

describe('a signed GitHub delivery', () => {
  it('is accepted once and a duplicate from then on, under one id', () =>
    gateway(async ({ port }) => {
      const first = await sendGithub(port, 'd-1', body)
      expect(first.status).toBe(202)
      expect(first.headers['content-type']).toBe('application/json')
      expect(first.json).toEqual({
        status: 'accepted',
        event_id: expect.stringMatching(/^evt_[A-Za-z0-9_-]{22}$/),
      })
      const second = await sendGithub(port, 'd-1', body)
      expect(second.status).toBe(200)
      expect(second.json).toEqual({ status: 'duplicate', event_id: first.json.event_id })
    }))

  it('keeps its connection, also when it is a duplicate or over a limit', () =>
    gateway(
      async ({ port }) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        try {
          for (const [delivery, status] of [
            ['d-1', 202],
            ['d-1', 200],
            ['d-2', 429],
            ['d-1', 200],
          ] as const) {
            const answer = await send(port, '/webhooks/github', {
              headers: githubHeaders(body, delivery),
              body,
              agent,
            })
            expect([answer.status, answer.headers.connection]).toEqual([status, 'keep-alive'])
          }
        } finally {
          agent.destroy()
        }
      },
      { 'security.rate_limit_rpm': 1 },
    ))

  it('is stored byte for byte, with the headers that tell what it is', () =>
    gateway(async ({ port }) => {
      const headers = [
        ...githubHeaders(body, 'd-1', 'pull_request'),
        'X-Secret-Of-Somebody',
        'not kept',
        'traceparent',
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      ]
      const { json } = await send(port, '/webhooks/github/acme', { headers, body })
      const [event, ...others] = await storedEvents(redis.client())
      expect(others).toEqual([])
      expect(event).toMatchObject({
        id: json.event_id,
        tenant: 'acme',
        tool: 'github',
        type: 'pull_request',
        derived: true,
        attempts: 0,
        body,
        // A stranger's trace is not the pipeline's.
        traceparent: '',
      })
      expect(event?.headers).toEqual([
        ['content-type', 'application/json'],
        ['user-agent', 'GitHub-Hookshot/044aadd'],
        ['x-github-delivery', 'd-1'],
        ['x-github-event', 'pull_request'],
      ])
    }))

  it('is another event for another tenant, and for another delivery id', () =>
    gateway(async ({ port }) => {
      const answers = [
        await sendGithub(port, 'd-1', body, '/webhooks/github/acme'),
        await sendGithub(port, 'd-1', body, '/webhooks/github/globex'),
        await sendGithub(port, 'd-2', body, '/webhooks/github/acme'),
      ]
      expect(answers.map(({ status }) => status)).toEqual([202, 202, 202])
      expect(new Set(answers.map(({ json }) => json.event_id)).size).toBe(3)
    }))

  it('sent twice at once is accepted exactly once', () =>
    gateway(async ({ port }) => {
      for (let round = 0; round < 20; round++) {
        const answers = await Promise.all([
          sendGithub(port, `d-${round}`, body),
          sendGithub(port, `d-${round}`, body),
        ])
        expect(answers.map(({ status }) => status).sort()).toEqual([200, 202])
        expect(answers[0].json.event_id).toBe(answers[1].json.event_id)
      }
      expect(await storedEvents(redis.client())).toHaveLength(20)
    }))

  it('without a delivery id is recognised by its body', () =>
    gateway(async ({ port }) => {
      const anonymous = githubHeaders(body, 'x').filter(
        (_, i, all) => ![i, i - 1].some((at) => all[at] === 'X-GitHub-Delivery'),
      )
      const first = await send(port, '/webhooks/github', { headers: anonymous, body })
      const second = await send(port, '/webhooks/github', { headers: anonymous, body })
      expect([first.status, second.status]).toEqual([202, 200])
      expect(second.json.event_id).toBe(first.json.event_id)
    }))

  it('may be a form', () =>
    gateway(async ({ port }) => {
      const form = Buffer.from(`payload=${encodeURIComponent(body.toString())}`)
      const headers = githubHeaders(form, 'd-1')
      headers[1] = 'application/x-www-form-urlencoded'
      expect((await send(port, '/webhooks/github', { headers, body: form })).status).toBe(202)
      expect((await storedEvents(redis.client()))[0]?.body).toEqual(form)
    }))

  it('is taken whatever its body is: GitHub never sends it again', () =>
    gateway(async ({ port }) => {
      const bodies = [
        Buffer.from([0xff, 0xfe, 0x00, 0x80]),
        Buffer.from('{"broken":'),
        Buffer.from(`${'['.repeat(100_000)}`),
        Buffer.from('{"__proto__":{"polluted":true}}'),
        Buffer.alloc(0),
      ]
      for (const [i, each] of bodies.entries()) {
        expect((await sendGithub(port, `d-${i}`, each)).status).toBe(202)
      }
      const stored = await storedEvents(redis.client())
      expect(stored.map((event) => event.body)).toEqual(bodies)
      expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    }))

  it.each([
    ['slashes', '../../etc/passwd'],
    ['braces', '{webhook-events}:ledger'],
    ['glob signs', '*?[a]'],
    ['bytes above ASCII', '\u00e9\u00ff'],
    ['8,000 characters', 'x'.repeat(8000)],
  ])('may have an id with %s, which reaches no key', (_, delivery) =>
    gateway(async ({ port }) => {
      const client = redis.client()
      const first = await sendGithub(port, delivery, body)
      const second = await sendGithub(port, delivery, body)
      expect([first.status, second.status]).toEqual([202, 200])
      expect(second.json.event_id).toBe(first.json.event_id)
      for (const key of await client.keys('*')) expect(key).not.toContain(delivery)
    }),
  )
})

describe('a signature', () => {
  const path = '/webhooks/github'
  const without = (name: string) =>
    githubHeaders(body, 'd').filter((_, i, all) => ![i, i - 1].some((at) => all[at] === name))

  it('that is missing, wrong or repeated is refused, and nothing is written', () =>
    gateway(async (running) => {
      const { port } = running
      const unsigned = without('X-Hub-Signature-256')
      expectProblem(await send(port, path, { headers: unsigned, body }), 401, 'SIGNATURE_MISSING')
      const signedAs = (...values: string[]) => ({
        headers: [...unsigned, ...values.flatMap((value) => ['X-Hub-Signature-256', value])],
        body,
      })
      const right = githubHeaders(body, 'd').at(-1) as string
      expectProblem(await send(port, path, signedAs('trust me')), 401, 'SIGNATURE_MALFORMED')
      expectProblem(await send(port, path, signedAs('')), 401, 'SIGNATURE_MALFORMED')
      expectProblem(await send(port, path, signedAs(right, right)), 401, 'SIGNATURE_REPEATED')
      expectProblem(await send(port, path, signedAs(`sha256=${'0'.repeat(64)}`)), 401, 'SIGNATURE_MISMATCH')
      expectProblem(
        await send(port, path, { headers: githubHeaders(body, 'd', 'push', 'another secret'), body }),
        401,
        'SIGNATURE_MISMATCH',
      )
      const other = Buffer.from(`${body} `)
      expectProblem(
        await send(port, path, { headers: githubHeaders(body, 'd'), body: other }),
        401,
        'SIGNATURE_MISMATCH',
      )
      const sha1 = ['X-Hub-Signature', 'sha1=a3e5a1ff8f2b0a4c36a4f0a7a8c2a1c6b8f3c0de']
      expectProblem(
        await send(port, path, { headers: [...unsigned, ...sha1], body }),
        401,
        'SIGNATURE_MISSING',
      )

      const answered = await send(port, path, { headers: unsigned, body })
      expect(answered.headers['www-authenticate']).toBe('Webhook-Signature')
      expect(await storedEvents(redis.client())).toEqual([])
      expect(await running.counter('webhook_auth_failures_total', 'tool=github,reason=missing')).toBe(3)
      expect(await running.counter('webhook_signature_failures_total', 'tool=github')).toBe(6)
      expect(await running.counter('webhooks_received_total', 'path=/webhooks/:tool,status=401')).toBe(9)
    }))

  it('by the old or the new secret counts while a secret is being rotated', () =>
    gateway(
      async ({ port }) => {
        const signed = (secret: string, id: string) =>
          send(port, path, { headers: githubHeaders(body, id, 'push', secret), body })
        expect((await signed('old', 'd-1')).status).toBe(202)
        expect((await signed('new', 'd-2')).status).toBe(202)
        expectProblem(await signed(SECRET, 'd-3'), 401, 'SIGNATURE_MISMATCH')
      },
      { 'security.signature_secrets.github': ['old', 'new'] },
    ))

  it('of a tool without a secret is refused with the variable to set', () =>
    withGateway({ redisUrl: redis.url, env: { GITHUB_WEBHOOK_SECRET: undefined } }, async ({ port }) => {
      const answer = await sendGithub(port, 'd', body)
      expectProblem(answer, 401, 'SECRET_NOT_CONFIGURED')
      expect(answer.json.detail).toContain('GITHUB_WEBHOOK_SECRET')
    }))

  it('is not asked for where that is switched off', () =>
    gateway(
      async ({ port }) => {
        const headers = ['Content-Type', 'application/json', 'X-GitHub-Delivery', 'd-1']
        expect((await send(port, path, { headers, body })).status).toBe(202)
      },
      { 'security.enable_signature_verification': false },
    ))

  it('that is empty protects nothing, so an empty secret stops the start', async () => {
    const start = withGateway(
      { redisUrl: redis.url, env: { GITHUB_WEBHOOK_SECRET: '' } },
      async () => undefined,
    )
    await expect(start).rejects.toThrow(/GITHUB_WEBHOOK_SECRET is empty/)
  })
})

describe('generic senders', () => {
  const now = () => Math.floor(Date.now() / 1000)
  const signed = (seconds: number, text = body) => [
    'Content-Type',
    'application/json',
    'X-Webhook-Id',
    'w-1',
    'X-Webhook-Event',
    'deploy.finished',
    'X-Webhook-Timestamp',
    String(seconds),
    'X-Webhook-Signature',
    signGeneric(Buffer.from(SECRET), seconds, text),
  ]

  it('sign the time with the body', () =>
    gateway(async ({ port }) => {
      expect((await send(port, '/webhooks/generic', { headers: signed(now()), body })).status).toBe(202)
      expect((await send(port, '/webhooks/generic', { headers: signed(now()), body })).status).toBe(200)
      expectProblem(
        await send(port, '/webhooks/generic', { headers: signed(now() - 301), body }),
        401,
        'TIMESTAMP_STALE',
      )
      expectProblem(
        await send(port, '/webhooks/generic', { headers: signed(now() + 40), body }),
        401,
        'TIMESTAMP_FUTURE',
      )
      const [event, ...others] = await storedEvents(redis.client())
      expect(event).toMatchObject({ tool: 'generic', type: 'deploy.finished' })
      expect(others).toEqual([])
    }))

  it('may use /webhook, which is otherwise for Alertmanager', () =>
    gateway(async ({ port }) => {
      expect((await send(port, '/webhook/acme', { headers: signed(now()), body })).status).toBe(202)
      expect((await storedEvents(redis.client()))[0]).toMatchObject({ tool: 'generic', tenant: 'acme' })
    }))
})

describe('Alertmanager', () => {
  const local = { 'tools.alertmanager.signature': 'none' }
  const notification = {
    version: '4',
    groupKey: '{}:{alertname="DiskFull"}',
    status: 'firing',
    alerts: [
      {
        status: 'firing',
        labels: { alertname: 'DiskFull' },
        startsAt: '2024-01-01T00:00:00Z',
        fingerprint: 'a1',
      },
      {
        status: 'firing',
        labels: { alertname: 'DiskFull' },
        startsAt: '2024-01-01T00:00:00Z',
        fingerprint: 'a2',
      },
    ],
  }
  const json = ['Content-Type', 'application/json']

  it('sends to /webhook, unsigned from this machine where the configuration says so', () =>
    gateway(async (running) => {
      const text = JSON.stringify(notification)
      const first = await send(running.port, '/webhook/acme', { headers: json, body: text })
      expect(first.status).toBe(202)
      const again = await send(running.port, '/webhook/acme', { headers: json, body: text })
      expect(again.json).toEqual({ status: 'duplicate', event_id: first.json.event_id })
      expect((await send(running.port, '/webhook', { headers: json, body: text })).status).toBe(202)
      expect(await running.counter('webhooks_by_alertname_total', 'alertname=DiskFull')).toBe(3)
      expect(await running.counter('webhooks_received_total', 'path=/webhook/:tenant,status=202')).toBe(1)
    }, local))

  it('is not believed through a proxy, whose address says nothing', () =>
    gateway(async ({ port }) => {
      const headers = [...json, 'X-Forwarded-For', '203.0.113.9']
      expectProblem(await send(port, '/webhook', { headers, body: '{}' }), 401, 'UNSIGNED_NOT_LOCAL')
    }, local))

  it('is not believed at all without that setting', () =>
    gateway(async ({ port }) => {
      expectProblem(await send(port, '/webhook', { headers: json, body: '{}' }), 401, 'SIGNATURE_MISSING')
    }))

  it.each([
    ['that is no JSON', Buffer.from('{"status":'), /not JSON/],
    ['that is nested too deep', Buffer.from(`${'['.repeat(65)}${']'.repeat(65)}`), /deeper than 64/],
    ['that is nested absurdly deep', Buffer.from('['.repeat(1_000_000)), /deeper than 64/],
    ['that is no UTF-8', Buffer.from([0x22, 0xff, 0x22]), /UTF-8/],
    ['that is empty', Buffer.alloc(0), /not JSON/],
  ])('gets 400 for a body %s, because its identity stands in the body', (_, wrong, detail) =>
    gateway(async ({ port }) => {
      const answer = await send(port, '/webhook', { headers: json, body: wrong })
      expectProblem(answer, 400, 'BODY_UNREADABLE')
      expect(answer.json.detail).toMatch(detail)
    }, local),
  )

  it('may be nested as deep as the configuration says', () =>
    gateway(
      async ({ port }) => {
        const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
        expect((await send(port, '/webhook', { headers: json, body: nested(3) })).status).toBe(202)
        const answer = await send(port, '/webhook', { headers: json, body: nested(4) })
        expect(answer.json.detail).toMatch(/deeper than 3/)
      },
      { ...local, 'ingest.max_json_depth': 3 },
    ))

  it('may name its alerts __proto__ without any effect', () =>
    gateway(async (running) => {
      const text =
        '{"groupKey":"g","status":"firing","alerts":[{"labels":{"alertname":"__proto__"}}],"__proto__":{"x":1}}'
      expect((await send(running.port, '/webhook', { headers: json, body: text })).status).toBe(202)
      expect(await running.counter('webhooks_by_alertname_total', 'alertname=__proto__')).toBe(1)
      expect(({} as Record<string, unknown>).x).toBeUndefined()
    }, local))
})
