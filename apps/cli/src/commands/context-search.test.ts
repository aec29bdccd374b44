/** webhook-cli context search: straight out of Redis, no app runs. */
import { createCardMaker } from '@weir/context-lifecycle/search/make-card'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const cli = (...args: string[]) => run(args, { env: { REDIS_URL: redis.url } })

async function filled() {
  const pipeline = await openPipeline()
  const { contexts, place, remember } = contextsOf(pipeline)
  const makeCard = createCardMaker({
    placeOf: () => place,
    contexts,
    opener: NO_KEYRING,
    sealing: undefined,
    enricher: undefined,
    enrichesLater: false,
    events: 100,
    now: () => 1_700_000_000_000,
  })
  for (const [tenant, number, title] of [
    ['acme', 7, 'Fix the login of customers'],
    ['acme', 8, 'Paint the shed'],
    ['globex', 9, 'Another login'],
  ] as const) {
    await pipeline.accept({ tenant, type: 'pull_request', json: pullRequest(number, 'opened', { title }) })
    for (const id of await remember(...(await pipeline.read('consumer')))) await makeCard(id, 'words')
  }
}

describe('context search', () => {
  it('finds contexts by what happened, the best first', async () => {
    await filled()
    const { code, rows, err } = await cli('context', 'search', 'customers', 'login')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows[0]).toEqual(['SCORE', 'CONTEXT', 'TENANT', 'TOOL', 'SUBJECT', 'STATE', 'LAST', 'TITLE'])
    expect(rows[1]).toMatchObject({
      2: 'acme',
      3: 'github',
      4: 'acme/site#7',
      7: 'Fix the login of customers',
    })
    const { results } = (await cli('context', 'search', 'login', '--tenant', 'globex', '--json')).json() as {
      results: { subject: string }[]
    }
    expect(results.map(({ subject }) => subject)).toEqual(['acme/site#9'])
  })

  it('shows where scores come from', async () => {
    await filled()
    const { out } = await cli('context', 'search', 'shed', '--limit', '1', '--explain')
    expect(out).toMatch(/PART +WEIGHT +VALUE +GIVES +WHY/)
    expect(out).toMatch(/^text .* shed/m)
  })

  it('says that nothing was found, and what it takes for no question', async () => {
    await openPipeline()
    expect(await cli('context', 'search', 'nothing')).toMatchObject({
      code: 1,
      out: 'nothing found in 0 contexts\n',
    })
    await filled()
    expect(await cli('context', 'search', '')).toMatchObject({ code: 2, out: '' })
    expect((await cli('context', 'search')).code).toBe(2)
    expect((await cli('context', 'search', 'x'.repeat(2_000))).err).toMatch(/1,?000/)
  })
})
