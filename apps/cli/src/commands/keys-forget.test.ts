import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import {
  DAY_MS,
  later,
  MASTER,
  OTHER_MASTER,
  type SealedWorld,
  useSealedWorlds,
} from './keys.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = useSealedWorlds(redis, usePipeline(redis))
type World = SealedWorld<TestPipeline>

interface Answer {
  readonly destroyed: { id: string }[]
  readonly stay: { id: string; stays: string[] }[]
}

/** A tenant with a key of before and the one that replaced it; a gateway that has nothing spooled. */
async function rotated(world: World, work: () => Promise<unknown> = async () => undefined) {
  await world.keyring.prepare('acme')
  await work()
  await world.cli(['keys', 'rotate', '--tenant', 'acme'])
  await world.keyring.lookAgain('acme')
  await world.report('gw-1', 0)
  const [old = '', writing = ''] = await world.keysOf('acme')
  return { old, writing }
}

/** `keys forget --yes`, two days later. */
const forget = (world: World, ...args: string[]) =>
  world.cli(['keys', 'forget', '--yes', ...args], later(2 * DAY_MS))

/** Why the only old key stays. */
async function reasons(world: World): Promise<string[]> {
  const { code, json } = await forget(world, '--json')
  const { destroyed, stay } = json() as Answer
  expect({ code, destroyed: destroyed.length, stay: stay.length }).toEqual({ code: 1, destroyed: 0, stay: 1 })
  return stay[0]?.stays ?? []
}

describe('keys forget', () => {
  it('destroys keys that nothing needs any more, and leaves those that are written with', async () => {
    const world = await open()
    const { old, writing } = await rotated(world)
    await world.pipeline.accept({ tenant: 'acme' })
    const { code, out, err } = await forget(world)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(new RegExp(`acme +${old} +destroyed`))
    expect(await world.keysOf('acme')).toEqual([writing])
    expect(await world.standing(old)).toMatchObject({ id: old, destroyed_at: expect.any(String) })
    expect(await forget(world)).toMatchObject({
      code: 0,
      out: 'no tenant has a key that is not for writing any more\n',
    })
  })

  it('keeps a key as long as something is encrypted with it', async () => {
    const world = await open()
    const { pipeline, learn, keyring } = world
    const { old } = await rotated(world, () => pipeline.accept({ tenant: 'acme' }))
    expect(await reasons(world)).toEqual(['1 stream entry needs it'])

    const [entry] = await pipeline.read('consumer')
    if (entry === undefined) throw new Error('nothing was read')
    await pipeline.park(entry)
    await pipeline.link.call('XDEL', pipeline.keys.stream, entry.streamId)
    expect(await reasons(world)).toEqual(['1 parked event needs it'])

    await pipeline.link.call('FLUSHALL')
    await world.report('gw-1', 0)
    await keyring.lookAgain('acme')
    await learn('acme', 'a dictionary of acme')
    const rotatedAgain = (await world.cli(['keys', 'rotate', '--json'])).json()
    expect(rotatedAgain).toMatchObject({ tenants: [{ dictionaries: 1 }] })
    await learn('acme', 'another dictionary, by somebody who has not followed yet')
    const { json } = await forget(world, '--json')
    const { destroyed, stay } = json() as Answer
    expect(destroyed.map(({ id }) => id)).toEqual([old])
    expect(stay.map(({ stays }) => stays)).toEqual([
      ['1 dictionary needs it (`keys rotate` encrypts dictionaries anew)'],
    ])
  })

  it('keeps the key of a dead letter', async () => {
    const world = await open()
    const { pipeline } = world
    await rotated(world, () => pipeline.kill({ tenant: 'acme' }))
    expect(await reasons(world)).toEqual(['1 stream entry, 1 dead letter need it'])
    await pipeline.link.call('DEL', pipeline.keys.stream)
    expect(await reasons(world)).toEqual(['1 dead letter needs it'])
    await world.cli(['dlq', 'purge', '--all', '--yes'])
    expect(await forget(world)).toMatchObject({ code: 0 })
  })

  it('keeps the key of a context, whichever part of it needs it', async () => {
    const world = await open()
    const { pipeline, keyring } = world
    const contexts = contextsOf(pipeline, keyring)
    let id = ''
    const { old } = await rotated(world, async () => {
      await pipeline.accept({ tenant: 'acme', type: 'pull_request', json: pullRequest(7, 'opened') })
      const [entry] = await pipeline.read('consumer')
      if (entry === undefined) throw new Error('nothing was read')
      ;[id = ''] = await contexts.remember(entry)
      await pipeline.settle(entry)
    })
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    expect(await reasons(world)).toEqual(['1 context needs it'])
    // What comes later is encrypted with the new key, and what was before still needs the old one.
    await pipeline.accept({ tenant: 'acme', type: 'pull_request', json: pullRequest(7, 'closed') })
    await contexts.remember(...(await pipeline.read('consumer')))
    expect(await world.standing(old, '--count')).toMatchObject({ uses: { entries: 0, contexts: 1 } })
    expect(await reasons(world)).toEqual(['1 context needs it'])
    expect((await contexts.contexts.read(id))?.timeline).toHaveLength(2)

    const { head, log, raw, active } = contexts.keys
    await pipeline.link.call('DEL', head(id), log(id), raw(id), active)
    expect(await forget(world)).toMatchObject({ code: 0 })
  })

  it('keeps keys while a gateway may have spooled events that need them', async () => {
    const world = await open()
    await rotated(world)
    await world.report('gw-2', 3)
    expect(await reasons(world)).toEqual(['gateway gw-2 reports 3 spooled events'])
    await world.report('gw-2', 0, 120_000)
    expect(await reasons(world)).toEqual([
      'gateway gw-2 has not reported for 2m, and may have spooled events',
    ])
    await world.pipeline.link.call('DEL', world.pipeline.keys.gateways)
    expect(await reasons(world)).toEqual([
      'no gateway reports, so whether one has spooled events is not known',
    ])
    await world.report('gw-2', 0)
    expect(await forget(world)).toMatchObject({ code: 0 })
  })

  it('keeps a key whose successor is young', async () => {
    const world = await open()
    await rotated(world)
    const hour = later(3_600_000)
    const early = await world.cli(['keys', 'forget', '--yes'], hour)
    expect(early).toMatchObject({
      code: 1,
      out: expect.stringMatching(/stays: its successor was made 1h ago, and must be 1d old \(--older-than\)/),
    })
    expect(await world.keysOf('acme')).toHaveLength(2)
    expect(await world.cli(['keys', 'forget', '--yes', '--older-than', '30m'], hour)).toMatchObject({
      code: 0,
    })
    expect(await world.keysOf('acme')).toHaveLength(1)
  })

  it('says when an old master key is of no use any more', async () => {
    const world = await open([MASTER, OTHER_MASTER])
    const before = { ENCRYPTION_MASTER_KEY: OTHER_MASTER, ENCRYPTION_PREVIOUS_MASTER_KEYS: undefined }
    const { createTenantCipher } = await import('@weir/security/tenant-cipher')
    const cipher = createTenantCipher([OTHER_MASTER])
    const [oldMaster = ''] = cipher.masters
    await world.store.replace({
      tenant: 'acme',
      revision: 1,
      keys: [{ ...cipher.create('acme').kept, at: 1 }],
      destroyed: [],
    })
    expect((await world.cli(['keys', 'status'], { env: before })).code).toBe(0)
    await rotated(world)
    const dry = await world.cli(['keys', 'forget', '--dry-run'], later(2 * DAY_MS))
    expect(dry).toMatchObject({ code: 0, err: '' })
    expect(dry.out).toContain('could be destroyed (dry run)')
    expect(dry.out).toContain(`master key ${oldMaster}: still needed by 1 key`)
    expect(await world.keysOf('acme')).toHaveLength(2)

    const done = await forget(world)
    expect(done.out).toContain(
      `master key ${oldMaster}: no key in the keyring depends on it any more; it can be taken out of ENCRYPTION_PREVIOUS_MASTER_KEYS`,
    )
    expect((await forget(world, '--json')).json()).toMatchObject({ unused_master_keys: [oldMaster] })

    // With an entry that cannot be read nobody can say so.
    await world.keyring.prepare('bad')
    const [file = ''] = readdirSync(world.directory).filter((name) => name.startsWith('bad.'))
    writeFileSync(join(world.directory, file), '{}')
    const unsure = await forget(world)
    expect(unsure.code).toBe(1)
    expect(unsure.out).toContain(`master key ${oldMaster}: whether entries that cannot be read depend on it`)
    expect(unsure.out).toContain('DAMAGED keyring:')
    expect((await forget(world, '--tenant', 'acme')).code).toBe(0)
  })

  it('keeps all keys of a tenant whose newest key cannot be derived here', async () => {
    const world = await open()
    await rotated(world)
    const env = { ENCRYPTION_MASTER_KEY: OTHER_MASTER }
    const wrong = await world.cli(['keys', 'forget', '--yes'], { env, ...later(2 * DAY_MS) })
    expect(wrong).toMatchObject({
      code: 1,
      out: expect.stringMatching(/the newest key [0-9a-f]{16} cannot be derived here/),
    })
    const without = { ENCRYPTION_MASTER_KEY: undefined }
    expect(await world.cli(['keys', 'forget', '--yes'], { env: without })).toMatchObject({
      code: 2,
      err: expect.stringContaining('set ENCRYPTION_MASTER_KEY'),
    })
    expect(await world.keysOf('acme')).toHaveLength(2)
  })

  it('asks first, and refuses where nobody can be asked', async () => {
    const world = await open()
    const { old } = await rotated(world)
    const old2 = later(2 * DAY_MS)
    expect(await world.cli(['keys', 'forget'], old2)).toMatchObject({
      code: 2,
      err: expect.stringContaining('pass --yes'),
    })
    const questions: string[] = []
    const ask = (answer: string) => async (question: string) => {
      questions.push(question)
      return answer
    }
    expect(await world.cli(['keys', 'forget'], { ...old2, ask: ask('no') })).toMatchObject({
      code: 1,
      err: 'error: nothing was destroyed.\n',
    })
    expect(questions).toEqual(['Destroy 1 key, for good? Type yes: '])
    // What comes to need the key while the user thinks about it is seen.
    const slow = async () => {
      await world.pipeline.link.call('XADD', world.pipeline.keys.stream, '*', ...recordWith(old))
      return 'yes'
    }
    expect(await world.cli(['keys', 'forget'], { ...old2, ask: slow })).toMatchObject({
      code: 1,
      out: expect.stringContaining('stays: 1 stream entry needs it'),
    })
    expect(await world.keysOf('acme')).toHaveLength(2)
    await world.pipeline.link.call('DEL', world.pipeline.keys.stream)
    expect(await world.cli(['keys', 'forget'], { ...old2, ask: ask('yes') })).toMatchObject({ code: 0 })
    expect(await world.keysOf('acme')).toHaveLength(1)
  })

  it('records each key in the audit trail', async () => {
    const world = await open()
    const { old } = await rotated(world)
    const env = { WEBHOOK_AUDIT_LOGGING: 'true' }
    await world.cli(['keys', 'forget', '--yes'], { env, ...later(2 * DAY_MS) })
    const trail = (await world.cli(['audit', 'export'], { env })).out.trim().split('\n')
    expect(trail.map((line) => JSON.parse(line))).toMatchObject([
      { action: 'keys.forget', target: 'all tenants', outcome: 'intended', detail: { keys: 1 } },
      { action: 'keys.forget', target: `key ${old}`, outcome: 'destroyed', detail: { tenant: 'acme' } },
      { action: 'keys.forget', target: 'all tenants', outcome: 'done', detail: { destroyed: 1, stay: 0 } },
    ])
  })
})

/** The fields that tell what a record is encrypted with. */
function recordWith(key: string): (string | Buffer)[] {
  const body = Buffer.concat([Buffer.from([1]), Buffer.from(key, 'hex'), Buffer.alloc(40)])
  return ['tenant', 'acme', 'enc', 'sealed-zstd', 'body', body]
}
