import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { keysOf } from '@weir/core/config/parts'
import { isShort } from '@weir/core/redis/durable'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import type {
  Admission,
  AdmissionOutcome,
  Admitter,
  Moved,
  Sighting,
  Standing,
} from '@weir/core/stream/admit'
import { afterEach, describe, expect, it } from 'vitest'
import { useReplicated } from '../../../tests/support/replicas.ts'
import { createDurability, type Durability } from './durability.ts'
import { createLog } from './log.ts'
import { createMetrics, type GatewayMetrics } from './metrics.ts'
import type { Recall } from './recall.ts'

const redis = useReplicated({ replicas: 1 })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

interface World {
  readonly link: RedisLink
  readonly durability: Durability
  readonly metrics: GatewayMetrics
}

async function world(flags: Record<string, unknown> = {}): Promise<World> {
  const { config } = await loadConfig({
    env: {},
    flags: {
      'webhook.redis.durability': 'replica',
      'webhook.redis.replica_timeout': '100ms',
      'webhook.redis.command_timeout': '5s',
      ...flags,
    },
  })
  const link = connectRedis({
    url: redis.current.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 50,
    name: 'durability',
  })
  links.push(link)
  await link.ready()
  const metrics = createMetrics()
  const keys = keysOf(config)
  const log = createLog('silent')
  return {
    link,
    metrics,
    durability: createDurability({ config, link, keys, clock: systemClock, metrics, log }),
  }
}

/** Admission whose answers are known beforehand; before each, something is written by somebody else. */
function answering(outcome: AdmissionOutcome | Moved, sighting: Sighting = { kind: 'known' }): Admitter {
  const happen = async <T>(link: RedisLink, answer: T): Promise<T> => {
    await redis.current.ask(redis.current.master, 'SET', 'an', 'event')
    await link.call(outcome.kind === 'accepted' ? 'INCR' : 'GET', 'accepted')
    return answer
  }
  return {
    admit: (link) => happen(link, outcome as AdmissionOutcome),
    admitUnder: (link) => happen(link, outcome),
    look: (link) => happen(link, sighting),
    maxSize: () => 1,
    redisNow: () => 0,
  }
}

const admission = {} as Admission
const standing = {} as Standing
const accepted: AdmissionOutcome = { kind: 'accepted', streamId: '1-1' }
const duplicate: AdmissionOutcome = { kind: 'duplicate', firstId: 'evt_1' }
const limit = { type: 'ip', name: 'x', limit: 1, periodMs: 1000 } as const
const limited: AdmissionOutcome = { kind: 'limited', limit, retryAfterMs: 1 }
const moved: Moved = { kind: 'moved', plan: '' }

describe('with the replica hanging', () => {
  const hang = () => redis.current.replicas[0]!.kill('SIGSTOP')

  it.each<AdmissionOutcome>([accepted, { kind: 'known' }, duplicate])(
    '$kind does not count',
    async (outcome) => {
      const { link, durability, metrics } = await world()
      await hang()
      const admitter = durability.admitter(answering(outcome))
      await expect(admitter.admit(link, admission)).rejects.toSatisfy(isShort)
      await expect(admitter.admitUnder(link, admission, standing)).rejects.toSatisfy(isShort)
      expect(metrics.counters()).toMatchObject({ webhook_replica_short_total: 2 })
    },
  )

  it('what another partition knows does not count, if anything is there', async () => {
    const { link, durability } = await world()
    await hang()
    const seen = (occurrences: number): Sighting => ({ kind: 'seen', occurrences, firstId: undefined })
    const look = (sighting: Sighting) =>
      durability.admitter(answering(accepted, sighting)).look(link, admission, standing)
    await expect(look({ kind: 'known' })).rejects.toSatisfy(isShort)
    await expect(look(seen(1))).rejects.toSatisfy(isShort)
    expect(await look(seen(0))).toEqual(seen(0))
    expect(await look(moved)).toEqual(moved)
  })

  it('what promises nothing is answered at once', async () => {
    const { link, durability, metrics } = await world()
    await hang()
    expect(await durability.admitter(answering(limited)).admit(link, admission)).toEqual(limited)
    expect(await durability.admitter(answering(moved)).admitUnder(link, admission, standing)).toEqual(moved)
    expect(metrics.counters()).toMatchObject({ webhook_replica_short_total: 0 })
  })

  it('an event of the long memory is not certain: it takes the way of a new one', async () => {
    const { link, durability } = await world()
    const remembering = (answer: 'settled' | 'new' | 'unknown') => {
      const confirm = async () => {
        await link.call('SISMEMBER', 'settled', '1')
        return answer
      }
      return durability.recall({ confirm } as Partial<Recall> as Recall).confirm(Buffer.alloc(16))
    }
    expect(await remembering('settled')).toBe('settled')
    await hang()
    await redis.current.ask(redis.current.master, 'SADD', 'settled', '1')
    expect(await remembering('settled')).toBe('unknown')
    expect(await remembering('new')).toBe('new')
    expect(await remembering('unknown')).toBe('unknown')
  })

  it('a probe fails, and tells of a replica that is away rather than of one that is late', async () => {
    const { link, durability } = await world()
    const probe = durability.probe(async () => void (await link.call('INCR', 'probe')))
    await probe()
    await hang()
    await expect(probe()).rejects.toThrow('0 of 1 replicas confirmed within 100 ms')
    await redis.current.replicas[0]!.kill('SIGKILL')
    await expect
      .poll(() => probe().catch(({ message }: Error) => message))
      .toMatch(/^the master has 0 of 1 replicas/)
  })
})

describe('durability: local', () => {
  it('adds nothing', async () => {
    const { durability } = await world({ 'webhook.redis.durability': 'local' })
    const admitter = answering(accepted)
    expect(durability.admitter(admitter)).toBe(admitter)
    const probe = async () => undefined
    expect(durability.probe(probe)).toBe(probe)
    await durability.vet()
  })
})
