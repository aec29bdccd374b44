/**
 * Partitions on a real Cluster, with the apps as processes: spread over the masters, changed under load, one master's
 * trouble being one partition's trouble. The sender keeps its own record of every answer (pipeline.ts).
 */

import { keySlot } from '@weir/core/redis/slot'
import { changePartitions, readPlan } from '@weir/core/stream/plans'
import { describe, expect, it } from 'vitest'
import { type ClusterTopology, withCluster } from '../support/cluster.ts'
import { sendGithub } from '../support/gateway.ts'
import { useProcesses } from '../support/use-processes.ts'
import { type FaultPipeline, withPipelineOn } from './pipeline.ts'

const processes = useProcesses()
const PATIENT = { timeout: 120_000 }
/** How long anything that happens by itself may take, ms. */
const SOON_MS = 30_000

const envOf = (seeds: readonly string[], partitions: number) => ({
  REDIS_CLUSTER_ENABLED: 'true',
  REDIS_ADDRESSES: seeds.join(','),
  REDIS_PARTITIONS: String(partitions),
})
const streamOf = (partition: number) => `webhook-events:{${partition}}`

/** As docs/redis.md says: otherwise slots without a master take all nodes out of service, not only that one. */
async function allowGaps(cluster: ClusterTopology): Promise<void> {
  for (const node of cluster.nodes)
    await cluster.ask(node, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
}

/** Every partition for itself accounts for all that it accepted. */
async function expectBalanced(pipeline: FaultPipeline): Promise<number[]> {
  const readings = await pipeline.readings()
  for (const { ledger } of readings) expect(ledger).toMatchObject({ unaccounted: 0 })
  return readings.map(({ ledger }) => ledger.accepted)
}

interface Page {
  readonly status: string
  readonly partitions_away: readonly number[]
}
const ready = async (port: number) => (await (await fetch(`http://127.0.0.1:${port}/ready`)).json()) as Page

/** A sender that repeats what was accepted before, again and again, and keeps the answers. */
function createRepeater(port: number, workers: number) {
  const answers = new Map<number, number>()
  const wrong: string[] = []
  const ids: { readonly delivery: string; readonly body: string; readonly id: string }[] = []
  let stopped = false
  let sent = 0
  const work = async () => {
    while (!stopped) {
      const old = ids[Math.floor(Math.random() * ids.length)]
      const fresh = old === undefined || Math.random() < 0.3
      const n = ++sent
      const delivery = fresh ? `repeated-${n}` : old.delivery
      const body = fresh
        ? JSON.stringify({ action: 'opened', n, ...(n % 5 === 0 && { failures: 2 }) })
        : old.body
      const answer = await sendGithub(port, delivery, body)
      answers.set(answer.status, (answers.get(answer.status) ?? 0) + 1)
      const id = String(answer.json.event_id)
      if (fresh && answer.status === 202) ids.push({ delivery, body, id })
      // 202 under the same id: it went by the spool, which looks for no duplicates; draining recognises it.
      if (!fresh && (answer.status > 202 || id !== old.id)) wrong.push(`${delivery}: ${answer.status} ${id}`)
    }
  }
  const working = Array.from({ length: workers }, work)
  return {
    answers,
    wrong,
    ids,
    async until(more: number) {
      const goal = (answers.get(200) ?? 0) + more
      await expect.poll(() => answers.get(200) ?? 0, { timeout: SOON_MS }).toBeGreaterThanOrEqual(goal)
    },
    async stop() {
      stopped = true
      await Promise.all(working)
    },
  }
}

describe('partitions on a Cluster', () => {
  it('spread the events over the masters; all are settled, and each balances by itself', PATIENT, () =>
    withCluster(
      async (cluster) => {
        await withPipelineOn(processes, envOf(cluster.seeds, 4), 2, async (pipeline) => {
          pipeline.sender.start(4)
          await pipeline.sender.untilAccepted(300)
          await pipeline.sender.stop()
          await pipeline.expectNothingLost()
          const accepted = await expectBalanced(pipeline)
          expect(accepted).toHaveLength(4)
          for (const count of accepted) expect(count).toBeGreaterThan(30)
          const masters = new Set<number>()
          for (let p = 0; p < 4; p++) masters.add((await cluster.masterOf(streamOf(p))).port)
          expect(masters.size).toBeGreaterThan(1)
          expect(await ready(pipeline.port)).toMatchObject({ status: 'ok', partitions_away: [] })
        })
      },
      { masters: 3, openConnections: 'allowed' },
    ),
  )

  it('are changed from 1 to 4 to 3 under load: redeliveries stay duplicates, nothing is lost', PATIENT, () =>
    withCluster(
      async (cluster) => {
        await withPipelineOn(processes, envOf(cluster.seeds, 1), 2, async (pipeline) => {
          const repeater = createRepeater(pipeline.port, 4)
          pipeline.sender.start(2)
          await repeater.until(150)
          for (const count of [4, 3]) {
            const [home] = await pipeline.partitions()
            await changePartitions(home!, count)
            // The gateway learns of it when it looks, or when a partition refuses; meanwhile it goes on.
            await repeater.until(150)
            await pipeline.gateway().waitForLine(new RegExp(`"partitions":${count},"before"`))
            await repeater.until(200)
          }
          await repeater.stop()
          await pipeline.sender.stop()
          expect(repeater.wrong).toEqual([])
          expect([...repeater.answers.keys()].sort()).toEqual([200, 202])
          await expect
            .poll(async () => (await pipeline.ledger()).settled, { timeout: SOON_MS })
            .toBe(repeater.ids.length + pipeline.sender.accepted.size)
          const accepted = await expectBalanced(pipeline)
          expect(accepted).toHaveLength(4)
          for (const count of accepted) expect(count).toBeGreaterThan(0)
          expect(accepted.reduce((a, b) => a + b)).toBe(repeater.ids.length + pipeline.sender.accepted.size)
          const effects = pipeline.effects()
          for (const { id } of repeater.ids) expect(effects.has(id), id).toBe(true)
          expect(await readPlan((await pipeline.partitions())[0]!)).toMatchObject({
            epoch: 3,
            partitions: 3,
            highest: 4,
          })
        })
      },
      { masters: 3, openConnections: 'allowed' },
    ),
  )

  it(
    'go on while the master of one is dead: its events wait in the spool, the others are settled',
    PATIENT,
    () =>
      withCluster(
        async (cluster) => {
          await allowGaps(cluster)
          await withPipelineOn(processes, envOf(cluster.seeds, 4), 1, async (pipeline) => {
            const { sender } = pipeline
            sender.start(4)
            await sender.untilAccepted(100)
            const owner = await cluster.masterOf(streamOf(1))
            const away: number[] = []
            for (let p = 0; p < 4; p++) if ((await cluster.masterOf(streamOf(p))) === owner) away.push(p)
            expect(away.length).toBeLessThan(4)
            const before = pipeline.effects().size
            // Paused, so that its replica takes over only when it is told to.
            await owner.kill('SIGSTOP')
            await expect
              .poll(async () => (await ready(pipeline.port)).partitions_away, { timeout: SOON_MS })
              .toEqual(away)
            await sender.untilAccepted(100)
            // The others' events have their effects meanwhile.
            await expect
              .poll(() => pipeline.effects().size - before, { timeout: SOON_MS })
              .toBeGreaterThan(20)
            await cluster.untilMasterOfIsNot(streamOf(1), owner)
            await sender.untilAccepted(100)
            await expect
              .poll(async () => (await ready(pipeline.port)).status, { timeout: SOON_MS })
              .toBe('ok')
            await owner.kill('SIGCONT')
            await sender.stop()
            await pipeline.expectNothingLost()
            await expectBalanced(pipeline)
            expect(sender.statuses).toEqual(new Map([[202, sender.accepted.size]]))
          })
        },
        { masters: 3, replicasPerMaster: 1, openConnections: 'allowed' },
      ),
  )

  it(
    'may be changed while one is away: what waits for it in the spool goes where it belongs now',
    PATIENT,
    () =>
      withCluster(
        async (cluster) => {
          await allowGaps(cluster)
          await withPipelineOn(processes, envOf(cluster.seeds, 4), 1, async (pipeline) => {
            const { sender } = pipeline
            sender.start(4)
            await sender.untilAccepted(100)
            const homeMaster = await cluster.masterOf(streamOf(0))
            let partition = 1
            while ((await cluster.masterOf(streamOf(partition))) === homeMaster) partition++
            const owner = await cluster.masterOf(streamOf(partition))
            await owner.kill('SIGSTOP')
            await sender.untilAccepted(100)
            const [home] = await pipeline.partitions()
            await changePartitions(home!, 3)
            await pipeline.gateway().waitForLine(/"partitions":3,"before"/)
            await sender.untilAccepted(100)
            await owner.kill('SIGCONT')
            await sender.untilAccepted(50)
            await sender.stop()
            await pipeline.expectNothingLost()
            await expectBalanced(pipeline)
            expect(sender.statuses).toEqual(new Map([[202, sender.accepted.size]]))
          })
        },
        { masters: 3, openConnections: 'allowed' },
      ),
  )

  it('move to another master under load, slot by slot', PATIENT, () =>
    withCluster(
      async (cluster) => {
        await withPipelineOn(processes, envOf(cluster.seeds, 4), 1, async (pipeline) => {
          const { sender } = pipeline
          sender.start(4)
          await sender.untilAccepted(100)
          for (const partition of [0, 2]) {
            const slot = keySlot(streamOf(partition))
            const owner = await cluster.masterOf(slot)
            const other = cluster.nodes.find((node) => node !== owner)!
            expect(await cluster.migrateSlot(slot, other)).toBe('moved')
            await sender.untilAccepted(50)
          }
          await sender.stop()
          await pipeline.expectNothingLost()
          await expectBalanced(pipeline)
          expect(sender.statuses).toEqual(new Map([[202, sender.accepted.size]]))
        })
      },
      { masters: 3, openConnections: 'allowed' },
    ),
  )
})
