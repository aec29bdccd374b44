/** The operators' commands know the limits that the gateway counts against: by the same names, and as many. */
import { expect, it } from 'vitest'
import { run } from '../apps/cli/src/cli.test-support.ts'
import { sendGithub, useGateway } from './support/gateway.ts'

const { redis, gateway } = useGateway()

it('limits show tells what the gateway counted, and limits reset lets it go on', () =>
  gateway(
    async ({ port }) => {
      const cli = (...args: string[]) => run(args, { env: { REDIS_URL: redis.url, RATE_LIMIT_RPM: '3' } })
      const sendOne = async (n: number) =>
        (await sendGithub(port, `d-${n}`, '{}', '/webhooks/github/acme')).status
      for (let n = 0; n < 3; n++) expect(await sendOne(n)).toBe(202)
      expect(await sendOne(3)).toBe(429)

      const { used } = (await cli('limits', 'show', '--json')).json() as {
        used: { type: string; name: string; used: number; share: number }[]
      }
      const { limits } = (
        await cli('limits', 'reset', '--address', '127.0.0.1', '--dry-run', '--json')
      ).json() as {
        limits: { name: string; used: number }[]
      }
      expect(used).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ type: 'tenant', name: 'acme', used: 3, share: 1 }),
          expect.objectContaining({ type: 'address', name: limits[0]?.name, used: 3, share: 1 }),
        ]),
      )
      expect(await cli('limits', 'reset', '--tenant', 'acme', '--address', '127.0.0.1')).toMatchObject({
        code: 0,
      })
      expect(await sendOne(4)).toBe(202)
    },
    { 'security.rate_limit_rpm': 3 },
  ))

it('those of a tool and of all together, too', () =>
  gateway(async ({ port }) => {
    const env = { REDIS_URL: redis.url, CONFIG_FILE: '' }
    for (let n = 0; n < 2; n++) expect((await sendGithub(port, `t-${n}`)).status).toBe(202)
    const { configuredLimits } = await import('@weir/core/config/limits')
    const { loadConfig } = await import('@weir/core/config/load')
    const { limitKey } = await import('@weir/core/stream/limits')
    const { keysOf } = await import('@weir/core/config/parts')
    const { config } = await loadConfig({ env: {} })
    const limits = configuredLimits(config)
    const keys = (await redis.client().keys('*limits*')).sort()
    expect(keys).toEqual(
      [limits.global!, limits.tool('github')!].map((limit) => limitKey(keysOf(config), limit)).sort(),
    )
    // They are per second, so what is counted may be over by now; but it is asked for without a complaint.
    expect(await run(['limits', 'show'], { env })).toMatchObject({ code: 0, err: '' })
  }, {}))
