/** Jira's words, after https://developer.atlassian.com/cloud/jira/platform/webhooks/ and the REST API's resources. */
import type { Vocabulary } from '../structure.ts'
import { wordSet } from './words.ts'

/** Fields that administrators add are numbered from 10000 on every site: the names say nothing about anyone. */
const CUSTOM_FIELDS = Array.from({ length: 100 }, (_, i) => `customfield_${10000 + i}`)

const KEYS = `
timestamp webhookEvent issue_event_type_name user issue changelog comment worklog sprint board version project
attachment issueLink eventType matchedWebhookIds
self id key name accountId accountType avatarUrls 48x48 24x24 16x16 32x32 displayName emailAddress active timeZone
fields statuscategorychangedate issuetype description iconUrl subtask avatarId entityId hierarchyLevel timespent
projectTypeKey simplified projectCategory fixVersions aggregatetimespent statusCategory colorName resolution
resolutiondate workratio issuerestriction issuerestrictions shouldDisplay watches watchCount isWatching lastViewed created
priority labels aggregatetimeoriginalestimate timeestimate versions issuelinks inwardIssue outwardIssue inward outward
assignee updated status components timeoriginalestimate timetracking originalEstimate remainingEstimate timeSpent
originalEstimateSeconds remainingEstimateSeconds timeSpentSeconds security aggregatetimeestimate summary creator subtasks
reporter aggregateprogress progress total percent environment duedate votes hasVoted parent comments maxResults startAt
items type field fieldtype fieldId from fromString to toString tmpFromAccountId tmpToAccountId
body author updateAuthor jsdPublic started issueId sourceIssueId destinationIssueId issueLinkType
outwardName inwardName isSubTaskLinkType isSystemLinkType systemLink filename size mimeType content thumbnail
state boardId projectLead startDate endDate completeDate createdDate originBoardId goal archived released releaseDate overdue
userStartDate userReleaseDate projectId lead assigneeType
hasEpicLinkFieldDependency showField nonEditableReason reason message
`

const WORDS = `
jira:issue_created jira:issue_updated jira:issue_deleted jira:version_released jira:version_created jira:version_updated
comment_created comment_updated comment_deleted worklog_created worklog_updated worklog_deleted attachment_created
attachment_deleted issuelink_created issuelink_deleted sprint_created sprint_updated sprint_started sprint_closed
sprint_deleted board_created board_updated project_created project_updated project_deleted user_created user_updated
issue_created issue_updated issue_generic issue_assigned issue_commented issue_comment_edited issue_closed issue_resolved
issue_reopened issue_moved issue_deleted issue_work_logged issue_work_started
atlassian app customer software business service_desk primaryAction jira custom assignee status summary description
resolution priority labels Sprint Rank Link timeestimate timespent duedate reporter issuetype Fix Version
blue-gray yellow green new indeterminate done undefined active future closed
Bug Task Story Epic Sub-task Subtask Highest High Medium Low Lowest Done
PLUGIN_LICENSE_ERROR UNASSIGNED PROJECT_LEAD
`

const URL_WORDS = `
https: http: rest api agile 1.0 2 3 issue username ownerId content thumbnail comment worklog user users accountId project issuetype status statuscategory priority
universal_avatar view type avatar size small xsmall medium watchers votes version component sprint board attachment
images icons priorities issuetypes highest.svg high.svg medium_new.svg medium.svg low.svg lowest.svg statuses
avatar-management--avatars.us-west-2.prod.public.atl-paas.net initials secure.gravatar.com d secure useravatar
avatar-cdn.atlassian.com browse issueLinkType issueLink resolution
`

const EXTRAS = [
  '{"self":"https://.atlassian.net/rest/api/2/user?accountId=","accountId":"","emailAddress":"","avatarUrls":{"48x48":"https://secure.gravatar.com/avatar/?d=https%3A%2F%2Favatar-management--avatars.us-west-2.prod.public.atl-paas.net%2Finitials%2F-1.png","24x24":"https://secure.gravatar.com/avatar/?d=https%3A%2F%2Favatar-management--avatars.us-west-2.prod.public.atl-paas.net%2Finitials%2F-1.png",',
  '"project":{"self":"https://.atlassian.net/rest/api/2/project/","id":"10","key":"","name":"","projectTypeKey":"software","simplified":true,"avatarUrls":{"48x48":"https://.atlassian.net/rest/api/2/universal_avatar/view/type/project/avatar/","24x24":"https://.atlassian.net/rest/api/2/universal_avatar/view/type/project/avatar/?size=small","16x16":"https://.atlassian.net/rest/api/2/universal_avatar/view/type/project/avatar/?size=xsmall","32x32":"https://.atlassian.net/rest/api/2/universal_avatar/view/type/project/avatar/?size=medium"}},',
  '"statusCategory":{"self":"https://.atlassian.net/rest/api/2/statuscategory/4","id":4,"key":"indeterminate","colorName":"yellow","name":"In Progress"},"statusCategory":{"self":"https://.atlassian.net/rest/api/2/statuscategory/3","id":3,"key":"done","colorName":"green","name":"Done"},"statusCategory":{"self":"https://.atlassian.net/rest/api/2/statuscategory/2","id":2,"key":"new","colorName":"blue-gray","name":"To Do"},',
]

const HEADERS = [
  '"],["x-atlassian-webhook-retry","1"],["x-atlassian-webhook-flow","Secondary"',
  '[["content-type","application/json; charset=UTF-8"],["user-agent","Atlassian Webhook HTTP Client"],["x-atlassian-webhook-identifier","',
  '"],["x-atlassian-webhook-flow","Primary"],["x-atlassian-webhook-trace","',
  '"],["x-atlassian-webhook-flow","Primary"]]\n{"timestamp":',
  ',"webhookEvent":"comment_created","comment":{"self":"https://',
  ',"webhookEvent":"jira:issue_updated","issue_event_type_name":"issue_generic","user":{"self":"https://',
]

export const jiraVocabulary: Vocabulary = {
  keys: new Set([...wordSet(KEYS), ...CUSTOM_FIELDS]),
  words: new Set([...wordSet(WORDS), 'To Do', 'In Progress', 'Fix Version', 'Epic Link']),
  urlWords: wordSet(URL_WORDS),
  prefixes: [],
  escapesHtml: false,
  extras: EXTRAS,
  headers: HEADERS,
}
