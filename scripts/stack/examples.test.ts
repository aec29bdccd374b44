import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useProcesses } from '../../tests/support/use-processes.ts'
import { ledgerExample, shellWord, signedGithubExample } from './examples.ts'

interface Received {
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

describe('shell words', () => {
  it.each(['plain-Word_1', 'two words', `it's "quoted" $HOME \`id\` \\ !`, '', '-----', 'a\nb'])(
    '%j stays itself',
    (text) => {
      expect(execFileSync('bash', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' })).toBe(text)
    },
  )
})

describe('the examples that start prints', () => {
  const processes = useProcesses()
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    received.push({ url: request.url, headers: request.headers, body: Buffer.concat(chunks) })
    response.end('{}')
  })
  let base = ''
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  })
  afterAll(() => void server.close())

  const runLine = async (line: string, env: Record<string, string> = {}): Promise<Received> => {
    const shell = processes.run('bash', { args: ['-c', line], env })
    expect(await shell.exit, shell.output()).toEqual({ code: 0, signal: null })
    const last = received.at(-1)
    if (!last) throw new Error('nothing was received')
    return last
  }

  it.each([`sekret`, `it's a "secret" with $igns`])('send a GitHub event signed with %j', async (secret) => {
    for (const [line, env] of [
      [signedGithubExample(base, secret), {}],
      [signedGithubExample(base, undefined), { GITHUB_WEBHOOK_SECRET: secret }],
    ] as const) {
      const { url, headers, body } = await runLine(line, env)
      expect(url).toBe('/webhooks/github')
      expect(headers).toMatchObject({ 'content-type': 'application/json', 'x-github-event': 'ping' })
      expect(JSON.parse(body.toString())).toHaveProperty('zen')
      expect(headers['x-hub-signature-256']).toBe(
        `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      )
    }
    expect(received.at(-1)?.headers['x-github-delivery']).not.toBe(
      received.at(-2)?.headers['x-github-delivery'],
    )
  })

  it('ask for the ledger with the token', async () => {
    expect((await runLine(ledgerExample(base, 'tok-en'))).headers.authorization).toBe('Bearer tok-en')
    const { url, headers } = await runLine(ledgerExample(base, undefined), { OPS_TOKEN: 'from-env' })
    expect({ url, authorization: headers.authorization }).toEqual({
      url: '/ledger',
      authorization: 'Bearer from-env',
    })
  })
})
