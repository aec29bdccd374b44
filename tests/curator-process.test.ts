/** The curator as it runs: a process of its own, killed again and again, with S3 that goes away. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { createUnpacker } from '@weir/core/packing'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createS3Store } from '../packages/context-lifecycle/src/cold/s3-store.ts'
import { assembled, eventOf, pullRequest, recordOf } from './support/contexts.ts'
import { useRedis } from './support/redis.ts'
import { S3_CREDENTIALS } from './support/s3.ts'
import { useProcesses } from './support/use-processes.ts'
import { useS3 } from './support/use-s3.ts'

const redis = useRedis({ appendfsync: 'no' })
const s3 = useS3()
const processes = useProcesses()
let directory = ''
let link: RedisLink
let bucket = ''

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-curator-'))
  bucket = await s3.makeBucket()
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'test',
  })
  await link.ready()
})
afterEach(async () => {
  await link.close()
  rmSync(directory, { recursive: true, force: true })
})

function coldStore() {
  return createS3Store(
    {
      endpoint: s3.endpoint,
      bucket,
      region: 'us-east-1',
      credentials: S3_CREDENTIALS,
      attemptTimeoutMs: 10_000,
      attempts: 2,
      retryBaseMs: 10,
      retryMaxMs: 100,
      connections: 4,
    },
    { clock: systemClock, random: Math.random },
  )
}

/** A curator for which everything is over at once. */
function startCurator(env: Readonly<Record<string, string>> = {}) {
  const file = join(directory, 'config.yaml')
  const contexts = {
    hot_duration: '1ms',
    warm_duration: '1ms',
    hot_importance_threshold: 1,
    warm_importance_threshold: 1,
    curator: { ops_port: 0, interval: '100ms', size_interval: '100ms', batch_size: 5, concurrency: 3 },
    s3: { attempts: 1, retry_base_delay: '10ms', breaker: { open_duration: '200ms' } },
  }
  const ai = { enrichment: { quiet: '1ms', max_delay: '10ms' } }
  writeFileSync(file, JSON.stringify({ webhook: { context_lifecycle: contexts, ai } }))
  return processes.start('apps/curator/src/main.ts', {
    env: {
      REDIS_URL: redis.url,
      CONFIG_FILE: file,
      WEIR_DATA_DIR: directory,
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: bucket,
      AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
      ...env,
    },
  })
}

/** `webhook_context_bytes` of this tier, as the curator tells it; undefined before it has looked. */
async function bytesIn(curator: ReturnType<typeof startCurator>, tier: 'warm' | 'cold') {
  const [line] = await curator.waitForLine(/^\{.*"msg":"listening".*\}$/)
  const { port } = JSON.parse(line) as { port: number }
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const found = new RegExp(`^webhook_context_bytes\\{tier="${tier}"\\} (\\d+)$`, 'm').exec(text)
  return found === null ? undefined : Number(found[1])
}

/** Several processes with an S3 server beside them take their time on a busy machine. */
const PATIENT = { timeout: 40_000 }
vi.setConfig({ testTimeout: 120_000 })

const CONTEXTS = 40
const EVENTS = 3

/** Contexts as a consumer leaves them, and what was sent. */
async function filled() {
  const all = assembled(link, { store: coldStore() })
  const sent = new Map<string, { context: string; body: Buffer }>()
  for (let n = 0; n < CONTEXTS; n++) {
    for (let k = 0; k < EVENTS; k++) {
      const { record, body } = recordOf({
        delivery: `${n}-${k}`,
        json: pullRequest(n, 'edited', { body: `word${n}` }),
      })
      const { context } = await all.contexts.append(eventOf(record), record)
      sent.set(record.id, { context, body })
    }
  }
  const inTier = async (zset: string) => Number(await link.call('ZCARD', zset))
  const allCold = async () => (await inTier(all.keys.hot)) + (await inTier(all.keys.warm))
  /** What the dead have claimed comes up again, as it does by itself after a while. */
  const claimsEnd = async () => {
    for (const zset of [all.keys.hot, all.keys.warm])
      for (const id of (await link.call('ZRANGE', zset, 0, -1)) as Buffer[])
        await link.call('ZADD', zset, 'XX', 1, id)
  }
  return { all, sent, allCold, claimsEnd }
}

async function expectWhole({ all, sent }: Awaited<ReturnType<typeof filled>>) {
  const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()))
  for (const [event, { context, body }] of sent) {
    const record = await all.contexts.record(context, event)
    expect(unpacker.unpack(record!).body.equals(body)).toBe(true)
  }
  for (const context of new Set([...sent.values()].map(({ context }) => context))) {
    const read = await all.contexts.read(context)
    expect(read).toMatchObject({ events: EVENTS, withheld: undefined })
    expect(read?.timeline).toHaveLength(EVENTS)
  }
}

describe('the curator', () => {
  it('moves contexts to S3, writes what is searched of them, and stops when it is asked to', async () => {
    const world = await filled()
    const curator = startCurator()
    await expect.poll(world.allCold, PATIENT).toBe(0)
    await expect.poll(() => link.call('ZCARD', world.all.keys.dirty), PATIENT).toBe(0)
    await expectWhole(world)
    expect(await world.all.contexts.summary([...world.sent.values()][0]!.context)).toMatchObject({
      events: EVENTS,
    })
    await expect.poll(() => bytesIn(curator, 'cold'), PATIENT).toBeGreaterThan(CONTEXTS * 100)
    await expect.poll(() => bytesIn(curator, 'warm'), PATIENT).toBe(0)
    expect(await curator.kill('SIGTERM')).toMatchObject({ code: 0 })
    expect(curator.output()).toMatch(/"msg":"stopped"/)
    expect(curator.output()).not.toMatch(/"level":50/)
  })

  it('killed again and again, with another beside it, loses nothing and doubles nothing, and leaves no object behind', async () => {
    const world = await filled()
    const other = startCurator()
    for (let kills = 0; kills < 4; kills++) {
      const curator = startCurator()
      await curator.waitForLine(/"msg":"listening"/)
      const before = await world.allCold()
      // In the middle of its work: something has moved since it began.
      await expect
        .poll(async () => (await world.allCold()) < before || (await world.allCold()) === 0, PATIENT)
        .toBe(true)
      await curator.kill('SIGKILL')
      await world.claimsEnd()
    }
    await world.claimsEnd()
    await expect.poll(world.allCold, PATIENT).toBe(0)
    await other.kill('SIGTERM')
    await expectWhole(world)
    for (const name of (await link.call('ZRANGE', world.all.keys.puts, 0, -1)) as Buffer[])
      await link.call('ZADD', world.all.keys.puts, 0, name)
    await world.all.archive.collect(world.all.place)
    const names: string[] = []
    for await (const { name } of coldStore().list('contexts/')) names.push(name)
    expect(names).toHaveLength(CONTEXTS)
  })

  it('whose S3 refuses goes on with the rest, tells it once, and moves what waited when it can again', async () => {
    const world = await filled()
    const away = startCurator({ S3_BUCKET: 'there-is-no-such-bucket' })
    await expect.poll(async () => Number(await link.call('ZCARD', world.all.keys.hot)), PATIENT).toBe(0)
    await away.waitForLine(/there-is-no-such-bucket/, { timeoutMs: PATIENT.timeout })
    await expectWhole(world)
    await away.kill('SIGTERM')
    expect(away.output().match(/"event":"sweep_failed"/g)).toHaveLength(1)
    await world.claimsEnd()
    const back = startCurator()
    await expect.poll(world.allCold, PATIENT).toBe(0)
    await expectWhole(world)
    await back.kill('SIGTERM')
  })
})
