import { describe, expect, it } from 'vitest'
import type { Digest } from '../digest.ts'
import { digest, githubExamples, RECEIVED_AT, timeOf } from './digests.test-support.ts'
import { readTime } from './time.ts'

const EXAMPLES = githubExamples()

function example(type: string, index: number): Readonly<Record<string, unknown>> {
  const found = EXAMPLES.find(({ name }) => name === type)?.examples[index]
  if (found === undefined) throw new Error(`no example ${type}[${index}]`)
  return found
}

/** Every time in a payload, wherever it stands. */
function timesIn(value: unknown, found = new Set<number>()): ReadonlySet<number> {
  if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(value)) timesIn(inner, found)
  else {
    const time = readTime(value)
    if (time !== undefined) found.add(time)
  }
  return found
}

/** Events whose payload does not say when they happened; all others must have a time of the payload. */
// biome-ignore format: a list
const TIMELESS: ReadonlySet<string> = new Set([
  'branch_protection_rule.deleted', 'check_run.requested_action', 'check_run.rerequested',
  'github_app_authorization.revoked', 'gollum', 'installation.deleted', 'label.created', 'label.deleted',
  'label.edited', 'member.added', 'member.edited', 'membership.added', 'membership.removed',
  'meta.deleted', 'org_block.blocked', 'org_block.unblocked', 'organization.member_added',
  'organization.renamed', 'ping', 'project_card.deleted', 'release.deleted', 'release.edited',
  'repository_dispatch.on-demand-test', 'repository_import', 'sponsorship.pending_tier_change',
  'star.deleted', 'team.added_to_repository', 'team.created', 'team.deleted', 'team.edited',
  'team.removed_from_repository', 'team_add', 'watch.started', 'workflow_dispatch',
])

/** Examples that lack the time that others of their name have (an older form of the payload). */
const UNTIMED: ReadonlySet<string> = new Set([
  'code_scanning_alert.fixed[3]',
  'code_scanning_alert.reopened[4]',
  'code_scanning_alert.reopened[5]',
])

const CODERTOCAT = 'Codertocat'
const HELLO = 'Codertocat/Hello-World'

/** Checked by hand against the payloads. Time of day only, where the day is 2019-05-15; null: none of its own. */
type Row = [
  type: string,
  index: number,
  at: string | null,
  who: string | undefined,
  what: string,
  state: string | undefined,
  more?: Partial<Digest>,
]
// biome-ignore format: a table, one example a line
const ROWS: readonly Row[] = [
  ['branch_protection_rule', 0, '2021-08-19T16:16:32', CODERTOCAT, 'edited the branch protection rule production', undefined],
  ['check_run', 0, '15:21:12', CODERTOCAT, 'check Octocoders-linter was queued', 'queued'],
  ['check_run', 1, '15:21:12', CODERTOCAT, 'check Octocoders-linter failed', 'failure', { severity: 'error', title: 'Octocoders-linter' }],
  ['check_run', 2, '15:21:12', CODERTOCAT, 'check Octocoders-linter succeeded', 'success'],
  ['check_run', 6, null, 'codebytere', 'requested an action of check API Review', 'in_progress'],
  ['check_run', 7, null, 'octocat', 'requested check randscape again', 'neutral', { defaultBranch: true }],
  ['check_suite', 0, '15:21:14', CODERTOCAT, 'checks succeeded', 'success', { title: 'Update README.md' }],
  ['check_suite', 4, '15:20:33', CODERTOCAT, 'requested checks', 'queued', { defaultBranch: true }],
  ['code_scanning_alert', 0, '2020-07-22T14:06:31', 'github', 'reopened', 'open', { severity: 'info' }],
  ['code_scanning_alert', 1, '2021-02-11T02:59:08', CODERTOCAT, 'dismissed: false positive', 'dismissed', { severity: 'error' }],
  ['code_scanning_alert', 2, '2021-02-11T03:10:43', 'github', 'created', 'open', { title: 'Query built from user-controlled sources' }],
  ['commit_comment', 0, '15:20:39', CODERTOCAT, 'commented', undefined, { text: 'This is a really good change! :+1:' }],
  ['create', 0, '15:20:56', CODERTOCAT, 'created the tag', undefined, { title: 'simple-tag' }],
  ['delete', 0, '15:20:57', CODERTOCAT, 'deleted the tag', 'deleted'],
  ['dependabot_alert', 0, '2022-06-15T13:55:40', 'github', 'fixed', 'fixed', { severity: 'warning' }],
  ['dependabot_alert', 1, '2023-06-24T13:57:12', 'github', 'created', 'open', { title: 'semver vulnerable to Regular Expression Denial of Service' }],
  ['deploy_key', 0, '2019-04-02T17:37:07', CODERTOCAT, 'created the deploy key hey-its-a-deploy-key', undefined],
  ['deployment', 0, '15:20:53', CODERTOCAT, 'started deploying to production', undefined, { defaultBranch: true }],
  ['deployment_review', 0, '2023-07-04T09:28:15', 'ilmax', 'requested approval to deploy to TST', 'waiting'],
  ['deployment_status', 0, '15:20:55', CODERTOCAT, 'deployment to production succeeded', 'success'],
  ['discussion', 0, '2021-03-29T14:16:08', CODERTOCAT, 'opened', 'open', { text: "We're glad to have you here!" }],
  ['discussion', 1, '2021-03-30T23:17:18', CODERTOCAT, 'marked an answer', 'open', { text: 'Poggers' }],
  ['discussion', 2, '2021-03-30T20:35:35', CODERTOCAT, 'moved to Show and tell', 'locked'],
  ['discussion_comment', 0, '2021-03-29T14:16:31', CODERTOCAT, 'commented', 'open', { text: 'I have so many questions to ask you!' }],
  ['fork', 0, '15:20:42', 'Octocoders', 'forked to Octocoders/Hello-World', undefined],
  ['gollum', 0, null, 'rachmari', 'edited the wiki page Home', undefined],
  ['installation', 1, '15:19:51', CODERTOCAT, 'installed the app', 'active'],
  ['installation', 5, '2021-04-29T02:32:50', CODERTOCAT, 'suspended the app', 'suspended'],
  ['installation_repositories', 0, '15:19:51', CODERTOCAT, 'added 1 repository', undefined, { text: 'Codertocat/Space' }],
  ['issue_comment', 0, '15:20:21', CODERTOCAT, 'commented', 'open', { text: "You are totally right! I'll get this fixed right away.", people: ['codertocat'] }],
  ['issue_comment', 5, '15:20:22', CODERTOCAT, 'deleted a comment', 'open', { link: `https://github.com/${HELLO}/issues/1` }],
  ['issue_comment', 7, '15:20:22', CODERTOCAT, 'edited a comment', 'open'],
  ['issues', 0, '15:20:18', CODERTOCAT, 'edited', 'open'],
  ['issues', 1, '15:20:18', CODERTOCAT, 'assigned to Codertocat', 'open', { people: ['codertocat'] }],
  ['issues', 5, '15:20:35', CODERTOCAT, 'removed from milestone v1.0', 'open'],
  ['issues', 9, '15:20:18', CODERTOCAT, 'labelled bug', 'open'],
  ['issues', 15, '15:20:18', CODERTOCAT, 'opened', 'open', { title: 'Spelling error in the README file', text: "It looks like you accidently spelled 'commit' with two 't's." }],
  ['issues', 21, '2019-10-25T22:46:30', CODERTOCAT, `transferred to ${HELLO}`, 'open'],
  ['label', 5, null, CODERTOCAT, 'edited the label :bug: Bugfix', undefined],
  ['marketplace_purchase', 1, '2017-10-25T00:00:00', 'username', 'cancelled Premium Plan', undefined],
  ['member', 0, null, 'hacktocat', 'added hacktocat', undefined],
  ['membership', 0, null, CODERTOCAT, 'removed Codertocat from github', undefined],
  ['merge_group', 0, '15:20:30', CODERTOCAT, 'requested checks', undefined, { defaultBranch: true }],
  ['milestone', 1, '15:20:18', CODERTOCAT, 'closed', 'closed', { title: 'v1.0' }],
  ['milestone', 4, '15:20:36', CODERTOCAT, 'deleted', 'deleted'],
  ['organization', 3, '2021-05-24T04:10:21', CODERTOCAT, 'invited hacktocat', undefined, { people: ['hacktocat'] }],
  ['package', 0, '2019-05-09T23:28:30', CODERTOCAT, 'published 1.0.0', 'published'],
  ['page_build', 0, '15:20:40', CODERTOCAT, 'built the pages', undefined],
  ['projects_v2_item', 1, '2022-06-08T21:19:35', CODERTOCAT, 'archived an item', undefined],
  ['public', 0, '15:21:03', CODERTOCAT, 'made public', undefined],
  ['pull_request', 0, '15:20:33', CODERTOCAT, 'opened', 'open', { text: 'This is a pretty simple change that we need to pull into master.' }],
  ['pull_request', 3, '15:21:18', CODERTOCAT, 'closed', 'closed', { people: ['octocat', 'codertocat'] }],
  ['pull_request', 5, '15:21:18', CODERTOCAT, 'converted to a draft', 'draft'],
  ['pull_request', 8, '15:20:35', CODERTOCAT, 'labelled bug', 'open'],
  ['pull_request', 15, '15:21:18', CODERTOCAT, 'marked ready for review', 'open'],
  ['pull_request', 21, '15:20:33', CODERTOCAT, 'requested a review from octocat', 'open'],
  ['pull_request', 22, '15:20:33', CODERTOCAT, 'pushed new commits', 'open'],
  ['pull_request_review', 0, '15:20:38', CODERTOCAT, 'commented', 'open'],
  ['pull_request_review', 1, '15:20:38', CODERTOCAT, 'dismissed the review of Codertocat', 'open'],
  ['pull_request_review_comment', 0, '15:20:37', CODERTOCAT, 'commented on README.md', 'open', { text: 'Maybe you should use more emoji on this line.' }],
  ['pull_request_review_comment', 3, '15:20:38', CODERTOCAT, 'deleted a comment', 'open'],
  ['pull_request_review_thread', 0, '2022-03-21T09:21:38', 'octocat', 'resolved a conversation', 'open', { text: 'sup' }],
  ['push', 0, '15:20:57', CODERTOCAT, 'created the tag', undefined, { title: 'Adding a .gitignore file' }],
  ['push', 1, '15:20:57', CODERTOCAT, 'deleted the tag', 'deleted'],
  ['push', 4, '15:20:57', CODERTOCAT, 'created the branch with 1 commit', undefined, { defaultBranch: true, text: 'Initial commit' }],
  ['release', 0, '15:20:53', CODERTOCAT, 'published', 'published', { title: '0.0.1' }],
  ['release', 4, null, CODERTOCAT, 'deleted', 'deleted'],
  ['repository', 9, '15:20:41', CODERTOCAT, 'renamed from Hello-World', undefined],
  ['repository_vulnerability_alert', 0, '2021-03-01T01:23:45', 'github', 'created', 'open', { severity: 'warning' }],
  ['repository_vulnerability_alert', 3, '2017-10-25T00:00:00', 'github', 'dismissed', 'dismissed'],
  ['security_advisory', 3, '2021-05-06T16:13:08', undefined, 'withdrawn', 'withdrawn', { severity: 'critical' }],
  ['sponsorship', 0, '2019-12-20T19:24:46', 'monalisa', 'sponsored', undefined],
  ['star', 0, '15:20:40', CODERTOCAT, 'starred', undefined],
  ['status', 0, '15:20:55', CODERTOCAT, 'default succeeded', 'success', { defaultBranch: true }],
  ['team', 0, null, CODERTOCAT, 'added to Octocoders/Hello-World', undefined],
  ['workflow_dispatch', 0, null, 'octocat', 'started the workflow .github/workflows/hello-world-workflow.yml', undefined, { defaultBranch: true }],
  ['workflow_job', 1, '2021-08-05T10:38:16', CODERTOCAT, 'job linters failed', 'failure', { severity: 'error' }],
  ['workflow_job', 6, '2023-04-19T21:12:12', 'lineville', 'job test is waiting', 'waiting', { defaultBranch: true }],
  ['workflow_run', 1, '2020-10-05T16:33:49', CODERTOCAT, 'run succeeded', 'success', { defaultBranch: true, text: 'ci(action): update actions/setup-node digest to 8c91899' }],
]

describe('digests of GitHub events', () => {
  it('have a time of the payload, wherever it has one, for all published examples', () => {
    let seen = 0
    for (const { name, examples } of EXAMPLES) {
      for (const [index, payload] of examples.entries()) {
        const made = digest('github', payload, name)
        const at = `${made.name}[${index}]`
        seen++
        expect(made.what, at).toBeTruthy()
        if (TIMELESS.has(made.name) || UNTIMED.has(at)) expect(made.at, at).toBe(RECEIVED_AT)
        else expect(timesIn(payload), at).toContain(made.at)
        if (name !== 'security_advisory') expect(made.who, at).toBeTruthy()
      }
    }
    expect(seen).toBe(329)
  })

  it.each(ROWS)('say of %s[%i] at %s: %s %s, %s', (type, index, at, who, what, state, more = {}) => {
    const made = digest('github', example(type, index), type)
    const day = at?.includes('T') === true ? '' : '2019-05-15T'
    expect(timeOf(made)).toBe(at === null ? undefined : `${day}${at}.000Z`)
    expect({ who: made.who, what: made.what, state: made.state }).toEqual({ who, what, state })
    expect(made).toMatchObject(more)
  })

  it('take the words of an action that they do not know from its name', () => {
    expect(digest('github', { action: 'field_added', repository: { full_name: 'a/b' } }, 'issues').what).toBe(
      'field added',
    )
    expect(digest('github', { action: 'glorified' }, 'brand_new')).toMatchObject({
      name: 'brand_new.glorified',
      what: 'glorified',
    })
    expect(digest('github', {}, 'fork')).toMatchObject({ what: 'forked to', at: RECEIVED_AT })
  })
})
