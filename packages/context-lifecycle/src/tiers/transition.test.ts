/** Contexts are moved because somebody says so. */
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../../tests/support/redis.ts'
import { useTiers } from '../../../../tests/support/tiers.ts'
import { transitionContexts } from './transition.ts'

const tiers = useTiers(useRedis())
const { world, idOf, append } = tiers

describe('a transition of every context', () => {
  it('tells which cannot be moved, and moves the others', async () => {
    const all = world()
    for (const n of [1, 2, 3, 4, 5]) await append(all, n, `${n}`)
    await tiers.link.call('SETRANGE', all.keys.head(idOf(1)), 35, 'no identity')
    // More events than there are.
    await tiers.link.call('SETRANGE', all.keys.head(idOf(2)), 1, Buffer.from([0, 0, 0, 9]))
    const found = await transitionContexts(
      {
        ...all,
        places: [all.place],
        placeOf: () => all.place,
        concurrency: 2,
        now: Date.now,
        onProgress: () => undefined,
      },
      { to: 'cold', inactiveMs: 0, dryRun: false },
    )
    expect(found).toMatchObject({ moved: 3, complete: true })
    expect(found.stuck.map(({ context }) => context).sort()).toEqual([idOf(1), idOf(2)].sort())
  })
})
