/**
 * Bitbucket Cloud, and Data Center, whose events have other names (`pr:merged`) and other members.
 * https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/
 * https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
 */
import { label, link, peek, text } from '@weir/core/adapters/peek'
import type { Reference } from '../digest.ts'
import { count, counted, type Find, type Finding, firstLine, list, named, reference } from './finding.ts'
import { hostOf } from './links.ts'
import { members } from './time.ts'
import { ended, outcomeOf, severityOfOutcome } from './words.ts'

/** As the adapter names repositories. */
function repositoryOf(json: unknown): string | undefined {
  const target = peek(json, 'repository') ?? peek(json, 'pullRequest', 'toRef', 'repository')
  const [project, slug] = [text(target, 'project', 'key'), text(target, 'slug')]
  return (
    text(target, 'full_name') ??
    (project === undefined || slug === undefined ? undefined : `${project}/${slug}`)
  )
}

const WHAT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'issue:comment_created': 'commented',
    'pr:comment:added': 'commented',
    'pr:comment:deleted': 'deleted a comment',
    'pr:comment:edited': 'edited a comment',
    'pr:declined': 'declined',
    'pr:from_ref_updated': 'pushed new commits',
    'pr:modified': 'edited',
    'pr:reviewer:approved': 'approved',
    'pr:reviewer:changes_requested': 'requested changes',
    'pr:reviewer:needs_work': 'requested changes',
    'pr:reviewer:unapproved': 'withdrew the approval',
    'pr:reviewer:updated': 'changed the reviewers',
    'pullrequest:approved': 'approved',
    'pullrequest:changes_request_created': 'requested changes',
    'pullrequest:changes_request_removed': 'withdrew the request for changes',
    'pullrequest:comment_created': 'commented',
    'pullrequest:comment_deleted': 'deleted a comment',
    'pullrequest:comment_reopened': 'reopened a conversation',
    'pullrequest:comment_resolved': 'resolved a conversation',
    'pullrequest:comment_updated': 'edited a comment',
    'pullrequest:created': 'opened',
    'pullrequest:fulfilled': 'merged',
    'pullrequest:rejected': 'declined',
    'pullrequest:unapproved': 'withdrew the approval',
    'repo:commit_comment_created': 'commented',
    'repo:fork': 'forked',
  }),
)

const STATES: ReadonlyMap<string, string> = new Map(
  Object.entries({ declined: 'closed', new: 'open', superseded: 'closed' }),
)

/** Declined and superseded are closed without a merge; an issue that is new is open. */
function stateOf(thing: unknown): string | undefined {
  const state = text(thing, 'state')?.toLowerCase()
  if (state === 'open' && peek(thing, 'draft') === true) return 'draft'
  return state === undefined ? undefined : (STATES.get(state) ?? state)
}

/** A nickname is what Cloud's users are mentioned by; Data Center's accounts have a name of that kind. */
const nameOf = (user: unknown): string | undefined =>
  text(user, 'nickname') ?? text(user, 'name') ?? text(user, 'display_name') ?? text(user, 'displayName')

const commitOf = (repository: string | undefined, sha: string | undefined): Reference | undefined =>
  // Pull requests of Cloud name their commits by 12 digits, which is no subject's key.
  sha !== undefined && sha.length >= 40 ? reference('bitbucket', repository, '@', sha) : undefined

const refOf = (repository: string | undefined, branch: string | undefined): Reference | undefined =>
  branch === undefined ? undefined : reference('bitbucket', repository, `@refs/heads/${branch}`)

/** A comment that is deleted, resolved or reopened has only the times of its writing. */
const COMMENT_TIMES: ReadonlyMap<string, readonly string[]> = new Map([
  ['pullrequest:comment_created', ['created_on']],
  ['pullrequest:comment_updated', ['updated_on']],
])

/** What was deleted is not to be read here again. */
const saidIn = (type: string, comment: unknown): string | undefined =>
  type.endsWith('deleted') ? undefined : (text(comment, 'content', 'raw') ?? text(comment, 'text'))

function pullRequest(type: string, json: unknown, repository: string | undefined): Finding {
  const pull = peek(json, 'pullrequest') ?? peek(json, 'pullRequest')
  const comment = peek(json, 'comment')
  const branch = text(pull, 'source', 'branch', 'name') ?? text(pull, 'fromRef', 'displayId')
  const description = text(pull, 'description') ?? text(pull, 'summary', 'raw')
  const writes = /^(?:pullrequest:(?:created|updated)|pr:(?:opened|modified))$/.test(type)
  return {
    at: [
      ...members(comment, ...(COMMENT_TIMES.get(type) ?? [])),
      peek(json, 'approval', 'date'),
      peek(json, 'changes_request', 'date'),
      peek(json, 'date'),
      ...members(
        pull,
        ...(type === 'pullrequest:created' ? ['created_on'] : []),
        'updated_on',
        'updatedDate',
      ),
    ],
    link: link(comment, 'links', 'html', 'href'),
    state: stateOf(pull),
    texts: [comment === undefined ? (writes ? description : undefined) : saidIn(type, comment)],
    read: [branch, comment === undefined ? description : undefined],
    people: list(pull, 'reviewers').map((one) => nameOf(peek(one, 'user') ?? one)),
    references: [
      commitOf(repository, text(pull, 'fromRef', 'latestCommit')),
      commitOf(
        repository,
        text(pull, 'merge_commit', 'hash') ?? text(pull, 'properties', 'mergeCommit', 'id'),
      ),
    ],
    further: [refOf(text(pull, 'source', 'repository', 'full_name') ?? repository, branch)],
  }
}

/** Cloud says what became of each branch and its newest commits; Data Center only the hashes before and after. */
function push(json: unknown, repository: string | undefined): Finding {
  const changes =
    list(json, 'push', 'changes').length > 0 ? list(json, 'push', 'changes') : list(json, 'changes')
  const [change] = changes
  const end = peek(change, 'new') ?? peek(change, 'old') ?? peek(change, 'ref')
  const noun = /tag/i.test(text(end, 'type') ?? '') ? 'tag' : 'branch'
  const commits = changes.flatMap((one) => list(one, 'commits'))
  const number = commits.length
  const kind = text(change, 'type')
  const isDeleted = peek(change, 'closed') === true || kind === 'DELETE'
  const isMade = peek(change, 'created') === true || kind === 'ADD'
  const more = changes.some((one) => peek(one, 'truncated') === true) ? 'more than ' : ''
  return {
    at: [...changes.map((one) => peek(one, 'new', 'target', 'date')), peek(json, 'date')],
    what:
      changes.length > 1
        ? `pushed to ${counted(changes.length, 'branch').replace(/hs$/, 'hes')}`
        : isDeleted
          ? `deleted the ${noun}`
          : isMade
            ? `created the ${noun}`
            : peek(change, 'forced') === true
              ? 'force-pushed'
              : number === 0
                ? 'pushed'
                : `pushed ${more}${counted(number, 'commit')}`,
    title: firstLine(text(change, 'new', 'target', 'message')) ?? text(end, 'name') ?? text(end, 'displayId'),
    state: changes.length === 1 && isDeleted ? 'deleted' : undefined,
    texts: commits.map((one) => text(one, 'message')),
    read: changes.map((one) => text(one, 'new', 'name') ?? text(one, 'ref', 'displayId')),
    further: [
      ...changes.map((one) => text(one, 'new', 'target', 'hash') ?? text(one, 'toHash')),
      ...commits.map((one) => text(one, 'hash')),
    ].map((sha) => (/^0+$/.test(sha ?? '') ? undefined : commitOf(repository, sha))),
  }
}

function status(json: unknown): Finding {
  const found = peek(json, 'commit_status')
  const outcome = outcomeOf(text(found, 'state'))
  return {
    at: members(found, 'updated_on', 'created_on'),
    what: ended(text(found, 'name') ?? text(found, 'key') ?? 'build', outcome),
    link: link(found, 'url'),
    state: outcome,
    texts: [text(found, 'description')],
    read: [text(found, 'refname')],
    severity: severityOfOutcome(outcome),
    further: [refOf(repositoryOf(json), text(found, 'refname'))],
  }
}

function issue(type: string, json: unknown): Finding {
  const found = peek(json, 'issue')
  const comment = peek(json, 'comment')
  const [before, after] = [text(json, 'changes', 'status', 'old'), text(json, 'changes', 'status', 'new')]
  return {
    at: [...members(comment, 'created_on'), ...members(found, 'updated_on', 'created_on')],
    what: before !== undefined && after !== undefined ? `moved from ${before} to ${after}` : undefined,
    state: stateOf(found),
    texts:
      comment === undefined && type === 'issue:created'
        ? [text(found, 'content', 'raw')]
        : [text(comment, 'content', 'raw')],
    people: [nameOf(peek(found, 'assignee'))],
  }
}

function found(type: string, json: unknown, repository: string | undefined): Finding {
  if (peek(json, 'pullrequest') !== undefined || peek(json, 'pullRequest') !== undefined)
    return pullRequest(type, json, repository)
  if (peek(json, 'issue') !== undefined) return issue(type, json)
  if (peek(json, 'commit_status') !== undefined) return status(json)
  if (count(json, 'push', 'changes') + count(json, 'changes') > 0) return push(json, repository)
  return {
    at: [...members(peek(json, 'comment'), 'created_on'), peek(json, 'date')],
    what: type === 'repo:fork' ? named('forked to', text(json, 'fork', 'full_name')) : undefined,
    link: link(json, 'comment', 'links', 'html', 'href'),
    texts: [text(json, 'comment', 'content', 'raw') ?? text(json, 'comment', 'text')],
    title: firstLine(text(json, 'commit', 'message')) ?? label(json, 'repository', 'name'),
  }
}

export const bitbucket: Find = ({ type, payload: json }) => {
  const repository = repositoryOf(json)
  const finding = found(type, json, repository)
  return {
    who: nameOf(peek(json, 'actor')),
    reading: { repository, host: hostOf(link(json, 'repository', 'links', 'html', 'href')) },
    ...finding,
    what: finding.what ?? WHAT.get(type),
  }
}
