/** Real payloads: every example of @octokit/webhooks-examples, signed, over HTTP. */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { createRequire } from 'node:module'
import { sign } from '@octokit/webhooks-methods'
import { keyNames } from '@weir/core/config/parts'
import { partitionKeys } from '@weir/core/keys'
import { readLedger } from '@weir/core/stream/ledger'
import { describe, expect, it } from 'vitest'
import { type Answer, githubHeaders, SECRET, send, storedEvents, withGateway } from './support/gateway.ts'
import { useRedis } from './support/redis.ts'

const redis = useRedis()

interface Delivery {
  readonly id: string
  readonly type: string
  readonly body: Buffer
}

function deliveries(): Delivery[] {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-examples')
  const groups = JSON.parse(readFileSync(path, 'utf8')) as { name: string; examples: unknown[] }[]
  const all = groups.flatMap(({ name, examples }) => examples.map((example) => [name, example] as const))
  return all.map(([type, example], i) => ({
    id: `72d3162e-cc78-11e3-81ab-${String(i).padStart(12, '0')}`,
    type,
    body: Buffer.from(JSON.stringify(example)),
  }))
}

describe('every example of @octokit/webhooks-examples', () => {
  it('is accepted once, a duplicate from then on, and stored as it was sent', () =>
    withGateway({ redisUrl: redis.url }, async ({ port, link, config }) => {
      const examples = deliveries()
      expect(examples.length).toBeGreaterThan(300)
      const agent = new Agent({ keepAlive: true, maxSockets: 16 })
      const sendAll = (): Promise<Answer[]> =>
        Promise.all(
          examples.map(async ({ id, type, body }) => {
            const headers = githubHeaders(body, id, type)
            headers[headers.length - 1] = await sign(SECRET, body.toString())
            return send(port, '/webhooks/github', { headers, body, agent })
          }),
        )
      const first = await sendAll()
      expect(new Set(first.map(({ status }) => status))).toEqual(new Set([202]))
      const ids = first.map(({ json }) => json.event_id as string)
      expect(new Set(ids).size).toBe(examples.length)

      const second = await sendAll()
      expect(new Set(second.map(({ status }) => status))).toEqual(new Set([200]))
      expect(second.map(({ json }) => json.event_id)).toEqual(ids)
      agent.destroy()

      const stored = new Map((await storedEvents(redis.client())).map((event) => [event.id, event]))
      expect(stored.size).toBe(examples.length)
      for (const [i, { id, type, body }] of examples.entries()) {
        const event = stored.get(ids[i] as string)
        expect(event?.body.equals(body), `${type} ${id}`).toBe(true)
        expect(event?.type).toBe(type)
        expect(event?.headers).toContainEqual(['x-github-delivery', id])
      }
      const { ledger, lost } = await readLedger(link, partitionKeys(keyNames(config)))
      expect(ledger).toMatchObject({ accepted: examples.length, unread: examples.length, unaccounted: 0 })
      expect(lost).toBe(false)
    }))
})
