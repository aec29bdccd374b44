/** GitLab's pipelines, jobs and deployments. */
import { label, link, peek, text } from '@weir/core/adapters/peek'
import { type Finding, firstLine, named, reference } from './finding.ts'
import { members } from './time.ts'
import { ended, outcomeOf, severityOfOutcome } from './words.ts'

const refOf = (ref: string | undefined, isTag: boolean): string | undefined =>
  ref === undefined ? undefined : `@refs/${isTag ? 'tags' : 'heads'}/${ref}`

const isDefault = (json: unknown, ref: string | undefined, isTag: boolean): boolean =>
  ref !== undefined && !isTag && ref === text(json, 'project', 'default_branch')

export function gitlabPipeline(json: unknown, project: string | undefined): Finding {
  const found = peek(json, 'object_attributes')
  const ref = text(found, 'ref')
  const isTag = peek(found, 'tag') === true
  const outcome = outcomeOf(text(found, 'status'))
  const projectId = label(json, 'project', 'id')
  const id = label(found, 'id')
  return {
    at: members(found, 'finished_at', 'created_at'),
    what: ended('pipeline', outcome),
    title: text(found, 'name') ?? text(json, 'commit', 'title') ?? firstLine(text(json, 'commit', 'message')),
    state: outcome,
    texts: [text(json, 'commit', 'message')],
    read: [ref, text(json, 'merge_request', 'source_branch')],
    severity: severityOfOutcome(outcome),
    defaultBranch: isDefault(json, ref, isTag),
    references: [
      reference('gitlab', project, '!', label(json, 'merge_request', 'iid')),
      reference('gitlab', project, '@', text(found, 'sha')),
      // Its jobs know their project by number only.
      projectId === undefined ? undefined : reference('gitlab', `projects/${projectId}/pipelines/`, id),
    ],
    further: [reference('gitlab', project, refOf(ref, isTag))],
  }
}

/** `commit.id` of a job is its pipeline's number, `commit.sha` the commit. */
export function gitlabJob(json: unknown, project: string | undefined): Finding {
  const ref = text(json, 'ref')
  const isTag = peek(json, 'tag') === true
  const outcome = outcomeOf(text(json, 'build_status'))
  return {
    at: members(json, 'build_finished_at', 'build_started_at', 'build_created_at'),
    what: ended(named('job', text(json, 'build_name')), outcome),
    title: firstLine(text(json, 'commit', 'message')),
    state: outcome,
    texts: [
      text(json, 'build_failure_reason')
        ?.replace(/^unknown_failure$/, '')
        .replaceAll('_', ' '),
    ],
    read: [ref, text(json, 'commit', 'message')],
    severity: peek(json, 'build_allow_failure') === true ? undefined : severityOfOutcome(outcome),
    defaultBranch: isDefault(json, ref, isTag),
    references: [
      reference('gitlab', project, '/pipelines/', label(json, 'pipeline_id')),
      reference('gitlab', project, '@', text(json, 'sha')),
    ],
    further: [reference('gitlab', project, refOf(ref, isTag))],
  }
}

export function gitlabDeployment(json: unknown, project: string | undefined): Finding {
  const ref = text(json, 'ref')
  const outcome = outcomeOf(text(json, 'status'))
  return {
    at: members(json, 'status_changed_at'),
    what: ended(named('deployment to', text(json, 'environment')), outcome),
    link: link(json, 'environment_external_url') ?? link(json, 'deployable_url') ?? link(json, 'commit_url'),
    state: outcome,
    texts: [text(json, 'commit_title')],
    read: [ref],
    severity: severityOfOutcome(outcome),
    defaultBranch: isDefault(json, ref, false),
    // The short hash beside it would be no key; the commit's page has the whole one.
    references: [
      reference(
        'gitlab',
        project,
        '@',
        /\/commit\/([0-9a-f]{40})$/.exec(text(json, 'commit_url') ?? '')?.[1],
      ),
    ],
    further: [reference('gitlab', project, refOf(ref, false))],
  }
}
