/**
 * Bitbucket Cloud. Bitbucket Data Center uses the same header for the event, and other bodies.
 *
 * - `X-Event-Key` names the event, `X-Request-UUID` the request, `X-Attempt-Number` counts the attempts at it.
 *   https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/
 *   That an attempt repeats the UUID is not written there, only that attempts are attempts *of a request*; receivers see
 *   it repeated. Were it otherwise, a second attempt would be taken for a new event; nothing would be lost.
 * - After 500 to 599 "Bitbucket automatically resends the request up to two more times", after nothing else, so "limited"
 *   is a 503. https://support.atlassian.com/bitbucket-cloud/docs/troubleshoot-webhooks/
 *   It does so at once, and there is no way to have an event sent again later
 *   (https://community.developer.atlassian.com/t/webhooks-retries-how-to-delay-or-re-request/41486): no outage ends in
 *   between, so Bitbucket counts as never retrying.
 * - Data Center sends `X-Request-Id`, which it documents as unique to each request and which proxies overwrite; it is not
 *   used. Its bodies, which carry a time, are the identity.
 *   https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
 */
import type { Adapter, Subject } from './adapter.ts'
import { deliveryId, label, link, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** `acme/site`; Data Center's parts are the project's key and the repository's slug. */
function repositoryOf(json: unknown): string | undefined {
  const target = peek(json, 'repository') ?? peek(json, 'pullRequest', 'toRef', 'repository')
  const [project, slug] = [text(target, 'project', 'key'), text(target, 'slug')]
  return (
    text(target, 'full_name') ??
    (project === undefined || slug === undefined ? undefined : `${project}/${slug}`)
  )
}

/** The name without `refs/…` is Cloud's, with its type beside it; Data Center writes the whole ref. */
function refOf(change: unknown): string | undefined {
  const whole = text(change, 'ref', 'id')
  if (whole !== undefined) return whole
  const end = peek(change, 'new') ?? peek(change, 'old')
  const name = text(end, 'name')
  return name === undefined
    ? undefined
    : `refs/${text(end, 'type')?.endsWith('tag') ? 'tags' : 'heads'}/${name}`
}

/** A push of one ref is about that ref; of several, about the repository. */
function pushed(json: unknown, repository: string | undefined): Subject | undefined {
  const changes = peek(json, 'push', 'changes') ?? peek(json, 'changes')
  if (!Array.isArray(changes) || changes.length !== 1) return undefined
  return subject('ref', [repository, '@', refOf(changes[0])], {
    url: link(changes[0], 'links', 'html', 'href'),
  })
}

/** A status names its commit by its address only. */
function commitOf(json: unknown): string | undefined {
  const address = link(json, 'commit_status', 'links', 'commit', 'href')
  return text(json, 'commit', 'hash') ?? /\/commit\/([0-9a-f]{7,64})$/.exec(address ?? '')?.[1]
}

/** Pull requests and issues have number series of their own. */
const numbered = (
  kind: string,
  folder: string,
  at: string,
  json: unknown,
  repository: string | undefined,
): Subject | undefined =>
  subject(kind, [repository, `/${folder}/`, label(json, at, 'id')], {
    title: text(json, at, 'title'),
    url: link(json, at, 'links', 'html', 'href') ?? link(json, at, 'links', 'self', 0, 'href'),
  })

export const bitbucket: Adapter = {
  tool: 'bitbucket',
  signature: 'bitbucket',
  keptHeaders: ['user-agent', 'x-event-key', 'x-hook-uuid', 'x-request-uuid', 'x-attempt-number'],
  readsBody: false,
  stableIds: true,
  retries: 'never',
  limitedStatus: 503,
  mediaTypes: ['application/json'],
  type: ({ headers }) => typeName(headers['x-event-key']) ?? UNKNOWN_TYPE,
  occurrence: ({ headers }) => {
    const id = deliveryId(headers['x-request-uuid'])
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** Bitbucket's own name, e.g. `repo:push` or `pullrequest:fulfilled`: it already says what was done. */
  eventName: (type) => type,
  nameMembers: [],
  subject: (_type, json) => {
    const repository = repositoryOf(json)
    return (
      numbered('pull_request', 'pull-requests', 'pullrequest', json, repository) ??
      numbered('pull_request', 'pull-requests', 'pullRequest', json, repository) ??
      numbered('issue', 'issues', 'issue', json, repository) ??
      subject('commit', [repository, '@', commitOf(json)], {
        title: text(json, 'commit_status', 'name') ?? text(json, 'commit', 'message'),
        url: link(json, 'commit', 'links', 'html', 'href'),
      }) ??
      pushed(json, repository) ??
      subject('repository', [repository], {
        title: repository,
        url: link(json, 'repository', 'links', 'html', 'href'),
      }) ??
      subject('project', ['projects/', text(json, 'project', 'key')], {
        title: text(json, 'project', 'name'),
      })
    )
  },
}
