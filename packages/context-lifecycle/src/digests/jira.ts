/**
 * Jira, Cloud and Data Center: what was changed stands in the changelog, in the language and with the fields of the site.
 * https://developer.atlassian.com/cloud/jira/platform/webhooks/
 */
import { label, peek, text } from '@weir/core/adapters/peek'
import type { Reference } from '../digest.ts'
import { type Find, type Finding, list, named, reference } from './finding.ts'
import { members } from './time.ts'

/** Most changes of one event told; a screen with many fields changes them all at once. */
const CHANGES_TOLD = 3

const nameOf = (user: unknown): string | undefined => text(user, 'displayName') ?? text(user, 'name')

/**
 * Fields by their id, which unlike their name is not translated; Data Center has only the name, which is the id's in
 * English. `toString` is the sender's member here, not the inherited method: `text` sees own members only.
 */
const fieldOf = (item: unknown): string => (text(item, 'fieldId') ?? text(item, 'field') ?? '').toLowerCase()

function told(item: unknown): string | undefined {
  const [from, to] = [text(item, 'fromString'), text(item, 'toString')]
  const name = text(item, 'field') ?? 'a field'
  switch (fieldOf(item)) {
    case 'status':
      return `moved from ${from ?? 'nowhere'} to ${to ?? 'nowhere'}`
    case 'assignee':
      return to === undefined ? named('unassigned', from) : `assigned to ${to}`
    case 'resolution':
      return to === undefined ? 'took the resolution back' : `resolved as ${to}`
    case 'labels':
      return relabelled(from, to)
    case 'summary':
      return 'renamed'
    case 'description':
    case 'comment':
      return `edited the ${fieldOf(item)}`
    case 'attachment':
      return to === undefined ? 'removed an attachment' : `attached ${to}`
    case 'link':
    case 'issuelinks':
      return named(to === undefined ? 'unlinked' : 'linked', text(item, 'to') ?? text(item, 'from'))
    case 'key':
      return `moved from ${from ?? 'nowhere'} to ${to ?? 'nowhere'}`
    case 'rank':
      return 'ranked'
    default:
      return to === undefined ? `cleared ${name}` : `set ${name} to ${to}`
  }
}

/** The changelog has all labels before and after, with spaces between. */
function relabelled(from = '', to = ''): string {
  const [before, after] = [new Set(from.split(' ')), new Set(to.split(' '))]
  const added = [...after].filter((name) => name !== '' && !before.has(name))
  if (added.length > 0) return `labelled ${added.join(', ')}`
  return `removed the label ${[...before].filter((name) => !after.has(name)).join(', ')}`
}

/** The state comes first: it is what a timeline is read for. */
function changed(items: readonly unknown[]): string | undefined {
  const byWeight = [...items].sort(
    (a, b) => Number(fieldOf(b) === 'status') - Number(fieldOf(a) === 'status'),
  )
  const words = byWeight.map(told).filter((one) => one !== undefined)
  return words.length === 0 ? undefined : words.slice(0, CHANGES_TOLD).join(', ')
}

/** Keys in changes of links and parents, old and new keys of an issue that moved, and numbers of sprints and versions. */
function referencesOf(items: readonly unknown[]): readonly (Reference | undefined)[] {
  return items.flatMap((item) => {
    const sides = [text(item, 'to'), text(item, 'from')]
    switch (fieldOf(item)) {
      case 'link':
      case 'issuelinks':
        return sides.map((key) => reference('jira', key))
      case 'key':
      case 'epic link':
      case 'parent':
      case 'issueparentassociation':
        return [text(item, 'toString'), text(item, 'fromString')].map((key) =>
          key === undefined || !/^[A-Z][A-Z0-9_]+-\d+$/.test(key) ? undefined : reference('jira', key),
        )
      case 'fixversions':
      case 'fix version':
        return sides.map((id) => reference('jira', 'version/', id))
      default:
        return text(item, 'field') === 'Sprint'
          ? sides.flatMap((ids) => ids?.split(/,\s*/).map((id) => reference('jira', 'sprint/', id)) ?? [])
          : []
    }
  })
}

const linked = (issue: unknown): readonly (Reference | undefined)[] => [
  reference('jira', text(issue, 'fields', 'parent', 'key')),
  ...list(issue, 'fields', 'issuelinks').map((one) =>
    reference('jira', text(one, 'outwardIssue', 'key') ?? text(one, 'inwardIssue', 'key')),
  ),
]

/** `jira:issue_created`, `comment_updated`, `sprint_started`: thing and verb; older releases sent comments as issue updates. */
function whatOf(type: string, json: unknown): string | undefined {
  const [, kind, verb] = /^(?:jira:)?(.+)_([a-z]+)$/.exec(type) ?? []
  switch (kind) {
    case 'issue':
      if (verb !== 'updated') return verb
      return (
        changed(list(json, 'changelog', 'items')) ??
        (peek(json, 'comment') === undefined ? undefined : 'commented')
      )
    case 'comment':
      return verb === 'created' ? 'commented' : `${verb === 'updated' ? 'edited' : verb} a comment`
    case 'worklog':
      return verb === 'created'
        ? named('logged work:', text(json, 'worklog', 'timeSpent'))
        : `${verb === 'updated' ? 'edited' : verb} a work log`
    case 'attachment':
      return named(
        verb === 'created' ? 'attached' : 'removed the attachment',
        text(json, 'attachment', 'filename'),
      )
    case 'issuelink':
      return verb === 'created' ? 'linked' : 'unlinked'
    default:
      return verb
  }
}

function stateOf(type: string, json: unknown): string | undefined {
  if (/^jira:issue_deleted$|^(?:sprint|version|project|board)_deleted$|^jira:version_deleted$/.test(type))
    return 'deleted'
  const version = peek(json, 'version')
  return (
    text(json, 'issue', 'fields', 'status', 'name') ??
    text(json, 'sprint', 'state')?.toLowerCase() ??
    (version === undefined ? undefined : peek(version, 'released') === true ? 'released' : 'unreleased')
  )
}

export const jira: Find = ({ type, payload: json }): Finding => {
  const [issue, comment, worklog] = [peek(json, 'issue'), peek(json, 'comment'), peek(json, 'worklog')]
  const items = list(json, 'changelog', 'items')
  const description = text(issue, 'fields', 'description')
  const writes = type === 'jira:issue_created' || items.some((item) => fieldOf(item) === 'description')
  return {
    at: [
      peek(json, 'timestamp'),
      ...members(comment, 'updated', 'created'),
      ...members(worklog, 'updated', 'created'),
      peek(issue, 'fields', 'updated'),
    ],
    who:
      nameOf(peek(json, 'user')) ??
      nameOf(peek(comment, 'updateAuthor')) ??
      nameOf(peek(comment, 'author')) ??
      nameOf(peek(worklog, 'updateAuthor')) ??
      nameOf(peek(worklog, 'author')) ??
      nameOf(peek(json, 'attachment', 'author')),
    what: whatOf(type, json),
    state: stateOf(type, json),
    texts: [
      // What was deleted is not to be read here again.
      type.endsWith('_deleted') ? undefined : text(comment, 'body'),
      text(worklog, 'comment'),
      writes ? description : undefined,
      text(json, 'sprint', 'goal'),
      text(json, 'version', 'description'),
    ],
    read: type.startsWith('jira:issue_') ? [description] : [],
    people: [nameOf(peek(issue, 'fields', 'assignee'))],
    references: [
      ...referencesOf(items),
      ...linked(issue),
      reference('jira', 'issue/', label(json, 'issueLink', 'destinationIssueId')),
    ],
  }
}
