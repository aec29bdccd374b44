/**
 * Slack's events. People are known by their ids only (`U061F7AUR`): names would have to be asked for.
 * https://docs.slack.dev/reference/events
 */

import { peek, text } from '@weir/core/adapters/peek'
import { cut } from '@weir/core/cut'
import type { Reference } from '../digest.ts'
import { type Find, list, named, reference } from './finding.ts'
import { READ_MAX } from './fold.ts'

/** `<@U1>`, `<@U1|mia>`, `<#C1|general>`, `<!here>`, `<https://a.example|the page>`. */
const MARKUP = /<([@#!]?)([^<>|]{1,2000})(?:\|([^<>]{0,2000}))?>/g

/** As a reader sees it: names for what has one, addresses kept beside their words, the three escapes undone. */
function plain(written: string | undefined): string | undefined {
  return written
    ?.replace(MARKUP, (all: string, sign: string, target: string, words = '', at: number, whole: string) => {
      // Written without a space between, it still begins and ends there.
      const before = /\w/.test(whole[at - 1] ?? '') ? ' ' : ''
      const after = /\w/.test(whole[at + all.length] ?? '') ? ' ' : ''
      return `${before}${shown(sign, target, words)}${after}`
    })
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}

function shown(sign: string, target: string, words: string): string {
  switch (sign) {
    case '@':
      // The id, whatever name stands beside it: it is what other events call them.
      return `@${target}`
    case '#':
      return `#${words || target}`
    case '!':
      // Groups and dates have their words beside them; `here` and `channel` are words.
      return target.includes('^') ? words : `@${target}`
    default:
      return words === '' || words === target ? target : `${words} ${target}`
  }
}

/** Channels that a text names, and messages that it links to, which belong to the same workspace where it says nothing else. */
function mentioned(written: string, team: string | undefined): readonly (Reference | undefined)[] {
  const channels = [...cut(written, READ_MAX).matchAll(/<#([A-Z0-9]{2,30})/g)].map((match) =>
    reference('slack', team, '/', match[1]),
  )
  const permalink = /\.slack\.com\/archives\/([A-Z0-9]{2,30})\/p(\d{10})(\d{6})(?:\?thread_ts=([\d.]{17}))?/g
  const messages = [...cut(written, READ_MAX).matchAll(permalink)].map(
    ([, channel, seconds, micros, thread]) =>
      reference('slack', team, '/', channel, '/', thread ?? `${seconds}.${micros}`),
  )
  return [...channels, ...messages]
}

/** What apps post, alerts above all, stands in attachments. */
const attached = (message: unknown): readonly (string | undefined)[] =>
  list(message, 'attachments').flatMap((one) => {
    const parts = [text(one, 'pretext'), text(one, 'title'), text(one, 'text')]
    const said = parts.some((part) => part !== undefined) ? parts : [text(one, 'fallback')]
    return [...said, text(one, 'title_link')]
  })

const WHAT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    app_home_opened: 'opened the app',
    app_mention: 'mentioned the app',
    app_rate_limited: 'was rate limited',
    app_uninstalled: 'uninstalled the app',
    channel_archive: 'archived the channel',
    channel_created: 'created the channel',
    channel_deleted: 'deleted the channel',
    channel_rename: 'renamed the channel',
    channel_unarchive: 'unarchived the channel',
    file_change: 'changed a file',
    file_created: 'created a file',
    file_deleted: 'deleted a file',
    file_shared: 'shared a file',
    link_shared: 'shared a link',
    member_joined_channel: 'joined the channel',
    member_left_channel: 'left the channel',
    pin_added: 'pinned a message',
    pin_removed: 'unpinned a message',
    team_join: 'joined the workspace',
    'message.channel_join': 'joined the channel',
    'message.channel_leave': 'left the channel',
    'message.channel_topic': 'set the topic',
    'message.message_changed': 'edited a message',
    'message.message_deleted': 'deleted a message',
    'message.thread_broadcast': 'replied to the channel',
    tokens_revoked: 'revoked tokens',
  }),
)

function whatOf(type: string, event: unknown): string | undefined {
  if (type === 'reaction_added') return named('reacted with', emojiOf(event))
  if (type === 'reaction_removed') return named('took back', emojiOf(event))
  const subtype = text(event, 'subtype')
  const known = WHAT.get(subtype === undefined ? type : `${type}.${subtype}`) ?? WHAT.get(type)
  if (known !== undefined || type !== 'message') return known
  const thread = text(event, 'thread_ts')
  return thread !== undefined && thread !== text(event, 'ts') ? 'replied' : 'posted'
}

const emojiOf = (event: unknown): string | undefined => {
  const name = text(event, 'reaction')
  return name === undefined ? undefined : `:${name}:`
}

/** An id, or the whole user; of a bot, the name that it posts under. */
const whoOf = (event: unknown): string | undefined =>
  text(event, 'user') ??
  text(event, 'user', 'profile', 'display_name') ??
  text(event, 'user', 'name') ??
  text(event, 'user', 'id') ??
  text(event, 'message', 'user') ??
  text(event, 'previous_message', 'user') ??
  text(event, 'username') ??
  text(event, 'bot_profile', 'name') ??
  text(event, 'bot_id') ??
  text(event, 'user_id') ??
  text(event, 'channel', 'creator')

export const slack: Find = ({ type, payload: json }) => {
  const event = peek(json, 'event')
  const team = text(json, 'team_id')
  const isDeleted = text(event, 'subtype') === 'message_deleted'
  const message = peek(event, 'message') ?? event
  // What was deleted is not to be read here again.
  const raw = isDeleted ? [] : [text(message, 'text'), ...attached(message)]
  return {
    // Of an edit, `ts` is the message's and `event_ts` the edit's.
    at: [
      peek(event, 'event_ts'),
      peek(json, 'event_time'),
      peek(event, 'ts'),
      peek(json, 'minute_rate_limited'),
    ],
    who: whoOf(event),
    what: whatOf(type, event),
    title: text(event, 'thread_ts') === undefined ? plain(text(event, 'text')) : undefined,
    state:
      isDeleted || /_deleted$/.test(type) ? 'deleted' : type === 'channel_archive' ? 'archived' : undefined,
    texts: raw.map(plain),
    references: mentioned(raw.filter((one) => one !== undefined).join('\n'), team),
  }
}
