/** What is pushed to GitHub: commits, branches and tags, and what is made of them: releases, packages, merge groups. */
import { link, peek, text } from '@weir/core/adapters/peek'
import { count, counted, firstLine, list, named, reference } from './finding.ts'
import type { GithubEvent, GithubFinder } from './github-event.ts'
import { members } from './time.ts'

const nounOf = (ref: string | undefined, type?: string): string =>
  type === 'tag' || ref?.startsWith('refs/tags/') === true ? 'tag' : 'branch'

/** `base_ref` of a deleted or forced push says nothing of how many commits there were; that of others counts them. */
function pushed(json: unknown): string {
  const noun = nounOf(text(json, 'ref'))
  const commits = count(json, 'commits')
  if (peek(json, 'deleted') === true) return `deleted the ${noun}`
  if (peek(json, 'created') === true)
    return commits === 0 ? `created the ${noun}` : `created the ${noun} with ${counted(commits, 'commit')}`
  if (peek(json, 'forced') === true) return 'force-pushed'
  return commits === 0 ? 'pushed' : `pushed ${counted(commits, 'commit')}`
}

/** The newest first: it is the one that checks run for, and the last to give up its place among the references. */
const push: GithubFinder = ({ json, repository, defaultBranch }) => {
  const ref = text(json, 'ref')
  const isDeleted = peek(json, 'deleted') === true
  const commits = list(json, 'commits')
  const shas = [text(json, 'head_commit', 'id'), ...commits.map((one) => text(one, 'id')).reverse()]
  return {
    // A commit may be much older than the push that brings it; in a push, `pushed_at` is the push itself, in seconds.
    at: [peek(json, 'repository', 'pushed_at'), peek(json, 'head_commit', 'timestamp')],
    who: text(json, 'sender', 'login') ?? text(json, 'pusher', 'name'),
    what: pushed(json),
    title: firstLine(text(json, 'head_commit', 'message')),
    state: isDeleted ? 'deleted' : undefined,
    texts:
      commits.length > 0
        ? commits.map((one) => text(one, 'message'))
        : [text(json, 'head_commit', 'message')],
    read: [ref],
    defaultBranch: isDefault(ref, defaultBranch),
    further: shas.map((sha) => reference('github', repository, '@', sha)),
  }
}

const isDefault = (ref: string | undefined, defaultBranch: string | undefined): boolean =>
  ref !== undefined && defaultBranch !== undefined && ref === `refs/heads/${defaultBranch}`

const refMade =
  (verb: string): GithubFinder =>
  ({ json, defaultBranch }) => {
    const type = text(json, 'ref_type')
    const ref = text(json, 'ref')
    return {
      at: [peek(json, 'repository', 'pushed_at')],
      what: `${verb} the ${type ?? 'branch'}`,
      title: ref,
      state: verb === 'deleted' ? 'deleted' : undefined,
      read: [ref],
      defaultBranch: type === 'branch' && ref !== undefined && ref === defaultBranch,
    }
  }

/** `published_at` says when it became public; before 2024 a release had no other time of its own, as `created_at` is its commit's. */
function releaseTimes(release: unknown, action: string | undefined): readonly unknown[] {
  switch (action) {
    case 'deleted':
      return []
    case 'edited':
    case 'unpublished':
      return members(release, 'updated_at')
    default:
      return members(release, 'published_at', 'updated_at', 'created_at')
  }
}

const RELEASED: ReadonlyMap<string, string> = new Map(
  Object.entries({ prereleased: 'published as a pre-release', released: 'released' }),
)

const release: GithubFinder = ({ json, action, repository }) => {
  const found = peek(json, 'release')
  const tag = text(found, 'tag_name')
  return {
    at: releaseTimes(found, action),
    what: RELEASED.get(action ?? ''),
    title: text(found, 'name') ?? tag,
    state: action === 'deleted' ? 'deleted' : peek(found, 'draft') === true ? 'draft' : 'published',
    texts: [text(found, 'body')],
    references: [tag === undefined ? undefined : reference('github', repository, `@refs/tags/${tag}`)],
  }
}

const packageOf =
  (member: string): GithubFinder =>
  ({ json, action }) => {
    const found = peek(json, member)
    const version = peek(found, 'package_version')
    return {
      at: [...members(version, 'updated_at', 'created_at'), peek(found, 'updated_at')],
      what: named(action ?? 'published', text(version, 'version')),
      state: action === 'published' ? 'published' : undefined,
      texts: [text(version, 'summary') ?? text(found, 'description')],
    }
  }

/** Its branch names the pull request that it tries: `gh-readonly-queue/main/pr-104-929f82…`. */
const mergeGroup = ({ json, action, repository, defaultBranch }: GithubEvent) => {
  const group = peek(json, 'merge_group')
  const number = /\/pr-(\d{1,10})-/.exec(text(group, 'head_ref') ?? '')?.[1]
  return {
    // Made for the group, so its commit is as old as the group.
    at: [peek(group, 'head_commit', 'timestamp')],
    what: action === 'checks_requested' ? 'requested checks' : action,
    title: firstLine(text(group, 'head_commit', 'message')),
    texts: [text(group, 'head_commit', 'message')],
    defaultBranch: isDefault(text(group, 'base_ref'), defaultBranch),
    references: [
      reference('github', repository, '#', number),
      reference('github', repository, '@', text(group, 'head_sha')),
    ],
  }
}

const pageBuild: GithubFinder = ({ json }) => {
  const build = peek(json, 'build')
  const failed = text(build, 'status') === 'errored'
  return {
    at: members(build, 'updated_at', 'created_at'),
    who: text(build, 'pusher', 'login') ?? text(json, 'sender', 'login'),
    what: failed ? 'failed to build the pages' : 'built the pages',
    texts: [text(build, 'error', 'message')],
    severity: failed ? 'error' : undefined,
    references: [reference('github', text(json, 'repository', 'full_name'), '@', text(build, 'commit'))],
  }
}

const gollum: GithubFinder = ({ json }) => {
  const pages = list(json, 'pages')
  const [page] = pages
  return {
    what:
      pages.length === 1
        ? `${text(page, 'action') ?? 'edited'} the wiki page ${text(page, 'title') ?? ''}`
        : `edited ${counted(pages.length, 'wiki page')}`,
    link: pages.length === 1 ? link(page, 'html_url') : undefined,
    texts: pages.map((one) => text(one, 'summary')),
  }
}

export const CHANGES: Readonly<Record<string, GithubFinder>> = {
  create: refMade('created'),
  delete: refMade('deleted'),
  gollum,
  merge_group: mergeGroup,
  package: packageOf('package'),
  page_build: pageBuild,
  push,
  registry_package: packageOf('registry_package'),
  release,
}
