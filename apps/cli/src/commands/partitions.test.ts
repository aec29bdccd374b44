import { configuredLimits } from '@weir/core/config/limits'
import { loadConfig } from '@weir/core/config/load'
import { keysOf } from '@weir/core/config/parts'
import { connectPartition, type Partition } from '@weir/core/partition'
import { limitPartition, takeLimits } from '@weir/core/stream/limits'
import { ensurePlan, readPlan } from '@weir/core/stream/plans'
import { afterEach, describe, expect, it } from 'vitest'
import { useAllSlots } from '../../../../tests/support/cluster-partitions.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no', args: ['--cluster-enabled', 'yes'] })
useAllSlots(redis)
const opened: Partition[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ link }) => link.close()))
})

const env = (partitions = 2) => ({
  REDIS_CLUSTER_ENABLED: 'true',
  REDIS_ADDRESSES: `127.0.0.1:${redis.port}`,
  REDIS_PARTITIONS: String(partitions),
})
const cli = (args: readonly string[], partitions?: number) => run(args, { env: env(partitions) })

async function home(): Promise<Partition> {
  const { config } = await loadConfig({ env: env() })
  const partition = connectPartition(config, 0, 'test')
  opened.push(partition)
  await partition.link.ready(AbortSignal.timeout(5_000))
  return partition
}

describe('partitions', () => {
  it('are shown one by one: stream, slot, master, epoch, what waits', async () => {
    await ensurePlan(await home(), 2)
    const { code, out, rows } = await cli(['partitions', 'show'])
    expect(code).toBe(0)
    expect(out).toContain('2 partitions since')
    expect(rows).toContainEqual(
      expect.arrayContaining(['0', 'webhook-events:{0}', `127.0.0.1:${redis.port}`]),
    )
    expect(rows).toContainEqual(expect.arrayContaining(['1', 'webhook-events:{1}']))
    const document = (await cli(['partitions', 'show', '--json'])).json()
    expect(document).toMatchObject({
      plan: { epoch: 1, partitions: 2, highest: 2, earlier: [], notices: [] },
      partitions: [
        { partition: 0, slot: expect.any(Number), retired: false, ledger: { unaccounted: 0 } },
        { partition: 1 },
      ],
    })
    expect((await cli(['status'])).out).toContain('webhook-events:{1}')
  })

  it('are told apart by lag, looked at by doctor, and count each limit in one of them', async () => {
    await ensurePlan(await home(), 2)
    const lag = await cli(['lag'])
    expect(lag.code).toBe(0)
    expect(lag.rows.map(([stream]) => stream)).toEqual(
      expect.arrayContaining(['webhook-events:{0}', 'webhook-events:{1}', 'all']),
    )
    const parts = ['cold', 'ai', 'secrets', 'keyring', 'config'].flatMap((part) => ['--skip', part])
    const { findings } = (await cli(['doctor', '--json', ...parts])).json() as {
      findings: { check: string; status: string; finding: string }[]
    }
    const of = (check: string) => findings.filter((each) => each.check === check)
    expect(of('redis rights')).toMatchObject([{ status: 'ok' }])
    expect(of('redis eviction')).toMatchObject([{ status: 'ok' }]) // one master, though there are two partitions
    expect(of('stream')).toMatchObject([{ finding: expect.stringContaining('webhook-events:{1}') }])

    const { config } = await loadConfig({ env: { ...env(), RATE_LIMIT_RPM: '10' } })
    const names = ['acme', 'globex', 'initech', 'umbrella']
    const limits = names.map((name) => configuredLimits(config).tenant(name)!)
    expect(new Set(limits.map((limit) => limitPartition(limit, 2))).size).toBe(2)
    for (const limit of limits) {
      const partition = connectPartition(config, limitPartition(limit, 2), 'test')
      opened.push(partition)
      await partition.link.ready(AbortSignal.timeout(5_000))
      await takeLimits(partition, [limit])
    }
    const shown = await run(['limits', 'show', '--json'], { env: { ...env(), RATE_LIMIT_RPM: '10' } })
    const { used } = shown.json() as { used: { name: string; used: number }[] }
    expect(used.map((each) => each.name).sort()).toEqual(names)
    for (const each of used) expect(each.used).toBe(1)
  })

  it('are changed by a number; what is not used any more is shown as retired', async () => {
    const partition = await home()
    await ensurePlan(partition, 3)
    const { code, out } = await cli(['partitions', 'set', '2'])
    expect({ code, out }).toEqual({
      code: 0,
      out: '2 partitions since epoch 2; gateways and consumers follow within 5 s\n',
    })
    expect(await readPlan(partition)).toMatchObject({ epoch: 2, partitions: 2, highest: 3 })
    const shown = await cli(['partitions', 'show'])
    expect(shown.out).toContain('epoch 1 with 3 partitions, replaced')
    expect(shown.out).toContain('its evidence is still looked up')
    expect(shown.rows).toContainEqual(expect.arrayContaining(['2 retired', 'webhook-events:{2}']))
    // Every partition has been told: a gateway that does not know yet learns at its next event.
    const { config } = await loadConfig({ env: env() })
    for (const each of [0, 1, 2]) {
      const { plan } = keysOf(config, each)
      expect(String(await redis.client().call('HGET', plan, 'epoch'))).toBe('2')
    }
  })

  it('are not changed on one server, nor to what is no number of partitions', async () => {
    const single = await run(['partitions', 'set', '2', '--redis-url', redis.url], { env: {} })
    expect(single).toMatchObject({ code: 2, err: expect.stringContaining('is no Cluster') })
    for (const count of ['0', '1025', 'many'])
      expect(await cli(['partitions', 'set', count])).toMatchObject({ code: 2, out: '' })
  })
})
