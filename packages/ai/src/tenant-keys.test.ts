import { describe, expect, it } from 'vitest'
import { useLink } from '../../../tests/support/ai.ts'
import { createBudget } from './budget.ts'
import { createCache } from './cache.ts'
import { enrichmentKeysOf, removeEnrichment } from './tenant-keys.ts'

const world = useLink()
const PREFIX = '{webhook-events}:ai:'

describe('what enrichment keeps of a tenant', () => {
  it('is found and removed, and that of others stays, also where a name begins with its name', async () => {
    const { link } = world
    const ttlMs = { embedding: 60_000, summary: 60_000 }
    const failed = (error: Error) => {
      throw error
    }
    const cache = createCache({ link, prefix: PREFIX, sealing: undefined, ttlMs, failed })
    const budget = createBudget({ link, prefix: PREFIX, dailyTokens: 10 })
    for (const tenant of ['acme', 'acme-2', 'acme2']) {
      const many = new Map(Array.from({ length: 250 }, (_, n) => [`name-${n}`, Buffer.from('x')] as const))
      await cache.put(tenant, 'embedding', many)
      await cache.put(tenant, 'summary', new Map([['s', Buffer.from('x')]]))
      await budget.reserve(tenant, 5)
    }
    const keys = await enrichmentKeysOf(link, PREFIX, 'acme')
    expect([keys.cached.length, keys.budget.length]).toEqual([251, 1])
    await removeEnrichment(link, keys)
    expect(await enrichmentKeysOf(link, PREFIX, 'acme')).toEqual({ cached: [], budget: [] })
    expect(await link.call('DBSIZE')).toBe(2 * 252)
    expect(await budget.used('acme')).toEqual({ tokens: 0, cost: 0 })
    await removeEnrichment(link, keys)
  })
})
