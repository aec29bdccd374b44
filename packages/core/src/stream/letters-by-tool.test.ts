import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { RedisLink } from '../redis/link.ts'
import { listDeadLetters } from './dead-letters.ts'
import { createLettersByTool } from './letters-by-tool.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

const TOOLS = ['github', 'jira', 'gitlab']
const LONG = 60_000

const countOf = (pipeline: TestPipeline) =>
  createLettersByTool({ link: pipeline.link, keys: pipeline.keys, now: () => performance.now() })

/** By looking at every letter. */
async function scanned({ link, keys }: TestPipeline): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const { record } of await listDeadLetters(link, keys, { count: 100_000 })) {
    const tool = record?.tool ?? ''
    counts.set(tool, (counts.get(tool) ?? 0) + 1)
  }
  return counts
}

/** The letters are gone. What is begun anew within the same millisecond has the same ids, and is not told from what was lost. */
async function lose({ link, keys }: TestPipeline): Promise<void> {
  await link.call('DEL', keys.deadLetters, keys.deadIds)
  const millisecond = async () => {
    const [seconds, micros] = (await link.call('TIME')) as [Buffer, Buffer]
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
  }
  const lostAt = await millisecond()
  while ((await millisecond()) === lostAt);
}

/** Letters as they are, without what a pipeline does for each. */
async function letters({ link, keys }: TestPipeline, tool: string, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, () => link.call('XADD', keys.deadLetters, '*', 'v', '1', 'tool', tool)),
  )
}

describe('dead letters by tool', () => {
  it('are none before the first', async () => {
    expect(await countOf(await open()).read(LONG)).toEqual(new Map())
  })

  it('are those that a scan finds, whatever happens to them, for whoever began to count when', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('kill' as const), tool: fc.constantFrom(...TOOLS) }),
        fc.record({ kind: fc.constantFrom('replay' as const, 'purge' as const), at: fc.nat(20) }),
        fc.record({ kind: fc.constant('strange' as const) }),
        fc.record({ kind: fc.constant('look' as const), who: fc.nat(1) }),
        fc.record({ kind: fc.constant('lose' as const) }),
      ),
      { minLength: 20, maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(steps, async (walk) => {
        const pipeline = await open()
        const { link, keys, view } = pipeline
        await link.call('FLUSHALL')
        const counts = [countOf(pipeline), countOf(pipeline)] as const
        const check = async (who: number) =>
          expect(clean(await counts[who as 0 | 1].read(LONG))).toEqual(await scanned(pipeline))
        for (const step of walk) {
          if (step.kind === 'kill') await pipeline.kill({ tool: step.tool })
          else if (step.kind === 'strange') await link.call('XADD', keys.deadLetters, '*', 'packed', 'x')
          else if (step.kind === 'look') await check(step.who)
          else if (step.kind === 'lose') await lose(pipeline)
          else {
            const letter = (await listDeadLetters(link, keys, { count: 100 }))[step.at]
            if (letter === undefined) continue
            if (step.kind === 'replay' && letter.record) await view.deadLetters.replayOne(letter.letterId)
            else await view.deadLetters.purgeOne(letter.letterId)
          }
        }
        await check(0)
        await check(1)
      }),
      { numRuns: 15 },
    )
  })

  it('are read once each, until one is removed', async () => {
    const pipeline = await open()
    await letters(pipeline, 'github', 250)
    let pages = 0
    const run: RedisLink['run'] = (...args) => {
      pages += 1
      return pipeline.link.run(...args)
    }
    const link = { ...pipeline.link, run }
    const count = createLettersByTool({ link, keys: pipeline.keys, now: () => 0 })
    const read = async () => {
      pages = 0
      return { github: (await count.read(LONG))?.get('github'), pages }
    }
    expect(await read()).toEqual({ github: 250, pages: 3 })
    expect(await read()).toEqual({ github: 250, pages: 1 })
    await letters(pipeline, 'github', 1)
    expect(await read()).toEqual({ github: 251, pages: 1 })
    const [first] = await listDeadLetters(pipeline.link, pipeline.keys, { count: 1 })
    await pipeline.link.call('XDEL', pipeline.keys.deadLetters, first!.letterId)
    expect(await read()).toEqual({ github: 250, pages: 4 })
  })

  it('are not told before all are counted: a count that takes too long goes on at the next look', async () => {
    const pipeline = await open()
    await letters(pipeline, 'github', 250)
    const count = createLettersByTool({ link: pipeline.link, keys: pipeline.keys, now: () => 0 })
    expect(await count.read(0)).toBeUndefined()
    expect(await count.read(0)).toBeUndefined()
    expect(await count.read(0)).toEqual(new Map([['github', 250]]))
  })

  it('are counted once when two ask at once', async () => {
    const pipeline = await open()
    await letters(pipeline, 'jira', 150)
    const count = countOf(pipeline)
    const jira = new Map([['jira', 150]])
    expect(await Promise.all([count.read(LONG), count.read(LONG)])).toEqual([jira, jira])
  })
})

/** Without tools that have none left. */
function clean(counts: ReadonlyMap<string, number> | undefined): Map<string, number> {
  return new Map([...(counts ?? [])].filter(([, count]) => count > 0))
}
