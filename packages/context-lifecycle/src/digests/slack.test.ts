import { describe, expect, it } from 'vitest'
import { digest, keysOf, timeOf } from './digests.test-support.ts'

/** Composed after https://docs.slack.dev/reference/events. */
const callback = (event: object) => ({
  team_id: 'T1',
  event,
  type: 'event_callback',
  event_id: 'Ev1',
  event_time: 1_767_348_000,
})
const message = {
  type: 'message',
  channel: 'C1',
  user: 'U1',
  text: 'The build is red.',
  ts: '1767348000.000001',
  event_ts: '1767348000.000001',
}

// biome-ignore format: a table, one event a line
const ROWS: readonly (readonly [string, object, object])[] = [
  ['a message', message, { who: 'U1', what: 'posted', title: 'The build is red.', text: 'The build is red.' }],
  ['a reply', { ...message, thread_ts: '1767347000.000001', text: 'Looking, <@U2>.' }, { what: 'replied', text: 'Looking, @U2.', people: ['u2'] }],
  ['an edit', { type: 'message', subtype: 'message_changed', channel: 'C1', event_ts: '1767348000.000300', message: { ...message, text: 'Green &amp; well' } }, { who: 'U1', what: 'edited a message', text: 'Green & well' }],
  ['a deletion', { type: 'message', subtype: 'message_deleted', channel: 'C1', event_ts: '1767348000.000300', deleted_ts: message.ts, previous_message: message }, { who: 'U1', what: 'deleted a message', state: 'deleted' }],
  ['a mention', { ...message, type: 'app_mention' }, { what: 'mentioned the app' }],
  ['a reaction', { type: 'reaction_added', user: 'U3', reaction: 'eyes', item: { type: 'message', channel: 'C1', ts: message.ts } }, { who: 'U3', what: 'reacted with :eyes:' }],
  ['a member', { type: 'member_joined_channel', user: 'U4', channel: 'C1' }, { who: 'U4', what: 'joined the channel' }],
  ['a channel', { type: 'channel_created', channel: { id: 'C9', name: 'fun', creator: 'U5' } }, { who: 'U5', what: 'created the channel', title: 'fun' }],
  ['an app', { ...message, user: undefined, subtype: 'bot_message', username: 'alerts', text: '', attachments: [{ title: 'Red', title_link: 'https://github.com/acme/site/pull/7', text: 'OPS-1' }] }, { who: 'alerts', what: 'posted', text: 'Red OPS-1 https://github.com/acme/site/pull/7', references: [{ tool: 'jira', key: 'OPS-1' }, { tool: 'github', key: 'acme/site#7' }] }],
]

describe('digests of Slack events', () => {
  it('do not keep what was deleted', () => {
    const deleted = { type: 'message', subtype: 'message_deleted', channel: 'C1', previous_message: message }
    expect(digest('slack', callback(deleted)).text).toBeUndefined()
  })

  it.each(ROWS)('%s', (_what, event, expected) => {
    const made = digest('slack', callback(event))
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe('2026-01-02T10:00:00.000Z')
  })

  it('refer to channels, messages, issues and pull requests that a message names', () => {
    const text =
      'In <#C2|general>: <https://acme.slack.com/archives/C3/p1767340000000200|this>, OPS-7, acme/site#3, <https://github.com/acme/site/pull/7|the fix> #1001'
    expect(keysOf(digest('slack', callback({ ...message, text })))).toEqual([
      'slack T1/C2',
      'slack T1/C3/1767340000.000200',
      'jira OPS-7',
      'github acme/site#3',
      'github acme/site#7',
    ])
  })
})
