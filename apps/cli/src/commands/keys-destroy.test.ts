import { readLearned } from '@weir/core/dictionaries'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { type SealedWorld, useSealedWorlds } from './keys.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = useSealedWorlds(redis, usePipeline(redis))
type World = SealedWorld<TestPipeline>

/** Two tenants with a dead letter and a dictionary each. */
async function filled() {
  const world = await open()
  const { pipeline, learn } = world
  const mine = await pipeline.kill({ tenant: 'acme', json: { secret: 'of acme' } })
  const theirs = await pipeline.kill({ tenant: 'globex', json: { secret: 'of globex' } })
  const dictionary = await learn('acme', 'a dictionary of acme')
  const other = await learn('globex', 'a dictionary of globex')
  return { ...world, mine, theirs, dictionary, other }
}

const published = ({ pipeline: { link, keys } }: World, id: string) =>
  link.call('EXISTS', keys.dictionary(id))

describe('keys destroy', () => {
  it('makes unreadable what was encrypted for the tenant, and nothing else', async () => {
    const world = await filled()
    const { cli, keysOf, pipeline, mine, theirs, dictionary, other, keyring } = world
    const [key = ''] = await keysOf('acme')
    const { code, out, err } = await cli(['keys', 'destroy', '--tenant', 'acme', '--yes'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain(`tenant acme: 1 key destroyed: ${key}`)
    expect(out).toContain('the next one after that gets a new key')
    expect(await keysOf('acme')).toEqual([])

    const shown = await cli(['dlq', 'show', mine.id])
    expect(shown.out).toMatch(new RegExp(`key ${key} of tenant acme was destroyed at \\d{4}-`))
    expect(shown.out).not.toContain('of acme"')
    expect((await cli(['dlq', 'show', mine.id, '--json'])).json()).toMatchObject({
      body: null,
      body_base64: null,
      headers: null,
    })
    expect(await cli(['dlq', 'show', mine.id, '--raw'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('KEY_DESTROYED'),
    })
    expect((await cli(['dlq', 'show', theirs.id])).out).toContain('of globex')

    expect(await published(world, dictionary)).toBe(0)
    expect(await published(world, other)).toBe(1)
    expect([...(await readLearned(pipeline.link, pipeline.keys)).keys()]).toEqual(['globex/github'])

    await keyring.lookAgain('acme')
    const next = await pipeline.accept({ tenant: 'acme' })
    expect((await cli(['events', 'get', next.id, '--json'])).json()).toMatchObject({ bytes_available: true })
    expect(await keysOf('acme')).not.toEqual([key])
    // What is there of the destroyed key is no riddle.
    expect((await cli(['keys', 'status', '--count'])).code).toBe(0)
    expect(await world.standing(key, '--count')).toMatchObject({ uses: { entries: 1, dead_letters: 1 } })
  })

  it('asks for the name of the tenant, and says what it means', async () => {
    const { cli, keysOf, report } = await filled()
    await report('gw-1', 5)
    const questions: string[] = []
    const ask = (answer: string) => async (question: string) => {
      questions.push(question)
      return answer
    }
    const refused = await cli(['keys', 'destroy', '--tenant', 'acme'], { ask: ask('yes') })
    expect(refused).toMatchObject({ code: 1, out: '' })
    expect(questions).toEqual(['Destroy 1 key of tenant acme, for good? Type acme: '])
    expect(refused.err).toContain('is unreadable for ever: in Redis, in spools, in copies, and in backups')
    expect(refused.err).toContain('now: 1 stream entry, 1 dead letter, 1 dictionary')
    expect(refused.err).toContain('Gateways report 5 spooled events of all tenants.')
    expect(refused.err).toContain('Events accepted within 10.0s afterwards')
    expect(refused.err).toContain('error: nothing was destroyed.')
    expect(await keysOf('acme')).toHaveLength(1)
    expect(await cli(['keys', 'destroy', '--tenant', 'acme'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('pass --yes'),
    })
    expect(await cli(['keys', 'destroy', '--tenant', 'acme'], { ask: ask('acme\n') })).toMatchObject({
      code: 0,
    })
    expect(await keysOf('acme')).toEqual([])
  })

  it('says how many contexts it takes, and they go on with what comes later', async () => {
    const world = await open()
    const { cli, pipeline, keyring } = world
    const contexts = contextsOf(pipeline, keyring)
    const happens = async (number: number, action: string) => {
      await pipeline.accept({ tenant: 'acme', type: 'pull_request', json: pullRequest(number, action) })
      await contexts.remember(...(await pipeline.read('consumer')))
    }
    await happens(7, 'opened')
    await happens(8, 'opened')
    await cli(['keys', 'rotate'])
    await keyring.lookAgain('acme')
    await happens(7, 'edited') // it needs both keys, and is one context
    const dry = await cli(['keys', 'destroy', '--tenant', 'acme', '--dry-run'])
    expect(dry.out).toContain('In Redis that is now: 3 stream entries, 2 contexts (settled')
    const done = await cli(['keys', 'destroy', '--tenant', 'acme', '--yes', '--json'])
    expect(done.json()).toMatchObject({ unreadable: { entries: 3, contexts: 2 } })
    expect((await cli(['context', 'list'])).out).toBe('there are none that can be read here\n')
    const lost = await cli(['context', 'show', '--tool', 'github', '--tenant', 'acme', 'acme/site#7'])
    expect(lost).toMatchObject({ code: 2, err: expect.stringMatching(/key [0-9a-f]{16} of tenant acme was/) })

    await keyring.lookAgain('acme')
    await happens(7, 'closed')
    const later = await cli([
      'context',
      'show',
      '--tool',
      'github',
      '--tenant',
      'acme',
      'acme/site#7',
      '--json',
    ])
    expect(later.json()).toMatchObject({ events: 3, timeline: [{ what: 'closed' }] })
    expect((await cli(['context', 'list', '--json'])).json()).toMatchObject({
      contexts: [{ subject: 'acme/site#7', events: 3 }],
    })
  })

  it('changes nothing with --dry-run', async () => {
    const world = await filled()
    const { cli, keysOf, dictionary, pipeline } = world
    const [key = ''] = await keysOf('acme')
    const dry = await cli(['keys', 'destroy', '--tenant', 'acme', '--dry-run'])
    expect(dry).toMatchObject({ code: 0, err: '' })
    expect(dry.out).toContain(`1 key would be destroyed (dry run): ${key}`)
    expect((await cli(['keys', 'destroy', '--tenant', 'acme', '--dry-run', '--json'])).json()).toEqual({
      tenant: 'acme',
      dry_run: true,
      destroyed: [key],
      unreadable: { entries: 1, parked: 0, dead_letters: 1, dictionaries: 1, contexts: 0 },
      spooled: 0,
      learned_dropped: ['acme/github'],
    })
    expect(await keysOf('acme')).toEqual([key])
    expect(await published(world, dictionary)).toBe(1)
    expect((await readLearned(pipeline.link, pipeline.keys)).size).toBe(2)
  })

  it('needs no master key: it may be lost', async () => {
    const { cli, keysOf } = await filled()
    const env = { ENCRYPTION_MASTER_KEY: undefined }
    expect(await cli(['keys', 'destroy', '--tenant', 'acme', '--yes'], { env })).toMatchObject({ code: 0 })
    expect(await keysOf('acme')).toEqual([])
  })

  it('ends with 1 when there is nothing to destroy', async () => {
    const { cli } = await filled()
    expect(await cli(['keys', 'destroy', '--tenant', 'nobody', '--yes'])).toMatchObject({ code: 1, out: '' })
    await cli(['keys', 'destroy', '--tenant', 'acme', '--yes'])
    expect(await cli(['keys', 'destroy', '--tenant', 'acme', '--yes'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('tenant acme has no keys (1 key destroyed before)'),
    })
    expect(await cli(['keys', 'destroy', '--yes'])).toMatchObject({ code: 2 })
  })

  it('leaves the ids of the keys in the audit trail, as many as there are', async () => {
    const { cli, keysOf, store } = await filled()
    const entry = await store.read('acme')
    if (entry === undefined) throw new Error('there is no entry')
    const [note] = entry.keys
    if (note === undefined) throw new Error('there is no key')
    const more = Array.from({ length: 19 }, (_, n) => ({ ...note, id: n.toString(16).padStart(16, '0') }))
    await store.replace({ ...entry, revision: 2, keys: [...more, note] })
    const ids = await keysOf('acme')
    expect(ids).toHaveLength(20)
    const env = { WEBHOOK_AUDIT_LOGGING: 'true' }
    await cli(['keys', 'destroy', '--tenant', 'acme', '--yes'], { env })
    const trail = (await cli(['audit', 'export'], { env })).out.trim().split('\n')
    const kept = { keys: 20, ids: ids.slice(0, 16).join(' '), ids_2: ids.slice(16).join(' ') }
    expect(trail.map((line) => JSON.parse(line))).toMatchObject([
      { action: 'keys.destroy', target: 'tenant acme', outcome: 'intended', detail: kept },
      { action: 'keys.destroy', target: 'tenant acme', outcome: 'done', detail: kept },
    ])
  })

  it('says that the Redis of the events is needed, and changes nothing without it', async () => {
    const { cli, keysOf } = await filled()
    const env = { REDIS_URL: 'redis://127.0.0.1:1' }
    for (const args of [['rotate'], ['forget', '--yes'], ['destroy', '--tenant', 'acme', '--yes']]) {
      expect(await cli(['keys', ...args], { env }), args[0]).toMatchObject({
        code: 2,
        out: '',
        err: expect.stringContaining('cannot be reached'),
      })
    }
    expect(await keysOf('acme')).toHaveLength(1)
  })
})
