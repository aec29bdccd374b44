/** Contexts moved by hand, and rebuilt from cold storage. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { S3_CREDENTIALS } from '../../../../tests/support/s3.ts'
import { useS3 } from '../../../../tests/support/use-s3.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const s3 = useS3()
const openPipeline = usePipeline(redis)
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-tiers-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const cli = (args: readonly string[], env: Record<string, string> = {}) =>
  run(args, { env: { REDIS_URL: redis.url, WEIR_DATA_DIR: directory, CONTEXTS_ENABLED: 'true', ...env } })
const json = async (...args: string[]) => (await cli(['--json', ...args])).json()
const idOf = (number: number, tenant = 'acme') => contextIdOf(tenant, 'github', `acme/site#${number}`)

async function filled() {
  const pipeline = await openPipeline()
  const { remember } = contextsOf(pipeline)
  const ids: string[] = []
  for (const [tenant, number] of [
    ['acme', 1],
    ['acme', 1],
    ['acme', 2],
    ['globex', 1],
  ] as const) {
    const json = pullRequest(number, 'edited', { title: `Change ${number} of ${tenant}` })
    const { id } = await pipeline.accept({ tenant, type: 'pull_request', json })
    ids.push(id)
    await remember(...(await pipeline.read('consumer-1')))
  }
  return { pipeline, ids }
}
const tiers = async () => {
  const { contexts } = (await json('context', 'list')) as { contexts: { context_id: string; tier: string }[] }
  return Object.fromEntries(contexts.map(({ context_id: id, tier }) => [id, tier]))
}

describe('force-transition', () => {
  it('moves what is asked for, and says what it did', async () => {
    await filled()
    expect(await json('force-transition', '--tier', 'warm', '--tenant', 'acme', '--dry-run')).toMatchObject({
      dry_run: true,
      moved: 2,
    })
    expect(await tiers()).toEqual({ [idOf(1)]: 'hot', [idOf(2)]: 'hot', [idOf(1, 'globex')]: 'hot' })
    const { code, out } = await cli(['force-transition', '--tier', 'warm', '--tenant', 'acme'])
    expect({ code, out }).toEqual({ code: 0, out: '2 contexts moved to warm; 0 there already\n' })
    expect(await json('force-transition', '--tier', 'cold', '--id', idOf(1))).toMatchObject({ moved: 1 })
    expect(await tiers()).toEqual({ [idOf(1)]: 'cold', [idOf(2)]: 'warm', [idOf(1, 'globex')]: 'hot' })
    expect(await json('force-transition', '--tier', 'cold', '--older-than', '1h')).toMatchObject({ moved: 0 })
    expect(await json('force-transition', '--tier', 'hot')).toMatchObject({
      moved: 2,
      there: 1,
      complete: true,
    })
    expect(new Set(Object.values(await tiers()))).toEqual(new Set(['hot']))
  })

  it('shows in a terminal how far it is', async () => {
    await filled()
    let shown = ''
    await run(['force-transition', '--tier', 'warm'], {
      env: { REDIS_URL: redis.url, WEIR_DATA_DIR: directory },
      terminal: true,
      err: (text) => {
        shown += text
      },
    })
    expect(shown).toMatch(/█.* % {2}\d of 3 contexts/)
  })

  it.each([
    [['force-transition'], /--tier/],
    [['force-transition', '--tier', 'lukewarm'], /hot, warm, cold/],
    [['force-transition', '--tier', 'cold', '--id', 'nonsense'], /is not the id of a context/],
  ])('%j is refused', async (args, why) => {
    const { code, err } = await cli(args)
    expect(code).toBe(2)
    expect(err).toMatch(why)
  })
})

describe('a context that is cold', () => {
  it('is shown as one that is hot, with its bytes', async () => {
    const { ids } = await filled()
    const before = (await json('context', 'show', idOf(1))) as { accesses: number }
    const bytes = (await cli(['events', 'get', '--raw', ids[0]!])).bytes
    await cli(['force-transition', '--tier', 'cold'])
    expect(await json('context', 'show', idOf(1))).toEqual({
      ...before,
      tier: 'cold',
      accesses: before.accesses + 1,
      last_access_at: expect.any(String),
      importance: expect.any(Number),
      importance_parts: expect.any(Array),
    })
    expect((await cli(['events', 'get', '--raw', ids[0]!])).bytes.equals(bytes)).toBe(true)
  })

  it('tells what it cannot show when its object is gone, and still what is left', async () => {
    await filled()
    await cli(['force-transition', '--tier', 'cold'])
    rmSync(join(directory, 'cold'), { recursive: true })
    const { code, out } = await cli(['context', 'show', idOf(1)])
    expect(code).toBe(0)
    expect(out).toMatch(/2 events cannot be had now: object contexts\/acme\/.* is not in /)
  })

  it('is removed by retention, with its object', async () => {
    await filled()
    await cli(['force-transition', '--tier', 'cold'])
    const cold = join(directory, 'cold')
    const objects = () =>
      readdirSync(cold, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('ctx_'))
    expect(objects()).toHaveLength(3)
    expect(await json('retention', 'run', '--older-than', '0s', '--yes')).toMatchObject({
      contexts: 3,
      cold_objects: 3,
    })
    expect(objects()).toEqual([])
  })
})

describe('context restore', () => {
  it('brings everything back from S3 that was cold, when Redis has lost it, and says what it saw', async () => {
    const { pipeline, ids } = await filled()
    const bucket = await s3.makeBucket()
    const env = {
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: bucket,
      AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
    }
    const bytes = await Promise.all(
      ids.map(async (id) => (await cli(['events', 'get', '--raw', id], env)).bytes),
    )
    expect((await cli(['force-transition', '--tier', 'cold'], env)).code).toBe(0)
    await pipeline.link.call('FLUSHALL')
    const dry = (await cli(['--json', 'context', 'restore', '--dry-run'], env)).json()
    expect(dry).toMatchObject({ place: `s3://${bucket}`, contexts: 3, events: 4, problems: [] })
    const { code, out } = await cli(['context', 'restore'], env)
    expect(code).toBe(0)
    expect(out).toMatch(/came back +3 contexts with 4 events/)
    expect(new Set(Object.values(await tiers()))).toEqual(new Set(['cold']))
    const again = await Promise.all(
      ids.map(async (id) => (await cli(['events', 'get', '--raw', id], env)).bytes),
    )
    expect(again).toEqual(bytes)
    expect((await cli(['--json', 'context', 'restore'], env)).json()).toMatchObject({ contexts: 0, there: 3 })
    expect((await cli(['--json', 'context', 'show', idOf(1)], env)).json()).toMatchObject({
      events: 2,
      withheld: null,
    })
  })
})

describe('tenant erase', () => {
  it('empties a bucket of the tenant, and leaves what others have there', async () => {
    const { pipeline } = await filled()
    const env = {
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: await s3.makeBucket(),
      AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
    }
    expect((await cli(['force-transition', '--tier', 'cold'], env)).code).toBe(0)
    // filled() has given its events to contexts and not settled them.
    const { keys, link } = pipeline
    const pending = (await link.call('XPENDING', keys.stream, keys.group, '-', '+', 9)) as Buffer[][]
    for (const [id] of pending) await link.call('XACK', keys.stream, keys.group, String(id))
    const erased = await cli(['tenant', 'erase', 'acme', '--yes', '--trim', '--json'], env)
    expect(erased).toMatchObject({ code: 0, err: '' })
    const { out_of_reach: outOfReach } = erased.json() as { out_of_reach: string[] }
    expect(outOfReach[2]).toContain(`earlier versions of objects in bucket ${env.S3_BUCKET}`)
    await redis.client().flushall()
    expect((await cli(['--json', 'context', 'restore'], env)).json()).toMatchObject({
      contexts: 1,
      events: 1,
    })
    expect(await tiers()).toEqual({ [idOf(1, 'globex')]: 'cold' })
  })
})
