/** Events of GitHub about repositories, people, projects and apps. Few of them say when they happened. */
import { label, peek, text } from '@weir/core/adapters/peek'
import { count, counted, list, named } from './finding.ts'
import type { GithubEvent, GithubFinder } from './github-event.ts'
import { members } from './time.ts'

/** When it was made, for what was made; when it was last changed, for what was changed. Neither says when it was deleted. */
function timesOf(thing: unknown, action: string | undefined): readonly unknown[] {
  if (action === 'created' || action === 'added') return members(thing, 'created_at')
  return action === 'deleted' ? [] : members(thing, 'updated_at')
}

/** `added hacktocat`, `removed hacktocat from github`. */
const person = (
  { json, action }: GithubEvent,
  user: readonly string[],
  place?: string | undefined,
): string | undefined => {
  const words = named(action?.replaceAll('_', ' ') ?? 'changed', text(json, ...user))
  return place === undefined ? words : `${words} ${action === 'removed' ? 'from' : 'to'} ${place}`
}

const installation: GithubFinder = ({ json, action }) => {
  const found = peek(json, 'installation')
  return {
    at:
      action === 'suspend'
        ? members(found, 'suspended_at', 'updated_at')
        : action === 'created'
          ? members(found, 'created_at')
          : action === 'deleted'
            ? []
            : members(found, 'updated_at'),
    what: INSTALLED.get(action ?? ''),
    state: action === 'deleted' ? 'deleted' : action === 'suspend' ? 'suspended' : 'active',
  }
}

const INSTALLED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    created: 'installed the app',
    deleted: 'uninstalled the app',
    new_permissions_accepted: 'accepted new permissions of the app',
    suspend: 'suspended the app',
    unsuspend: 'took the app back in',
  }),
)

/** Whose name tells what was done with it: `edited the label bug`. */
const thing =
  (member: string, noun: string, name: string): GithubFinder =>
  ({ json, action }) => {
    const found = peek(json, member)
    return {
      at: timesOf(found, action),
      what: named(`${(action ?? 'changed').replaceAll('_', ' ')} the ${noun}`, text(found, name)),
      // The state of the repository that it is in is not that of the thing.
      state: undefined,
      texts: [text(found, 'description')],
    }
  }

const milestone: GithubFinder = ({ json, action }) => {
  const found = peek(json, 'milestone')
  return {
    at:
      action === 'closed'
        ? members(found, 'closed_at', 'updated_at')
        : // Its counters change with it, so even a deleted one was last changed by the deletion.
          members(found, ...(action === 'created' ? ['created_at'] : []), 'updated_at'),
    state: action === 'deleted' ? 'deleted' : text(found, 'state'),
    texts: [text(found, 'description')],
  }
}

const REPOSITORY: ReadonlyMap<string, string> = new Map(
  Object.entries({ privatized: 'made private', publicized: 'made public' }),
)

const repository: GithubFinder = ({ json, action }) => {
  const found = peek(json, 'repository')
  const before = text(json, 'changes', 'repository', 'name', 'from')
  return {
    at:
      action === 'created'
        ? members(found, 'created_at')
        : action === 'deleted'
          ? []
          : members(found, 'updated_at'),
    what: action === 'renamed' ? named('renamed from', before) : REPOSITORY.get(action ?? ''),
    state: action === 'deleted' ? 'deleted' : peek(found, 'archived') === true ? 'archived' : undefined,
    texts: action === 'created' || action === 'edited' ? [text(found, 'description')] : [],
  }
}

export const OTHERS: Readonly<Record<string, GithubFinder>> = {
  branch_protection_rule: thing('rule', 'branch protection rule', 'name'),
  deploy_key: thing('key', 'deploy key', 'title'),
  fork: ({ json }) => ({
    at: [peek(json, 'forkee', 'created_at')],
    what: named('forked to', text(json, 'forkee', 'full_name')),
  }),
  github_app_authorization: () => ({ what: 'revoked the authorisation of the app' }),
  installation,
  installation_repositories: ({ json, action }) => ({
    at: [peek(json, 'installation', 'updated_at')],
    what:
      action === 'removed'
        ? `removed ${counted(count(json, 'repositories_removed'), 'repository')}`
        : `added ${counted(count(json, 'repositories_added'), 'repository')}`,
    texts: [...list(json, 'repositories_added'), ...list(json, 'repositories_removed')].map((one) =>
      text(one, 'full_name'),
    ),
  }),
  label: thing('label', 'label', 'name'),
  marketplace_purchase: ({ json, action }) => ({
    at: [peek(json, 'effective_date')],
    what: named(action ?? 'changed', text(json, 'marketplace_purchase', 'plan', 'name')),
  }),
  member: (event) => ({
    what: person(event, ['member', 'login']),
    people: [text(event.json, 'member', 'login')],
  }),
  membership: (event) => ({
    what: person(event, ['member', 'login'], text(event.json, 'team', 'name')),
    people: [text(event.json, 'member', 'login')],
  }),
  meta: () => ({ what: 'deleted the webhook', state: undefined }),
  milestone,
  org_block: (event) => ({ what: person(event, ['blocked_user', 'login']) }),
  organization: (event) => {
    const { json, action } = event
    const login = text(json, 'membership', 'user', 'login') ?? text(json, 'user', 'login')
    return {
      at: [peek(json, 'invitation', 'created_at')],
      what:
        action === 'renamed'
          ? named('renamed from', text(json, 'changes', 'login', 'from'))
          : named(action?.replace(/^member_/, '').replaceAll('_', ' ') ?? 'changed', login),
      people: [login],
    }
  },
  ping: () => ({ what: 'tried out the webhook' }),
  project: thing('project', 'project', 'name'),
  project_card: ({ json, action }) => ({
    at: timesOf(peek(json, 'project_card'), action),
    what: `${action ?? 'changed'} a project card`,
    state: undefined,
    texts: [text(json, 'project_card', 'note')],
    read: [text(json, 'project_card', 'content_url')?.replace('://api.github.com/repos/', '://github.com/')],
  }),
  project_column: thing('project_column', 'project column', 'name'),
  projects_v2_item: ({ json, action }) => ({
    at: timesOf(peek(json, 'projects_v2_item'), action),
    what: `${action ?? 'changed'} an item`,
    state: undefined,
  }),
  public: ({ json }) => ({ at: [peek(json, 'repository', 'updated_at')], what: 'made public' }),
  repository,
  repository_dispatch: ({ json, action }) => ({
    what: named('dispatched', action),
    read: [text(json, 'branch')],
  }),
  repository_import: ({ json }) => ({ what: named('import ended:', text(json, 'status')) }),
  sponsorship: ({ json, action }) => ({
    at: action === 'created' ? [peek(json, 'sponsorship', 'created_at')] : [],
    what: action === 'created' ? 'sponsored' : `sponsorship: ${(action ?? 'changed').replaceAll('_', ' ')}`,
  }),
  star: ({ json, action }) => ({
    at: [peek(json, 'starred_at')],
    what: action === 'deleted' ? 'took the star back' : 'starred',
    state: undefined,
  }),
  team: ({ json, action }) => {
    const name = text(json, 'repository', 'full_name')
    return {
      what:
        action?.endsWith('_repository') === true
          ? `${action.startsWith('added') ? 'added to' : 'removed from'} ${name ?? 'a repository'}`
          : undefined,
      texts: [text(json, 'team', 'description')],
    }
  },
  team_add: ({ json }) => ({ what: named('added the team', text(json, 'team', 'name')) }),
  watch: () => ({ what: 'starred' }),
  workflow_dispatch: ({ json, defaultBranch }) => ({
    what: named('started the workflow', label(json, 'workflow')),
    read: [text(json, 'ref')],
    defaultBranch: defaultBranch !== undefined && text(json, 'ref') === `refs/heads/${defaultBranch}`,
  }),
}
