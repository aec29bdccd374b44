import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const cli = (...args: string[]) => run(args, { env: { REDIS_URL: redis.url, WEBHOOK_AUDIT_LOGGING: 'true' } })
const DAY_MS = 86_400_000

/** Contexts of pull requests 1 to `count`, each of which nothing has happened to for so many days as its number. */
async function contextsOfAge(count: number) {
  const pipeline = await open()
  const { keys, remember } = contextsOf(pipeline)
  for (let n = 1; n <= count; n++) {
    await pipeline.accept({ type: 'pull_request', json: pullRequest(n, 'opened') })
    const [id] = await remember(...(await pipeline.read('consumer-1')))
    await pipeline.link.call('ZINCRBY', keys.active, -n * DAY_MS, id as string)
  }
}
const left = async () =>
  ((await cli('context', 'list', '--json')).json() as { contexts: unknown[] }).contexts.length

describe('retention run', () => {
  it('removes what is old enough, tells how much, and leaves it in the audit trail', async () => {
    await contextsOfAge(4)
    const dry = await cli('retention', 'run', '--older-than', '3d', '--dry-run', '--json')
    expect(dry.json()).toMatchObject({ dry_run: true, contexts: 2, events: 2, complete: true })
    expect(await left()).toBe(4)
    const done = await cli('retention', 'run', '--older-than', '3d', '--yes')
    expect(done).toMatchObject({ code: 0, err: '' })
    expect(done.out).toMatch(/^2 contexts with 2 events \(.*\) removed\n$/)
    expect(await left()).toBe(2)
    const trail = (await cli('audit', 'export')).out
    expect(trail).toContain('"action":"retention.run","target":"all","outcome":"intended"')
    expect(trail).toContain('"contexts":2')
  })

  it('asks, with what it is about to remove, and refuses where nobody can be asked', async () => {
    await contextsOfAge(2)
    const args = ['retention', 'run', '--older-than', '1h']
    const refused = await cli(...args)
    expect(refused).toMatchObject({ code: 2, out: '' })
    expect(refused.err).toContain(
      'removes 2 contexts with 2 events, for good: pass --yes where nobody can be asked',
    )
    const env = { REDIS_URL: redis.url }
    let question = ''
    const ask = (answer: string) => async (asked: string) => {
      question = asked
      return answer
    }
    expect(await run(args, { env, ask: ask('no') })).toMatchObject({
      code: 1,
      err: expect.stringContaining('nothing was removed'),
    })
    expect(question).toBe('Remove 2 contexts with 2 events, for good? Type yes: ')
    expect(await left()).toBe(2)
    expect(await run(args, { env, ask: ask('yes') })).toMatchObject({ code: 0 })
    expect(await left()).toBe(0)
  })

  it('shows how far it is where somebody watches', async () => {
    await contextsOfAge(2)
    const { err } = await run(['retention', 'run', '--older-than', '1h', '--yes'], {
      env: { REDIS_URL: redis.url },
      terminal: true,
    })
    expect(err).toMatch(/\d of 2 contexts/)
  })

  it('is for 30 days, all tenants and tools, where nothing else is said', async () => {
    await contextsOfAge(2)
    expect((await cli('retention', 'run')).out).toMatch(/^0 contexts with 0 events/)
    const other = await cli('retention', 'run', '--older-than', '1h', '--tool', 'jira')
    expect(other.out).toMatch(/^0 contexts/)
    const tenant = await cli('retention', 'run', '--older-than', '1h', '--tenant', 'nobody')
    expect(tenant.out).toMatch(/^0 contexts/)
    expect(await left()).toBe(2)
  })

  it.each([
    [['--older-than', 'long'], 'Write a duration'],
    [['--tool', 'githb'], 'Did you mean github?'],
  ])('%j is a usage error', async (args, says) => {
    const { code, err } = await cli('retention', 'run', ...args)
    expect(code).toBe(2)
    expect(err).toContain(says)
  })
})
