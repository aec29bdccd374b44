/**
 * GitLab.com and self-managed GitLab: project, group and system hooks.
 *
 * - `Idempotency-Key` (since 17.4) stays the same when a request is sent again.
 *   https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers
 *   A hook with a signing token sends the same value as `webhook-id`, which is signed and therefore believed first.
 *   https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944
 * - `X-Gitlab-Event-UUID` does *not* name one event: it is handed on to every hook that a hook's own API calls
 *   set off (that is how GitLab finds loops), so it is believed only together with the body.
 *   https://gitlab.com/gitlab-org/gitlab/-/merge_requests/75821
 * - A refused or failed request is not sent again; it only counts towards switching the hook off (after four in a
 *   row, for a minute and then longer). Only an owner resends, by hand or by API. So GitLab counts as never
 *   retrying, and "limited" is a 503: older releases switch a hook off for good after 4xx, but only for a
 *   time after 5xx. https://docs.gitlab.com/user/project/integrations/webhooks/#auto-disabled-webhooks
 */
import { createHash } from 'node:crypto'
import type { Adapter, Subject } from './adapter.ts'
import { deliveryId, label, link, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** `Merge Request Hook` → `merge_request`; `System Hook` → `system`. */
export function gitlabType(header: unknown): string {
  if (typeof header !== 'string') return UNKNOWN_TYPE
  const name = header
    .trim()
    .replace(/ Hook$/i, '')
    .replaceAll(' ', '_')
    .toLowerCase()
  return typeName(name) ?? UNKNOWN_TYPE
}

/** Where the payload says what was done: most objects have an action, runs of CI have a status instead. */
function actionOf(type: string, json: unknown): string | undefined {
  if (type === 'system') return typeName(peek(json, 'event_name')) ?? typeName(peek(json, 'object_kind'))
  return (
    typeName(peek(json, 'object_attributes', 'action')) ??
    typeName(peek(json, 'action')) ??
    typeName(peek(json, 'build_status')) ??
    (type === 'pipeline' ? typeName(peek(json, 'object_attributes', 'status')) : undefined) ??
    (type === 'deployment' ? typeName(peek(json, 'status')) : undefined)
  )
}

const projectOf = (json: unknown): string | undefined =>
  text(json, 'project', 'path_with_namespace') ??
  text(json, 'object_attributes', 'target', 'path_with_namespace') ??
  text(json, 'path_with_namespace')

/** `!` and `#` are GitLab's own signs for merge requests and issues. */
const numbered = (kind: string, sign: string, json: unknown, at: string): Subject | undefined =>
  subject(kind, [projectOf(json), sign, label(json, at, 'iid')], {
    title: text(json, at, 'title'),
    url: link(json, at, 'url'),
  })

/** By `object_kind`, which unlike the header is also there in system hooks. */
function byKind(kind: string | undefined, json: unknown): Subject | undefined {
  const project = projectOf(json)
  const attributes = 'object_attributes'
  switch (kind) {
    case 'merge_request':
      return numbered('merge_request', '!', json, attributes)
    case 'issue':
    case 'work_item':
    case 'incident':
      return numbered('issue', '#', json, attributes)
    case 'note':
    case 'emoji':
      return (
        numbered('merge_request', '!', json, 'merge_request') ??
        numbered('issue', '#', json, 'issue') ??
        subject('commit', [project, '@', text(json, 'commit', 'id')], {
          title: text(json, 'commit', 'message'),
          url: link(json, 'commit', 'url'),
        }) ??
        subject(
          'snippet',
          [project, '$', label(json, 'snippet', 'id') ?? label(json, 'project_snippet', 'id')],
          {
            title: text(json, 'snippet', 'title'),
          },
        )
      )
    case 'push':
    case 'tag_push':
      return subject('ref', [project, '@', text(json, 'ref')], { url: link(json, 'project', 'web_url') })
    case 'pipeline':
      return subject('pipeline', [project, '/pipelines/', label(json, attributes, 'id')], {
        title: text(json, 'commit', 'title'),
        url: link(json, attributes, 'url'),
      })
    case 'build':
      // Jobs join their pipeline; very old releases do not say which one it is.
      return (
        subject(
          'pipeline',
          ['projects/', label(json, 'project_id'), '/pipelines/', label(json, 'pipeline_id')],
          {
            title: text(json, 'commit', 'message'),
          },
        ) ?? subject('job', ['projects/', label(json, 'project_id'), '/jobs/', label(json, 'build_id')])
      )
    case 'deployment':
      return subject('deployment', [project, '/deployments/', label(json, 'deployment_id')], {
        title: text(json, 'environment'),
        url: link(json, 'deployable_url'),
      })
    case 'release':
      return subject('release', [project, '/releases/', text(json, 'tag')], {
        title: text(json, 'name'),
        url: link(json, 'url'),
      })
    case 'wiki_page':
      return subject('wiki_page', [project, '/wiki/', text(json, attributes, 'slug')], {
        title: text(json, attributes, 'title'),
        url: link(json, attributes, 'url'),
      })
    case 'milestone':
      return subject(
        'milestone',
        [project ?? text(json, 'group', 'group_path'), '%', label(json, attributes, 'iid')],
        {
          title: text(json, attributes, 'title'),
        },
      )
    default:
      return undefined
  }
}

/** The project, else the group, else the user concerned. */
const ownerOf = (json: unknown): Subject | undefined =>
  subject('project', [projectOf(json)], { title: projectOf(json), url: link(json, 'project', 'web_url') }) ??
  subject('group', [
    text(json, 'group', 'full_path') ??
      text(json, 'group', 'group_path') ??
      text(json, 'full_path') ??
      text(json, 'group_path') ??
      (text(json, 'event_name')?.startsWith('group_') ? text(json, 'path') : undefined),
  ]) ??
  subject('user', ['user/', text(json, 'username') ?? text(json, 'user_username')])

export const gitlab: Adapter = {
  tool: 'gitlab',
  signature: 'gitlab',
  // Never X-Gitlab-Token: it is the secret itself.
  keptHeaders: [
    'user-agent',
    'idempotency-key',
    'x-gitlab-event',
    'x-gitlab-event-uuid',
    'x-gitlab-webhook-uuid',
    'x-gitlab-instance',
  ],
  readsBody: false,
  stableIds: true,
  retries: 'never',
  limitedStatus: 503,
  mediaTypes: ['application/json'],
  type: ({ headers }) => gitlabType(headers['x-gitlab-event']),
  occurrence: ({ headers, body }) => {
    const key = deliveryId(headers['webhook-id']) ?? deliveryId(headers['idempotency-key'])
    if (key !== undefined) return { kind: 'delivery-id', value: key }
    const uuid = deliveryId(headers['x-gitlab-event-uuid'])
    if (uuid === undefined) return undefined
    const hash = createHash('sha256').update(`${uuid.length}:${uuid},`).update(body).digest('hex')
    return { kind: 'hash', value: hash }
  },
  /** `merge_request.open`, `pipeline.success`, `push`, `system.project_create`. */
  eventName: (type, json) => {
    const action = actionOf(type, json)
    return action === undefined ? type : `${type}.${action}`
  },
  nameMembers: ['event_name', 'object_kind', 'object_attributes', 'action', 'build_status', 'status'],
  subject: (_type, json) => {
    const kind = text(json, 'object_kind') ?? text(json, 'event_name')
    return byKind(kind, json) ?? ownerOf(json)
  },
}
