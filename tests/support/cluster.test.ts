import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { birthOf } from '../../scripts/run-files.ts'
import { ask } from './access.ts'
import { type ClusterNode, type ClusterTopology, type MigrationStep, SLOTS, withCluster } from './cluster.ts'
import { agreedSlots, parseView } from './cluster-view.ts'
import { withCertificates } from './tls.ts'
import { useCluster } from './use-topology.ts'

/** A master that does not serve this key. */
async function otherMaster(cluster: ClusterTopology, key: string): Promise<ClusterNode> {
  const owner = await cluster.masterOf(key)
  const next = (await cluster.slotOf(key)) + SLOTS / 2
  const other = await cluster.masterOf(Math.floor(next) % SLOTS)
  expect(other).not.toBe(owner)
  return other
}

describe('useCluster', () => {
  const shared = useCluster({ masters: 3, replicasPerMaster: 1 })

  it('deals out all slots, and each master has its replica', async () => {
    const cluster = shared.current
    const masters = new Set<ClusterNode>()
    for (const slot of [0, SLOTS / 2, SLOTS - 1]) masters.add(await cluster.masterOf(slot))
    expect(masters.size).toBe(3)
    for (const master of masters) {
      const [replica, ...more] = await cluster.replicasOf(master)
      expect(more).toEqual([])
      expect(await cluster.ask(replica ?? master, 'ROLE')).toEqual(
        expect.arrayContaining(['slave', master.port]),
      )
    }
    expect(cluster.seeds).toHaveLength(6)
  })

  it('moves a slot step by step, keys and all', async () => {
    const cluster = shared.current
    const from = await cluster.masterOf('{a}')
    const to = await otherMaster(cluster, '{a}')
    const slot = await cluster.slotOf('{a}')
    for (const key of ['{a}1', '{a}2', '{a}3']) await cluster.ask(from, 'SET', key, key)
    const both = () => cluster.ask(from, 'MGET', '{a}1', '{a}2', '{a}3').catch(String)
    const seen: [MigrationStep, unknown][] = []
    const outcome = await cluster.migrateSlot(slot, to, {
      batch: 2,
      onStep: async (step) => {
        seen.push([step, await both()])
        return 'go on'
      },
    })
    expect(outcome).toBe('moved')
    expect(seen).toEqual([
      [{ kind: 'importing' }, ['{a}1', '{a}2', '{a}3']],
      [{ kind: 'migrating' }, ['{a}1', '{a}2', '{a}3']],
      [{ kind: 'moving', moved: 2 }, expect.stringContaining('TRYAGAIN')],
      [{ kind: 'moving', moved: 3 }, expect.stringContaining(`ASK ${slot} 127.0.0.1:${to.port}`)],
      [{ kind: 'emptied' }, expect.stringContaining('ASK')],
      // MOVED as soon as the source has heard it from the target.
      [{ kind: 'handed-over' }, expect.stringMatching(/ASK|MOVED/)],
    ])
    expect(await cluster.masterOf('{a}')).toBe(to)
    expect(await cluster.ask(to, 'MGET', '{a}1', '{a}2', '{a}3')).toEqual(['{a}1', '{a}2', '{a}3'])
  })

  it('stops half-way when told to, and goes on from there', async () => {
    const cluster = shared.current
    const from = await cluster.masterOf('{b}')
    const to = await otherMaster(cluster, '{b}')
    const slot = await cluster.slotOf('{b}')
    for (const key of ['{b}1', '{b}2']) await cluster.ask(from, 'SET', key, key)
    const stopAfter = (kind: MigrationStep['kind']) => ({
      batch: 1,
      onStep: async (step: MigrationStep) => (step.kind === kind ? ('stop' as const) : ('go on' as const)),
    })
    expect(await cluster.migrateSlot(slot, to, stopAfter('moving'))).toBe('stopped')
    expect(await cluster.masterOf(slot)).toBe(from)
    expect(await cluster.ask(from, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(1)
    expect(await cluster.migrateSlot(slot, to)).toBe('moved')
    expect(await cluster.ask(to, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(2)
    // For a later test: left open.
    expect(await cluster.migrateSlot(slot, from, stopAfter('moving'))).toBe('stopped')
  })

  it('replaces a master, asked or dead, and heals what earlier tests left', async () => {
    const cluster = shared.current
    const slot = await cluster.slotOf('{b}')
    const first = await cluster.masterOf(slot)
    for (const node of cluster.nodes) expect(await cluster.ask(node, 'DBSIZE')).toBe(0)
    await cluster.ask(first, 'SET', '{b}', 'kept')
    const second = await cluster.failover(slot)
    expect(second).not.toBe(first)
    await cluster.untilStable()
    await second.kill('SIGKILL')
    expect(await cluster.untilMasterOfIsNot(slot, second)).toBe(first)
    await cluster.untilState('ok')
    expect(await cluster.ask(first, 'GET', '{b}')).toBe('kept')
    await second.restart()
    await cluster.untilStable()
    await expect.poll(() => cluster.replicasOf(first)).toEqual([second])
  })
})

describe('withCluster', () => {
  it('speaks TLS everywhere; a missing master is a CLUSTERDOWN; ends everything when the test fails', async () => {
    let left: { readonly pid: number; readonly directory: string }[] = []
    const failing = withCertificates((certificates) =>
      withCluster(
        async (cluster) => {
          left = cluster.nodes.map(({ pid, directory }) => ({ pid, directory }))
          const owner = await cluster.masterOf('{a}')
          const other = await otherMaster(cluster, '{a}')
          await expect(ask({ port: owner.port }, 'PING')).rejects.toThrow()
          await cluster.ask(owner, 'SET', '{a}', 1)
          expect(await cluster.migrateSlot(await cluster.slotOf('{a}'), other)).toBe('moved')
          await owner.kill('SIGKILL')
          await cluster.untilState('fail', other)
          await expect(cluster.ask(other, 'GET', '{a}')).rejects.toThrow('CLUSTERDOWN')
          throw new Error('the test failed')
        },
        { password: 'for all nodes', tls: certificates },
      ),
    )
    await expect(failing).rejects.toThrow('the test failed')
    expect(left).toHaveLength(3)
    for (const { pid, directory } of left) {
      expect(birthOf(pid)).toBeUndefined()
      expect(existsSync(directory)).toBe(false)
    }
  })
})

describe('the view of a node', () => {
  const line = (id: string, flags: string, slots: string) =>
    `${id} 127.0.0.1:1@2 ${flags} - 0 0 1 connected ${slots}\n`

  it('knows ranges, single slots, and those that are open', () => {
    const view = parseView(line('a', 'myself,master', '0-9 11 [11->-b]') + line('b', 'master', '10'))
    expect(view).toMatchObject({ busPort: 2, openSlots: [11] })
    const slots = agreedSlots([view])
    expect([0, 9, 10, 11, 12].map(slots.owner)).toEqual(['a', 'a', 'b', 'a', undefined])
    expect([...slots.masterIds]).toEqual(['a', 'b'])
  })

  it('is agreed on only when all say the same', () => {
    const one = parseView(line('a', 'myself,master', '0-9'))
    const other = parseView(line('a', 'master', '0-8'))
    expect(() => agreedSlots([one, other])).toThrow('2 opinions')
    expect(() => agreedSlots([])).toThrow('0 opinions')
  })
})
