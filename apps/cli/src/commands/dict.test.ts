import { createDictionarySet, fetchDictionary, readLearned } from '@weir/core/dictionaries'
import { describe, expect, it } from 'vitest'
import { MASTER_KEY, useKeyrings } from '../../../../tests/support/keyring.ts'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const keyrings = useKeyrings()
const cli = (...args: string[]) => run(args, { env: { REDIS_URL: redis.url } })

async function acceptMany(pipeline: TestPipeline, count: number, tenant = 'acme'): Promise<void> {
  const repository = {
    full_name: `${tenant}/warehouse-control`,
    description: 'Steers the lorries of three warehouses',
  }
  for (let n = 0; n < count; n++)
    await pipeline.accept({ tenant, json: { action: 'opened', number: n, repository } })
}

describe('dict train', () => {
  it("learns from a tenant's events, says what it is worth, and publishes it for that tenant", async () => {
    const pipeline = await open()
    await acceptMany(pipeline, 100)
    await acceptMany(pipeline, 3, 'other')
    const dry = await cli('dict', 'train', '--tool', 'github', '--tenant', 'acme', '--dry-run', '--json')
    expect(dry.json()).toMatchObject({ used: false, reason: 'dry_run', learned_from: 75, measured_on: 25 })
    expect(await readLearned(pipeline.link, pipeline.keys)).toEqual(new Map())

    const trained = await cli('dict', 'train', '--tool', 'github', '--tenant', 'acme')
    expect(trained).toMatchObject({ code: 0, err: '' })
    expect(trained.rows.at(-1)).toEqual([
      'in use: gateways pack with it within webhook.compression.refresh_interval',
    ])
    const note = (await readLearned(pipeline.link, pipeline.keys)).get('acme/github')
    expect(note?.ratioAfter).toBeGreaterThan(note?.ratioBefore ?? Number.POSITIVE_INFINITY)
    const { bytes } = await fetchDictionary(
      pipeline.link,
      pipeline.keys,
      createDictionarySet(new Map()),
      note?.id ?? '',
    )
    expect(bytes.toString('latin1')).toContain('acme/warehouse-control')
    expect(bytes.toString('latin1')).not.toContain('other/warehouse-control')
  })

  it('shows how far it is where somebody watches, and not with --json', async () => {
    await acceptMany(await open(), 100)
    const args = ['dict', 'train', '--tool', 'github', '--tenant', 'acme', '--dry-run']
    const io = { env: { REDIS_URL: redis.url }, terminal: true }
    const { code, err } = await run(args, io)
    expect(code).toBe(0)
    expect(err).toContain('100 %  100 of 100 records')
    expect(err).toContain('of 2 ways of learning')
    expect(err).toMatch(/\r +\r$/)
    expect((await run([...args, '--json'], io)).err).toBe('')
  })

  it('encrypts what it publishes, where events are encrypted, and refuses without a master key', async () => {
    const pipeline = await open()
    await acceptMany(pipeline, 100)
    const args = ['dict', 'train', '--tool', 'github', '--tenant', 'acme']
    const env = {
      REDIS_URL: redis.url,
      WEBHOOK_ENCRYPTION_ENABLED: 'true',
      WEBHOOK_KEYRING_DIRECTORY: keyrings.directory,
    }
    const refused = await run(args, { env })
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('set ENCRYPTION_MASTER_KEY')
    expect(await readLearned(pipeline.link, pipeline.keys)).toEqual(new Map())

    expect(await run(args, { env: { ...env, ENCRYPTION_MASTER_KEY: MASTER_KEY } })).toMatchObject({ code: 0 })
    const { id } = (await readLearned(pipeline.link, pipeline.keys)).get('acme/github')!
    const published = (await pipeline.link.call('GET', pipeline.keys.dictionary(id))) as Buffer
    expect(published.includes('warehouse-control')).toBe(false)
    const keyring = keyrings.open()
    await keyring.lookAgain('acme')
    const set = createDictionarySet(new Map())
    const { bytes } = await fetchDictionary(pipeline.link, pipeline.keys, set, id, 'acme', keyring)
    expect(bytes.includes('warehouse-control')).toBe(true)
  })

  it('keeps what there is when events are few, or the gain is', async () => {
    const pipeline = await open()
    await acceptMany(pipeline, 10)
    const few = await cli('dict', 'train', '--tool', 'github', '--tenant', 'acme')
    expect(few).toMatchObject({ code: 1, err: '' })
    expect(few.out).toContain('holds 10 events to learn from, and 64 are needed')
    await acceptMany(pipeline, 90)
    const little = await cli('dict', 'train', '--tool', 'github', '--tenant', 'acme', '--min-gain', '99')
    expect(little.code).toBe(1)
    expect(little.out).toContain('not used: less than --min-gain 99 %')
    expect(await readLearned(pipeline.link, pipeline.keys)).toEqual(new Map())
  })

  it.each([
    [['--tool', 'githb'], 'Did you mean github?'],
    [['--tool', 'github', '--size', '2GB'], 'Write a size from'],
    [['--tool', 'github', '--tenant', 'A B'], 'Names have 1 to 63'],
    [[], '--tool <tool>'],
  ])('%j is a usage error', async (args, says) => {
    await open()
    const { code, err } = await cli('dict', 'train', ...args)
    expect(code).toBe(2)
    expect(err).toContain(says)
  })
})

describe('dict list and drop', () => {
  it('show starters, learned ones, and those that only waiting events need', async () => {
    const pipeline = await open()
    const before = await cli('dict', 'list')
    expect(before.rows[0]).toEqual([
      'DICTIONARY',
      'KIND',
      'TOOL',
      'TENANT',
      'SIZE',
      'RATIO',
      'PUBLISHED',
      'SINCE',
    ])
    expect(before.rows.slice(1).map((row) => row.slice(1, 3))).toEqual([
      ['starter', 'alertmanager'],
      ['starter', 'github'],
      ['starter', 'gitlab'],
      ['starter', 'jira'],
    ])
    expect(before.rows[1]).toContain('0 of 1') // no gateway has run yet

    await acceptMany(pipeline, 100)
    await cli('dict', 'train', '--tool', 'github', '--tenant', 'acme')
    const learned = (await cli('dict', 'list', '--json')).json() as {
      dictionaries: Record<string, unknown>[]
    }
    expect(learned.dictionaries.at(-1)).toMatchObject({
      kind: 'learned',
      tool: 'github',
      tenant: 'acme',
      partitions: 1,
    })

    expect(await cli('dict', 'drop', '--tool', 'github', '--tenant', 'acme')).toMatchObject({ code: 0 })
    const after = (await cli('dict', 'list', '--json')).json() as typeof learned
    expect(after.dictionaries.at(-1)).toMatchObject({
      kind: 'retired',
      id: learned.dictionaries.at(-1)?.id,
      partitions: 1,
    })
    expect(await cli('dict', 'drop', '--tool', 'github', '--tenant', 'acme')).toMatchObject({
      code: 1,
      out: 'acme/github: there is no learned dictionary\n',
    })
  })
})
