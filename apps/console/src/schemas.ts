/** JSON Schemas of the answers (OpenAPI 3.1): what is not named here does not leave, what is required must be there. */
import { CONTEXT_ID_PATTERN } from '@weir/context-lifecycle/context-id'
import { EVENT_ID_PATTERN, NAME_PATTERN } from '@weir/core/event'
import { CHECK_STATES, HEALTH_STATES } from '@weir/core/health/document'

type Schema = Readonly<Record<string, unknown>>

const text = { type: 'string' } as const
const count = { type: 'integer', minimum: 0 } as const
const time = { type: 'string', format: 'date-time' } as const
const flag = { type: 'boolean' } as const

function described(schema: Schema, description: string): Schema {
  return { ...schema, description }
}
function nullable(schema: { readonly type: string } & Schema, description?: string): Schema {
  return { ...schema, type: [schema.type, 'null'], ...(description === undefined ? {} : { description }) }
}
function word(...words: readonly string[]): Schema {
  return { type: 'string', enum: words }
}
/** An object whose fields are all there. */
function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', additionalProperties: false, required: Object.keys(properties), properties }
}
function list(items: Schema): Schema {
  return { type: 'array', items }
}

const subject = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['key', 'kind'],
  properties: { key: text, kind: text, title: text, url: text },
  description: 'What the event is about; null when the payload does not say or cannot be read.',
}

export const eventSchema = object({
  event_id: text,
  place: described(word('unread', 'pending', 'parked', 'dead', 'settled'), 'Where the event is now.'),
  stream_id: nullable(text, 'Its entry in the stream; null when the entry has been trimmed.'),
  tool: nullable(text),
  tenant: nullable(text),
  type: nullable(text, "The sender's event type, e.g. pull_request."),
  event: nullable(text, 'The name handlers subscribe to, e.g. pull_request.opened.'),
  subject,
  received_at: nullable(time),
  attempts: nullable(count, 'Attempts that failed; null once settled.'),
  deliveries: nullable(count, 'How often it was handed out since its last outcome.'),
  consumer: nullable(text, 'Who holds it, while pending.'),
  idle_ms: nullable(count, 'How long that consumer has been silent about it.'),
  due_at: nullable(time, 'When it is tried again, while parked.'),
  reason: nullable(text, 'Why it waits or is dead.'),
  error: nullable(text),
  first_failed_at: nullable(time),
  dead_at: nullable(time),
  letter_id: nullable(text, 'Its dead letter.'),
  context: nullable(text, 'The context that it is in, see GET /contexts/{id}.'),
  bytes_available: described(flag, 'Does GET /events/{id}/raw have the bytes?'),
  bytes_problem: nullable(text, 'Why bytes that are held cannot be read.'),
  size: nullable(count, 'Bytes as sent.'),
  content_type: nullable(text),
})

const severity = { type: ['string', 'null'], enum: ['info', 'warning', 'error', 'critical', null] } as const
const tier = { type: 'string', enum: ['hot', 'warm', 'cold'] } as const
const share = { type: 'number', minimum: 0, maximum: 1 } as const

const contextFields = { context_id: text, tenant: text, tool: text, kind: text, subject: text }

export const contextSchema = object({
  ...contextFields,
  title: nullable(text),
  link: nullable(text),
  state: nullable(text, 'Of the subject now: open, merged, firing, …'),
  severity,
  importance: described(share, 'The sum of weight × value of its parts.'),
  summary: nullable(
    { ...object({ text, events: count }), type: 'object' },
    'What has happened in a few sentences, and how many of its events they know; null until somebody has written it.',
  ),
  importance_parts: list(object({ part: text, weight: share, value: share, why: text })),
  events: described(count, 'All that it has; the timeline holds the newest of them.'),
  raw_bytes: described(count, 'What their records took, packed one by one.'),
  tier: described(tier, 'Where its newest event is.'),
  withheld: nullable(
    { ...object({ events: count, reason: text }), type: 'object' },
    'Events that the timeline should have and that cannot be had now, because cold storage is away or an object is damaged.',
  ),
  accesses: described(count, 'With this one.'),
  last_access_at: nullable(time),
  first_at: nullable(time),
  last_at: nullable(time),
  people: list(object({ name: text, events: count })),
  mentioned: list(text),
  related: described(
    list(object({ tool: text, subject: text, context_id: text })),
    'Subjects that its events name; nothing of them need have been received.',
  ),
  named_by: described(
    list(object({ tool: text, subject: text, context_id: text })),
    'Subjects whose events name it, where something happened last first.',
  ),
  timeline: described(
    list(
      object({
        event_id: text,
        event: described(text, 'Its full name, e.g. pull_request.opened.'),
        at: described(time, "When it happened, by the sender's clock."),
        received_at: time,
        who: nullable(text),
        what: text,
        state: nullable(text),
        severity,
        link: nullable(text),
        text: nullable(text),
      }),
    ),
    'Oldest first.',
  ),
})

export const contextsSchema = object({
  contexts: list(
    object({
      ...contextFields,
      events: count,
      accesses: count,
      active_at: described(time, 'When something last happened to it: an event or an access.'),
      tier,
    }),
  ),
  unreadable: described(count, 'Left out because they cannot be opened, of all tenants and tools.'),
})

/** Parts are there only when they were asked for, which `object` cannot say. */
const searchResultSchema = {
  ...object({
    ...contextFields,
    title: nullable(text),
    score: described(share, 'The sum of weight × value of its parts.'),
    state: nullable(text),
    severity,
    link: nullable(text),
    events: count,
    last_at: nullable(time),
    importance: described(share, 'As of its last change.'),
  }),
}

export const searchSchema = object({
  results: list({
    ...searchResultSchema,
    properties: {
      ...(searchResultSchema as { properties: Record<string, Schema> }).properties,
      parts: list(object({ part: text, weight: share, value: share, why: text })),
    },
  }),
  as_of: described(time, 'As of when: while Redis is away, answers come out of what was known then.'),
  searched: described(count, 'Contexts that were searched.'),
  unreadable: described(count, 'Contexts left out because they cannot be opened.'),
  meaning: described(word('on', 'off', 'failed'), 'Whether meaning was looked at, beside words.'),
})

const unknownCount = nullable(count, 'null = Redis cannot tell.')

export const ledgerSchema = object({
  accepted: count,
  settled: count,
  unread: unknownCount,
  pending: count,
  parked: count,
  dead: count,
  superseded: count,
  purged: count,
  spooled: described(count, 'In the spools of the gateways, as they last reported; not part of the sum.'),
  unaccounted: {
    type: ['integer', 'null'],
    description: 'accepted − all places; anything but 0 is an alarm, null = unknown.',
  },
})

const deadLetterSchema = object({
  letter_id: text,
  event_id: nullable(text),
  stream_id: text,
  tool: nullable(text),
  tenant: nullable(text),
  type: nullable(text),
  reason: text,
  error: text,
  attempts: nullable(count),
  received_at: nullable(time),
  first_failed_at: nullable(time),
  dead_at: nullable(time),
  readable: described(flag, 'false: it can be purged, but not replayed.'),
})

export const deadLetterPageSchema = object({
  dead_letters: list(deadLetterSchema),
  next: nullable(text, '`after` of the next page; null on the last.'),
})

const breakerSchema = object({
  tool: text,
  state: word('closed', 'open', 'half-open'),
  failures: described(count, 'Failures in a row.'),
  open_since: nullable(time),
  wait_ms: described(count, 'Until an event is let through to see.'),
})

export const breakersSchema = object({ breakers: list(breakerSchema) })

const lossSchema = object({ stream: text, last_generated_id: text, witness_id: text })

export const statusSchema = object({
  verdict: word('balanced', 'unbalanced', 'loss', 'unknown'),
  ledger: ledgerSchema,
  losses: list(lossSchema),
  lag: object({ messages: unknownCount, unread: unknownCount, pending: count, parked: count }),
  oldest: object({ unread_ms: count, pending_ms: count, overdue_ms: count }),
  clock_behind_ms: described(
    count,
    "How far Redis' clock is behind the newest id of its stream; above 1000 it went back.",
  ),
  group: described(flag, 'Does the consumer group exist?'),
  consumers: list(
    object({
      name: text,
      alive: flag,
      seen_ms: nullable(count),
      pending: count,
      idle_ms: nullable(count),
      held: nullable(count),
      running: nullable(count),
    }),
  ),
  gateways: list(object({ name: text, spooled: count, seen_ms: count })),
  breakers: list(breakerSchema),
  streams: list(
    object({ name: text, length: count, memory_bytes: nullable(count), last_generated_id: text }),
  ),
  plan: {
    ...object({
      epoch: count,
      partitions: count,
      highest: described(count, 'Partitions that there ever were; consumers serve all of them.'),
      since: nullable(time),
      earlier: list(
        object({
          epoch: count,
          partitions: count,
          replaced_at: nullable(time),
          closed_at: nullable(time, 'null = its evidence is still looked up.'),
        }),
      ),
      notices: list(text),
    }),
    type: ['object', 'null'],
    description: 'How events are spread over partitions; null where Redis is no Cluster.',
  },
  partitions: list(
    object({
      partition: count,
      stream: text,
      slot: nullable(count, 'Hash slot of all its keys; null without a Cluster.'),
      server: described(text, 'The master that answered.'),
      epoch: described(count, 'Epoch of the plan that it knows; 0 = none.'),
      retired: described(flag, 'true: it takes no new events, and is worked off.'),
      length: count,
      ledger: ledgerSchema,
    }),
  ),
  redis: object({
    version: nullable(text),
    used_memory_bytes: nullable(count),
    max_memory_bytes: nullable(count, '0 = no limit.'),
    eviction_policy: nullable(text),
    append_only: nullable(flag),
  }),
})

export const readySchema = object({
  status: word('ok', 'degraded'),
  redis: word('ok', 'disconnected'),
  version: text,
  uptime_seconds: count,
})

export const healthSchema = object({ status: word('ok') })

/** A check with facts of its own; those may be missing where the check is unknown. */
function check(description: string, facts: Readonly<Record<string, Schema>> = {}): Schema {
  return {
    type: 'object',
    additionalProperties: false,
    required: ['state', 'age_ms'],
    description,
    properties: {
      state: word(...CHECK_STATES),
      age_ms: nullable(count, 'How old the observation is; 0 = just now, null = there was none.'),
      detail: described(text, 'Why it is not ok.'),
      ...facts,
    },
  }
}
const breakerFact = word('closed', 'open', 'half-open')
const seenBy = nullable(text, 'The process that saw it; null = nobody did.')

export const pipelineHealthSchema = object({
  status: described(
    word(...HEALTH_STATES),
    'failing: a vital part fails (redis, ledger, consumers). degraded: any part fails or is degraded, or nobody knows of a vital one.',
  ),
  checks: object({
    redis: check('Does Redis answer?'),
    lag: check('What waits; degraded above 1000 events.', {
      messages: unknownCount,
      unread: unknownCount,
      pending: count,
      parked: count,
      oldest_unread_ms: count,
      oldest_pending_ms: count,
      clock_behind_ms: count,
    }),
    ledger: check('Is every accepted event somewhere?', {
      verdict: word('balanced', 'unbalanced', 'loss', 'unknown'),
      unaccounted: { type: ['integer', 'null'] },
      accepted: count,
      settled: count,
      dead: count,
      group: described(flag, 'Does the consumer group exist?'),
    }),
    breakers: check('Do the handlers of all tools work?', { open: list(text), half_open: list(text) }),
    consumers: check('Who processes events.', { alive: count, held: count, running: count }),
    gateways: check('Who takes events in.', { alive: count }),
    curators: check('Who moves contexts between the tiers.', {
      alive: count,
      last_sweep_ms: nullable(count),
    }),
    spool: check('The worst of the spools of all gateways.', {
      accepting: described(flag, 'Would each of them take an event now?'),
      gateways: count,
      records: count,
      bytes: count,
      oldest_age_ms: count,
    }),
    cold_storage: check('As it was when it was last used.', {
      breaker: breakerFact,
      kind: described(text, 's3, directory'),
      seen_by: seenBy,
    }),
    ai: check('The providers of embeddings and summaries, as they were when one was last asked.', {
      breaker: breakerFact,
      providers: list(text),
      seen_by: seenBy,
    }),
  }),
})

export const replaySchema = object({ outcome: word('replayed', 'superseded') })

export const problemSchema = object({ type: text, title: text, status: count, code: text, detail: text })

export const bytesSchema = { type: 'string', format: 'binary' } as const

/** The patterns of the core as JSON Schema has them. */
export const eventIdParam = { type: 'string', description: `Event id, ${EVENT_ID_PATTERN.source}` } as const
export const letterIdParam = {
  type: 'string',
  description: 'letter_id or event_id of an entry of /dlq',
} as const

export const contextIdParam = {
  type: 'string',
  description: `Id of a context, ${CONTEXT_ID_PATTERN.source}`,
} as const

/** Most letters of one page. */
const MAX_PAGE = 1000
const name = { type: 'string', pattern: NAME_PATTERN.source } as const

export const contextsQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    tenant: name,
    tool: name,
    limit: { type: 'integer', minimum: 1, maximum: MAX_PAGE, default: 50 },
  },
} as const

export const searchQuery = {
  type: 'object',
  additionalProperties: false,
  required: ['q'],
  properties: {
    q: { type: 'string', description: 'What is looked for: words, an identifier, a question.' },
    tenant: name,
    tool: name,
    kind: { type: 'string', maxLength: 64 },
    state: { type: 'string', maxLength: 200 },
    since: { type: 'string', format: 'date-time', description: 'Something happened at or after.' },
    until: { type: 'string', format: 'date-time', description: 'The last thing happened at or before.' },
    limit: { type: 'integer', minimum: 1, maximum: 100, default: 10 },
    explain: { type: 'boolean', default: false, description: 'Tell where scores come from.' },
  },
} as const

export const contextQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: 100_000,
      default: 200,
      description: 'Newest events in the timeline.',
    },
  },
} as const

export const deadLetterQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    after: { type: 'string', description: 'letter_id that the page begins after.' },
    count: { type: 'integer', minimum: 1, maximum: MAX_PAGE, default: 50 },
    tool: name,
    tenant: name,
    reason: { type: 'string', minLength: 1, maxLength: 64 },
    since: { type: 'string', format: 'date-time', description: 'Died at or after.' },
    until: { type: 'string', format: 'date-time', description: 'Died at or before.' },
  },
} as const
