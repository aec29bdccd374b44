/**
 * Slack's Events API over HTTP.
 *
 * - Type and id stand in the body only, so the gateway reads it. `event_id` is "a unique identifier for this specific
 *   event, globally unique across all workspaces". https://docs.slack.dev/apis/events-api/
 * - Without a 2xx within three seconds Slack sends the same event again, up to three times: nearly at once, after one
 *   minute, after five; `X-Slack-Retry-Num` and `X-Slack-Retry-Reason` say so. An outage of more than six minutes is
 *   longer than that (same page, on errors).
 * - `app_rate_limited` has no `event_id`; its body, which names the minute, is its identity.
 *   https://docs.slack.dev/reference/events/app_rate_limited
 * - When the address is entered, Slack sends a challenge once, signed like an event, and wants it back with a 200.
 *   https://docs.slack.dev/reference/events/url_verification
 *
 * Events only. Interactivity and slash commands are forms, and are not taken (they get 415): their answers are shown to
 * the user, and what one can do about them expires in three seconds, so a queue is the wrong place for them.
 * https://docs.slack.dev/interactivity/handling-user-interaction
 */
import type { Adapter, Subject } from './adapter.ts'
import { deliveryId, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** What may be sent back to Slack. Real challenges are 52 letters and digits. */
const CHALLENGE = /^[\x20-\x7e]{1,1000}$/

/** An id that some events write as it is and others as a member of the whole object. */
const idOf = (event: unknown, member: string): string | undefined =>
  text(event, member) ?? text(event, member, 'id') ?? text(event, `${member}_id`)

/** The time stamp that names the message concerned, or the thread that it belongs to. */
const threadOf = (event: unknown): string | undefined =>
  text(event, 'thread_ts') ??
  text(event, 'message', 'thread_ts') ??
  text(event, 'message', 'ts') ??
  text(event, 'previous_message', 'thread_ts') ??
  text(event, 'deleted_ts') ??
  text(event, 'item', 'ts') ??
  text(event, 'item', 'message', 'ts') ??
  text(event, 'message_ts') ??
  text(event, 'ts')

/** From the narrowest to the widest: thread, channel, file, user, workspace. Ids of Slack count within a workspace. */
function subjectOf(json: unknown): Subject | undefined {
  const team = text(json, 'team_id')
  const event = peek(json, 'event')
  const channel = idOf(event, 'channel') ?? text(event, 'item', 'channel')
  const thread = threadOf(event)
  return (
    subject('thread', [team, '/', channel, '/', thread], {
      title: text(event, 'thread_ts') === undefined ? text(event, 'text') : undefined,
    }) ??
    subject('channel', [team, '/', channel], { title: text(event, 'channel', 'name') }) ??
    subject('file', [team, '/files/', idOf(event, 'file')]) ??
    subject('user', [team, '/users/', idOf(event, 'user')]) ??
    subject('workspace', [team])
  )
}

export const slack: Adapter = {
  tool: 'slack',
  signature: 'slack',
  keptHeaders: ['user-agent', 'x-slack-retry-num', 'x-slack-retry-reason'],
  readsBody: true,
  stableIds: true,
  retries: 'by-itself',
  limitedStatus: 429,
  mediaTypes: ['application/json'],
  /** What happened; of what is no event (`app_rate_limited`), the message's own type. */
  type: ({ json }) => {
    const outer = peek(json, 'type')
    return typeName(outer === 'event_callback' ? peek(json, 'event', 'type') : outer) ?? UNKNOWN_TYPE
  },
  occurrence: ({ json }) => {
    const id = deliveryId(peek(json, 'event_id'))
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** `message.message_changed`; the bare type where there is no subtype (`app_mention`). */
  eventName: (type, json) => {
    const subtype = typeName(peek(json, 'event', 'subtype'))
    return subtype === undefined ? type : `${type}.${subtype}`
  },
  nameMembers: ['event'],
  subject: (_type, json) => subjectOf(json),
  challenge: (json) => {
    const challenge = peek(json, 'type') === 'url_verification' ? peek(json, 'challenge') : undefined
    return typeof challenge === 'string' && CHALLENGE.test(challenge) ? challenge : undefined
  },
}
