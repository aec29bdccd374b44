import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVerifier, type SchemeName } from '@weir/security/schemes'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../cli.test-support.ts'

/** What a gateway gets to see. */
interface Received {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

let server: Server
let url = ''
let received: Received[] = []
let directory = ''
/** The answers, in turn; the last one stays. */
let answers: { status: number; body: unknown }[] = []

beforeEach(async () => {
  received = []
  answers = [{ status: 202, body: { status: 'accepted', event_id: 'evt_first' } }]
  directory = mkdtempSync(join(tmpdir(), 'weir-send-'))
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) })
      const { status, body } = answers[Math.min(received.length, answers.length) - 1]!
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  rmSync(directory, { recursive: true })
})

/** As the gateway would judge it. */
function believes(tool: string, secret: string, { url, headers, body }: Received): boolean {
  const verifier = createVerifier(tool as SchemeName, [Buffer.from(secret)], { toleranceMs: 60_000 })
  const claim = verifier.examine({ method: 'POST', url, headers })
  return claim.ok && verifier.verify(claim, body, Date.now()).ok
}

describe('send', () => {
  it('signs and posts a file as GitHub would', async () => {
    const file = join(directory, 'push.json')
    const body = Buffer.from('{ "zen": "exactly\\u0020these bytes" }\n')
    writeFileSync(file, body)
    const { code, rows, err } = await run([
      'send',
      '--event',
      'push',
      '--file',
      file,
      '--url',
      url,
      '--secret',
      's3cret',
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows[0]).toEqual(['#', 'STATUS', 'ANSWER', 'EVENT', 'TOOK'])
    expect(rows[1]).toEqual(['1', '202', 'accepted', 'evt_first', expect.any(String)])
    expect(received).toHaveLength(1)
    expect(received[0]).toMatchObject({
      url: '/webhooks/github',
      body,
      headers: { 'x-github-event': 'push', 'content-type': 'application/json' },
    })
    expect(received[0]!.headers['x-github-delivery']).toMatch(/^[0-9a-f-]{36}$/)
    expect(believes('github', 's3cret', received[0]!)).toBe(true)
    expect(believes('github', 'other', received[0]!)).toBe(false)
  })

  it.each([
    ['bitbucket', 'x-event-key', 'x-request-uuid'],
    ['shopify', 'x-shopify-topic', 'x-shopify-webhook-id'],
    ['standard', undefined, 'webhook-id'],
    ['stripe', undefined, undefined],
    ['slack', undefined, undefined],
    ['pagerduty', undefined, undefined],
  ])('signs and names a file as %s would', async (tool, eventHeader, idHeader) => {
    const file = join(directory, 'event.json')
    writeFileSync(file, '{"id":"evt_1"}')
    const secret = tool === 'standard' ? 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' : 's3cret'
    const order = ['send', '--tool', tool, '--event', 'a:b', '--file', file, '--url', url, '--secret', secret]
    expect((await run([...order, '--repeat', '2'])).code).toBe(0)
    expect(received.every((each) => believes(tool, secret, each))).toBe(true)
    if (eventHeader !== undefined) expect(received[0]!.headers[eventHeader]).toBe('a:b')
    if (idHeader === undefined) return
    const ids = received.map(({ headers }) => headers[idHeader])
    expect(ids[0]).toMatch(/^\S{10,}$/)
    expect(ids[1]).not.toBe(ids[0])
  })

  it('sends a bundled event of any tool, to a tenant, under a new delivery each time', async () => {
    for (const tool of ['github', 'jira', 'gitlab', 'alertmanager', 'generic']) {
      received = []
      const { code } = await run([
        'send',
        '--tool',
        tool,
        '--tenant',
        'acme',
        '--url',
        url,
        '--secret',
        's',
        '--repeat',
        '2',
      ])
      expect({ tool, code, url: received[0]?.url }).toEqual({ tool, code: 0, url: `/webhooks/${tool}/acme` })
      expect(received[0]!.body.equals(received[1]!.body)).toBe(true)
      expect(believes(tool, 's', received[1]!)).toBe(true)
      expect(believes(tool, 'other', received[1]!)).toBe(false)
      const id = {
        github: 'x-github-delivery',
        jira: 'x-atlassian-webhook-identifier',
        gitlab: 'idempotency-key',
        generic: 'x-webhook-id',
      }[tool]
      if (id !== undefined) expect(received[0]!.headers[id]).not.toBe(received[1]!.headers[id])
    }
  })

  it('chooses the sample by event or name, and keeps a given delivery id and headers', async () => {
    const sent = async (...args: string[]) => {
      received = []
      const { code } = await run(['send', '--url', url, '--secret', 's', ...args])
      expect(code).toBe(0)
      return received[0]!
    }
    expect((await sent('--event', 'pull_request')).headers['x-github-event']).toBe('pull_request')
    expect(JSON.parse((await sent('--sample', 'issues.opened')).body.toString())).toHaveProperty('issue')
    const { headers } = await sent(
      '--delivery-id',
      'again-42',
      '--header',
      'X-Extra: a:b',
      '--header',
      'User-Agent: me',
    )
    expect(headers).toMatchObject({ 'x-github-delivery': 'again-42', 'x-extra': 'a:b', 'user-agent': 'me' })
  })

  it('finds the secret in the environment, else where start keeps it', async () => {
    await run(['send', '--url', url], { env: { GITHUB_WEBHOOK_SECRET: 'from-env' } })
    expect(believes('github', 'from-env', received[0]!)).toBe(true)
    writeFileSync(
      join(directory, 'secrets.json'),
      JSON.stringify({ GITHUB_WEBHOOK_SECRET: 'made', OPS_TOKEN: 't' }),
    )
    await run(['send', '--url', url], { env: { WEIR_DATA_DIR: directory } })
    expect(believes('github', 'made', received[1]!)).toBe(true)
    const { code, err } = await run(['send', '--tool', 'generic', '--url', url], {
      env: { WEIR_DATA_DIR: directory },
    })
    expect({ code, sent: received.length }).toEqual({ code: 2, sent: 2 })
    expect(err).toContain('GENERIC_WEBHOOK_SECRET')
  })

  it('says what is wrong with a secret that the sender cannot sign with', async () => {
    const { code, err } = await run(['send', '--tool', 'gitlab', '--url', url, '--secret', 'whsec_%'])
    expect({ code, sent: received.length }).toEqual({ code: 2, sent: 0 })
    expect(err).toContain('behind whsec_ must stand base64')
  })

  it('reads standard input', async () => {
    const body = Buffer.from([0x7b, 0xff, 0x7d])
    const { code } = await run(
      ['send', '--tool', 'generic', '--event', 'deploy', '--file', '-', '--url', url, '--secret', 's'],
      { readInput: async () => body },
    )
    expect(code).toBe(0)
    expect(received[0]).toMatchObject({ body, headers: { 'x-webhook-event': 'deploy' } })
  })

  it('ends with 1 when an answer is no 2xx, and repeats the advice', async () => {
    answers = [
      { status: 202, body: { status: 'accepted', event_id: 'evt_a' } },
      { status: 200, body: { status: 'duplicate', event_id: 'evt_a' } },
      {
        status: 401,
        body: { code: 'SIGNATURE_MISMATCH', detail: 'Compare the secret on both sides.', status: 401 },
      },
    ]
    const { code, rows, err } = await run([
      'send',
      '--url',
      url,
      '--secret',
      's',
      '--delivery-id',
      '1',
      '--repeat',
      '3',
    ])
    expect(code).toBe(1)
    expect(rows.slice(1).map((row) => row.slice(0, 4))).toEqual([
      ['1', '202', 'accepted', 'evt_a'],
      ['2', '200', 'duplicate', 'evt_a'],
      ['3', '401', 'SIGNATURE_MISMATCH', '-'],
    ])
    expect(err).toBe('SIGNATURE_MISMATCH: Compare the secret on both sides.\n')
    const { json } = await run(['send', '--url', url, '--secret', 's', '--json'])
    expect(json()).toMatchObject({
      url: `${url}/webhooks/github`,
      tool: 'github',
      answers: [{ status: 401, answer: 'SIGNATURE_MISMATCH' }],
    })
  })

  it('ends with 2 when nobody answers', async () => {
    server.close()
    server.closeAllConnections()
    const { code, err } = await run(['send', '--url', url, '--secret', 's', '--repeat', '5'])
    expect(code).toBe(2)
    expect(err).toContain('does not answer')
    expect(err).toContain('ECONNREFUSED')
  })

  it('lists what is bundled', async () => {
    const { code, rows } = await run(['send', '--list'])
    expect(code).toBe(0)
    expect(rows).toContainEqual(['github', 'push'])
    expect(new Set(rows.slice(1).map(([tool]) => tool))).toEqual(
      new Set(['github', 'jira', 'gitlab', 'alertmanager', 'generic']),
    )
    expect(received).toEqual([])
  })
})
