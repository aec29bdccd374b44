import { contextIdBytes, contextIdOf } from '@weir/context-lifecycle/context-id'
import { mintEventId } from '@weir/core/event'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { type EventPlan, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import { useSealedWorlds } from './keys.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const openSealed = useSealedWorlds(redis, openPipeline)

/** webhook-cli on this Redis. */
const cli = (...args: string[]) => run(args, { env: { REDIS_URL: redis.url, CONTEXTS_ENABLED: 'true' } })

const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')
const TICKET = {
  webhookEvent: 'jira:issue_created',
  issue: { key: 'PROJ-12', fields: { summary: 'Mend the weir', status: { name: 'To Do' } } },
  user: { displayName: 'dora' },
}
const COMMENT = {
  action: 'created',
  issue: { ...pullRequest(7, '').pull_request, pull_request: {} },
  comment: { body: 'Good, @bob. \u001b[31mSee PROJ-12.', user: { login: 'carol' } },
  repository: { full_name: 'acme/site' },
  sender: { login: 'carol' },
}

/** A pipeline with contexts in it. */
async function open() {
  const pipeline = await openPipeline()
  const contexts = contextsOf(pipeline)
  return {
    pipeline,
    contexts,
    async happens(plan: EventPlan) {
      const { id } = await pipeline.accept({ tenant: 'acme', type: 'pull_request', ...plan })
      await contexts.remember(...(await pipeline.read('consumer-1')))
      return id
    },
  }
}

/** One that was opened and commented on, and a ticket. */
async function filled() {
  const world = await open()
  const opened = await world.happens({ json: pullRequest(7, 'opened') })
  const commented = await world.happens({ type: 'issue_comment', json: COMMENT })
  await world.happens({ tool: 'jira', type: 'jira:issue_created', json: TICKET })
  return { ...world, opened, commented }
}

describe('context show', () => {
  it('tells what happened around a subject', async () => {
    const { opened, commented } = await filled()
    const { code, out, err, rows } = await cli('context', 'show', SITE_7)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows).toContainEqual(['context', SITE_7])
    expect(rows).toContainEqual(['subject', 'github pull_request acme/site#7'])
    expect(rows).toContainEqual(['tenant', 'acme'])
    expect(rows).toContainEqual(['title', 'Change 7'])
    expect(rows).toContainEqual(['state', 'open'])
    expect(rows).toContainEqual(['link', 'https://github.com/acme/site/pull/7'])
    expect(rows).toContainEqual(['importance', expect.stringMatching(/^0\.\d{3}$/)])
    expect(rows).toContainEqual(['events', expect.stringMatching(/^2 events, \d+/)])
    expect(rows).toContainEqual(['read', '1 time'])
    expect(rows).toContainEqual(['people', 'carol (1), alice (1)'])
    expect(rows).toContainEqual(['mentioned', 'bob'])
    expect(rows).toContainEqual(['related', 'jira PROJ-12'])
    expect(rows.at(-3)).toEqual(['AT', 'WHO', 'WHAT', 'STATE', 'TEXT', 'EVENT'])
    expect(rows.at(-2)).toEqual([expect.any(String), 'alice', 'opened', 'open', '-', opened])
    expect(rows.at(-1)?.slice(1, 3)).toEqual(['carol', 'commented'])
    expect(rows.at(-1)?.at(-1)).toBe(commented)
    expect(out).not.toContain('\u001b') // nothing that a terminal would obey
    expect(out).not.toContain('WEIGHT')
  })

  it('finds it by one of its events, and by its subject', async () => {
    const { opened } = await filled()
    const shown = { code: 0, err: '', out: expect.stringContaining(SITE_7) }
    expect(await cli('context', 'show', opened)).toMatchObject(shown)
    const subject = ['context', 'show', '--tool', 'github', 'acme/site#7']
    expect(await cli(...subject, '--tenant', 'acme')).toMatchObject(shown)
    expect(await cli(...subject)).toMatchObject({ code: 1, out: '' }) // of the default tenant
    const ticket = await cli('context', 'show', '--tool', 'jira', '--tenant', 'acme', 'PROJ-12', '--json')
    expect(ticket.json()).toMatchObject({ title: 'Mend the weir', kind: 'issue', accesses: 1 })
  })

  it('explains its importance: the parts add up', async () => {
    await filled()
    const { out, rows } = await cli('context', 'show', SITE_7, '--explain')
    const head = rows.findIndex(([first]) => first === 'PART')
    expect(rows[head]).toEqual(['PART', 'WEIGHT', 'VALUE', 'GIVES', 'WHY'])
    const parts = rows.slice(head + 1, head + 10)
    expect(parts.map(([part]) => part)).toContain('recency')
    const sum = parts.reduce((total, [, weight, value]) => total + Number(weight) * Number(value), 0)
    const importance = Number(/^importance {2,}(\S+)/m.exec(out)?.[1])
    expect(Math.abs(sum - importance)).toBeLessThan(0.001)
    expect(rows[head + 10]).toEqual([`importance ${importance.toFixed(3)}`])
  })

  it('shows the newest so far as asked, and says that there are earlier ones', async () => {
    const { commented } = await filled()
    const { rows, out } = await cli('context', 'show', SITE_7, '--limit', '1')
    expect(rows.at(-2)?.at(-1)).toBe(commented)
    expect(out).toMatch(/\n\n1 earlier event: --limit shows more\n$/)
    expect(out).toMatch(/events +2 events/)
  })

  it('answers with --json what the operations API does, and counts each look', async () => {
    const { opened } = await filled()
    await cli('context', 'show', SITE_7)
    const document = (await cli('context', 'show', SITE_7, '--json')).json()
    expect(document).toMatchObject({
      ...{ context_id: SITE_7, tenant: 'acme', tool: 'github', kind: 'pull_request', subject: 'acme/site#7' },
      ...{ title: 'Change 7', state: 'open', severity: null, events: 2, accesses: 2 },
      last_access_at: expect.stringMatching(/Z$/),
      people: [
        { name: 'carol', events: 1 },
        { name: 'alice', events: 1 },
      ],
      mentioned: ['bob'],
      related: [{ tool: 'jira', subject: 'PROJ-12', context_id: contextIdOf('acme', 'jira', 'PROJ-12') }],
      named_by: [],
      timeline: [{ event_id: opened, event: 'pull_request.opened', who: 'alice' }, { who: 'carol' }],
    })
  })

  it('ends with 1 when there is no such context, and says so of what was asked for', async () => {
    const { pipeline } = await filled()
    const nothing = contextIdOf('acme', 'github', 'nothing')
    expect(await cli('context', 'show', nothing)).toMatchObject({
      code: 1,
      out: '',
      err: `error: nothing is remembered of ${nothing}: no consumer has taken up an event of it\n`,
    })
    const { id } = await pipeline.accept()
    for (const event of [mintEventId(Date.now()), id]) {
      expect(await cli('context', 'show', event)).toMatchObject({
        code: 1,
        out: '',
        err: `error: ${event} is in no context: it was never accepted here, or no consumer has taken it up yet\n`,
      })
    }
    expect(await cli('context', 'show', '--tool', 'jira', 'PROJ-13', '--json')).toMatchObject({
      code: 1,
      out: '',
    })
  })

  it('ends with 2 for an argument that is none, and says what to do', async () => {
    await filled()
    for (const nonsense of ['acme/site#7', 'ctx_short', 'evt_short', '']) {
      expect(await cli('context', 'show', nonsense), nonsense).toMatchObject({
        code: 2,
        out: '',
        err: `error: ${JSON.stringify(nonsense)} is the id neither of a context nor of an event; name a subject with --tool, such as --tool github acme/site#42.\n`,
      })
    }
    expect(await cli('context', 'show', '--tool', 'githb', 'x')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Did you mean github?'),
    })
    expect(await cli('context', 'show')).toMatchObject({ code: 2, out: '' })
    expect(await cli('context', 'show', SITE_7, '--limit', '0')).toMatchObject({ code: 2, out: '' })
  })
})

describe('context list', () => {
  it('lists contexts by what happened last, also by tenant and tool', async () => {
    const { happens } = await filled()
    await happens({ tenant: 'globex', json: pullRequest(1, 'opened') })
    await cli('context', 'show', SITE_7)
    const { code, err, rows } = await cli('context', 'list')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows[0]).toEqual([
      'CONTEXT',
      'TENANT',
      'TOOL',
      'KIND',
      'SUBJECT',
      'TIER',
      'EVENTS',
      'READ',
      'ACTIVE',
    ])
    const time = expect.stringMatching(/^\d{4}-.*Z$/)
    expect(rows[1]).toEqual([SITE_7, 'acme', 'github', 'pull_request', 'acme/site#7', 'hot', '2', '1', time])
    expect(rows.slice(2).map((row) => row[4])).toEqual(['acme/site#1', 'PROJ-12'])

    const subjects = async (...args: string[]) => {
      const { contexts } = (await cli('context', 'list', '--json', ...args)).json() as {
        contexts: { subject: string }[]
      }
      return contexts.map(({ subject }) => subject)
    }
    expect(await subjects('--tenant', 'globex')).toEqual(['acme/site#1'])
    expect(await subjects('--tool', 'jira')).toEqual(['PROJ-12'])
    expect(await subjects('--tool', 'jira', '--tenant', 'globex')).toEqual([])
    expect(await subjects('--limit', '1')).toEqual(['acme/site#7'])
    expect((await cli('context', 'list', '--json', '--tool', 'jira')).json()).toEqual({
      contexts: [
        {
          context_id: contextIdOf('acme', 'jira', 'PROJ-12'),
          ...{ tenant: 'acme', tool: 'jira', kind: 'issue', subject: 'PROJ-12', events: 1, accesses: 0 },
          active_at: time,
          tier: 'hot',
        },
      ],
      unreadable: 0,
    })
    expect(await cli('context', 'list', '--tenant', 'a/b')).toMatchObject({ code: 2, out: '' })
  })

  it('says when there are none', async () => {
    await open()
    expect(await cli('context', 'list')).toMatchObject({ code: 0, out: 'there are no contexts\n', err: '' })
    expect((await cli('context', 'list', '--json')).json()).toEqual({ contexts: [], unreadable: 0 })
    const off = { env: { REDIS_URL: redis.url, CONTEXTS_ENABLED: 'false' } }
    expect((await run(['context', 'list'], off)).out).toMatch(/^there are no contexts; they are switched off/)
    expect((await run(['context', 'show', SITE_7], off)).err).toMatch(
      /; they are switched off here \(CONTEXTS_/,
    )
    await filled()
    expect((await run(['context', 'list'], off)).rows).toHaveLength(3)
    expect((await run(['context', 'show', SITE_7], off)).code).toBe(0)
    expect(await cli('context', 'list', '--tenant', 'nobody')).toMatchObject({
      code: 0,
      out: 'there are none of these\n',
    })
  })
})

describe('encrypted contexts', () => {
  it('open with the master key, and without it say what is missing', async () => {
    const world = await openSealed()
    const { pipeline, keyring, cli: sealed } = world
    const contexts = contextsOf(pipeline, keyring)
    await pipeline.accept({ tenant: 'acme', type: 'pull_request', json: pullRequest(7, 'opened') })
    await contexts.remember(...(await pipeline.read('consumer-1')))
    expect(await sealed(['context', 'show', SITE_7])).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('Change 7'),
    })
    expect((await sealed(['context', 'list'])).out).toContain('acme/site#7')

    const env = { ENCRYPTION_MASTER_KEY: undefined }
    const shown = await sealed(['context', 'show', SITE_7], { env })
    expect(shown).toMatchObject({ code: 2, out: '', err: expect.stringContaining('KEY_MISSING') })
    const listed = await sealed(['context', 'list'], { env })
    expect(listed).toMatchObject({
      code: 0,
      out: 'there are none that can be read here\n',
      err: expect.stringMatching(/^note: 1 context left out: .*keys status --count/),
    })
    expect((await sealed(['context', 'list', '--json'], { env })).json()).toEqual({
      contexts: [],
      unreadable: 1,
    })
  })
})

describe('context predictions', () => {
  const MINUTE_MS = 60_000
  const DAY_MS = 1440 * MINUTE_MS
  const TICKET = contextIdOf('acme', 'jira', 'PROJ-12')

  /** The ticket was read after the change on each of so many days, and the change is read now. */
  async function accessed(days: number) {
    const { pipeline, contexts } = await filled()
    const [seconds] = (await pipeline.link.call('TIME')) as Buffer[]
    const now = Number(seconds) * 1000
    for (let day = days; day > 0; day--) {
      // At another hour each day, so that the hour says nothing.
      const at = now - day * DAY_MS + day * 70 * MINUTE_MS
      for (const [id, ms] of [
        [SITE_7, at],
        [TICKET, at + 5 * MINUTE_MS],
      ] as const)
        await pipeline.link.call('XADD', contexts.keys.accesses, `${ms}-*`, 'c', contextIdBytes(id))
    }
    await cli('context', 'show', SITE_7)
  }

  it('shows what will be read next, with reasons in words', async () => {
    await accessed(7)
    const { code, rows } = await cli('context', 'predictions')
    expect(code).toBe(0)
    expect(rows).toEqual([
      ['CONTEXT', 'TENANT', 'SUBJECT', 'TIER', 'CONFIDENCE', 'ENOUGH', 'REASONS'],
      [TICKET, 'acme', 'jira PROJ-12', 'hot', '0.778', 'yes', 'read after github acme/site#7 7 of 7 times'],
    ])
    const document = (await cli('context', 'predictions', '--json')).json()
    expect(document).toEqual({
      predictions: [
        {
          ...{ context_id: TICKET, tenant: 'acme', tool: 'jira', subject: 'PROJ-12', tier: 'hot' },
          ...{ confidence: 0.778, enough: true },
          reasons: [
            {
              ...{ kind: 'sequence', share: 0.778, after: SITE_7 },
              text: 'read after github acme/site#7 7 of 7 times',
            },
          ],
        },
      ],
      threshold: 0.7,
      accesses: 15,
      unreadable: 0,
    })
    // Looking is no access.
    expect((await cli('context', 'show', TICKET, '--json')).json()).toMatchObject({ accesses: 1 })
  })

  it('shows what is too uncertain too, and as many as are asked for', async () => {
    await accessed(2)
    expect((await cli('context', 'predictions')).rows[1]?.slice(4, 6)).toEqual(['0.500', 'no'])
    expect((await cli('context', 'predictions', '--limit', '0')).code).toBe(2)
  })

  it('says why there is nothing', async () => {
    await filled()
    expect((await cli('context', 'predictions')).out).toBe('no accesses were noted\n')
    await cli('context', 'show', SITE_7)
    expect((await cli('context', 'predictions')).out).toBe('nothing can be said from one access\n')
  })

  it('leaves out what was removed', async () => {
    await accessed(7)
    await cli('retention', 'run', '--older-than', '0s', '--yes')
    expect((await cli('context', 'predictions', '--json')).json()).toMatchObject({ predictions: [] })
  })
})
