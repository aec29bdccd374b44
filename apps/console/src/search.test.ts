/** GET /contexts/search over HTTP: what is found, for whom, and what is refused. */

import { embedLocally } from '@weir/ai/local-embedder'
import { createCardMaker } from '@weir/context-lifecycle/search/make-card'
import { createContextSearch } from '@weir/context-lifecycle/search/search'
import { systemClock } from '@weir/core/clock'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../tests/support/contexts.ts'
import { type EventPlan, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { expectProblem, useApi } from './server.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const serve = useApi()

async function open() {
  const pipeline = await openPipeline()
  const { contexts, place, remember } = contextsOf(pipeline)
  const model = 'local'
  const makeCard = createCardMaker({
    placeOf: () => place,
    contexts,
    opener: NO_KEYRING,
    sealing: undefined,
    enricher: {
      embeddingModel: model,
      embed: async (_tenant, text) => embedLocally(text),
      summarise: async (_tenant, { entries }) => entries.join('\n'),
    },
    enrichesLater: false,
    events: 100,
    now: systemClock.now,
  })
  const search = createContextSearch({
    places: [place],
    embedder: { model, embed: (text) => embedLocally(text) },
    clock: systemClock,
  })
  const { get, ask } = await serve(pipeline.view, { contexts, search })
  return {
    get,
    ask,
    search,
    async happens(plan: EventPlan) {
      await pipeline.accept({ tenant: 'acme', type: 'pull_request', ...plan })
      for (const id of await remember(...(await pipeline.read('consumer')))) await makeCard(id, 'words')
    },
    async subjects(query: string) {
      const { results } = (await get(`/contexts/search?${query}`)).json() as {
        results: { subject: string }[]
      }
      return results.map(({ subject }) => subject)
    },
  }
}
const LOGIN = { title: 'Fix the login of customers', body: 'The session cookie was lost, see AUTH-31.' }

describe('GET /contexts/search', () => {
  it('finds contexts by words and identifiers, best first, and says where scores come from', async () => {
    const { get, search, happens, subjects } = await open()
    await happens({ json: pullRequest(7, 'opened', LOGIN) })
    await happens({ json: pullRequest(8, 'opened', { title: 'Paint the shed' }) })
    await search.load()
    expect((await subjects('q=customer%20login'))[0]).toBe('acme/site#7')
    expect((await subjects('q=AUTH-31'))[0]).toBe('acme/site#7')
    expect((await subjects('q=acme/site%238'))[0]).toBe('acme/site#8')
    const answer = (await get('/contexts/search?q=login&limit=1&explain=true')).json() as {
      results: { score: number; parts: { weight: number; value: number }[] }[]
    }
    expect(answer).toMatchObject({
      searched: 2,
      unreadable: 0,
      meaning: 'on',
      results: [
        { subject: 'acme/site#7', title: LOGIN.title, tenant: 'acme', tool: 'github', state: 'open' },
      ],
    })
    const [{ score, parts }] = answer.results as [(typeof answer.results)[number]]
    expect(parts.reduce((sum, { weight, value }) => sum + weight * value, 0)).toBeCloseTo(score, 2)
    expect((await get('/contexts/search?q=login')).json()).not.toHaveProperty('results.0.parts')
  })

  it("shows no tenant another one's, and narrows down", async () => {
    const { search, happens, subjects } = await open()
    await happens({ json: pullRequest(7, 'opened', LOGIN) })
    await happens({ tenant: 'globex', json: pullRequest(7, 'closed', LOGIN) })
    await search.load()
    expect(await subjects('q=login')).toHaveLength(2)
    expect(await subjects('q=login&tenant=globex&state=closed')).toHaveLength(1)
    expect(await subjects('q=login&tenant=acme&state=closed')).toEqual([])
    expect(await subjects('q=login&tool=jira')).toEqual([])
  })

  it.each([
    '',
    'q=',
    'q=x&limit=0',
    'q=x&limit=101',
    'q=x&since=yesterday',
    'q=x&after=1',
    `q=${'x'.repeat(1_001)}`,
  ])('answers 400 to ?%s', async (query) => {
    const { get, search } = await open()
    await search.load()
    expectProblem(await get(`/contexts/search?${query}`), 'REQUEST_INVALID')
  })

  it('answers 503 before anything could be read, and needs the token', async () => {
    const { get, ask } = await open()
    expectProblem(await get('/contexts/search?q=login'), 'REDIS_UNAVAILABLE')
    expectProblem(await ask('/contexts/search?q=login'), 'TOKEN_REQUIRED')
  })
})
