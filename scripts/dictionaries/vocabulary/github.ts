/**
 * GitHub's words. Member names and enum values come from the vendor's schemas, by way of the type definitions in
 * @octokit/webhooks-types; URL words are GitHub's documented API paths.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Vocabulary } from '../structure.ts'

/** Literals in the type definitions that name GitHub's own account instead of a kind of thing. */
const NOT_WORDS = new Set(['github', 'GitHub'])

const URL_WORDS = `
https: http: git: ssh: api.github.com github.com avatars.githubusercontent.com uploads.github.com 4 v u
repos users orgs teams team organizations apps app user repository repositories installations installation access_tokens
followers following{ other_user} gists{ gist_id} starred{ owner}{ repo} subscriptions events{ privacy} received_events
hooks issues issues{ number} events member} members members{ public_members{ invitations
forks keys{ key_id} collaborators{ collaborator} assignees{ user} branches{ branch} tags blobs{ sha} git git{ tags{ refs{
trees{ statuses {sha} languages stargazers contributors subscribers subscription commits{ comments{ comments
contents {+path} compare {base}...{head} merges {archive_format}{ ref} downloads milestones{ notifications{
since,all,participating} labels{ name} labels releases{ id} deployments pulls{ pulls pull commits commit milestones
milestone releases release reactions projects columns cards statuses refs heads trees tree blob blobs archive
check-runs check-suites check_suite_focus true annotations actions runs jobs logs artifacts cancel rerun workflows attempts
approvals pending_deployments environments previous_attempt_url badge.svg discussions tag tarball zipball assets assets{
name,label} licenses settings security alerts dependabot code-scanning secret-scanning advisories packages npm images error
pings test memberships membership network sub_issues timeline parent
`

/** Node ids begin with the kind of node: base64 of `04:User` and so on, or since 2021 a short word. */
const NODE_ID_KINDS = [
  'MDQ6VXNlcj',
  'MDEwOlJlcG9zaXRvcnk',
  'MDExOlB1bGxSZXF1ZXN0',
  'MDU6SXNzdWU',
  'MDEyOklzc3VlQ29tbWVudD',
  'MDU6TGFiZWw',
  'MDEyOk9yZ2FuaXphdGlvb',
  'MDEwOkNoZWNrU3VpdGU',
  'MDg6Q2hlY2tSdW4',
  'MDc6UmVsZWFzZT',
  'MDk6TWlsZXN0b25l',
  'MDQ6VGVhb',
  'MDEwOkRlcGxveW1lbnQ',
  'MDM6Qm90',
  'MDY6Q29tbWl0',
  'MDM6QXBw',
  ...[
    'U_kgDO',
    'R_kgDO',
    'O_kgDO',
    'BOT_kgDO',
    'A_kwDO',
    'PR_kwDO',
    'PRR_kwDO',
    'PRRC_kwDO',
    'I_kwDO',
    'IC_kwDO',
  ],
  ...[
    'LA_kwDO',
    'RE_kwDO',
    'MI_kwDO',
    'D_kwDO',
    'DC_kwDO',
    'CR_kwDO',
    'CS_kwDO',
    'DE_kwDO',
    'WFR_kwLO',
    'C_kwDO',
    'T_kwDO',
  ],
]

/** Members that GitHub has added since the published samples were collected. */
const EXTRAS = [
  '"sub_issues_summary":{"total":0,"completed":0,"percent_completed":0},"issue_dependencies_summary":{"blocked_by":0,"total_blocked_by":0,"blocking":0,"total_blocking":0},"type":null,"pinned_comment":null,',
  '"auto_merge":null,"assignee":null,"active_lock_reason":null,"merged":false,"mergeable":null,"rebaseable":null,"mergeable_state":"unknown","merged_by":null,"maintainer_can_modify":false,"draft":false,',
  '"has_issues":true,"has_projects":true,"has_downloads":true,"has_wiki":true,"has_pages":false,"has_discussions":false,"forks_count":0,"mirror_url":null,"archived":false,"disabled":false,"open_issues_count":,"license":null,"allow_forking":true,"is_template":false,"web_commit_signoff_required":false,"topics":[],"visibility":"private","forks":0,"open_issues":,"watchers":0,"default_branch":"main","custom_properties":{}},"organization":{"login":"',
  '"type":"User","user_view_type":"public","site_admin":false},',
  '"type":"Bot","user_view_type":"public","site_admin":false},',
]

/** Stands for "there was none" before a push that creates, and after one that deletes. */
const NO_COMMIT = '0'.repeat(40)

const HEADERS = [
  '[["content-type","application/x-www-form-urlencoded"],["user-agent","GitHub-Hookshot/"]]\npayload=%7B%22action%22%3A%22',
  '[["user-agent","GitHub-Hookshot/"],["content-type","application/json"],["x-github-delivery","',
  '"],["x-github-event","pull_request"],["x-github-hook-id","',
  '"],["x-github-hook-installation-target-id","',
  '"],["x-github-hook-installation-target-type","repository"]]\n{"action":"',
  '"],["x-github-hook-installation-target-type","organization"]]\n{"action":"',
  '"],["x-github-hook-installation-target-type","integration"]]\n{"action":"',
  '[["content-type","application/json"],["user-agent","GitHub-Hookshot/',
  '"],["x-github-delivery","',
  '"],["x-github-event","push"],["x-github-hook-id","',
  '"]]\n{"ref":"refs/heads/main","before":"',
]

export function githubVocabulary(): Vocabulary {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-types/package.json')
  const types = readFileSync(new URL('schema.d.ts', `file://${path}`), 'utf8')
  const members = types.matchAll(/^\s+(?:"([^"]+)"|([A-Za-z_$][\w$]*))\??:/gm)
  const literals = types.matchAll(/"([A-Za-z][A-Za-z_-]*)"/g)
  return {
    keys: new Set([...members].map((match) => (match[1] ?? match[2]) as string)),
    words: new Set([
      NO_COMMIT,
      ...[...literals].map((match) => match[1] as string).filter((word) => !NOT_WORDS.has(word)),
    ]),
    urlWords: new Set(URL_WORDS.split(/\s+/).filter((word) => word !== '')),
    prefixes: ['refs/heads/', 'refs/tags/', 'git@github.com:', 'GHSA-', 'CVE-', 'sha256:', ...NODE_ID_KINDS],
    escapesHtml: false,
    extras: EXTRAS,
    headers: HEADERS,
  }
}
