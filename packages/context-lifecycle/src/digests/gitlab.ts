/**
 * GitLab: by `object_kind`, as its adapter, since system hooks name it too.
 *
 * A push has no time of its own; the newest commit's has to do.
 * https://docs.gitlab.com/user/project/integrations/webhook_events/
 */
import { label, link, peek, text } from '@weir/core/adapters/peek'
import type { Reference } from '../digest.ts'
import { count, counted, type Find, type Finding, firstLine, list, named, reference } from './finding.ts'
import { gitlabDeployment, gitlabJob, gitlabPipeline } from './gitlab-runs.ts'
import { hostOf } from './links.ts'
import { severityOf } from './severity.ts'
import { members } from './time.ts'

/** Every hash is zero where there is nothing: before a branch is made, after it is deleted. */
const isNothing = (sha: string | undefined): boolean => sha !== undefined && /^0+$/.test(sha)

/** `gitlab` also knows states that are none (`opened`); one word for all tools. */
function stateOf(thing: unknown): string | undefined {
  const state = text(thing, 'state')
  if (state !== 'opened') return state
  return peek(thing, 'draft') === true || peek(thing, 'work_in_progress') === true ? 'draft' : 'open'
}

const projectOf = (json: unknown): string | undefined =>
  text(json, 'project', 'path_with_namespace') ??
  text(json, 'object_attributes', 'target', 'path_with_namespace') ??
  text(json, 'path_with_namespace')

const ACTIONS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    approval: 'approved',
    approved: 'approved',
    close: 'closed',
    merge: 'merged',
    open: 'opened',
    reopen: 'reopened',
    unapproval: 'withdrew the approval',
    unapproved: 'withdrew the approval',
  }),
)

/** What an update changed, as far as it is worth a word. */
function updated(json: unknown): string {
  const attributes = peek(json, 'object_attributes')
  const changes = peek(json, 'changes')
  if (text(attributes, 'oldrev') !== undefined) return 'pushed new commits'
  if (peek(changes, 'draft', 'current') === false) return 'marked ready for review'
  if (peek(changes, 'draft', 'current') === true) return 'converted to a draft'
  const labels = list(changes, 'labels', 'current').map((one) => text(one, 'title'))
  const before = new Set(list(changes, 'labels', 'previous').map((one) => text(one, 'title')))
  const added = labels.filter((title) => title !== undefined && !before.has(title))
  if (added.length > 0) return `labelled ${added.join(', ')}`
  if (peek(changes, 'labels') !== undefined) return 'removed a label'
  const assigned = list(changes, 'assignees', 'current').map((one) => text(one, 'username'))
  if (assigned.length > 0) return `assigned to ${assigned.join(', ')}`
  if (peek(changes, 'assignees') !== undefined) return 'unassigned'
  const reviewers = list(changes, 'reviewers', 'current').map((one) => text(one, 'username'))
  if (reviewers.length > 0) return `requested a review from ${reviewers.join(', ')}`
  if (peek(changes, 'title') !== undefined) return 'renamed'
  return peek(changes, 'description') === undefined ? 'updated' : 'edited the description'
}

const WRITES: ReadonlySet<string | undefined> = new Set(['open', undefined])

/** Merge requests, issues and their kin. */
function thread(json: unknown, project: string | undefined): Finding {
  const found = peek(json, 'object_attributes')
  const action = text(found, 'action')
  const branch = text(found, 'source_branch')
  const description = text(found, 'description')
  const writes = WRITES.has(action) || peek(json, 'changes', 'description') !== undefined
  return {
    at: members(found, ...(action === 'open' ? ['created_at'] : []), 'updated_at', 'created_at'),
    what: action === 'update' ? updated(json) : ACTIONS.get(action ?? ''),
    state: stateOf(found),
    texts: writes ? [description] : [],
    read: [branch, description],
    severity: severityOf(text(found, 'severity')),
    people: [...list(json, 'assignees'), ...list(json, 'reviewers')].map((one) => text(one, 'username')),
    references: [reference('gitlab', project, '@', text(found, 'last_commit', 'id'))],
    further: [
      branch === undefined
        ? undefined
        : reference('gitlab', text(found, 'source', 'path_with_namespace'), `@refs/heads/${branch}`),
    ],
  }
}

function note(json: unknown): Finding {
  const found = peek(json, 'object_attributes')
  const thing = peek(json, 'merge_request') ?? peek(json, 'issue')
  const isEdit = text(found, 'action') === 'update'
  return {
    at: members(found, ...(isEdit ? ['updated_at'] : []), 'created_at', 'updated_at'),
    what: isEdit ? 'edited a comment' : 'commented',
    title: text(thing, 'title') ?? firstLine(text(json, 'commit', 'message')),
    link: link(found, 'url'),
    state: stateOf(thing),
    texts: [text(found, 'note')],
    // Notes on commits join the merge requests that hold them only by what they say.
    read: [text(thing, 'source_branch')],
  }
}

function push(json: unknown, project: string | undefined): Finding {
  const ref = text(json, 'ref')
  const noun = ref?.startsWith('refs/tags/') === true ? 'tag' : 'branch'
  const commits = list(json, 'commits')
  const number = Number(label(json, 'total_commits_count') ?? count(json, 'commits')) || 0
  const isMade = isNothing(text(json, 'before'))
  const isDeleted = isNothing(text(json, 'after'))
  const branch = text(json, 'project', 'default_branch')
  return {
    at: commits.map((one) => peek(one, 'timestamp')).reverse(),
    what: isDeleted
      ? `deleted the ${noun}`
      : isMade
        ? `created the ${noun}${number > 0 && noun === 'branch' ? ` with ${counted(number, 'commit')}` : ''}`
        : number === 0
          ? 'pushed'
          : `pushed ${counted(number, 'commit')}`,
    title: firstLine(text(commits.at(-1), 'message')) ?? ref?.replace(/^refs\/(?:heads|tags)\//, ''),
    state: isDeleted ? 'deleted' : undefined,
    texts: [text(json, 'message'), ...commits.map((one) => text(one, 'message'))],
    read: [ref],
    defaultBranch: branch !== undefined && ref === `refs/heads/${branch}`,
    further: [text(json, 'checkout_sha'), ...commits.map((one) => text(one, 'id')).reverse()].map(
      (sha): Reference | undefined => reference('gitlab', project, '@', sha),
    ),
  }
}

function release(json: unknown, project: string | undefined): Finding {
  const action = text(json, 'action')
  const tag = text(json, 'tag')
  return {
    at: action === 'create' ? members(json, 'released_at', 'created_at') : [],
    what: action === 'create' ? 'released' : undefined,
    title: text(json, 'name') ?? tag,
    state: action === 'delete' ? 'deleted' : 'published',
    texts: [text(json, 'description')],
    references: [
      tag === undefined ? undefined : reference('gitlab', project, `@refs/tags/${tag}`),
      reference('gitlab', project, '@', text(json, 'commit', 'id')),
    ],
  }
}

function other(json: unknown, kind: string | undefined): Finding {
  const found = peek(json, 'object_attributes')
  switch (kind) {
    case 'emoji': {
      const isTaken = text(json, 'event_type') === 'revoke' || text(found, 'action') === 'revoke'
      const thing = peek(json, 'merge_request') ?? peek(json, 'issue')
      return {
        at: members(found, ...(isTaken ? ['updated_at'] : []), 'awarded_on', 'created_at'),
        what: named(isTaken ? 'took back' : 'reacted with', `:${text(found, 'name') ?? 'emoji'}:`),
        title: text(thing, 'title'),
        state: stateOf(thing),
      }
    }
    case 'wiki_page':
      return { texts: [text(found, 'message'), text(found, 'content')] }
    case 'milestone':
      return {
        at: members(found, 'updated_at', 'created_at'),
        state: text(found, 'state'),
        texts: [text(found, 'description')],
      }
    default:
      return {
        at: [...members(json, 'updated_at', 'created_at'), ...members(found, 'updated_at', 'created_at')],
        state: text(found, 'state'),
        texts: [text(found, 'description')],
        severity: severityOf(text(found, 'severity')),
      }
  }
}

function byKind(kind: string | undefined, json: unknown, project: string | undefined): Finding {
  switch (kind) {
    case 'merge_request':
    case 'issue':
    case 'work_item':
    case 'incident':
      return thread(json, project)
    case 'note':
      return note(json)
    case 'push':
    case 'tag_push':
      return push(json, project)
    case 'pipeline':
      return gitlabPipeline(json, project)
    case 'build':
      return gitlabJob(json, project)
    case 'deployment':
      return gitlabDeployment(json, project)
    case 'release':
      return release(json, project)
    default:
      return other(json, kind)
  }
}

export const gitlab: Find = ({ payload: json }) => {
  const project = projectOf(json)
  const kind = text(json, 'object_kind') ?? text(json, 'event_name')
  return {
    who:
      text(json, 'user', 'username') ??
      text(json, 'user_username') ??
      text(json, 'user', 'name') ??
      text(json, 'user_name'),
    reading: { repository: project, host: hostOf(link(json, 'project', 'web_url')) },
    ...byKind(kind, json, project),
  }
}
