/**
 * Every script touches keys of one slot only, so that the same layout works on a Cluster. Run against a real server in
 * cluster mode, which refuses a script over keys of two slots; and calculated from the keys. Keys that a script makes up
 * itself (bloom filters) are seen in what it leaves behind.
 */
import { createRequire } from 'node:module'
import { beforeEach, expect, it } from 'vitest'
import { partitionKeys } from '../../packages/core/src/keys.ts'
import { planText } from '../../packages/core/src/plan.ts'
import type { RedisLink } from '../../packages/core/src/redis/link.ts'
import {
  appendAudit,
  putAuditCheckpoint,
  readAuditState,
  trimAudit,
} from '../../packages/core/src/stream/audit-log.ts'
import {
  acquireProbe,
  readBreaker,
  releaseProbe,
  reportBreaker,
} from '../../packages/core/src/stream/breaker.ts'
import {
  findDeadLetter,
  purgeDeadLetter,
  replayDeadLetter,
} from '../../packages/core/src/stream/dead-letters.ts'
import { ensureGroup } from '../../packages/core/src/stream/group.ts'
import { readLedger } from '../../packages/core/src/stream/ledger.ts'
import { leasePermits, returnLimits, takeLimits } from '../../packages/core/src/stream/limits.ts'
import { locateEvent } from '../../packages/core/src/stream/locate.ts'
import { settledKeys, settledMember } from '../../packages/core/src/stream/long-memory.ts'
import { renewLeases, renewPending, wakeParked } from '../../packages/core/src/stream/parked.ts'
import {
  changePartitions,
  drainedBefore,
  ensurePlan,
  spreadPlan,
} from '../../packages/core/src/stream/plans.ts'
import { removeConsumers } from '../../packages/core/src/stream/reclaim.ts'
import { trimSettled } from '../../packages/core/src/stream/trim.ts'
import { movesOf } from './moves.ts'
import { NAMES, redisTime, useWorld } from './world.ts'

const slotOf: (key: string) => number = createRequire(createRequire(import.meta.url).resolve('ioredis'))(
  'cluster-key-slot',
)

const keys = partitionKeys({ ...NAMES, cluster: true }, 3)
const world = useWorld({
  keys,
  args: ['--cluster-enabled', 'yes'],
  windows: { three: { duration: 300_000, maxSize: 3 } },
})
const { held, settle, parkNow, buryNow, claim } = movesOf(world)

beforeEach(async () => {
  const control = world.redis.client()
  const state = async () => String(await control.call('CLUSTER', 'INFO'))
  if ((await state()).includes('cluster_slots_assigned:0')) {
    await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  }
  await expect.poll(state).toContain('cluster_state:ok')
})

/** The link, and the keys with which each script was called over it. */
function recording(link: RedisLink): { link: RedisLink; calls: Map<string, Set<string>> } {
  const calls = new Map<string, Set<string>>()
  return {
    calls,
    link: {
      ...link,
      get connected() {
        return link.connected
      },
      run(script, scriptKeys, args) {
        const slots = new Set(scriptKeys.map(slotOf))
        expect(slots.size, `${script.name}: ${scriptKeys.join(' ')}`).toBe(1)
        calls.set(script.name, new Set([...(calls.get(script.name) ?? []), ...scriptKeys]))
        return link.run(script, scriptKeys, args)
      },
    },
  }
}

it('all keys of every script are in one slot', async () => {
  const { link, calls } = recording(await world.link())
  const limits = [
    { type: 'ip', name: '192.0.2.1', limit: 20, periodMs: 60_000 },
    { type: 'global', name: 'all{x}', limit: 10_000, periodMs: 1_000 },
  ] as const
  await ensureGroup(link, keys)
  for (const tool of ['github', 'three']) {
    const { admission, entry } = await held(link, { tool, limits })
    const place = world.place(tool, admission.locator)
    await renewPending(link, keys, 'a', [entry.streamId])
    await parkNow(link, entry, { delayMs: 0 })
    const [leased] = await claim(link, 'token')
    await renewLeases(link, keys, 'token', 60_000, [entry.streamId])
    await buryNow(link, leased!)
    const letter = (await findDeadLetter(link, keys, admission.id))!
    const now = await redisTime(link)
    const settled = {
      keys: settledKeys(world.memory, now, admission.locator),
      member: settledMember(admission.locator),
    }
    const which = { letterId: letter.letterId, record: letter.record! }
    expect(await replayDeadLetter(link, keys, which, place, settled, now)).toBe('replayed')
    await wakeParked(link, keys, 'replay')
    const locating = { keys, memory: world.memory, evidence: () => [place] }
    expect(await locateEvent(link, locating, admission.id)).toMatchObject({ place: 'parked' })
    const [again] = await claim(link, 'token')
    expect(await settle(link, [{ ...again!, renew: place }])).toBe(1)
    expect(await locateEvent(link, locating, admission.id)).toMatchObject({ place: 'settled' })
  }
  const place = { link, keys }
  const lease = await leasePermits(place, limits[1], 5, { cell: 0, permits: 0 })
  await leasePermits(place, limits[1], 5, lease)
  const taken = await takeLimits(place, limits)
  if (taken.kind === 'taken') await returnLimits(place, limits, taken.stamp)
  const foreign = world.admission({ limits })
  await world.admitter().admit(link, { ...foreign, fields: [...foreign.fields, 'new', 'field'] })
  await world.read(link, 'a')
  const { admission, entry } = await held(link)
  await buryNow(link, entry)
  const letter = (await findDeadLetter(link, keys, admission.id))!
  await purgeDeadLetter(link, keys, { letterId: letter.letterId, eventId: admission.id })
  await trimSettled(link, keys, 0)
  await removeConsumers(link, keys, { idleMs: 0 })
  await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
  await ensureGroup(link, keys)
  const breaker = { failureThreshold: 1, openDurationMs: 0, probeLeaseMs: 1 }
  await reportBreaker(link, keys, 'github', breaker, 1, false)
  await acquireProbe(link, keys, 'github', breaker)
  await releaseProbe(link, keys, 'github')
  await readBreaker(link, keys, 'github')
  const plan = await ensurePlan({ link, keys }, 4)
  const standing = { epoch: plan.epoch, plan: planText(plan), elsewhere: 0, firstId: undefined }
  for (const tool of ['github', 'three']) {
    const event = world.admission({ tool, limits })
    expect(await world.admitter().look(link, event, standing)).toMatchObject({ kind: 'seen', occurrences: 0 })
    const accepted = await world.admitter().admitUnder(link, event, standing)
    expect(accepted).toMatchObject({ kind: 'accepted' })
    expect(await world.admitter().look(link, event, standing)).not.toMatchObject({ occurrences: 0 })
  }
  const admitter = world.admitter()
  const pair = () => [world.admission(), world.admission()]
  await Promise.all(pair().map((event) => admitter.admit(link, event)))
  await Promise.all(pair().map((event) => admitter.admitUnder(link, event, standing)))
  await spreadPlan({ link, keys }, await changePartitions({ link, keys }, 5))
  await drainedBefore({ link, keys }, 1)
  const { head } = await readAuditState(link, keys)
  const line = { n: 1, hash: 'a'.repeat(64), text: `{"n":1,"at":1,"hash":"${'a'.repeat(64)}"}` }
  expect(await appendAudit(link, keys, head, [line], 1)).toMatchObject({ kind: 'appended' })
  await putAuditCheckpoint(link, keys, 0, { n: 1, at: 1, text: line.text })
  expect(await trimAudit(link, keys, 2)).toMatchObject({ kind: 'trimmed', removed: 1 })
  expect((await readLedger(link, keys)).ledger.unaccounted).toBe(0)
  const left = ((await link.call('KEYS', '*')) as Buffer[])
    .map(String)
    .filter((key) => !key.startsWith('weir:'))
  expect(left.some((key) => key.startsWith(`${keys.bloom}:`) && key.endsWith(':0'))).toBe(true)
  expect(new Set(left.map(slotOf))).toEqual(new Set([slotOf(keys.stream)]))
  expect([...calls.keys()].sort()).toEqual([
    'acquire-probe',
    'admit',
    'admit-any',
    'admit-fenced',
    'admit-together',
    'admit-together-fenced',
    'append-audit',
    'change-plan',
    'claim-parked',
    'dead-letter',
    'drained-before',
    'ensure-group',
    'lease-permits',
    'look',
    'park',
    'purge',
    'put-audit-checkpoint',
    'read-audit-state',
    'read-breaker',
    'read-ledger',
    'read-parked',
    'release-probe',
    'remove-consumers',
    'renew-leases',
    'renew-pending',
    'replay',
    'report-breaker',
    'return-limits',
    'search-stream',
    'settle',
    'spread-plan',
    'take-limits',
    'trim',
    'trim-audit',
    'wake-parked',
  ])
})

it('a script over keys of two slots is refused by this server: the test above can fail', async () => {
  const link = await world.link()
  await expect(ensureGroup(link, partitionKeys({ ...NAMES, cluster: false }))).rejects.toThrow('CROSSSLOT')
})
