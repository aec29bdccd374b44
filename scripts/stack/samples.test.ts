import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { ADAPTERS } from '@weir/core/adapters/table'
import { createVerifier } from '@weir/security/schemes'
import { describe, expect, it } from 'vitest'
import { GENERIC_SAMPLE, readSamples, sendSample, signatureHeaders } from './samples.ts'
import { table } from './table.ts'

const index = fileURLToPath(new URL('../../examples/events/index.json', import.meta.url))

describe('the bundled events', () => {
  it('are there, each with the bytes that the index promises', () => {
    const samples = readSamples(index)
    const promised: { samples: { sha256: string }[] } = JSON.parse(readFileSync(index, 'utf8'))
    expect(samples.map(({ body }) => createHash('sha256').update(body).digest('hex'))).toEqual(
      promised.samples.map(({ sha256 }) => sha256),
    )
    expect(new Set(samples.map(({ tool }) => tool))).toEqual(
      new Set(['github', 'jira', 'gitlab', 'alertmanager']),
    )
    expect([...ADAPTERS.keys()]).toEqual(
      expect.arrayContaining([...samples, GENERIC_SAMPLE].map(({ tool }) => tool)),
    )
  })

  it('are signed as the tool signs, where there is a secret', () => {
    const now = 1_700_000_000_123
    const body = Buffer.from('{"a":1}')
    for (const tool of ['github', 'jira', 'gitlab', 'alertmanager', 'generic'] as const) {
      const verifier = createVerifier(tool, [Buffer.from('sekret')], { toleranceMs: 1_000 })
      const judged = (secret: string) => {
        const headers = signatureHeaders(tool, body, { [tool]: secret }, now)
        const claim = verifier.examine({ method: 'POST', url: `/webhooks/${tool}`, headers })
        return claim.ok && verifier.verify(claim, body, now)
      }
      expect(judged('sekret')).toMatchObject({ ok: true })
      expect(judged('other')).toMatchObject({ ok: false })
    }
    expect(signatureHeaders('jira', body, {}, now)).toEqual({})
  })

  it('are sent byte for byte, and the answer is read', async () => {
    const received: { url: string | undefined; body: Buffer }[] = []
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      received.push({ url: request.url, body: Buffer.concat(chunks) })
      response.statusCode = request.url === '/webhooks/generic' ? 202 : 401
      response.end(
        request.url === '/webhooks/generic'
          ? '{"status":"accepted","event_id":"evt_1"}'
          : '{"type":"about:blank","title":"Unauthorized","status":401,"code":"SIGNATURE_WRONG"}',
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
    try {
      const accepted = await sendSample(base, GENERIC_SAMPLE, { generic: 's' }, 0)
      expect(accepted).toEqual({ status: 202, says: 'accepted', eventId: 'evt_1' })
      const refused = await sendSample(base, { ...GENERIC_SAMPLE, tool: 'github' }, { github: 's' }, 0)
      expect(refused).toEqual({ status: 401, says: 'SIGNATURE_WRONG', eventId: undefined })
      expect(received.map(({ url }) => url)).toEqual(['/webhooks/generic', '/webhooks/github'])
      expect(received[0]?.body.equals(GENERIC_SAMPLE.body)).toBe(true)
    } finally {
      server.close()
    }
  })
})

describe('a table', () => {
  it('has columns as wide as their widest cell', () => {
    expect(
      table(
        ['tool', 'n'],
        [
          ['github', '1'],
          ['jira', '10'],
        ],
      ),
    ).toBe(['tool    n', '──────  ──', 'github  1', 'jira    10'].join('\n'))
  })
})
