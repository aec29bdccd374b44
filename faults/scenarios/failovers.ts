/** What happens to the masters of a Redis of several servers. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Durability, type OnCluster, onCluster, type UnderSentinels, underSentinels } from '../places.ts'
import { A_WHILE, type Scenario, scenario } from '../scenario.ts'
import type { World } from '../world.ts'

/** In less time than it takes the Sentinels to call them dead, ms. */
const LAG_MS = 700

async function masterKilled({ place: { sentinel }, deeds, untilAccepted }: World<UnderSentinels>) {
  const old = await sentinel.master()
  await old.kill('SIGKILL')
  deeds.kills++
  await sentinel.untilMasterIsNot(old)
  deeds.failovers++
  await untilAccepted(A_WHILE)
  await old.restart()
  await sentinel.untilReplicasInSync()
  await untilAccepted(A_WHILE)
}

/** The promoted replica lacks what its master had not yet sent: replicas stand still before it dies. */
async function laggingMasterKilled({ place: { sentinel }, deeds, untilAccepted }: World<UnderSentinels>) {
  const old = await sentinel.master()
  const replicas = await sentinel.replicas()
  await Promise.all(replicas.map((replica) => replica.kill('SIGSTOP')))
  await pause(LAG_MS)
  await old.kill('SIGKILL')
  deeds.kills++
  await Promise.all(replicas.map((replica) => replica.kill('SIGCONT')))
  await sentinel.untilMasterIsNot(old)
  deeds.failovers++
  await untilAccepted(A_WHILE)
  await old.restart()
  await sentinel.untilReplicasInSync()
}

/** Nobody remembers what the old master had and the new one has not, but the spools and the replicas. */
async function masterAndGatewaysKilled(world: World<UnderSentinels>) {
  const { place, gateways, deeds, untilAccepted } = world
  const { sentinel } = place
  const old = await sentinel.master()
  const replicas = await sentinel.replicas()
  await Promise.all(replicas.map((replica) => replica.kill('SIGSTOP')))
  await pause(LAG_MS)
  await Promise.all([old.kill('SIGKILL'), ...gateways.map((gateway) => world.kill(gateway))])
  deeds.kills++
  await Promise.all(replicas.map((replica) => replica.kill('SIGCONT')))
  await sentinel.untilMasterIsNot(old)
  deeds.failovers++
  await Promise.all(gateways.map((gateway) => gateway.start()))
  await untilAccepted(A_WHILE)
  await old.restart()
  await sentinel.untilReplicasInSync()
}

/** More than the kernel holds for a stopped process. */
const HEAVY = { failingEvery: 0, deadlyEvery: 0, takesMs: 0, padding: 60_000 }

function sentinels(
  name: string,
  what: string,
  durability: Durability,
  round: (world: World<UnderSentinels>) => Promise<void>,
  load = {},
): Scenario {
  return scenario({ name, what, promised: durability === 'replica' }, async () => ({
    place: await underSentinels(durability),
    load,
    round,
  }))
}

function cluster(name: string, what: string, round: (world: World<OnCluster>) => Promise<void>): Scenario {
  return scenario({ name, what }, async () => ({ place: await onCluster('replica'), round }))
}

const PARTITION = 'webhook-events:{0}'
/** One slot of each third, and so of each master. */
const SLOTS_OF_MASTERS = [0, 8_000, 16_000]

export const FAILOVER_SCENARIOS: readonly Scenario[] = [
  sentinels('master-killed', 'SIGKILL of the master', 'replica', masterKilled),
  sentinels('master-killed-local', 'SIGKILL of the master', 'local', masterKilled),
  sentinels('lagging-replicas', 'SIGKILL of a master whose replicas lag', 'replica', laggingMasterKilled, {
    mix: HEAVY,
  }),
  sentinels(
    'lagging-replicas-local',
    'SIGKILL of a master whose replicas lag',
    'local',
    laggingMasterKilled,
    {
      mix: HEAVY,
    },
  ),
  sentinels(
    'master-and-gateways-killed',
    'SIGKILL of a master whose replicas lag, and of the gateways',
    'replica',
    masterAndGatewaysKilled,
    { mix: HEAVY },
  ),
  sentinels(
    'master-and-gateways-killed-local',
    'SIGKILL of a master whose replicas lag, and of the gateways',
    'local',
    masterAndGatewaysKilled,
    { mix: HEAVY },
  ),
  sentinels(
    'master-returns',
    'the master stands still until a replica is promoted, and returns',
    'replica',
    async ({ place: { sentinel }, deeds, untilAccepted }) => {
      const old = await sentinel.master()
      await old.kill('SIGSTOP')
      await sentinel.untilMasterIsNot(old)
      deeds.failovers++
      await untilAccepted(A_WHILE)
      await old.kill('SIGCONT')
      await sentinel.untilReplicasInSync()
      await untilAccepted(A_WHILE)
    },
  ),
  sentinels(
    'switchover',
    'SENTINEL FAILOVER of a healthy master',
    'replica',
    async ({ place: { sentinel }, deeds, untilAccepted }) => {
      await sentinel.failover()
      deeds.failovers++
      await sentinel.untilReplicasInSync()
      await untilAccepted(A_WHILE)
    },
  ),
  cluster('cluster-master-killed', 'SIGKILL of a master', async ({ place, deeds, untilAccepted }) => {
    const old = await place.cluster.masterOf(PARTITION)
    await old.kill('SIGKILL')
    deeds.kills++
    await place.cluster.untilMasterOfIsNot(PARTITION, old)
    deeds.failovers++
    await untilAccepted(A_WHILE)
    await old.restart()
    await place.cluster.untilStable()
    await untilAccepted(A_WHILE)
  }),
  cluster(
    'cluster-switchover',
    'CLUSTER FAILOVER of a healthy master',
    async ({ place, deeds, untilAccepted }) => {
      await place.cluster.failover(PARTITION)
      deeds.failovers++
      await place.cluster.untilStable()
      await untilAccepted(A_WHILE)
    },
  ),
  cluster(
    'slot-migration',
    'the slot of a partition moves to another master',
    async ({ place, oneOf, untilAccepted }) => {
      const { cluster } = place
      const slot = await cluster.slotOf(PARTITION)
      const owner = await cluster.masterOf(slot)
      const masters = await Promise.all(SLOTS_OF_MASTERS.map((each) => cluster.masterOf(each)))
      await cluster.migrateSlot(slot, oneOf(masters.filter((node) => node !== owner)))
      await cluster.untilStable()
      await untilAccepted(A_WHILE)
    },
  ),
]
