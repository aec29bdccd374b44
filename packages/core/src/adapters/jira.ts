/**
 * Jira Cloud; Jira Data Center's webhooks have the same body.
 *
 * - There is no header for the event's type: the body's `webhookEvent` names it, so the gateway reads the body.
 * - `X-Atlassian-Webhook-Identifier` is "unique within a Jira Cloud tenant" and the same over retries. Data
 *   Center does not send it; then the body, which carries a millisecond timestamp, is the identity.
 * - Cloud tries again, up to five times, after 408, 409, 425, 429, 5xx and time-outs; Data Center does not (set
 *   `ingest.spool.for: all`, the default, when you use it).
 *   https://developer.atlassian.com/cloud/jira/platform/webhooks/#retry-policy
 */
import type { Adapter, Subject } from './adapter.ts'
import { deliveryId, label, link, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** `https://site/browse/KEY-1` from the issue's REST address; a Data Center may live below a path. */
function browseUrl(json: unknown, key: string | undefined): string | undefined {
  const self = link(json, 'issue', 'self')
  const rest = self?.indexOf('/rest/api/') ?? -1
  return self === undefined || rest < 0 || key === undefined
    ? undefined
    : `${self.slice(0, rest)}/browse/${key}`
}

function issueOf(json: unknown): Subject | undefined {
  const key = text(json, 'issue', 'key')
  return subject('issue', [key], {
    title: text(json, 'issue', 'fields', 'summary'),
    url: browseUrl(json, key),
  })
}

/** What events without an issue are about, in the order tried. */
const OTHERS: readonly ((json: unknown) => Subject | undefined)[] = [
  // Work logs and links name their issue by number only; the number is as stable as the key.
  (json) => subject('issue', ['issue/', label(json, 'worklog', 'issueId')]),
  (json) => subject('issue', ['issue/', label(json, 'issueLink', 'sourceIssueId')]),
  (json) =>
    subject('sprint', ['sprint/', label(json, 'sprint', 'id')], { title: text(json, 'sprint', 'name') }),
  (json) => subject('board', ['board/', label(json, 'board', 'id')], { title: text(json, 'board', 'name') }),
  (json) =>
    subject('version', ['version/', label(json, 'version', 'id')], { title: text(json, 'version', 'name') }),
  (json) => subject('project', [text(json, 'project', 'key')], { title: text(json, 'project', 'name') }),
  (json) => subject('attachment', ['attachment/', label(json, 'attachment', 'id')]),
  (json) => subject('user', ['user/', label(json, 'user', 'accountId') ?? label(json, 'user', 'key')]),
]

export const jira: Adapter = {
  tool: 'jira',
  signature: 'jira',
  keptHeaders: [
    'user-agent',
    'x-atlassian-webhook-identifier',
    'x-atlassian-webhook-flow',
    'x-atlassian-webhook-retry',
    'x-atlassian-webhook-trace',
  ],
  readsBody: true,
  stableIds: true,
  retries: 'by-itself',
  limitedStatus: 429,
  mediaTypes: ['application/json'],
  type: ({ json }) => typeName(peek(json, 'webhookEvent')) ?? UNKNOWN_TYPE,
  occurrence: ({ headers }) => {
    const id = deliveryId(headers['x-atlassian-webhook-identifier'])
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** Jira's own name, e.g. `jira:issue_updated` or `comment_created`: it already says what was done. */
  eventName: (type) => type,
  nameMembers: [],
  subject: (_type, json) => {
    const issue = issueOf(json)
    if (issue !== undefined) return issue
    for (const other of OTHERS) {
      const found = other(json)
      if (found !== undefined) return found
    }
    return undefined
  },
}
