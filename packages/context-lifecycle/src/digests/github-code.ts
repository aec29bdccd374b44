/** What machines say of code on GitHub: checks, statuses, runs, deployments and security alerts. */
import { label, link, peek, text } from '@weir/core/adapters/peek'
import type { Reference } from '../digest.ts'
import { firstLine, list, named, reference } from './finding.ts'
import type { GithubFinder } from './github-event.ts'
import { severityOf } from './severity.ts'
import { members } from './time.ts'
import { ended, outcomeOf, severityOfOutcome } from './words.ts'

/** A conclusion stays when a run is asked for again, so it counts only once it is completed. */
const outcomeOfRun = (run: unknown): string | undefined =>
  outcomeOf(
    text(run, 'status') === 'completed' || text(run, 'status') === undefined
      ? (text(run, 'conclusion') ?? text(run, 'status'))
      : text(run, 'status'),
  )

/** Pull requests that a run is for; those of a fork lie in another repository, which only their address names. */
const pullsOf = (run: unknown, repository: string | undefined): readonly (Reference | undefined)[] =>
  list(run, 'pull_requests').map((pull) => {
    const owner = /\/repos\/([^/]+\/[^/]+)\/pulls\/\d+$/.exec(text(pull, 'url') ?? '')?.[1]
    return reference('github', owner ?? repository, '#', label(pull, 'number'))
  })

const branchOf = (repository: string | undefined, branch: string | undefined): Reference | undefined =>
  branch === undefined ? undefined : reference('github', repository, `@refs/heads/${branch}`)

const commitLink = (json: unknown, sha: string | undefined): string | undefined => {
  const repository = link(json, 'repository', 'html_url')
  return repository === undefined || sha === undefined ? undefined : `${repository}/commit/${sha}`
}

const checkRun: GithubFinder = ({ json, action, repository, defaultBranch }) => {
  const run = peek(json, 'check_run')
  const branch = text(run, 'check_suite', 'head_branch')
  const outcome = outcomeOfRun(run)
  const check = named('check', text(run, 'name'))
  const isRequest = action === 'rerequested' || action === 'requested_action'
  return {
    // Asked for again, it still has its old times; none of them is the request's.
    at: action === 'completed' ? members(run, 'completed_at') : isRequest ? [] : members(run, 'started_at'),
    what: isRequest
      ? `requested ${action === 'rerequested' ? `${check} again` : `an action of ${check}`}`
      : ended(check, outcome),
    state: outcome,
    texts: [text(run, 'output', 'title'), text(run, 'output', 'summary')],
    // The run that it belongs to, where it is one of GitHub Actions.
    read: [branch, link(run, 'details_url')],
    severity: isRequest ? undefined : severityOfOutcome(outcome),
    defaultBranch: branch !== undefined && branch === defaultBranch,
    references: pullsOf(run, repository),
    further: [branchOf(repository, branch)],
  }
}

const checkSuite: GithubFinder = ({ json, action, repository, defaultBranch }) => {
  const suite = peek(json, 'check_suite')
  const branch = text(suite, 'head_branch')
  const outcome = outcomeOfRun(suite)
  return {
    at: action === 'requested' ? members(suite, 'created_at') : members(suite, 'updated_at'),
    what:
      action === 'completed'
        ? ended('checks', outcome)
        : `requested checks${action === 'rerequested' ? ' again' : ''}`,
    title: firstLine(text(suite, 'head_commit', 'message')),
    link: commitLink(json, text(suite, 'head_sha')),
    state: outcome,
    read: [branch, text(suite, 'head_commit', 'message')],
    severity: action === 'completed' ? severityOfOutcome(outcome) : undefined,
    defaultBranch: branch !== undefined && branch === defaultBranch,
    references: pullsOf(suite, repository),
    further: [branchOf(repository, branch)],
  }
}

const workflowRun: GithubFinder = ({ json, action, repository, defaultBranch }) => {
  const run = peek(json, 'workflow_run')
  const branch = text(run, 'head_branch')
  const source = text(run, 'head_repository', 'full_name') ?? repository
  const outcome = outcomeOfRun(run)
  return {
    at: action === 'requested' ? members(run, 'run_started_at', 'created_at') : members(run, 'updated_at'),
    what: action === 'requested' ? 'run requested' : ended('run', outcome),
    title: text(run, 'name') ?? text(run, 'display_title'),
    state: outcome,
    texts: [text(run, 'display_title')],
    read: [branch, text(run, 'head_commit', 'message')],
    severity: severityOfOutcome(outcome),
    // A fork's `main` is not ours.
    defaultBranch: branch !== undefined && branch === defaultBranch && source === repository,
    references: [...pullsOf(run, repository), reference('github', repository, '@', text(run, 'head_sha'))],
    further: [branchOf(source, branch)],
  }
}

const workflowJob: GithubFinder = ({ json, action, repository, defaultBranch }) => {
  const job = peek(json, 'workflow_job')
  const branch = text(job, 'head_branch')
  const outcome = outcomeOfRun(job)
  return {
    at:
      action === 'completed'
        ? members(job, 'completed_at')
        : action === 'in_progress'
          ? members(job, 'started_at')
          : members(job, 'created_at', 'started_at'),
    what: ended(named('job', text(job, 'name')), outcome),
    // The job's, not its run's, which may go on; said all the same, as nothing else says it.
    state: outcome,
    read: [branch],
    severity: severityOfOutcome(outcome),
    defaultBranch: branch !== undefined && branch === defaultBranch,
    references: [reference('github', repository, '@', text(job, 'head_sha'))],
    further: [
      branchOf(repository, branch),
      reference('github', repository, '/deployments/', label(json, 'deployment', 'id')),
    ],
  }
}

const status: GithubFinder = ({ json, repository, defaultBranch }) => {
  const outcome = outcomeOf(text(json, 'state'))
  const branches = list(json, 'branches').map((one) => text(one, 'name'))
  return {
    at: members(json, 'updated_at', 'created_at'),
    what: ended(text(json, 'context') ?? 'status', outcome),
    link: link(json, 'target_url') ?? link(json, 'commit', 'html_url'),
    state: outcome,
    texts: [text(json, 'description')],
    read: [...branches, text(json, 'commit', 'commit', 'message')],
    severity: severityOfOutcome(outcome),
    defaultBranch: defaultBranch !== undefined && branches.includes(defaultBranch),
    further: branches.map((branch) => branchOf(repository, branch)),
  }
}

/** `ref` is a branch, a tag or a commit's hash. */
const deployment: GithubFinder = ({ json, repository, defaultBranch }) => {
  const found = peek(json, 'deployment')
  const after = peek(json, 'deployment_status')
  const ref = text(found, 'ref')
  const outcome = outcomeOf(text(after, 'state'))
  const place = text(after, 'environment') ?? text(found, 'environment')
  const thing = named('deployment to', place)
  return {
    at: after === undefined ? members(found, 'created_at') : members(after, 'updated_at', 'created_at'),
    what: after === undefined ? named('started deploying to', place) : ended(thing, outcome),
    link:
      link(after, 'environment_url') ??
      link(after, 'target_url') ??
      link(json, 'workflow_run', 'html_url') ??
      commitLink(json, text(found, 'sha')),
    state: outcome,
    texts: [text(after, 'description') ?? text(found, 'description')],
    read: [ref],
    severity: severityOfOutcome(outcome),
    defaultBranch: ref !== undefined && ref === defaultBranch,
    references: [
      reference('github', repository, '@', text(found, 'sha')),
      reference('github', repository, '/runs/', label(json, 'workflow_run', 'id')),
      ...pullsOf(peek(json, 'workflow_run'), repository),
    ],
  }
}

const deploymentReview: GithubFinder = (event) => {
  const { json, action } = event
  const place = text(json, 'environment')
  return {
    ...workflowRun(event),
    at: [peek(json, 'since'), peek(json, 'workflow_run', 'updated_at')],
    what:
      action === 'requested'
        ? named('requested approval to deploy to', place)
        : named(`${action ?? 'reviewed'} the deployment`, place === undefined ? undefined : `to ${place}`),
    texts: [text(json, 'comment')],
    people: list(json, 'reviewers').map((one) => text(one, 'reviewer', 'login')),
  }
}

/** When it came to its state, by what was done; the others changed it some other way. */
const ALERT_TIMES: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    auto_dismissed: ['auto_dismissed_at'],
    closed_by_user: ['dismissed_at'],
    create: ['created_at'],
    created: ['created_at'],
    dismiss: ['dismissed_at'],
    dismissed: ['dismissed_at'],
    fixed: ['fixed_at'],
    resolve: ['fixed_at'],
    resolved: ['resolved_at'],
  }),
)

const ALERT_STATES: ReadonlyMap<string, string> = new Map(
  Object.entries({ create: 'open', dismiss: 'dismissed', reopen: 'open', resolve: 'fixed' }),
)

const securityAlert: GithubFinder = ({ json, action, repository, defaultBranch }) => {
  const alert = peek(json, 'alert')
  const advisory = peek(alert, 'security_advisory')
  const ref = text(json, 'ref')
  return {
    at: members(alert, ...(ALERT_TIMES.get(action ?? '') ?? []), 'updated_at'),
    what: action === 'closed_by_user' ? named('dismissed:', text(alert, 'dismissed_reason')) : undefined,
    title:
      text(advisory, 'summary') ??
      text(alert, 'rule', 'description') ??
      text(alert, 'secret_type_display_name') ??
      text(alert, 'affected_package_name'),
    state: text(alert, 'state') ?? ALERT_STATES.get(action ?? ''),
    texts: [text(advisory, 'description') ?? text(alert, 'rule', 'full_description')],
    severity:
      severityOf(text(alert, 'rule', 'security_severity_level')) ??
      severityOf(text(alert, 'security_vulnerability', 'severity')) ??
      severityOf(text(advisory, 'severity')) ??
      severityOf(text(alert, 'severity')) ??
      severityOf(text(alert, 'rule', 'severity')),
    defaultBranch: ref !== undefined && ref === `refs/heads/${defaultBranch}`,
    references: [
      reference('github', text(advisory, 'ghsa_id') ?? text(alert, 'ghsa_id')),
      reference('github', repository, '@', text(json, 'commit_oid')),
    ],
  }
}

export const CODE: Readonly<Record<string, GithubFinder>> = {
  check_run: checkRun,
  check_suite: checkSuite,
  code_scanning_alert: securityAlert,
  dependabot_alert: securityAlert,
  deployment,
  deployment_review: deploymentReview,
  deployment_status: deployment,
  repository_vulnerability_alert: securityAlert,
  secret_scanning_alert: securityAlert,
  security_advisory: ({ json, action }) => {
    const advisory = peek(json, 'security_advisory')
    return {
      at: members(advisory, ...(action === 'published' ? ['published_at'] : ['withdrawn_at']), 'updated_at'),
      state: action === 'withdrawn' ? 'withdrawn' : 'published',
      link: link(advisory, 'html_url'),
      texts: [text(advisory, 'description')],
      severity: severityOf(text(advisory, 'severity')),
    }
  },
  status,
  workflow_job: workflowJob,
  workflow_run: workflowRun,
}
