import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { touchEvidence } from '../../../../tests/heart/touch.ts'
import { mintedBytes, passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { eventIdBytes, mintEventId } from '../event.ts'
import type { RedisLink } from '../redis/link.ts'
import type { Admission } from './admit.ts'
import { type EvidencePlace, evidenceKeys, evidencePlace } from './evidence.ts'

const WINDOW_MS = 300
const world = useWorld({
  windows: {
    short: { duration: WINDOW_MS, maxSize: 1 },
    short3: { duration: WINDOW_MS, maxSize: 3 },
    full: { duration: 300_000, maxSize: 1 },
    full3: { duration: 300_000, maxSize: 3 },
  },
  evidenceShards: 20,
})
const layout = { keys: world.keys, tool: 'github', windowMs: 1_000, shards: 16 }

describe('evidencePlace', () => {
  it('keeps all of the locator: four bytes choose the shard, twelve are the field', () => {
    const locator = Buffer.from('00000013aabbccddeeff001122334455', 'hex')
    const place = evidencePlace(layout, locator)
    expect(place.field.toString('hex')).toBe('aabbccddeeff001122334455')
    expect(place.key(7)).toBe('{webhook-events}:evidence:github:1000:7:3')
  })

  it('spreads events evenly', () => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 16_000; i++) {
      const key = evidencePlace(layout, randomBytes(16)).key(0)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    expect(counts.size).toBe(16)
    for (const count of counts.values()) {
      expect(count).toBeGreaterThan(800)
      expect(count).toBeLessThan(1_200)
    }
  })

  it('has its own keys per tool, window and slice', () => {
    const locator = randomBytes(16)
    const places = [layout, { ...layout, tool: 'jira' }, { ...layout, windowMs: 2_000 }]
    const keys = places.flatMap((each) => [1, 2].map((slice) => evidencePlace(each, locator).key(slice)))
    expect(new Set(keys).size).toBe(6)
  })
})

describe('evidenceKeys', () => {
  it('names every slice in which evidence stands that is valid at some time of a span', () => {
    const place = evidencePlace(layout, Buffer.alloc(16))
    const slices = (from: number, to: number) =>
      evidenceKeys(place, from, to).map((key) => Number(key.split(':').at(-2)))
    expect(slices(5_000, 5_000)).toEqual([4, 5])
    expect(slices(5_999, 6_000)).toEqual([4, 5, 6])
    expect(slices(5_500, 8_100)).toEqual([4, 5, 6, 7, 8])
  })
})

describe('touchEvidence', () => {
  async function admitsAgain(link: RedisLink, admission: Admission): Promise<string> {
    const id = admission.derived ? admission.id : mintEventId(Date.now())
    return (await world.admitter().admit(link, { ...admission, id })).kind
  }

  it.each([true, false])(
    'keeps an event recognised until one window after its stamp (derived: %s)',
    async (derived) => {
      const link = await world.link()
      const { admission } = await world.accept(link, { tool: 'short', derived })
      const now = await redisTime(link)
      const stamp = now + 3 * WINDOW_MS
      await touchEvidence(link, world.place('short', admission.locator), now, stamp, mintedBytes(admission))
      for (;;) {
        const asked = await redisTime(link)
        const kind = await admitsAgain(link, admission)
        if (kind === 'accepted') {
          expect(await redisTime(link)).toBeGreaterThanOrEqual(stamp + WINDOW_MS)
          break
        }
        expect(asked).toBeLessThan(stamp + WINDOW_MS)
      }
    },
  )

  it('brings evidence back that was over', async () => {
    const link = await world.link()
    const { admission, streamId } = await world.accept(link, { tool: 'short' })
    const now = await passed(link, Number(streamId.split('-')[0]) + WINDOW_MS + 1)
    await touchEvidence(link, world.place('short', admission.locator), now, now)
    expect(await admitsAgain(link, admission)).toBe('duplicate')
  })

  it('leaves the other occurrences of the key alone', async () => {
    const link = await world.link()
    const first = world.admission({ tool: 'full3' })
    const second = { ...first, id: mintEventId(Date.now()) }
    for (const admission of [first, second]) await world.admitter().admit(link, admission)
    const place = world.place('full3', first.locator)
    const now = await redisTime(link)
    for (let i = 0; i < 5; i++) await touchEvidence(link, place, now, now + i, mintedBytes(first))
    for (const admission of [first, second]) {
      expect(await world.admitter().admit(link, admission)).toEqual({ kind: 'known' })
    }
    const value = (await link.call('HGET', place.key(Math.floor(now / 300_000)), place.field)) as Buffer
    expect(value).toHaveLength(40)
    expect(value.subarray(4, 20)).toEqual(eventIdBytes(first.id))
  })

  it('never outlives the slices that read it', async () => {
    const link = await world.link()
    const locator = randomBytes(16)
    const place: EvidencePlace = world.place('short', locator)
    const now = await redisTime(link)
    await touchEvidence(link, place, now, now + 5 * WINDOW_MS)
    const first = Math.floor(now / WINDOW_MS)
    for (let slice = first; slice <= Math.floor((now + 5 * WINDOW_MS) / WINDOW_MS); slice++) {
      expect(await link.call('PEXPIRETIME', place.key(slice))).toBe((slice + 3) * WINDOW_MS)
    }
  })
})

describe('memory', () => {
  // 100 events per shard is what the shards are laid out for.
  it.each([
    { tool: 'full', kind: 'derived ids', most: 35 },
    { tool: 'full3', kind: 'minted ids', most: 48 },
  ])('of $kind is at most $most bytes an event, keys included', async ({ tool, most }) => {
    const link = await world.link()
    const admitter = world.admitter()
    const events = 2_000
    await Promise.all(Array.from({ length: events }, () => admitter.admit(link, world.admission({ tool }))))
    const shards = ((await link.call('KEYS', `${world.keys.evidence}:*`)) as Buffer[]).map(String)
    let bytes = 0
    for (const shard of shards) {
      expect(String(await link.call('OBJECT', 'ENCODING', shard))).toBe('listpack')
      bytes += (await link.call('MEMORY', 'USAGE', shard, 'SAMPLES', 0)) as number
    }
    expect(bytes / events, `${(bytes / events).toFixed(1)} bytes an event`).toBeLessThanOrEqual(most)
  })
})
