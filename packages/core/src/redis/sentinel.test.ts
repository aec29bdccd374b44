import { afterEach, describe, expect, it } from 'vitest'
import { ask } from '../../../../tests/support/access.ts'
import type { SentinelTopology } from '../../../../tests/support/sentinel.ts'
import { useSentinel } from '../../../../tests/support/use-topology.ts'
import { type ConnectionSettings, connectRedis, type LinkOptions, type RedisLink } from './link.ts'
import { parseAddress, type SentinelPlace } from './place.ts'

const PASSWORD = 'servers-only'
const SENTINEL_PASSWORD = 'sentinels-only'
/** Longer than a failover takes here. */
const FAILOVER_MS = 15_000

const topology = useSentinel({ password: PASSWORD, sentinelPassword: SENTINEL_PASSWORD })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

interface Overrides {
  readonly place?: Partial<SentinelPlace>
  readonly settings?: Partial<ConnectionSettings>
}

function open({ place, settings }: Overrides = {}, options: LinkOptions = {}): RedisLink {
  const { addresses, masterName } = topology.current
  const link = connectRedis(
    {
      sentinel: {
        sentinels: addresses.map((address) => parseAddress(address, 26379)),
        master: masterName,
        password: SENTINEL_PASSWORD,
        ...place,
      },
      password: PASSWORD,
      commandTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
      reconnectMaxDelayMs: 100,
      name: 'by-sentinel',
      ...settings,
    },
    options,
  )
  links.push(link)
  return link
}

async function connected(options: LinkOptions = {}): Promise<RedisLink> {
  const link = open({}, options)
  await link.ready(AbortSignal.timeout(5_000))
  return link
}

const portOf = (link: RedisLink) => Number(link.peer.split(':').at(-1))

/** The link writes again, to this server. */
async function writesTo(link: RedisLink, { current }: { current: SentinelTopology }): Promise<void> {
  const write = () => link.call('SET', 'k', 'v').then(String, String)
  await expect.poll(write, { timeout: FAILOVER_MS }).toBe('OK')
  expect(portOf(link)).toBe((await current.master()).port)
}

describe('a link by Sentinels', () => {
  it('goes to the master, with the password of each', async () => {
    const link = await connected()
    expect(portOf(link)).toBe((await topology.current.master()).port)
    expect(String(((await link.call('ROLE')) as Buffer[])[0])).toBe('master')
  })

  it('says when the Sentinels do not let it listen for a new master, and works', async () => {
    const { sentinels } = topology.current
    for (const { port } of sentinels) {
      const rules = ['on', '>listener', '+@all', '-subscribe', '&*']
      await ask({ port, access: { password: SENTINEL_PASSWORD } }, 'ACL', 'SETUSER', 'listener', ...rules)
    }
    const errors: string[] = []
    const place = { username: 'listener', password: 'listener' }
    const link = open({ place }, { onError: ({ message }) => errors.push(message) })
    await link.ready(AbortSignal.timeout(5_000))
    await expect.poll(() => errors.length).toBe(sentinels.length)
    for (const error of errors) {
      expect(error).toMatch(
        /^the Sentinel 127\.0\.0\.1:\d+ .* \(NOPERM .*\): let its user SUBSCRIBE to \+switch-master/,
      )
    }
    expect(String(await link.call('PING'))).toBe('PONG')
  })

  it('finds the master when the first Sentinels do not answer', async () => {
    const { sentinels } = topology.current
    await sentinels[0]!.kill('SIGKILL')
    const link = await connected()
    await writesTo(link, topology)
  })

  it('follows to the new master when the old one was killed', async () => {
    const link = await connected()
    const old = await topology.current.master()
    const { epoch } = link
    await old.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    await topology.current.untilMasterIsNot(old)
    await writesTo(link, topology)
    expect(link.epoch).toBeGreaterThan(epoch)
  })

  it('leaves a paused master for the new one by the word of the Sentinels, and does not go back', async () => {
    const link = await connected({ blocking: true })
    const old = await topology.current.master()
    const waiting = link.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$').then(
      () => 'answered',
      (error: { code?: string }) => error.code,
    )
    await old.kill('SIGSTOP')
    const next = await topology.current.untilMasterIsNot(old)
    // Nothing but the Sentinels can tell: the connection to the paused server never closes by itself.
    expect(await waiting).toBe('REDIS_UNAVAILABLE')
    await expect.poll(() => portOf(link), { timeout: FAILOVER_MS }).toBe(next.port)
    await old.kill('SIGCONT')
    await topology.current.untilReplicasInSync()
    await writesTo(link, topology)
  })

  it('leaves a healthy master that was replaced by hand', async () => {
    const link = await connected()
    const old = await topology.current.master()
    const next = await topology.current.failover()
    expect(next.port).not.toBe(old.port)
    await writesTo(link, topology)
  })

  it('comes back by itself after all Sentinels and servers were away', async () => {
    const link = await connected()
    const { sentinels, servers } = topology.current
    for (const server of [...sentinels, ...servers]) await server.kill('SIGSTOP')
    await expect.poll(() => link.call('PING').then(String, (error) => error.code)).toBe('REDIS_UNAVAILABLE')
    link.reconnect()
    await expect.poll(() => link.connected).toBe(false)
    for (const server of [...servers, ...sentinels]) await server.kill('SIGCONT')
    await writesTo(link, topology)
  })

  it.each<[string, Overrides, RegExp]>([
    [
      'a master that they do not know',
      { place: { master: 'nobody' } },
      /"nobody": .* does not know that name/,
    ],
    ['a wrong password for the Sentinels', { place: { password: 'wrong' } }, /WRONGPASS/],
    ['a wrong password for the server', { settings: { password: 'wrong' } }, /WRONGPASS/],
    [
      'Sentinels that are not there',
      { place: { sentinels: [{ host: '127.0.0.1', port: 1 }] } },
      /ECONNREFUSED/,
    ],
  ])('tells of %s, goes on trying, and ends when it is closed', async (_, overrides, says) => {
    const errors: string[] = []
    const link = open(overrides, { onError: ({ message }) => errors.push(message) })
    await expect.poll(() => errors.filter((message) => says.test(message)).length).toBeGreaterThan(1)
    expect(link.connected).toBe(false)
    await link.close()
    await expect(link.ready()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })
})
