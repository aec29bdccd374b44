/** What happened around a subject. */
import { CONTEXT_ID_PATTERN } from '@weir/context-lifecycle/context-id'
import type { Contexts } from '@weir/context-lifecycle/contexts'
import { contextDocument, summaryDocument } from '@weir/context-lifecycle/document'
import { searchDocument } from '@weir/context-lifecycle/search/document'
import type { ContextSearch } from '@weir/context-lifecycle/search/search'
import type { Clock } from '@weir/core/clock'
import type { FastifyInstance } from 'fastify'
import { problemResponses } from '../openapi.ts'
import { Refusal } from '../problems.ts'
import {
  contextIdParam,
  contextQuery,
  contextSchema,
  contextsQuery,
  contextsSchema,
  searchQuery,
  searchSchema,
} from '../schemas.ts'

interface ById {
  Params: { id: string }
  Querystring: { limit: number }
}

interface Searched {
  Querystring: {
    q: string
    tenant?: string
    tool?: string
    kind?: string
    state?: string
    since?: string
    until?: string
    limit: number
    explain: boolean
  }
}

interface Listed {
  Querystring: { tenant?: string; tool?: string; limit: number }
}

const UNREADABLE = ['RECORD_CORRUPT', 'KEY_MISSING', 'KEY_DESTROYED'] as const

/** @param search over all of them */
export function contextRoutes(
  app: FastifyInstance,
  contexts: Contexts,
  search: Pick<ContextSearch, 'search'>,
  clock: Pick<Clock, 'now'>,
): void {
  app.get<Listed>(
    '/contexts',
    {
      schema: {
        tags: ['contexts'],
        operationId: 'listContexts',
        summary: 'Contexts to which something happened last, newest first',
        querystring: contextsQuery,
        response: { 200: contextsSchema, ...problemResponses('REQUEST_INVALID') },
      },
    },
    async ({ query: { tenant, tool, limit } }) => {
      let unreadable = 0
      const onUnreadable = () => void unreadable++
      const found = await contexts.list({ tenant, tool, limit, onUnreadable })
      return { contexts: found.map(summaryDocument), unreadable }
    },
  )

  app.get<Searched>(
    '/contexts/search',
    {
      schema: {
        tags: ['contexts'],
        operationId: 'searchContexts',
        summary: 'Contexts that answer a question, the best first, in whatever tier they are',
        description:
          'By words, meaning, recency and importance; `explain` tells how much each of them gave. Does not count as an access.',
        querystring: searchQuery,
        response: { 200: searchSchema, ...problemResponses('REQUEST_INVALID') },
      },
    },
    async ({ query: { explain, since, until, ...query } }) => {
      const moment = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text))
      try {
        const answer = await search.search({ ...query, since: moment(since), until: moment(until) })
        return searchDocument(answer, { explain })
      } catch (error) {
        if (error instanceof RangeError) throw new Refusal('REQUEST_INVALID', `q: ${error.message}`)
        throw error
      }
    },
  )

  app.get<ById>(
    '/contexts/:id',
    {
      schema: {
        tags: ['contexts'],
        operationId: 'getContext',
        summary:
          'What happened around one subject: timeline, people, related subjects, and how important it is',
        description: 'Counts as an access.',
        params: { type: 'object', required: ['id'], properties: { id: contextIdParam } },
        querystring: contextQuery,
        response: {
          200: contextSchema,
          ...problemResponses('REQUEST_INVALID', 'CONTEXT_ID_MALFORMED', 'CONTEXT_UNKNOWN', ...UNREADABLE),
        },
      },
    },
    async ({ params: { id }, query: { limit } }) => {
      if (!CONTEXT_ID_PATTERN.test(id)) throw new Refusal('CONTEXT_ID_MALFORMED')
      const context = await contexts.read(id, { limit, access: true })
      if (context === undefined) throw new Refusal('CONTEXT_UNKNOWN')
      const [summary, namedBy] = await Promise.all([contexts.summary(id), contexts.namedBy(id)])
      return contextDocument(context, clock.now(), summary, namedBy)
    },
  )
}
