/** Real payloads through the whole pipeline: every example of @octokit/webhooks-examples, signed, over HTTP. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sign } from '@octokit/webhooks-methods'
import { keysOf } from '@weir/core/config/parts'
import { readLedger } from '@weir/core/stream/ledger'
import { afterAll, describe, expect, it } from 'vitest'
import { type Answer, githubHeaders, SECRET, send, storedEvents, withGateway } from './support/gateway.ts'
import { root } from './support/process.ts'
import { useRedis } from './support/redis.ts'
import { useProcesses } from './support/use-processes.ts'

const redis = useRedis()
const processes = useProcesses()
const records = mkdtempSync(join(tmpdir(), 'weir-replay-'))
afterAll(() => rmSync(records, { recursive: true, force: true }))

/** Runs a real consumer whose handler writes the hash of the bytes that it sees into a file for each event. */
function startConsumer() {
  mkdirSync(join(records, 'effects'))
  return processes.start('apps/consumer/src/main.ts', {
    args: [],
    env: {
      REDIS_URL: redis.url,
      WEIR_DATA_DIR: records,
      RECORD_DIRECTORY: records,
      CONFIG_FILE: join(root, 'tests/replay.config.yaml'),
    },
  })
}

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
  it('is accepted once, a duplicate from then on, stored as it was sent, handled once, and settled', () =>
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

      const stored = new Map((await storedEvents(redis.client())).map((event) => [event.id, event]))
      expect(stored.size).toBe(examples.length)
      for (const [i, { id, type, body }] of examples.entries()) {
        const event = stored.get(ids[i] as string)
        expect(event?.body.equals(body), `${type} ${id}`).toBe(true)
        expect(event?.type).toBe(type)
        expect(event?.headers).toContainEqual(['x-github-delivery', id])
      }
      const keys = keysOf(config)
      const accepted = examples.length
      const { ledger, lost } = await readLedger(link, keys)
      expect(ledger).toMatchObject({ accepted, unread: accepted, unaccounted: 0 })
      expect(lost).toBe(false)

      const consumer = startConsumer()
      await expect
        .poll(async () => (await readLedger(link, keys)).ledger)
        .toMatchObject({
          accepted,
          settled: accepted,
          unread: 0,
          pending: 0,
          parked: 0,
          dead: 0,
          unaccounted: 0,
        })
      const effects = readdirSync(join(records, 'effects'))
      expect(effects.length).toBe(accepted)
      for (const [i, { body, type, id }] of examples.entries()) {
        const seen = readFileSync(join(records, 'effects', `${ids[i]}:record`), 'utf8')
        expect(seen, `${type} ${id}`).toBe(createHash('sha256').update(body).digest('hex'))
      }

      const third = await sendAll()
      expect(new Set(third.map(({ status }) => status))).toEqual(new Set([200]))
      expect((await readLedger(link, keys)).ledger).toMatchObject({
        accepted,
        settled: accepted,
        unaccounted: 0,
      })
      agent.destroy()
      await consumer.kill('SIGTERM')
    }))
})
