/**
 * What handlers get: payload types per tool, by event name. GitHub's come from its own schemas
 * (@octokit/webhooks-types); the others name the fields that their vendors document and leave the rest unknown.
 */
import type { EventPayloadMap } from '@octokit/webhooks-types'

/** https://prometheus.io/docs/alerting/latest/configuration/#webhook_config */
export interface AlertmanagerPayload {
  readonly version: string
  readonly groupKey: string
  readonly truncatedAlerts?: number
  readonly status: 'firing' | 'resolved'
  readonly receiver: string
  readonly groupLabels: Readonly<Record<string, string>>
  readonly commonLabels: Readonly<Record<string, string>>
  readonly commonAnnotations: Readonly<Record<string, string>>
  readonly externalURL: string
  readonly alerts: readonly {
    readonly status: 'firing' | 'resolved'
    readonly labels: Readonly<Record<string, string>>
    readonly annotations: Readonly<Record<string, string>>
    /** RFC 3339 */
    readonly startsAt: string
    readonly endsAt: string
    readonly generatorURL: string
    readonly fingerprint: string
  }[]
}

/** https://developer.atlassian.com/server/jira/platform/webhooks/ */
export interface JiraPayload {
  readonly timestamp?: number
  readonly webhookEvent: string
  readonly issue_event_type_name?: string
  readonly user?: Readonly<Record<string, unknown>>
  readonly issue?: {
    readonly id: string
    readonly key: string
    readonly fields: Readonly<Record<string, unknown>>
  }
  readonly comment?: Readonly<Record<string, unknown>>
  readonly changelog?: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

/** https://docs.gitlab.com/user/project/integrations/webhook_events/ */
export interface GitlabPayload {
  readonly object_kind: string
  readonly event_name?: string
  readonly event_type?: string
  readonly project?: {
    readonly id: number
    readonly path_with_namespace: string
    readonly [field: string]: unknown
  }
  readonly object_attributes?: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

/** A snapshot (`data.object`) or a thin event (`related_object`): https://docs.stripe.com/api/events/object */
export interface StripePayload {
  readonly id: string
  readonly object: string
  readonly type: string
  /** Seconds since 1970 in a snapshot, RFC 3339 in a thin event. */
  readonly created: number | string
  readonly livemode: boolean
  /** The connected account, where it is about one. */
  readonly account?: string
  readonly data?: {
    readonly object?: Readonly<Record<string, unknown>>
    readonly previous_attributes?: Readonly<Record<string, unknown>>
    readonly [field: string]: unknown
  }
  readonly related_object?: { readonly id: string; readonly type: string; readonly url: string } | null
  readonly [field: string]: unknown
}

/** https://docs.slack.dev/apis/events-api/; `app_rate_limited` has no event and no id. */
export interface SlackPayload {
  readonly type: string
  readonly team_id: string
  readonly api_app_id: string
  readonly event?: { readonly type: string; readonly subtype?: string; readonly [field: string]: unknown }
  readonly event_id?: string
  /** Seconds since 1970. */
  readonly event_time?: number
  readonly [field: string]: unknown
}

/** https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/01-Overview.md */
export interface PagerdutyPayload {
  readonly event: {
    readonly id: string
    readonly event_type: string
    readonly resource_type: string
    /** RFC 3339 */
    readonly occurred_at: string
    readonly agent: Readonly<Record<string, unknown>> | null
    readonly client: Readonly<Record<string, unknown>> | null
    readonly data: Readonly<Record<string, unknown>>
  }
}

/** Tools with one type for all their payloads. */
interface PayloadTypes {
  readonly alertmanager: AlertmanagerPayload
  readonly gitlab: GitlabPayload
  readonly jira: JiraPayload
  readonly pagerduty: PagerdutyPayload
  readonly slack: SlackPayload
  readonly stripe: StripePayload
}

type GithubTypes = EventPayloadMap
type GithubActions<Type extends keyof GithubTypes> = GithubTypes[Type] extends {
  action: infer Action extends string
}
  ? `${Type}.${Action}`
  : never

/** Tools whose events have types, and the payload of each event name. Other names are `unknown`. */
export type GithubEventName =
  | keyof GithubTypes
  | { [Type in keyof GithubTypes]: GithubActions<Type> }[keyof GithubTypes]

type GithubPayload<Name extends string> = Name extends keyof GithubTypes
  ? GithubTypes[Name]
  : Name extends `${infer Type extends keyof GithubTypes}.${infer Action}`
    ? Extract<GithubTypes[Type], { action: Action }>
    : never

/** The event names that a tool's handlers may subscribe to. `*` = every event of the tool. */
export type EventName<Tool extends string> = Tool extends 'github' ? GithubEventName | '*' : string

/** The payload of an event name of a tool. */
export type Payload<Tool extends string, Name extends string> = Tool extends 'github'
  ? Name extends '*'
    ? GithubTypes[keyof GithubTypes]
    : GithubPayload<Name>
  : Tool extends keyof PayloadTypes
    ? PayloadTypes[Tool]
    : unknown
