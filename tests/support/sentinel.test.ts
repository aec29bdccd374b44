import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { birthOf } from '../../scripts/run-files.ts'
import { ask } from './access.ts'
import { type SentinelTopology, withSentinel } from './sentinel.ts'
import { withCertificates } from './tls.ts'
import { useSentinel } from './use-topology.ts'

/** What a topology leaves in the world, if it leaves anything. */
function traces({ servers, sentinels }: SentinelTopology) {
  return [...servers, ...sentinels].map(({ pid, directory }) => ({ pid, directory }))
}

describe('useSentinel', () => {
  const shared = useSentinel()

  it('has the Sentinels replace a killed master, and demote it when it returns', async () => {
    const sentinel = shared.current
    const old = await sentinel.master()
    await sentinel.ask(old, 'SET', 'kept', 'yes')
    await sentinel.untilReplicasInSync()
    await old.kill('SIGKILL')
    const promoted = await sentinel.untilMasterIsNot(old)
    expect(await sentinel.ask(promoted, 'GET', 'kept')).toBe('yes')
    await old.restart()
    await sentinel.untilReplicasInSync()
    expect(await sentinel.ask(old, 'ROLE')).toEqual(expect.arrayContaining(['slave', promoted.port]))
    expect(await sentinel.replicas()).toContain(old)
  })

  it('replaces a healthy master on request', async () => {
    const sentinel = shared.current
    const old = await sentinel.master()
    const promoted = await sentinel.failover()
    expect(promoted).not.toBe(old)
    await sentinel.untilMasterIs(promoted)
    // For the next test: all down, each in its way, and something left behind.
    await sentinel.client(promoted).set('from-an-earlier-test', 1)
    for (const server of sentinel.servers) await server.kill(server === promoted ? 'SIGSTOP' : 'SIGKILL')
    await sentinel.sentinels[0]?.kill('SIGKILL')
  })

  it('heals and empties everything before the next test', async () => {
    const sentinel = shared.current
    expect(sentinel.servers.map(({ running, paused }) => ({ running, paused }))).toEqual(
      sentinel.servers.map(() => ({ running: true, paused: false })),
    )
    const master = await sentinel.master()
    await sentinel.untilReplicasInSync()
    for (const server of sentinel.servers) expect(await sentinel.ask(server, 'DBSIZE')).toBe(0)
    expect(await sentinel.ask(master, 'WAIT', 2, 1000)).toBe(2)
  })
})

describe('withSentinel', () => {
  it('speaks TLS everywhere, with passwords and ACL users, and ends everything', async () => {
    const left = await withCertificates((certificates) =>
      withSentinel(
        async (sentinel) => {
          const master = await sentinel.failover()
          await expect(ask({ port: master.port }, 'PING')).rejects.toThrow()
          const [address] = sentinel.addresses
          const port = Number(address?.split(':')[1])
          const anonymous = { tls: certificates.client }
          await expect(ask({ port, access: anonymous }, 'PING')).rejects.toThrow('NOAUTH')
          expect(await ask({ port, access: sentinel.sentinelAccess }, 'PING')).toBe('PONG')
          const weir = { ...anonymous, username: 'weir', password: 'narrow' }
          expect(await ask({ port: master.port, access: weir }, 'SET', 'a', 1)).toBe('OK')
          await expect(ask({ port: master.port, access: weir }, 'EVAL', 'return 1', 0)).rejects.toThrow(
            'NOPERM',
          )
          return traces(sentinel)
        },
        {
          replicas: 1,
          password: 'for the data',
          sentinelPassword: 'for the sentinels',
          users: ['weir on >narrow ~* &* +@all -eval'],
          tls: certificates,
        },
      ),
    )
    expect(left).toHaveLength(5)
    for (const { pid, directory } of left) {
      expect(birthOf(pid)).toBeUndefined()
      expect(existsSync(directory)).toBe(false)
    }
  })

  it('ends everything when the test fails; a master without its replicas refuses writes if told so', async () => {
    let left: ReturnType<typeof traces> = []
    const failing = withSentinel(
      async (sentinel) => {
        left = traces(sentinel)
        const [replica] = await sentinel.replicas()
        await replica?.kill('SIGKILL')
        await expect
          .poll(async () => sentinel.ask(await sentinel.master(), 'SET', 'a', 1).catch(String))
          .toMatch('NOREPLICAS')
        throw new Error('the test failed')
      },
      { replicas: 1, sentinels: 1, minReplicasToWrite: 1 },
    )
    await expect(failing).rejects.toThrow('the test failed')
    expect(left.map(({ pid }) => birthOf(pid))).toEqual([undefined, undefined, undefined])
  })

  it('fails a test that leaves a connection open, to a Sentinel too', async () => {
    const forgotten = new Socket()
    const leaky = withSentinel(
      async (sentinel) => {
        const [watched] = sentinel.sentinels
        forgotten.connect(watched?.port ?? 0, '127.0.0.1')
        await once(forgotten, 'connect')
      },
      { sentinels: 1, replicas: 0 },
    )
    await expect(leaky).rejects.toThrow(/left connections to Redis open/)
    forgotten.destroy()
  })
})
