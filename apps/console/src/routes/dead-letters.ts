/** Dead letters: page by page, and one taken up again. */
import type { Auditor } from '@weir/core/audit/auditor'
import { EVENT_ID_PATTERN } from '@weir/core/event'
import type { PipelineView } from '@weir/core/pipeline-view'
import { isLetterId } from '@weir/core/view/dead-letters'
import type { FastifyInstance } from 'fastify'
import { operatorAt } from '../access-notes.ts'
import { problemResponses } from '../openapi.ts'
import { Refusal } from '../problems.ts'
import { deadLetterPageSchema, deadLetterQuery, letterIdParam, replaySchema } from '../schemas.ts'

interface List {
  Querystring: {
    after?: string
    count: number
    tool?: string
    tenant?: string
    reason?: string
    since?: string
    until?: string
  }
}

interface ById {
  Params: { id: string }
}

export function deadLetterRoutes(app: FastifyInstance, view: PipelineView, audit: Auditor): void {
  app.get<List>(
    '/dlq',
    {
      schema: {
        tags: ['dead letters'],
        operationId: 'listDeadLetters',
        summary: 'A page of dead letters, oldest first',
        description:
          'A filtered page may be shorter than asked for, or empty, and not be the last: go on with `next` until it is null.',
        querystring: deadLetterQuery,
        response: {
          200: deadLetterPageSchema,
          ...problemResponses('REQUEST_INVALID', 'LETTER_ID_MALFORMED'),
        },
      },
    },
    async ({ query: { count, since, until, ...query } }) => {
      if (query.after !== undefined && !isLetterId(query.after)) throw new Refusal('LETTER_ID_MALFORMED')
      return view.deadLetters.page({ ...query, since: millisOf(since), until: millisOf(until) }, count)
    },
  )

  app.post<ById>(
    '/dlq/:id/replay',
    {
      schema: {
        tags: ['dead letters'],
        operationId: 'replayDeadLetter',
        summary: 'Take a dead letter up again, with all its attempts before it',
        description:
          '`superseded`: a redelivery of the same event was accepted or settled meanwhile, so this letter was closed and nothing runs twice.',
        params: { type: 'object', required: ['id'], properties: { id: letterIdParam } },
        response: {
          200: replaySchema,
          ...problemResponses('LETTER_ID_MALFORMED', 'LETTER_UNKNOWN', 'LETTER_UNREADABLE'),
        },
      },
    },
    async ({ params: { id }, ip, log }) => {
      if (!isLetterId(id) && !EVENT_ID_PATTERN.test(id)) throw new Refusal('LETTER_ID_MALFORMED')
      const entry = { actor: operatorAt(ip), action: 'dlq.replay', target: `letter ${id}` }
      // Nothing is done that the audit trail cannot be told of; what became of it may be told a little later.
      const intended = (await audit.record({ ...entry, outcome: 'intended' }))?.n ?? null
      const tell = (outcome: string) => audit.note({ ...entry, outcome, detail: { intended } })
      const outcome = await view.deadLetters.replayOne(id).catch((error: unknown) => {
        tell('failed')
        throw error
      })
      tell(outcome)
      if (outcome === 'absent') throw new Refusal('LETTER_UNKNOWN')
      if (outcome === 'unreadable') throw new Refusal('LETTER_UNREADABLE')
      log.info({ letter: id, outcome }, 'dead letter replayed')
      return { outcome }
    },
  )
}

function millisOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time)
}
