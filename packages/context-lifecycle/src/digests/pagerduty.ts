/**
 * PagerDuty's webhooks (V3): everything below `event`; its `data` is the incident, or what happened to one.
 * https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/01-Overview.md
 */
import { peek, text } from '@weir/core/adapters/peek'
import type { Severity } from '../digest.ts'
import { type Find, list, named, reference } from './finding.ts'

const URGENCIES: ReadonlyMap<string, Severity> = new Map([
  ['high', 'critical'],
  ['low', 'warning'],
])

const nameOf = (thing: unknown): string | undefined => text(thing, 'summary') ?? text(thing, 'name')

const namesOf = (data: unknown, member: string): readonly string[] =>
  list(data, member)
    .map(nameOf)
    .filter((name) => name !== undefined)

function whatOf(type: string, data: unknown): string | undefined {
  switch (type) {
    case 'incident.reassigned':
    case 'incident.delegated':
    case 'incident.escalated':
      return named(
        type.slice(type.indexOf('.') + 1),
        namesOf(data, 'assignees')
          .map((name) => `to ${name}`)
          .join(', ') || undefined,
      )
    case 'incident.annotated':
      return 'added a note'
    case 'incident.priority_updated':
      return named('set the priority to', text(data, 'priority', 'summary'))
    case 'incident.status_update_published':
      return 'published a status update'
    case 'incident.responder.added':
      return named('asked to respond:', nameOf(peek(data, 'user')) ?? nameOf(peek(data, 'escalation_policy')))
    case 'incident.responder.replied':
      return named('replied to the request for responders:', text(data, 'state'))
    case 'incident.conference_bridge.updated':
      return 'updated the conference bridge'
    case 'incident.custom_field_values.updated':
      return 'updated custom fields'
    case 'incident.workflow.started':
      return 'started a workflow'
    case 'incident.workflow.completed':
      return 'completed a workflow'
    case 'pagey.ping':
      return 'tried out the webhook'
    default:
      return undefined
  }
}

/** What happened tells the state, where `data` is a note or a response and not the incident. */
const STATES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'incident.acknowledged': 'acknowledged',
    'incident.reopened': 'triggered',
    'incident.resolved': 'resolved',
    'incident.triggered': 'triggered',
    'incident.unacknowledged': 'triggered',
  }),
)

export const pagerduty: Find = ({ type, payload: json }) => {
  const event = peek(json, 'event')
  const data = peek(event, 'data')
  const isDeleted = type.endsWith('.deleted')
  const isIncident = text(data, 'type') === 'incident'
  const service = text(data, 'service', 'id')
  return {
    at: [peek(event, 'occurred_at'), peek(data, 'created_at')],
    // What a service does by itself has no agent, only the client that it came through.
    who: nameOf(peek(event, 'agent')) ?? text(event, 'client', 'name'),
    what: whatOf(type, data),
    state: isDeleted ? 'deleted' : ((isIncident ? text(data, 'status') : undefined) ?? STATES.get(type)),
    texts: [
      text(data, 'content') ?? text(data, 'message'),
      text(data, 'resolve_reason', 'type') ?? text(data, 'body', 'details'),
    ],
    severity: URGENCIES.get(text(data, 'urgency') ?? text(data, 'incident', 'urgency') ?? ''),
    people: [...namesOf(data, 'assignees'), nameOf(peek(data, 'user'))],
    references: [reference('pagerduty', 'service/', service)],
  }
}
