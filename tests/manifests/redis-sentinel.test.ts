/** k8s/redis-sentinel.yaml, its own scripts with its own settings, as processes on this machine. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Pod, useRedisPods } from './redis-pods.ts'

/** Sentinels need 5 s to believe that a master is dead, and a vote; where nobody won it, another one 20 s later. */
const FAILOVER = { timeout: 60_000, interval: 100 }
const MASTER = 'webhook-master'

describe('the scripts of k8s/redis-sentinel.yaml', { timeout: 180_000 }, () => {
  const pods = useRedisPods('k8s/redis-sentinel.yaml')
  let servers: Pod[] = []
  let sentinels: Pod[] = []
  const roleOf = (pod: Pod) => pod.ask('role').split('\n')[0]
  const named = () =>
    sentinels.map((pod) => pod.ask('sentinel', 'get-master-addr-by-name', MASTER).replace('\n', ':'))

  beforeAll(async () => {
    let known = { SERVERS: '', SENTINELS: '' }
    const env = () => ({ ...known, MASTER_NAME: MASTER })
    servers = await pods.make(3, 'start-redis.sh', env)
    sentinels = await pods.make(3, 'start-sentinel.sh', env)
    const list = (all: readonly Pod[]) => all.map(({ place }) => place).join(' ')
    known = { SERVERS: list(servers), SENTINELS: list(sentinels) }
  })

  it('makes the first server the master of a new installation, its settings those of the config map', async () => {
    for (const pod of [...servers, ...sentinels]) pod.start()
    await expect.poll(named, FAILOVER).toEqual(sentinels.map(() => servers[0]!.place))
    await expect.poll(() => servers.map(roleOf), FAILOVER).toEqual(['master', 'slave', 'slave'])
    await expect.poll(() => servers[0]!.ask('info', 'replication')).toContain('connected_slaves:2')
    await expect
      .poll(() => sentinels.map((pod) => pod.ask('sentinel', 'ckquorum', MASTER)), FAILOVER)
      .toEqual(sentinels.map(() => expect.stringMatching(/^OK 3 usable Sentinels/)))
    const settings = ['maxmemory-policy', 'maxmemory', 'appendonly', 'appendfsync', 'save', 'tls-protocols']
    expect(
      servers[0]!
        .ask('config', 'get', ...settings)
        .split('\n')
        // The empty value of `save` is lost where it is printed last; the order is Redis' own.
        .filter((line) => line !== '')
        .sort(),
    ).toEqual(
      [
        'appendfsync',
        'everysec',
        'appendonly',
        'yes',
        'maxmemory',
        String(1300 * 1024 ** 2),
        'maxmemory-policy',
        'noeviction',
        'save',
        'tls-protocols',
        'TLSv1.3',
      ].sort(),
    )
  })

  it('serves Weir in production, as webhook-config tells it to connect', async () => {
    const weir = await pods.connectWeir({
      REDIS_SENTINEL_ENABLED: 'true',
      REDIS_MASTER_NAME: MASTER,
      REDIS_ADDRESSES: sentinels.map(({ place }) => place).join(),
    })
    expect(servers[0]!.ask('exists', 'webhook-events')).toBe('1')
    // Nothing that Weir warns of: eviction, a missing append-only file, a right that it lacks.
    expect(weir.output()).not.toMatch(/REDIS_UNSUITABLE|"level":(40|50|60)/)
    expect(await weir.kill()).toMatchObject({ code: 0 })
    for (const key of servers[0]!.ask('keys', '*').split('\n')) servers[0]!.ask('del', key)
  })

  it('replaces a dead master, which comes back as a replica, with all that was written', async () => {
    const [old] = servers as [Pod]
    old.ask('set', 'kept', 'value')
    expect(old.ask('wait', '2', '5000')).toBe('2')
    await old.process?.kill('SIGKILL')
    await expect.poll(() => new Set(named()).size === 1 && named()[0] !== old.place, FAILOVER).toBe(true)
    const started = old.start()
    await started.waitForLine(/^the Sentinels name localhost:\d+ as the master$/)
    await expect.poll(() => roleOf(old), FAILOVER).toBe('slave')
    await expect.poll(() => old.ask('get', 'kept')).toBe('value')
    expect(servers.filter((pod) => roleOf(pod) === 'master').map(({ place }) => place)).toEqual([named()[0]])
  })

  it('keeps the roles when all of them start again and no Sentinel answers', async () => {
    const master = servers.find((pod) => roleOf(pod) === 'master')!
    expect(master).not.toBe(servers[0])
    for (const pod of [...sentinels, ...servers]) await pod.process?.kill('SIGTERM')
    for (const pod of servers) pod.start()
    await expect.poll(() => servers.filter((pod) => roleOf(pod) === 'master')).toEqual([master])
    await expect.poll(() => servers.map((pod) => pod.ask('get', 'kept'))).toEqual(['value', 'value', 'value'])
  })

  it('does not start the first server on an empty volume as a master while others have data', async () => {
    const [first] = servers as [Pod]
    await first.process?.kill('SIGTERM')
    for (const name of ['redis.conf', 'appendonlydir']) rmSync(join(first.data, name), { recursive: true })
    const refused = first.start()
    expect(await refused.done).toMatchObject({ code: 1 })
    expect(refused.output()).toMatch(
      /this volume is empty, localhost:\d+ has 1 keys, and no two Sentinels name another master/,
    )

    for (const pod of sentinels) pod.start()
    await expect.poll(() => new Set(named()).size === 1 && named()[0] !== '', FAILOVER).toBe(true)
    first.start()
    await expect.poll(() => [roleOf(first), first.ask('get', 'kept')], FAILOVER).toEqual(['slave', 'value'])
  })

  it('does not start a master that lost its volume as the master, even while the Sentinels still name it', async () => {
    const master = servers.find(({ place }) => place === named()[0]) as Pod
    await expect
      .poll(() => servers.map((pod) => pod.ask('get', 'kept')), FAILOVER)
      .toEqual(['value', 'value', 'value'])
    await master.process?.kill('SIGKILL')
    for (const name of ['redis.conf', 'appendonlydir']) rmSync(join(master.data, name), { recursive: true })
    const refused = master.start()
    expect(await refused.done).toMatchObject({ code: 1 })
    expect(refused.output()).toMatch(/this volume is empty, localhost:\d+ has 1 keys/)

    await expect.poll(() => new Set(named()).size === 1 && named()[0] !== master.place, FAILOVER).toBe(true)
    master.start()
    await expect.poll(() => [roleOf(master), master.ask('get', 'kept')], FAILOVER).toEqual(['slave', 'value'])
  })

  it('is probed as ready while it answers, and as neither ready nor alive when it is gone', async () => {
    const [first] = servers as [Pod]
    const probe = async (how: string) => {
      const { code } = await pods.run('probe.sh', {}, [how, first.place.split(':')[1] as string]).exit
      return code
    }
    expect([await probe('ready'), await probe('alive')]).toEqual([0, 0])
    await first.process?.kill('SIGKILL')
    expect([await probe('ready'), await probe('alive')]).toEqual([1, 1])
  })

  it.each(['', 'two words', 'quote"d', 'back\\slash'])(
    'refuses the password %j in one sentence',
    async (password) => {
      const started = pods.run('start-sentinel.sh', { REDIS_PASSWORD: password })
      expect(await started.done).toMatchObject({ code: 1 })
      expect(started.output()).toMatch(
        /^redis-password in the Secret webhook-secrets may have .*openssl rand -hex 32\n$/,
      )
    },
  )
})
