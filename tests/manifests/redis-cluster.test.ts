/** k8s/redis-cluster.yaml, its own scripts with its own settings, as processes on this machine. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Pod, useRedisPods } from './redis-pods.ts'

const POLL = { timeout: 25_000, interval: 100 }
/** An address of nobody, in the range for documentation: where a node was before its pod got another address. */
const FORMER_ADDRESS = '192.0.2.7'

describe('the scripts of k8s/redis-cluster.yaml', { timeout: 60_000 }, () => {
  const pods = useRedisPods('k8s/redis-cluster.yaml')
  let nodes: Pod[] = []
  const stateOf = (pod: Pod) => /cluster_state:(\w+)/.exec(pod.ask('cluster', 'info'))?.[1]
  const create = () => pods.run('create-cluster.sh', { SERVERS: nodes.map(({ place }) => place).join(' ') })

  beforeAll(async () => {
    nodes = await pods.make(6, 'start-node.sh', () => ({ POD_IP: '127.0.0.1' }))
  })

  it('makes three masters with a replica each, told by name, once', async () => {
    const creating = create()
    for (const pod of nodes) pod.start()
    expect(await creating.exit, creating.output()).toMatchObject({ code: 0 })
    await expect.poll(() => nodes.map(stateOf), POLL).toEqual(nodes.map(() => 'ok'))
    const linesOf = () => nodes[0]!.ask('cluster', 'nodes').split('\n')
    await expect.poll(() => linesOf().filter((line) => / (myself,)?slave /.test(line)).length, POLL).toBe(3)
    const lines = linesOf()
    expect(lines.filter((line) => / (myself,)?master .* \d+-\d+$/.test(line)).length).toBe(3)
    expect(lines.every((line) => /127\.0\.0\.1:\d+@\d+,localhost /.test(line))).toBe(true)
    expect(nodes[0]!.ask('cluster', 'slots')).toContain('localhost')
    const again = create()
    expect(await again.exit).toMatchObject({ code: 0 })
    expect(again.output()).toMatch(/belongs to a Cluster already/)
  })

  it('serves Weir in production, as webhook-config tells it to connect', async () => {
    const weir = await pods.connectWeir({
      REDIS_CLUSTER_ENABLED: 'true',
      REDIS_ADDRESSES: nodes.map(({ place }) => place).join(),
      REDIS_PARTITIONS: '6',
    })
    expect(weir.output()).not.toMatch(/REDIS_UNSUITABLE|"level":(40|50|60)/)
    expect(await weir.kill()).toMatchObject({ code: 0 })
  })

  it('comes back by itself when all nodes start again with other addresses', async () => {
    for (const pod of nodes) await pod.process?.kill('SIGKILL')
    for (const pod of nodes) {
      const file = join(pod.data, 'nodes.conf')
      const before = readFileSync(file, 'utf8')
      const moved = before.replaceAll('127.0.0.1:', `${FORMER_ADDRESS}:`)
      expect(moved).not.toBe(before)
      writeFileSync(file, moved)
      pod.start()
    }
    await expect.poll(() => nodes.map(stateOf), POLL).toEqual(nodes.map(() => 'ok'))
    for (const pod of nodes) expect(pod.ask('cluster', 'nodes')).not.toContain(FORMER_ADDRESS)
  })
})
