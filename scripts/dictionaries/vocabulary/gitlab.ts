/** GitLab's words, after https://docs.gitlab.com/user/project/integrations/webhook_events/ */
import type { Vocabulary } from '../structure.ts'
import { wordSet } from './words.ts'

const KEYS = `
object_kind event_type event_name user user_id user_name user_username user_email user_avatar user_url project project_id
project_name project_path project_path_with_namespace project_visibility project_namespace_id repository
object_attributes labels changes assignee assignees reviewers merge_request issue note commit commits snippet
project_snippet wiki group builds stages variables source_pipeline environment runner link links sources
id iid name username avatar_url email title description url web_url git_ssh_url git_http_url namespace visibility_level
visibility path_with_namespace default_branch ci_config_path homepage ssh_url http_url
created_at updated_at created_on closed_at started_at finished_at merged_at deleted_at released_at expires_at due_date
start_date resolved_at locked_at confirmed_at dismissed_at status_changed_at last_edited_at prepared_at timestamp
author author_id author_name author_email author_url updated_by_id last_edited_by_id resolved_by_id merge_user_id
assignee_id assignee_ids reviewer_ids milestone_id group_id owner_id moved_to_id duplicated_to_id
state state_id action system_action status detailed_status merge_status detailed_merge_status merge_error merge_params
force_remove_source_branch merge_when_pipeline_succeeds merge_commit_sha in_progress_merge_commit_sha
rebase_commit_sha head_pipeline_id merge_jid ref_fetched lock_version oldrev target_branch source_branch
source_project_id target_project_id source target last_commit work_in_progress draft first_contribution
blocking_discussions_resolved approvals_before_merge discussion_locked confidential relative_position weight severity
health_status escalation_status escalation_policy time_estimate total_time_spent time_change human_time_estimate
human_total_time_spent human_time_change color template type previous current system
before after ref ref_protected checkout_sha total_commits_count message added modified removed before_sha sha short_sha
tag push_options queued_duration duration stage when manual allow_failure active is_shared runner_type tags
artifacts_file filename size pipeline_id build_id build_name build_stage build_status build_created_at build_started_at
build_finished_at build_duration build_queued_duration build_allow_failure build_failure_reason failure_reason
retries_count job_id deployment_id deployment_tier deployable_id deployable_url environment_slug
environment_external_url environment_tier commit_id commit_url commit_title noteable_type noteable_id attachment line_code
st_diff diff diff_url new_path old_path a_mode b_mode new_file renamed_file deleted_file position original_position
change_position position_type base_sha start_sha head_sha old_line new_line line_range discussion_id resolved_by_push
awardable_type awardable_id awarded_on_url content format slug version_id assets count external link_type file_name
body value key secret group_name group_path group_access group_plan full_path path old_path_with_namespace
old_full_path old_username access_level owner_name owner_email owners parent_group_id parent_name parent_path
parent_full_path repository_read_only location cvss vector vendor severity_overridden identifiers external_id
external_type issues report_type confidence confidence_overridden confirmed_by_id dismissed_by_id auto_resolved
resolved_on_default_branch file dependency package version
`

const WORDS = `
push tag_push issue note merge_request wiki_page pipeline build deployment feature_flag release emoji award
access_token milestone vulnerability work_item confidential_issue confidential_note member
open close reopen update approved unapproved approval unapproval merge create delete revoke start
opened closed merged locked reopened active inactive
created pending preparing waiting_for_resource waiting_for_callback running success failed canceled canceling skipped manual scheduled
unchecked checking can_be_merged cannot_be_merged preparing mergeable not_open draft_status ci_still_running ci_must_pass
discussions_not_resolved not_approved conflict need_rebase broken_status
on_success on_failure always delayed deploy test instance_type project_type group_type
Commit Issue MergeRequest Snippet Note ProjectSnippet ProjectLabel GroupLabel DiffNote DiscussionNote text
private internal public markdown rdoc asciidoc org zip tar
merge_request_event parent_pipeline schedule web trigger api external_pull_request_event unknown_failure
script_failure api_failure stuck_or_timeout_failure runner_system_failure job_execution_timeout
unknown low medium high critical info other runbook image package production staging testing development
project_create project_destroy project_rename project_transfer project_update user_create user_destroy user_rename
user_failed_login user_add_to_team user_remove_from_team user_update_for_team user_add_to_group
user_remove_from_group user_update_for_group group_create group_destroy group_rename subgroup_create subgroup_destroy
key_create key_destroy repository_update expiring_access_token
Guest Reporter Developer Maintainer Owner main master
`

const URL_WORDS = `
https: http: ssh: gitlab.com www.gravatar.com secure.gravatar.com avatar s 80 40 d identicon - merge_requests issues commit
commits pipelines jobs builds releases environments snippets wikis tree blob raw archive uploads system user security
vulnerabilities work_items milestones api v4 projects
`

/** GitLab today: `/-/` in addresses, ids of users, members that the published samples do not have yet. */
/** Stands for "there was none" before a push that creates, and after one that deletes. */
const NO_COMMIT = '0'.repeat(40)

const EXTRAS = [
  '"url":"https://gitlab.com//-/pipelines/"},"url":"https://gitlab.com//-/issues/","url":"https://gitlab.com//-/releases/","url":"https://gitlab.com//-/commit/","avatar_url":"https://gitlab.com/uploads/-/system/user/avatar//avatar.png",',
  '"url":"https://gitlab.com//-/merge_requests/#note_","avatar_url":"https://secure.gravatar.com/avatar/?s=80\\u0026d=identicon","email":"[REDACTED]"},',
  '"user":{"id":,"name":"","username":"","avatar_url":"https://secure.gravatar.com/avatar/?s=80\\u0026d=identicon","email":"[REDACTED]"},"project":{"id":,"name":"","description":null,"web_url":"https://gitlab.com/","avatar_url":null,"git_ssh_url":"git@gitlab.com:.git","git_http_url":"https://gitlab.com/.git","namespace":"","visibility_level":0,"path_with_namespace":"","default_branch":"main","ci_config_path":"","homepage":"https://gitlab.com/","url":"git@gitlab.com:.git","ssh_url":"git@gitlab.com:.git","http_url":"https://gitlab.com/.git"},"repository":{"name":"","url":"git@gitlab.com:.git","description":null,"homepage":"https://gitlab.com/"',
]

const HEADERS = [
  '[["content-type","application/json"],["user-agent","GitLab/',
  '"],["x-gitlab-event","Job Hook"],["x-gitlab-event","Note Hook"],["x-gitlab-event","Issue Hook"],["x-gitlab-event","Push Hook"],["x-gitlab-event","Pipeline Hook"],["x-gitlab-event","System Hook"',
  '"],["idempotency-key","',
  '"],["x-gitlab-event","Merge Request Hook"],["x-gitlab-webhook-uuid","',
  '"],["x-gitlab-instance","https://gitlab.com"],["x-gitlab-event-uuid","',
  '"]]\n{"object_kind":"',
]

export const gitlabVocabulary: Vocabulary = {
  keys: wordSet(KEYS),
  words: new Set([...wordSet(WORDS), NO_COMMIT]),
  urlWords: wordSet(URL_WORDS),
  prefixes: ['refs/heads/', 'refs/tags/', 'git@gitlab.com:'],
  escapesHtml: true,
  extras: EXTRAS,
  headers: HEADERS,
}
