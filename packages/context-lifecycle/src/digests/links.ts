/** Links to what Weir has subjects for, told by their host and the form of their path. */
import type { Reference } from '../digest.ts'
import { reference } from './finding.ts'
import { isJiraKey } from './jira-keys.ts'

type Shape = (path: string) => Reference | undefined

/** A path's expression with up to two groups: what owns it, and its number or name; put together with a sign between. */
const shape =
  (tool: string, expression: RegExp, sign: string): Shape =>
  (path) => {
    const [, owner, name] = expression.exec(path) ?? []
    return owner === undefined ? undefined : reference(tool, owner, sign, name)
  }

/** Pages of organisations and accounts, which look like a repository's. */
const REPOSITORY = String.raw`^\/((?!orgs\/|users\/|settings\/|apps\/)[\w.-]+\/[\w.-]+)`

/** Only GitHub has `/pull/7` below two names, on whatever host. */
const githubPull = shape('github', new RegExp(String.raw`${REPOSITORY}\/pull\/(\d{1,10})(?![\w-])`), '#')
const GITHUB: readonly Shape[] = [
  githubPull,
  shape('github', new RegExp(String.raw`${REPOSITORY}\/(?:issues|discussions)\/(\d{1,10})(?![\w-])`), '#'),
  shape('github', new RegExp(String.raw`${REPOSITORY}\/commit\/([0-9a-f]{40})(?!\w)`), '@'),
  shape('github', new RegExp(String.raw`${REPOSITORY}\/actions\/runs\/(\d{1,16})(?!\w)`), '/runs/'),
  shape('github', new RegExp(String.raw`${REPOSITORY}\/releases\/tag\/([\w.+-]*\w)`), '/releases/'),
  ...['dependabot', 'code-scanning', 'secret-scanning'].map((kind) =>
    shape('github', new RegExp(String.raw`${REPOSITORY}\/security\/${kind}\/(\d{1,10})(?!\w)`), `/${kind}/`),
  ),
]

/** Groups nest, so the path may be long; `/-/` ends it in newer releases. */
const PROJECT = String.raw`^\/((?:[\w.-]+\/){1,19}?[\w.-]+?)`
const gitlabMerge = shape(
  'gitlab',
  new RegExp(String.raw`${PROJECT}(?:\/-)?\/merge_requests\/(\d{1,10})(?!\w)`),
  '!',
)
/** Only GitLab has `/-/` and `merge_requests`, on whatever host. */
const GITLAB_ANYWHERE: readonly Shape[] = [
  gitlabMerge,
  shape('gitlab', new RegExp(String.raw`${PROJECT}\/-\/(?:issues|work_items)\/(\d{1,10})(?!\w)`), '#'),
  shape('gitlab', new RegExp(String.raw`${PROJECT}\/-\/commit\/([0-9a-f]{40})(?!\w)`), '@'),
  shape('gitlab', new RegExp(String.raw`${PROJECT}\/-\/pipelines\/(\d{1,16})(?!\w)`), '/pipelines/'),
  shape('gitlab', new RegExp(String.raw`${PROJECT}\/-\/releases\/([\w.+-]*\w)`), '/releases/'),
]
const gitlabIssue = shape('gitlab', new RegExp(String.raw`${PROJECT}\/issues\/(\d{1,10})(?!\w)`), '#')

const BITBUCKET: readonly Shape[] = [
  shape('bitbucket', /^\/([\w.-]+\/[\w.-]+)\/pull-requests\/(\d{1,10})(?!\w)/, '/pull-requests/'),
  shape('bitbucket', /^\/([\w.-]+\/[\w.-]+)\/issues\/(\d{1,10})(?!\w)/, '/issues/'),
  shape('bitbucket', /^\/([\w.-]+\/[\w.-]+)\/commits\/([0-9a-f]{40})(?!\w)/, '@'),
]
const bitbucketDataCenter: Shape = (path) => {
  const [, project, slug, id] =
    /\/projects\/([\w~-]+)\/repos\/([\w.-]+)\/pull-requests\/(\d{1,10})(?!\w)/.exec(path) ?? []
  return project === undefined ? undefined : reference('bitbucket', project, '/', slug, '/pull-requests/', id)
}

const jiraIssue: Shape = (path) => {
  const [, prefix, serial] = /\/browse\/([A-Z][A-Z0-9]{1,9})-([1-9]\d{0,6})(?!\w)/.exec(path) ?? []
  return prefix !== undefined && isJiraKey(prefix) ? reference('jira', `${prefix}-${serial}`) : undefined
}

const pagerdutyIncident: Shape = (path) => {
  const id = /^\/incidents\/([A-Z0-9]{5,30})(?!\w)/.exec(path)?.[1]
  return reference('pagerduty', 'incident/', id)
}

/** Shapes that tell the tool on whatever host. */
const ANYWHERE: readonly Shape[] = [jiraIssue, ...GITLAB_ANYWHERE, bitbucketDataCenter, githubPull]

/** Is it the tool's own host, one named after it, or the installation that sent the event? */
function shapesOf(host: string, tool: string, ownHost: string | undefined): readonly Shape[] {
  const isOwn = host === ownHost
  if (/(?:^|\.)github\./.test(host) || (isOwn && tool === 'github')) return GITHUB
  if (/(?:^|\.)gitlab\./.test(host) || (isOwn && tool === 'gitlab')) return [gitlabIssue]
  if (/(?:^|\.)bitbucket\./.test(host) || (isOwn && tool === 'bitbucket')) return BITBUCKET
  return host.endsWith('.pagerduty.com') ? [pagerdutyIncident] : []
}

/** What a link in a text leads to; undefined for everything that has no subject here. */
export function referenceOfLink(
  address: string,
  tool: string,
  ownHost: string | undefined,
): Reference | undefined {
  const [, host, path] = /^https?:\/\/([^/?#]+)([^?#]*)/.exec(address) ?? []
  if (host === undefined || path === undefined) return undefined
  for (const find of [...ANYWHERE, ...shapesOf(host.toLowerCase(), tool, ownHost)]) {
    const found = find(path)
    if (found !== undefined) return found
  }
  return undefined
}

/** The host of a link, as `referenceOfLink` wants it. */
export const hostOf = (address: string | undefined): string | undefined =>
  /^https?:\/\/([^/?#]+)/i.exec(address ?? '')?.[1]?.toLowerCase()
