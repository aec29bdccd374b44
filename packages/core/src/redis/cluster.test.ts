import { afterEach, describe, expect, it } from 'vitest'
import { useCluster } from '../../../../tests/support/use-topology.ts'
import { connectRedis, type LinkOptions, type RedisLink } from './link.ts'
import { parseAddress } from './place.ts'
import { defineScript } from './script.ts'
import { keySlot } from './slot.ts'

/** Longer than a failover takes here. */
const FAILOVER_MS = 15_000
const KEY = 'webhook-events:{0}'
const OTHER_KEY = 'webhook-events:{0}:ledger'
const SLOT = keySlot(KEY)

const topology = useCluster({ masters: 3, replicasPerMaster: 1 })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

function open(slot = SLOT, seeds = topology.current.seeds, options: LinkOptions = {}): RedisLink {
  const link = connectRedis(
    {
      cluster: { seeds: seeds.map((address) => parseAddress(address, 6379)), slot },
      commandTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
      reconnectMaxDelayMs: 100,
      name: 'by-slot',
    },
    options,
  )
  links.push(link)
  return link
}

async function connected(slot = SLOT): Promise<RedisLink> {
  const link = open(slot)
  await link.ready(AbortSignal.timeout(5_000))
  return link
}

const portOf = (link: RedisLink) => Number(link.peer.split(':').at(-1))
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: { code?: string }) => error.code,
  )
/** A master that does not serve our slot. */
async function anotherMaster() {
  const { current } = topology
  const owner = await current.masterOf(SLOT)
  for (let slot = 0; slot < 16_384; slot += 1_000) {
    const master = await current.masterOf(slot)
    if (master !== owner) return { owner, other: master }
  }
  throw new Error('one master serves all')
}
const untilWritten = (link: RedisLink) =>
  expect.poll(() => link.call('SET', KEY, 'v').then(String, String), { timeout: FAILOVER_MS }).toBe('OK')

describe('a link to the owner of a slot', () => {
  it('goes to its master, whichever node is asked', async () => {
    const { current } = topology
    for (const key of [KEY, 'webhook-events:{1}', 'webhook-events:{3}']) {
      const owner = await current.masterOf(key)
      for (const seed of current.seeds) {
        const link = open(keySlot(key), [seed])
        await link.ready(AbortSignal.timeout(5_000))
        expect(portOf(link)).toBe(owner.port)
        await link.close()
      }
    }
  })

  it('finds it when the first seeds are dead', async () => {
    const { current } = topology
    const owner = await current.masterOf(KEY)
    const dead = current.nodes.find((node) => node !== owner)!
    await dead.kill('SIGKILL')
    const link = open(SLOT, [`127.0.0.1:${dead.port}`, ...current.seeds])
    await link.ready(AbortSignal.timeout(5_000))
    expect(portOf(link)).toBe(owner.port)
  })

  it('follows to the replica that took over from a dead master', async () => {
    const { current } = topology
    const link = await connected()
    const owner = await current.masterOf(KEY)
    await owner.kill('SIGKILL')
    const next = await current.untilMasterOfIsNot(KEY, owner)
    await untilWritten(link)
    expect(portOf(link)).toBe(next.port)
  })

  it('follows when a healthy master hands over', async () => {
    const { current } = topology
    const link = await connected()
    const next = await current.failover(KEY)
    await untilWritten(link)
    expect(portOf(link)).toBe(next.port)
  })

  it('follows when its slot moves to another master; a blocking read does too', async () => {
    const { current } = topology
    const link = await connected()
    const reading = open(SLOT, current.seeds, { blocking: true })
    await reading.ready(AbortSignal.timeout(5_000))
    const { other } = await anotherMaster()
    await link.call('XADD', KEY, '*', 'a', 'b')
    const waiting = codeOf(reading.call('XREAD', 'BLOCK', 0, 'STREAMS', KEY, '$'))
    expect(await current.migrateSlot(SLOT, other)).toBe('moved')
    expect(await codeOf(link.call('XADD', KEY, '*', 'a', 'b'))).toBe('REDIS_UNAVAILABLE') // MOVED
    const length = () => link.call('XLEN', KEY).catch(() => undefined)
    await expect.poll(length, { timeout: FAILOVER_MS }).toBe(1)
    expect(portOf(link)).toBe(other.port)
    expect(await waiting).toBe('REDIS_UNAVAILABLE')
  })

  it('says unknown while the keys of a script are half here and half there, and works again afterwards', async () => {
    const { current } = topology
    const link = await connected()
    const both = defineScript('both', `redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])`)
    expect(await link.run(both, [KEY, OTHER_KEY], [])).toBe(1)
    const { other } = await anotherMaster()
    const stopped = await current.migrateSlot(SLOT, other, {
      batch: 1,
      onStep: async (step) => (step.kind === 'moving' ? 'stop' : 'go on'),
    })
    expect(stopped).toBe('stopped')
    expect(await codeOf(link.run(both, [KEY, OTHER_KEY], []))).toBe('REDIS_UNAVAILABLE') // TRYAGAIN or ASK
    expect(await current.migrateSlot(SLOT, other)).toBe('moved')
    await expect
      .poll(() => link.run(both, [KEY, OTHER_KEY], []).catch(() => 0), { timeout: FAILOVER_MS })
      .toBe(2)
    expect(portOf(link)).toBe(other.port)
  })

  it('does not begin a script that Redis would break off half-way: a key that it empties counts as moved away', async () => {
    const { current } = topology
    const link = await connected()
    const putOff = defineScript(
      'put-off',
      `redis.call('ZREM', KEYS[1], 'parked') redis.call('ZADD', KEYS[1], 2, 'parked') return 1`,
    )
    await link.call('ZADD', KEY, 1, 'parked')
    const { other } = await anotherMaster()
    const stopped = await current.migrateSlot(SLOT, other, {
      onStep: async (step) => (step.kind === 'migrating' ? 'stop' : 'go on'),
    })
    expect(stopped).toBe('stopped')
    expect(await codeOf(link.run(putOff, [KEY], []))).toBe('REDIS_UNAVAILABLE')
    expect(String(await link.call('ZSCORE', KEY, 'parked'))).toBe('1')
    expect(await current.migrateSlot(SLOT, other)).toBe('moved')
    await expect.poll(() => link.run(putOff, [KEY], []).catch(() => 0), { timeout: FAILOVER_MS }).toBe(1)
  })

  it('says unknown while the Cluster is down, and works when it is whole again', async () => {
    const { current } = topology
    const link = await connected()
    const { owner, other: far } = await anotherMaster()
    const gone = [far, ...(await current.replicasOf(far))]
    for (const node of gone) await node.kill('SIGKILL')
    await current.untilState('fail', owner)
    expect(await codeOf(link.call('SET', KEY, 'v'))).toBe('REDIS_UNAVAILABLE') // CLUSTERDOWN
    for (const node of gone) await node.restart()
    await untilWritten(link)
  })

  it('tells what is in the way when it finds nobody, and ends when it is closed', async () => {
    const errors: string[] = []
    const link = open(SLOT, ['127.0.0.1:1'], { onError: ({ message }) => errors.push(message) })
    await expect.poll(() => errors.length).toBeGreaterThan(1)
    expect(errors[0]).toMatch(`slot ${SLOT} of the Redis Cluster cannot be found: 127.0.0.1:1 says: `)
    expect(errors[0]).toContain('ECONNREFUSED')
    await link.close()
  })
})
