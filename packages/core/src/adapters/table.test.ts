import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TOOLS } from '../config/tools.ts'
import { NAME_PATTERN } from '../event.ts'
import type { Adapter, AdapterRequest } from './adapter.ts'
import { request } from './fixtures.test-support.ts'
import { createGenericAdapter } from './generic.ts'
import { DELIVERY_ID_MAX, SUBJECT_KEY_MAX, TITLE_MAX, TYPE_PATTERN } from './peek.ts'
import { ADAPTERS, adapterFor } from './table.ts'

describe('the table of adapters', () => {
  it('has the tools that the configuration knows', () => {
    expect([...ADAPTERS.keys()].sort()).toEqual([...TOOLS].sort())
    for (const [tool, adapter] of ADAPTERS) {
      expect(adapter.tool).toBe(tool)
      expect(tool).toMatch(NAME_PATTERN)
    }
  })

  it('is the table of docs/adapters.md', () => {
    const page = readFileSync(new URL('../../../../docs/adapters.md', import.meta.url), 'utf8')
    const rows = [...ADAPTERS.values()].map((adapter) => ({
      tool: adapter.tool,
      stable: adapter.stableIds ? 'yes' : 'no',
      retries: adapter.retries,
      limited: String(adapter.limitedStatus),
      media: adapter.mediaTypes.map((type) => `\`${type}\``).join(', '),
    }))
    const cells = page
      .split('\n')
      .filter((line) => /^\| `\w+` \|/.test(line))
      .map((line) => line.slice(2, -2).split(' | '))
      .filter((row) => row.length === 7)
    const documented = cells.map(([tool = '', , , stable, retries, limited, media]) => ({
      tool: tool.replaceAll('`', ''),
      stable,
      retries,
      limited,
      media,
    }))
    expect(documented).toEqual(rows)
  })

  it.each(['toString', '__proto__', 'constructor', 'GitHub', ''])('does not know %j', (tool) => {
    expect(adapterFor(tool)).toBeUndefined()
  })

  it('has a scheme of its own for each tool, and reads the body where a challenge stands in it', () => {
    for (const [tool, adapter] of ADAPTERS) {
      expect(adapter.signature).toBe(tool)
      if (adapter.challenge !== undefined) expect(adapter.readsBody).toBe(true)
    }
  })

  it('keeps no header that proves or carries a secret', () => {
    for (const adapter of ADAPTERS.values()) {
      for (const header of adapter.keptHeaders) {
        expect(header).toBe(header.toLowerCase())
        expect(header).not.toMatch(/signature|hmac|token|authorization|cookie|secret/)
      }
    }
  })
})

describe('the generic adapter', () => {
  it('takes id and type from its headers', () => {
    const sent = request({ 'x-webhook-id': 'evt-1', 'x-webhook-event': 'order.paid' })
    const adapter = createGenericAdapter()
    expect(adapter.occurrence(sent)).toEqual({ kind: 'delivery-id', value: 'evt-1' })
    expect(adapter.type(sent)).toBe('order.paid')
  })

  it('can be told other headers, and keeps those', () => {
    const adapter = createGenericAdapter({ deliveryId: 'Webhook-Id' })
    expect(adapter.occurrence(request({ 'webhook-id': 'msg_1', 'x-webhook-id': 'evt-1' }))).toEqual({
      kind: 'delivery-id',
      value: 'msg_1',
    })
    expect(adapter.keptHeaders).toContain('webhook-id')
  })
})

/** Payloads that know what the adapters look for, with anything in those places. */
const member = fc.oneof(
  fc.constantFrom(
    ...[
      '__proto__',
      'constructor',
      'action',
      'number',
      'repository',
      'full_name',
      'issue',
      'key',
      'fields',
      'self',
    ],
    ...[
      'object_kind',
      'object_attributes',
      'project',
      'iid',
      'alerts',
      'groupKey',
      'labels',
      'status',
      'ref',
      'id',
    ],
    ...[
      'event',
      'event_id',
      'event_type',
      'type',
      'subtype',
      'challenge',
      'team_id',
      'channel',
      'item',
      'ts',
    ],
    ...['thread_ts', 'message', 'data', 'object', 'related_object', 'resource_type', 'incident', 'title'],
    ...[
      'order_id',
      'admin_graphql_api_id',
      'customer',
      'pullrequest',
      'pullRequest',
      'links',
      'html',
      'href',
    ],
    ...['push', 'changes', 'new', 'old', 'name', 'commit_status', 'commit', 'hash', 'slug'],
    ...[
      'webhookEvent',
      'fingerprint',
      'startsAt',
      'pull_request',
      'path_with_namespace',
      'login',
      'html_url',
    ],
  ),
  fc.string({ maxLength: 8 }),
)
const hostileJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(
        null,
        true,
        0,
        -1,
        1e308,
        'merge_request',
        'note',
        'build',
        'refs/heads/x',
        'event_callback',
        'url_verification',
        'gid://shopify/Order/1',
        'https://example.com/commit/0123456',
        'x'.repeat(5000),
      ),
      fc.string(),
      fc.array(tie('value'), { maxLength: 4 }),
      // Through JSON text, so that `__proto__` becomes an own property, as in a parsed body.
      fc
        .array(fc.tuple(member, tie('value')), { maxLength: 6 })
        .map((pairs) =>
          JSON.parse(
            `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
          ),
        ),
    ),
  })).value,
)
const hostileType = fc.oneof(
  fc.constantFrom('pull_request', 'push', 'issues', 'team', 'system', 'pipeline', '__proto__', 'constructor'),
  fc.constantFrom(
    'orders.create',
    'carts.update',
    'message',
    'contact.created',
    'incident.triggered',
    'repo:push',
  ),
  fc.string(),
)
const hostileHeaders = fc.dictionary(
  fc.constantFrom(
    ...[
      'x-github-event',
      'x-github-delivery',
      'x-atlassian-webhook-identifier',
      'x-gitlab-event',
      'idempotency-key',
    ],
    ...['x-gitlab-event-uuid', 'x-webhook-id', 'x-webhook-event', 'webhook-id'],
    ...['x-event-key', 'x-request-uuid', 'x-shopify-topic', 'x-shopify-webhook-id'],
  ),
  fc.oneof(fc.string(), fc.string({ unit: 'binary', minLength: 200, maxLength: 400 })),
)

describe.each([...ADAPTERS.values()])('whatever is sent, the adapter of $tool', (adapter: Adapter) => {
  it('answers within its limits and never throws', () => {
    fc.assert(
      fc.property(hostileHeaders, hostileType, hostileJson, (headers, type, json) => {
        const sent: AdapterRequest = request(headers, json)
        expect(adapter.type(sent)).toMatch(TYPE_PATTERN)
        const occurrence = adapter.occurrence(sent)
        if (occurrence !== undefined) expect(occurrence.value.length).toBeLessThanOrEqual(DELIVERY_ID_MAX)
        const name = adapter.eventName(adapter.type(sent), json)
        expect(name.length).toBeLessThanOrEqual(129)
        const subject = adapter.subject(type, json)
        if (subject !== undefined) {
          expect(subject.key.length).toBeGreaterThan(0)
          expect(subject.key.length).toBeLessThanOrEqual(SUBJECT_KEY_MAX)
          expect(subject.title?.length ?? 0).toBeLessThanOrEqual(TITLE_MAX)
          expect(subject.url ?? 'http://x').toMatch(/^https?:\/\//i)
        }
        expect(adapter.challenge?.(json) ?? 'x').toMatch(/^[ -~]{1,1000}$/)
        expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it('names an event by its type, and by nothing in the body but the members that it says', () => {
    fc.assert(
      fc.property(hostileHeaders, hostileJson, (headers, json) => {
        const type = adapter.type(request(headers, json))
        const name = adapter.eventName(type, json)
        expect(name === type || name.startsWith(`${type}.`)).toBe(true)
        const picked = adapter.nameMembers
          .filter((member) => typeof json === 'object' && json !== null && Object.hasOwn(json, member))
          .map((member) => [member, (json as Record<string, unknown>)[member]])
        expect(adapter.eventName(type, Object.fromEntries(picked))).toBe(name)
      }),
      { numRuns: 500 },
    )
  })

  it('gives the same answer to the same request', () => {
    fc.assert(
      fc.property(hostileHeaders, hostileJson, (headers, json) => {
        expect(adapter.occurrence(request(headers, json))).toEqual(
          adapter.occurrence(request(headers, JSON.parse(JSON.stringify(json) ?? 'null'))),
        )
      }),
    )
  })
})
