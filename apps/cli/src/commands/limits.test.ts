import { configuredLimits } from '@weir/core/config/limits'
import { loadConfig } from '@weir/core/config/load'
import { takeLimits } from '@weir/core/stream/limits'
import { describe, expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const env = { RATE_LIMIT_RPM: '10' }
const cli = (args: string[], more: Record<string, string> = {}) =>
  run(args, { env: { REDIS_URL: redis.url, ...env, ...more } })

/** Counts so many events of a tenant and of an address, as the gateway's scripts do. */
async function use(tenant: string, address: string, events: number) {
  const pipeline = await open()
  const { config } = await loadConfig({ env })
  const limits = configuredLimits(config)
  const both = [limits.tenant(tenant)!, limits.address(address)!]
  for (let n = 0; n < events; n++) expect(await takeLimits(pipeline, both)).toMatchObject({ kind: 'taken' })
  return { pipeline, both }
}

describe('limits show', () => {
  it('shows the limits, and who has used how much', async () => {
    await use('acme', '192.0.2.7', 9)
    const { code, rows } = await cli(['limits', 'show'])
    expect(code).toBe(0)
    expect(rows).toContainEqual(['all events together', '10000', '1 s'])
    expect(rows).toContainEqual(['tool github', '5000', '1 s'])
    expect(rows).toContainEqual(['each tenant', '10', '1 min'])
    expect(rows).toContainEqual(['tenant acme', '9', '10', '1m', '90 %'])
    expect(rows).toContainEqual([expect.stringMatching(/^address [0-9a-f]{16}$/), '9', '10', '1m', '90 %'])
  })

  it('with --near only who is near', async () => {
    await use('acme', '192.0.2.7', 5)
    const used = async (near: string) =>
      ((await cli(['limits', 'show', '--near', near, '--json'])).json() as { used: unknown[] }).used.length
    expect([await used('50'), await used('51')]).toEqual([2, 0])
  })

  it('says that there are none', async () => {
    const { code, out } = await cli(['limits', 'show'], { WEBHOOK_RATE_LIMITING: 'false' })
    expect(code).toBe(0)
    expect(out).toContain('there are no limits')
  })
})

describe('limits reset', () => {
  it('lets a tenant go on, and leaves everybody else as they were', async () => {
    const { pipeline, both } = await use('acme', '192.0.2.7', 10)
    expect(await takeLimits(pipeline, both)).toMatchObject({ kind: 'limited' })
    const dry = await cli(['limits', 'reset', '--tenant', 'acme', '--dry-run'])
    expect(dry).toMatchObject({ code: 0, out: 'tenant acme: 10 of 10 would be forgotten (dry run)\n' })
    expect(await takeLimits(pipeline, [both[0]!])).toMatchObject({ kind: 'limited' })
    expect(await cli(['limits', 'reset', '--tenant', 'acme'])).toMatchObject({
      code: 0,
      out: 'tenant acme: 10 of 10 forgotten\n',
    })
    expect(await takeLimits(pipeline, [both[0]!])).toMatchObject({ kind: 'taken' })
    expect(await takeLimits(pipeline, [both[1]!])).toMatchObject({ kind: 'limited' })
    // Any spelling of the address.
    await cli(['limits', 'reset', '--address', '::ffff:192.0.2.7'])
    expect(await takeLimits(pipeline, [both[1]!])).toMatchObject({ kind: 'taken' })
  })

  it('leaves its trace in the audit trail', async () => {
    await use('acme', '192.0.2.7', 1)
    const audited = { WEBHOOK_AUDIT_LOGGING: 'true' }
    await cli(['limits', 'reset', '--tenant', 'acme'], audited)
    expect((await cli(['audit', 'export'], audited)).out).toContain(
      '"action":"limits.reset","target":"tenant acme","outcome":"intended"',
    )
  })

  it.each([
    [[], 'say whose limit'],
    [['--address', '300.1.1.1'], 'not an IP address'],
    [['--address', 'example.com'], 'Write an IP address'],
    [['--tool', 'gitlab'], 'there is no limit for gitlab (webhook.security.per_tool_rate_limits.gitlab)'],
  ])('%j is told what is wrong', async (args, says) => {
    const { code, err } = await cli(['limits', 'reset', ...args])
    expect(code).toBe(2)
    expect(err).toContain(says)
  })
})
