/** GitHub's numbered things (pull requests, issues, discussions) and what is said on them. */
import { label, link, peek, text } from '@weir/core/adapters/peek'
import type { Reference } from '../digest.ts'
import { type Finding, list, named, reference } from './finding.ts'
import type { GithubEvent, GithubFinder } from './github-event.ts'
import { members } from './time.ts'

/** Actions whose words are not the action itself; what is missing falls back to the event's name. */
function whatOf({ json, action }: GithubEvent): string | undefined {
  switch (action) {
    case 'synchronize':
      return 'pushed new commits'
    case 'labeled':
      return named('labelled', text(json, 'label', 'name'))
    case 'unlabeled':
      return named('removed the label', text(json, 'label', 'name'))
    case 'assigned':
      return named('assigned to', text(json, 'assignee', 'login'))
    case 'unassigned':
      return named('unassigned', text(json, 'assignee', 'login'))
    case 'review_requested':
      return named('requested a review from', reviewerOf(json))
    case 'review_request_removed':
      return named('withdrew the review request to', reviewerOf(json))
    case 'ready_for_review':
      return 'marked ready for review'
    case 'converted_to_draft':
      return 'converted to a draft'
    case 'milestoned':
      return named('added to milestone', text(json, 'milestone', 'title'))
    case 'demilestoned':
      return named('removed from milestone', text(json, 'milestone', 'title'))
    case 'auto_merge_enabled':
      return 'enabled auto-merge'
    case 'auto_merge_disabled':
      return 'disabled auto-merge'
    case 'enqueued':
      return 'added to the merge queue'
    case 'dequeued':
      return 'removed from the merge queue'
    case 'transferred':
      return named('transferred to', text(json, 'changes', 'new_repository', 'full_name'))
    case 'answered':
      return 'marked an answer'
    case 'unanswered':
      return 'unmarked the answer'
    case 'category_changed':
      return named('moved to', text(json, 'discussion', 'category', 'name'))
    default:
      return undefined
  }
}

const reviewerOf = (json: unknown): string | undefined =>
  text(json, 'requested_reviewer', 'login') ?? text(json, 'requested_team', 'name')

/** Actions by which somebody writes the description; with the others it is old, and every digest would repeat it. */
const WRITES: ReadonlySet<string | undefined> = new Set(['opened', 'created', 'edited', 'transferred'])

const loginsOf = (thing: unknown, member: string): readonly (string | undefined)[] =>
  list(thing, member).map((user) => text(user, 'login'))

/** Where an issue or discussion went, and the milestone that it joined or left. */
function joinedTo({ json, repository }: GithubEvent): readonly (Reference | undefined)[] {
  const moved = peek(json, 'changes', 'new_issue') ?? peek(json, 'changes', 'new_discussion')
  return [
    reference('github', text(json, 'changes', 'new_repository', 'full_name'), '#', label(moved, 'number')),
    reference('github', repository, '/milestones/', label(json, 'milestone', 'number')),
  ]
}

const stateOfIssue = (issue: unknown): string | undefined =>
  peek(issue, 'pull_request') === undefined ? text(issue, 'state') : stateOfPull(issue)

/** An issue that is a pull request says `merged_at` and `draft` too, in places of its own. */
function stateOfPull(pull: unknown): string | undefined {
  if (
    peek(pull, 'merged') === true ||
    text(pull, 'merged_at') !== undefined ||
    text(pull, 'pull_request', 'merged_at') !== undefined
  )
    return 'merged'
  const state = text(pull, 'state')
  return state === 'open' && peek(pull, 'draft') === true ? 'draft' : state
}

/** The commit and branch that a pull request would merge: checks and pushes are about those. */
function codeOf(pull: unknown, repository: string | undefined): readonly (Reference | undefined)[] {
  const branch = text(pull, 'head', 'ref')
  return [
    reference('github', repository, '@', text(pull, 'head', 'sha')),
    branch === undefined
      ? undefined
      : reference('github', text(pull, 'head', 'repo', 'full_name'), `@refs/heads/${branch}`),
    text(pull, 'merged_at') === undefined
      ? undefined
      : reference('github', repository, '@', text(pull, 'merge_commit_sha')),
  ]
}

/** What all events of a pull request say of it. */
const aboutPull = ({ json, repository }: GithubEvent): Finding => {
  const pull = peek(json, 'pull_request')
  return {
    state: stateOfPull(pull),
    people: [...loginsOf(pull, 'requested_reviewers'), ...loginsOf(pull, 'assignees')],
    read: [text(pull, 'head', 'ref')],
    further: codeOf(pull, repository),
  }
}

const pullRequest: GithubFinder = (event) => {
  const { json, action, repository } = event
  const pull = peek(json, 'pull_request')
  const about = aboutPull(event)
  const body = text(pull, 'body')
  const merged = action === 'closed' && about.state === 'merged'
  return {
    ...about,
    at: [
      ...(action === 'closed' ? members(pull, 'merged_at', 'closed_at') : []),
      ...(action === 'opened' ? members(pull, 'created_at') : []),
      ...members(pull, 'updated_at'),
    ],
    what: merged ? 'merged' : whatOf(event),
    texts: WRITES.has(action) ? [body] : [],
    read: [...(about.read ?? []), body],
    references: joinedTo({ ...event, repository }),
  }
}

const REVIEWED: ReadonlyMap<string, string> = new Map(
  Object.entries({ approved: 'approved', changes_requested: 'requested changes', commented: 'commented' }),
)

const review: GithubFinder = (event) => {
  const { json, action } = event
  const found = peek(json, 'review')
  const state = text(found, 'state')?.toLowerCase()
  return {
    ...aboutPull(event),
    at: [
      ...(action === 'submitted' ? members(found, 'submitted_at') : []),
      peek(json, 'pull_request', 'updated_at'),
    ],
    what:
      action === 'submitted'
        ? (REVIEWED.get(state ?? '') ?? 'reviewed')
        : action === 'dismissed'
          ? named('dismissed the review of', text(found, 'user', 'login'))
          : 'edited a review',
    link: link(found, 'html_url'),
    texts: [text(found, 'body')],
  }
}

/** Where it was made, as a comment on a line says it. */
function commented(action: string | undefined, path?: string): string | undefined {
  switch (action) {
    case 'created':
      return path === undefined ? 'commented' : `commented on ${path}`
    case 'edited':
      return 'edited a comment'
    case 'deleted':
      return 'deleted a comment'
    default:
      return undefined
  }
}

/** A deleted comment's own times are those of its writing; its thread was changed by the deletion. */
const commentTimes = (comment: unknown, thread: unknown, action: string | undefined): readonly unknown[] =>
  action === 'deleted'
    ? [peek(thread, 'updated_at')]
    : members(comment, action === 'created' ? 'created_at' : 'updated_at', 'created_at')

const comment = (event: GithubEvent, thread: unknown): Finding => {
  const { json, action } = event
  const found = peek(json, 'comment')
  return {
    at: commentTimes(found, thread, action),
    what: commented(action, text(found, 'path')),
    // The page of a deleted comment is gone, and what it said is not to be read here again.
    link: action === 'deleted' ? undefined : link(found, 'html_url'),
    texts: action === 'deleted' ? [] : [text(found, 'body')],
  }
}

const issueComment: GithubFinder = (event) => {
  const issue = peek(event.json, 'issue')
  return { ...comment(event, issue), state: stateOfIssue(issue), people: loginsOf(issue, 'assignees') }
}

const issue: GithubFinder = (event) => {
  const { json, action } = event
  const found = peek(json, 'issue')
  const body = text(found, 'body')
  return {
    at: [
      ...(action === 'closed' ? members(found, 'closed_at') : []),
      ...(action === 'opened' ? members(found, 'created_at') : []),
      ...members(found, 'updated_at'),
    ],
    what: whatOf(event),
    state: action === 'deleted' ? 'deleted' : stateOfIssue(found),
    texts: WRITES.has(action) ? [body] : [],
    read: [body],
    people: loginsOf(found, 'assignees'),
    references: joinedTo(event),
  }
}

const discussion: GithubFinder = (event) => {
  const { json, action } = event
  const found = peek(json, 'discussion')
  return {
    at: [
      ...(action === 'answered' ? members(found, 'answer_chosen_at') : []),
      ...(action === 'created' ? members(found, 'created_at') : []),
      ...members(found, 'updated_at'),
    ],
    what: action === 'created' ? 'opened' : whatOf(event),
    state: action === 'deleted' ? 'deleted' : text(found, 'state'),
    texts:
      action === 'answered'
        ? [text(json, 'answer', 'body')]
        : WRITES.has(action)
          ? [text(found, 'body')]
          : [],
    references: joinedTo(event),
  }
}

export const THREADS: Readonly<Record<string, GithubFinder>> = {
  commit_comment: (event) => comment(event, undefined),
  discussion,
  discussion_comment: (event) => {
    const thread = peek(event.json, 'discussion')
    return { ...comment(event, thread), state: text(thread, 'state') }
  },
  issue_comment: issueComment,
  issues: issue,
  pull_request: pullRequest,
  pull_request_review: review,
  pull_request_review_comment: (event) => ({
    ...aboutPull(event),
    ...comment(event, peek(event.json, 'pull_request')),
  }),
  pull_request_review_thread: (event) => ({
    ...aboutPull(event),
    at: [peek(event.json, 'updated_at'), peek(event.json, 'pull_request', 'updated_at')],
    what: event.action === 'resolved' ? 'resolved a conversation' : 'reopened a conversation',
    // The first comment says what it was about; each of them has a digest of its own.
    texts: [text(event.json, 'thread', 'comments', 0, 'body')],
  }),
}
