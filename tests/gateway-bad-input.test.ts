/** What the gateway answers to every kind of bad input: paths, content, headers, connections. */
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  expectProblem,
  githubHeaders,
  hold,
  raw,
  send,
  sendGithub,
  storedEvents,
  useGateway,
} from './support/gateway.ts'

const { redis, gateway } = useGateway()

const body = Buffer.from('{"action":"opened","number":42}')

describe('a path', () => {
  it.each([
    ['GET', '/webhooks/github', 405, 'METHOD_NOT_ALLOWED'],
    ['PUT', '/webhooks/github/acme', 405, 'METHOD_NOT_ALLOWED'],
    ['OPTIONS', '/webhook', 405, 'METHOD_NOT_ALLOWED'],
    ['POST', '/ready', 405, 'METHOD_NOT_ALLOWED'],
    ['POST', '/webhooks/nobody', 404, 'TOOL_UNKNOWN'],
    ['POST', '/webhooks/constructor', 404, 'TOOL_UNKNOWN'],
    ['POST', '/webhooks/GitHub', 404, 'TOOL_UNKNOWN'],
    ['POST', '/webhooks/git%68ub', 404, 'TOOL_UNKNOWN'],
    ['POST', '/webhooks/', 404, 'ROUTE_UNKNOWN'],
    ['POST', '/webhooks/github/acme/more', 404, 'ROUTE_UNKNOWN'],
    ['POST', '/', 404, 'ROUTE_UNKNOWN'],
    ['GET', '/..%2f..%2fetc/passwd', 404, 'ROUTE_UNKNOWN'],
    ['POST', '/webhooks/github/Acme', 400, 'TENANT_INVALID'],
    ['POST', '/webhooks/github/a%2fb', 400, 'TENANT_INVALID'],
    ['POST', '/webhooks/github/{x}', 400, 'TENANT_INVALID'],
    ['POST', `/webhooks/github/${'a'.repeat(64)}`, 400, 'TENANT_INVALID'],
    ['POST', '/webhook/..', 400, 'TENANT_INVALID'],
  ])('%s %s is answered %i %s', (method, path, status, code) =>
    gateway(async ({ port }) => {
      const answer = await send(port, path, { method, body: method === 'GET' ? '' : 'x' })
      expectProblem(answer, status, code)
      if (status === 405) expect(answer.headers.allow).toMatch(/POST|GET, HEAD/)
      if (code === 'TOOL_UNKNOWN')
        expect(answer.json.detail).toContain('github, jira, gitlab, alertmanager, generic')
    }),
  )

  it('may have a query and a slash at its end', () =>
    gateway(async ({ port }) => {
      const headers = githubHeaders(body, 'd-1')
      expect((await send(port, '/webhooks/github/?x=/../y', { headers, body })).status).toBe(202)
      expect((await send(port, 'http://weir.example/webhooks/github', { headers, body })).status).toBe(200)
    }))

  it('of a tool that is switched off is not there', () =>
    gateway(
      async ({ port }) => {
        const answer = await sendGithub(port, 'd-1', body)
        expectProblem(answer, 404, 'TOOL_UNKNOWN')
        expect(answer.json.detail).not.toContain('github')
      },
      { 'tools.github.enabled': false },
    ))
})

describe('content', () => {
  const path = '/webhooks/github'
  const typed = (type: string | undefined, ...more: string[]) => {
    const headers = githubHeaders(body, `d-${type}`).slice(2)
    return { headers: [...(type === undefined ? [] : ['Content-Type', type]), ...headers, ...more], body }
  }

  it('of another type is refused, whatever its parameters and letters', () =>
    gateway(async ({ port }) => {
      for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json ;x=y']) {
        expect((await send(port, path, typed(type))).status).toBe(202)
      }
      for (const type of ['text/plain', 'application/jsonp', 'multipart/form-data', 'json', '', undefined]) {
        const answer = await send(port, path, typed(type))
        expectProblem(answer, 415, 'CONTENT_TYPE_UNSUPPORTED')
        expect(answer.json.detail).toContain('application/json')
      }
    }))

  it('that is encoded is refused where the tool is not allowed to', () =>
    gateway(async ({ port }) => {
      expect((await send(port, path, typed('application/json', 'Content-Encoding', 'identity'))).status).toBe(
        202,
      )
      for (const encoding of ['gzip', 'br', 'zstd', 'gzip, gzip']) {
        const answer = await send(port, path, typed('application/json', 'Content-Encoding', encoding))
        expectProblem(answer, 415, 'CONTENT_ENCODING_UNSUPPORTED')
      }
    }))

  it('that is encoded, where it is allowed, is signed and stored as it was sent', () =>
    gateway(
      async ({ port }) => {
        const packed = gzipSync(body)
        const headers = [...githubHeaders(packed, 'd-1'), 'Content-Encoding', 'GZip']
        expect((await send(port, path, { headers, body: packed })).status).toBe(202)
        const [event] = await storedEvents(redis.client())
        expect(event?.body).toEqual(packed)
        expect(event?.headers).toContainEqual(['content-encoding', 'gzip'])
      },
      { 'tools.github.content_encodings': ['gzip'] },
    ))

  it('that is a bomb is refused before it explodes', () =>
    gateway(
      async ({ port }) => {
        const headers = ['Content-Type', 'application/json', 'Content-Encoding', 'gzip']
        const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024))
        expectProblem(await send(port, '/webhook', { headers, body: bomb }), 413, 'BODY_TOO_LARGE')
        expectProblem(await send(port, '/webhook', { headers, body: '{}' }), 400, 'BODY_UNREADABLE')
        const good = gzipSync(JSON.stringify({ groupKey: 'g', status: 'firing', alerts: [] }))
        expect((await send(port, '/webhook', { headers, body: good })).status).toBe(202)
        const cut = good.subarray(0, good.length - 4)
        expectProblem(await send(port, '/webhook', { headers, body: cut }), 400, 'BODY_UNREADABLE')
      },
      { 'tools.alertmanager.signature': 'none', 'tools.alertmanager.content_encodings': ['gzip'] },
    ))

  it('of exactly the limit is taken, of one byte more refused', () =>
    gateway(async ({ port, config }) => {
      const limit = config.webhook.security.max_payload_size
      expect(limit).toBe(10_485_760)
      const whole = Buffer.alloc(limit, 0x20)
      const more = Buffer.alloc(limit + 1, 0x20)
      expect((await sendGithub(port, 'd-1', whole)).status).toBe(202)
      expectProblem(await sendGithub(port, 'd-2', more), 413, 'BODY_TOO_LARGE')
      const chunked = { headers: githubHeaders(more, 'd-3'), body: more, chunked: true }
      expectProblem(await send(port, path, chunked), 413, 'BODY_TOO_LARGE')
      expect(await storedEvents(redis.client())).toHaveLength(1)
    }))

  it('announced as too large is refused before it is sent', () =>
    gateway(async ({ port }) => {
      const answer = await raw(
        port,
        'POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n',
      )
      expect(answer).toMatch(/^HTTP\/1\.1 413 /)
      expect(answer).not.toContain('100 Continue')
    }))
})

describe('a header', () => {
  it('that names the event must not come twice', () =>
    gateway(async ({ port }) => {
      for (const name of ['X-GitHub-Delivery', 'X-GitHub-Event', 'Content-Type']) {
        const headers = [...githubHeaders(body, 'd-1'), name, 'application/json']
        const answer = await send(port, '/webhooks/github', { headers, body })
        expectProblem(answer, 400, 'HEADER_REPEATED')
        expect(answer.json.detail).toContain(name.toLowerCase())
      }
    }))

  it('that names nothing may: user agents and proxies repeat theirs', () =>
    gateway(async ({ port }) => {
      const headers = [...githubHeaders(body, 'd-1'), 'Via', '1.1 a', 'Via', '1.1 b', 'User-Agent', 'another']
      expect((await send(port, '/webhooks/github', { headers, body })).status).toBe(202)
    }))

  it('with a type that is no name leaves the event untyped', () =>
    gateway(async ({ port }) => {
      const headers = githubHeaders(body, 'd-1', 'pull request; drop table')
      expect((await send(port, '/webhooks/github', { headers, body })).status).toBe(202)
      expect((await storedEvents(redis.client()))[0]?.type).toBe('unknown')
    }))
})

describe('a connection', () => {
  it('survives refusals', () =>
    gateway(async ({ port }) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const statuses: number[] = []
      const ports = new Set<number | undefined>()
      agent.on('free', (socket) => ports.add(socket.localPort))
      for (let round = 0; round < 3; round++) {
        statuses.push((await send(port, '/webhooks/github', { agent, body })).status)
        statuses.push((await send(port, '/webhooks/nobody', { agent, body })).status)
        statuses.push(
          (await send(port, '/webhooks/github', { agent, headers: githubHeaders(body, `d-${round}`), body }))
            .status,
        )
      }
      expect(statuses).toEqual([401, 404, 202, 401, 404, 202, 401, 404, 202])
      expect(ports.size).toBe(1)
      agent.destroy()
    }))

  it('with a body that is refused unread is closed after the answer', () =>
    gateway(async ({ port }) => {
      const large = Buffer.alloc(5_000_000, 0x20)
      const answer = await send(port, '/webhooks/github', {
        headers: ['Content-Type', 'application/json'],
        body: large,
      })
      expectProblem(answer, 401, 'SIGNATURE_MISSING')
      expect(answer.headers.connection).toBe('close')
    }))

  const start = (length: number) => {
    const headers = githubHeaders(body, 'd-1')
    const lines = headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    return `POST /webhooks/github HTTP/1.1\r\nHost: x\r\n${lines}Content-Length: ${length}\r\n\r\n`
  }

  it.each([
    ['a body shorter than announced', () => [start(body.length + 1), body], 400, 'BODY_TRUNCATED'],
    ['no body at all where one was announced', () => [start(10)], 400, 'BODY_TRUNCATED'],
    [
      'a chunk that is none',
      () => [start(1).replace('Content-Length: 1', 'Transfer-Encoding: chunked'), 'zz\r\n'],
      400,
      'MALFORMED_REQUEST',
    ],
    ['words that are not HTTP', () => ['hello there\r\n\r\n'], 400, 'MALFORMED_REQUEST'],
    ['bytes', () => [Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00])], 400, 'MALFORMED_REQUEST'],
    [
      'a header line that is folded',
      () => [start(0).replace('push\r\n', 'push\r\n folded\r\n')],
      400,
      'MALFORMED_REQUEST',
    ],
    [
      'two lengths',
      () => [start(0).replace('Content-Length', 'Content-Length: 5\r\nContent-Length')],
      400,
      'MALFORMED_REQUEST',
    ],
    [
      'a length and chunks',
      () => [start(0).replace('Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length')],
      400,
      'MALFORMED_REQUEST',
    ],
    ['no Host', () => [start(0).replace('Host: x\r\n', '')], 400, 'MALFORMED_REQUEST'],
    [
      '20 KiB of headers',
      () => [start(0).replace('Host: x', `Host: x\r\nX-Long: ${'x'.repeat(20_000)}`)],
      431,
      'HEADERS_TOO_LARGE',
    ],
  ] as const)('that sends %s is told so', (_, writes, status, code) =>
    gateway(async (running) => {
      const answer = await raw(running.port, ...writes())
      const [head, text] = answer.split('\r\n\r\n') as [string, string]
      expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(head).toContain('Content-Type: application/problem+json')
      expect(JSON.parse(text)).toMatchObject({ status, code })
      // And nothing is the worse for it.
      expect((await sendGithub(running.port, 'after', body)).status).toBe(202)
      expect(await storedEvents(redis.client())).toHaveLength(1)
    }),
  )

  it('that pauses in the middle of a body is told after the time-out', () =>
    gateway(
      async (running) => {
        const answer = await hold(running.port, start(1000), '{"slow":')
        expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"REQUEST_TIMEOUT"/)
        expect(await running.counter('webhooks_received_total', 'path=/webhooks/:tool,status=408')).toBe(1)
      },
      { 'ingest.body_timeout': '200ms' },
    ))

  it('that never begins with its body is told, later', () =>
    gateway(
      async (running) => {
        const answer = await hold(running.port, start(1000))
        expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"REQUEST_TIMEOUT"/)
        expect(await running.counter('webhooks_received_total', 'path=/webhooks/:tool,status=408')).toBe(1)
      },
      { 'ingest.body_timeout': '100ms', 'ingest.headers_timeout': '100ms' },
    ))

  it('that pauses in the middle of the headers is told after the time-out', () =>
    gateway(
      async ({ port }) => {
        const answer = await hold(port, 'POST /webhooks/github HTTP/1.1\r\nHost: x\r\n')
        expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"REQUEST_TIMEOUT"/)
      },
      { 'ingest.headers_timeout': '200ms' },
    ))

  it('that breaks in the middle of a body is counted as aborted', () =>
    gateway(async (running) => {
      const socket = connect(running.port, '127.0.0.1')
      socket.write(start(1000))
      socket.write('{"half":', () => socket.resetAndDestroy())
      await expect
        .poll(() => running.counter('webhooks_received_total', 'path=/webhooks/:tool,status=aborted'))
        .toBe(1)
    }))

  it('that waits for 100 Continue gets it when the headers are right', () =>
    gateway(async ({ port }) => {
      const head = start(body.length).replace(
        'Host: x',
        'Host: x\r\nExpect: 100-continue\r\nConnection: close',
      )
      const answer = await hold(port, head, body)
      expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 202 /)
    }))
})
