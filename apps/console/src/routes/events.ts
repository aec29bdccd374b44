/** Where an event is, and its bytes. */
import type { EventLookup } from '@weir/context-lifecycle/event-lookup'
import { EVENT_ID_PATTERN } from '@weir/core/event'
import { headerOf } from '@weir/core/view/body'
import type { FastifyInstance } from 'fastify'
import { problemResponses } from '../openapi.ts'
import { Refusal } from '../problems.ts'
import { bytesSchema, eventIdParam, eventSchema } from '../schemas.ts'

interface ById {
  Params: { id: string }
}

const params = { type: 'object', required: ['id'], properties: { id: eventIdParam } } as const

export function eventRoutes(app: FastifyInstance, events: EventLookup): void {
  app.get<ById>(
    '/events/:id',
    {
      schema: {
        tags: ['events'],
        operationId: 'getEvent',
        summary: 'Where an event is now',
        params,
        response: {
          200: eventSchema,
          ...problemResponses('EVENT_ID_MALFORMED', 'EVENT_UNKNOWN', 'RECORD_CORRUPT'),
        },
      },
    },
    async ({ params: { id } }) => {
      const event = await events.find(eventId(id))
      if (event === undefined) throw new Refusal('EVENT_UNKNOWN')
      return event
    },
  )

  app.get<ById>(
    '/events/:id/raw',
    {
      schema: {
        tags: ['events'],
        operationId: 'getEventBytes',
        summary: 'The bytes as the sender sent them',
        description:
          'With the Content-Type that the sender sent. A body that came with a Content-Encoding is answered as it came, still encoded; X-Webhook-Content-Encoding names the encoding.',
        params,
        response: {
          200: {
            description: 'The bytes as sent',
            content: { 'application/octet-stream': { schema: bytesSchema } },
          },
          ...problemResponses(
            'EVENT_ID_MALFORMED',
            'EVENT_UNKNOWN',
            'BYTES_GONE',
            'RECORD_CORRUPT',
            'DICTIONARY_MISSING',
            'KEY_MISSING',
            'KEY_DESTROYED',
            'RECORD_NEWER',
          ),
        },
      },
    },
    async ({ params: { id } }, reply) => {
      const found = await events.bytes(eventId(id))
      if (found === undefined) throw new Refusal('EVENT_UNKNOWN')
      if (found.kind === 'gone') throw new Refusal('BYTES_GONE')
      const encoding = headerOf(found.headers, 'content-encoding')
      if (encoding !== undefined) reply.header('x-webhook-content-encoding', encoding)
      return reply
        .type(headerOf(found.headers, 'content-type') ?? 'application/octet-stream')
        .header('content-disposition', `attachment; filename="${id}"`)
        .send(found.body)
    },
  )
}

function eventId(id: string): string {
  if (!EVENT_ID_PATTERN.test(id)) throw new Refusal('EVENT_ID_MALFORMED')
  return id
}
