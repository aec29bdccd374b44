/**
 * GitHub and GitHub Enterprise Server.
 *
 * - `X-GitHub-Delivery` names the event, not the attempt: a redelivery (by hand or by API, possible for three
 *   days) carries the same id. https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
 * - "GitHub does not automatically redeliver failed deliveries", so whatever is refused is lost.
 *   https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
 * - A hook sends JSON, or a form with one field `payload`; both are signed as raw bytes.
 */
import type { Adapter, Subject } from './adapter.ts'
import { deliveryId, label, link, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** Where events of a type find what they are about. First answer counts; the repository is the last resort. */
type Finder = (json: unknown, repository: string | undefined) => Subject | undefined

/** Pull requests, issues and discussions share one number series in a repository, so they share the key form. */
const numbered =
  (kind: string, ...path: string[]): Finder =>
  (json, repository) =>
    subject(kind, [repository, '#', label(json, ...path, 'number')], {
      title: text(json, ...path, 'title'),
      url: link(json, ...path, 'html_url'),
    })

/** Something in a repository that has an id or name of its own. */
const within =
  (
    kind: string,
    folder: string,
    id: readonly string[],
    name: readonly string[],
    url: readonly string[],
  ): Finder =>
  (json, repository) =>
    subject(kind, [repository, `/${folder}/`, label(json, ...id)], {
      title: text(json, ...name),
      url: link(json, ...url),
    })

const pullRequest = numbered('pull_request', 'pull_request')
const discussion = numbered('discussion', 'discussion')

/** A comment on a pull request arrives as `issue_comment` whose issue has the member `pull_request`. */
const issue: Finder = (json, repository) =>
  numbered(peek(json, 'issue', 'pull_request') === undefined ? 'issue' : 'pull_request', 'issue')(
    json,
    repository,
  )

/** `push` names the whole ref, `create` and `delete` a short name and its type; both become the whole ref. */
const ref: Finder = (json, repository) => {
  const name = text(json, 'ref')
  if (name === undefined) return undefined
  const whole = name.startsWith('refs/')
    ? name
    : `refs/${text(json, 'ref_type') === 'tag' ? 'tags' : 'heads'}/${name}`
  return subject('ref', [repository, '@', whole], {
    title: text(json, 'head_commit', 'message'),
    url: link(json, 'compare'),
  })
}

/** Checks and statuses speak of a commit. */
const commit =
  (sha: readonly string[], name: readonly string[], url: readonly string[]): Finder =>
  (json, repository) =>
    subject('commit', [repository, '@', text(json, ...sha)], {
      title: text(json, ...name),
      url: link(json, ...url),
    })

const run = within(
  'workflow_run',
  'runs',
  ['workflow_run', 'id'],
  ['workflow_run', 'name'],
  ['workflow_run', 'html_url'],
)
const job = within(
  'workflow_run',
  'runs',
  ['workflow_job', 'run_id'],
  ['workflow_job', 'workflow_name'],
  ['workflow_job', 'html_url'],
)
const release = within(
  'release',
  'releases',
  ['release', 'tag_name'],
  ['release', 'name'],
  ['release', 'html_url'],
)
const deployment = within(
  'deployment',
  'deployments',
  ['deployment', 'id'],
  ['deployment', 'environment'],
  ['deployment', 'url'],
)
const milestone = within(
  'milestone',
  'milestones',
  ['milestone', 'number'],
  ['milestone', 'title'],
  ['milestone', 'html_url'],
)
const alert = (folder: string): Finder =>
  within(
    'security_alert',
    folder,
    ['alert', 'number'],
    ['alert', 'rule', 'description'],
    ['alert', 'html_url'],
  )
const packageOf = (member: string): Finder =>
  within('package', 'packages', [member, 'name'], [member, 'name'], [member, 'html_url'])

const team: Finder = (json) =>
  subject(
    'team',
    [text(json, 'organization', 'login'), '/', label(json, 'team', 'slug') ?? label(json, 'team', 'name')],
    {
      title: text(json, 'team', 'name'),
      url: link(json, 'team', 'html_url'),
    },
  )

const FINDERS: Readonly<Record<string, Finder>> = {
  check_run: commit(['check_run', 'head_sha'], ['check_run', 'name'], ['check_run', 'html_url']),
  check_suite: commit(
    ['check_suite', 'head_sha'],
    ['check_suite', 'head_commit', 'message'],
    ['check_suite', 'url'],
  ),
  code_scanning_alert: alert('code-scanning'),
  commit_comment: commit(['comment', 'commit_id'], ['comment', 'path'], ['comment', 'html_url']),
  create: ref,
  delete: ref,
  dependabot_alert: alert('dependabot'),
  deployment,
  deployment_review: run,
  deployment_status: deployment,
  discussion,
  discussion_comment: discussion,
  installation: (json) => subject('installation', ['installation/', label(json, 'installation', 'id')]),
  installation_repositories: (json) =>
    subject('installation', ['installation/', label(json, 'installation', 'id')]),
  issue_comment: issue,
  issues: issue,
  membership: team,
  merge_group: (json, repository) =>
    subject('ref', [repository, '@', text(json, 'merge_group', 'head_ref')], {
      title: text(json, 'merge_group', 'head_commit', 'message'),
    }),
  milestone,
  package: packageOf('package'),
  projects_v2_item: (json) =>
    subject('project', ['projects/', text(json, 'projects_v2_item', 'project_node_id')]),
  pull_request: pullRequest,
  pull_request_review: pullRequest,
  pull_request_review_comment: pullRequest,
  pull_request_review_thread: pullRequest,
  push: ref,
  registry_package: packageOf('registry_package'),
  release,
  repository_vulnerability_alert: within(
    'security_alert',
    'alerts',
    ['alert', 'id'],
    ['alert', 'affected_package_name'],
    ['alert', 'external_reference'],
  ),
  secret_scanning_alert: alert('secret-scanning'),
  security_advisory: (json) =>
    subject('security_advisory', [text(json, 'security_advisory', 'ghsa_id')], {
      title: text(json, 'security_advisory', 'summary'),
    }),
  status: commit(['sha'], ['context'], ['target_url']),
  team,
  workflow_job: job,
  workflow_run: run,
}

const FINDER_OF: ReadonlyMap<string, Finder> = new Map(Object.entries(FINDERS))

/** A repository, else the organisation, else the account concerned. */
function owner(json: unknown): Subject | undefined {
  return (
    subject('repository', [text(json, 'repository', 'full_name')], {
      title: text(json, 'repository', 'full_name'),
      url: link(json, 'repository', 'html_url'),
    }) ??
    subject('organization', [text(json, 'organization', 'login')], {
      title: text(json, 'organization', 'login'),
    }) ??
    subject('account', [
      text(json, 'marketplace_purchase', 'account', 'login') ??
        text(json, 'sponsorship', 'sponsorable', 'login') ??
        text(json, 'sender', 'login'),
    ])
  )
}

export const github: Adapter = {
  tool: 'github',
  signature: 'github',
  recurringNames: { path: 'full_name', account: 'login' },
  keptHeaders: [
    'user-agent',
    'x-github-delivery',
    'x-github-event',
    'x-github-hook-id',
    'x-github-hook-installation-target-id',
    'x-github-hook-installation-target-type',
    'x-github-enterprise-host',
    'x-github-enterprise-version',
  ],
  readsBody: false,
  stableIds: true,
  retries: 'never',
  limitedStatus: 429,
  mediaTypes: ['application/json', 'application/x-www-form-urlencoded'],
  type: ({ headers }) => typeName(headers['x-github-event']) ?? UNKNOWN_TYPE,
  occurrence: ({ headers }) => {
    const id = deliveryId(headers['x-github-delivery'])
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** `pull_request.opened`; the bare type where the payload has no action (`push`). */
  eventName: (type, json) => {
    const action = typeName(peek(json, 'action'))
    return action === undefined ? type : `${type}.${action}`
  },
  nameMembers: ['action'],
  subject: (type, json) => FINDER_OF.get(type)?.(json, text(json, 'repository', 'full_name')) ?? owner(json),
}
