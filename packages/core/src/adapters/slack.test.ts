import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { slack } from './slack.ts'

/** Composed after https://docs.slack.dev/apis/events-api/ and …/reference/events/message; not captured. */
const callback = (event: object, more: object = {}) => ({
  token: 'z26uFbvR1xHJEdHE1OQiO6t8',
  team_id: 'T061EG9R6',
  api_app_id: 'A0FFV41KK',
  event,
  type: 'event_callback',
  event_id: 'Ev08MFMKH6',
  event_time: 1_525_215_129,
  authorizations: [{ enterprise_id: null, team_id: 'T061EG9R6', user_id: 'U061F7AUR', is_bot: false }],
  ...more,
})
const message = {
  type: 'message',
  channel: 'C0123ABC456',
  user: 'U061F7AUR',
  text: 'The build is red.',
  ts: '1525215129.000001',
  event_ts: '1525215129.000001',
  channel_type: 'channel',
}

/** Composed after https://docs.slack.dev/reference/events/url_verification. */
const verification = {
  token: 'Jhj5dZrVaK7ZwHHjRyZWjbDl',
  challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P',
  type: 'url_verification',
}

describe('the Slack adapter', () => {
  it('reads type and id from the body: Slack has no headers for them', () => {
    expect(slack.readsBody).toBe(true)
    expect(slack.type(request({}, callback(message)))).toBe('message')
    expect(slack.occurrence(request({}, callback(message)))).toEqual({
      kind: 'delivery-id',
      value: 'Ev08MFMKH6',
    })
  })

  it('knows an event again when it is retried', () => {
    const retry = request(
      { 'x-slack-retry-num': '1', 'x-slack-retry-reason': 'http_timeout' },
      callback(message),
    )
    expect(slack.occurrence(retry)).toEqual(slack.occurrence(request({}, callback(message))))
    expect(slack.keptHeaders).toContain('x-slack-retry-num')
  })

  it('takes the own type and the body of what is no event', () => {
    const limited = {
      token: 'Jhj5dZrVaK7ZwHHjRyZWjbDl',
      type: 'app_rate_limited',
      team_id: 'T061EG9R6',
      minute_rate_limited: 1_518_467_820,
      api_app_id: 'A0FFV41KK',
    }
    expect(slack.type(request({}, limited))).toBe('app_rate_limited')
    expect(slack.occurrence(request({}, limited))).toBeUndefined()
    expect(slack.type(request({}, callback({ type: ['message'] })))).toBe('unknown')
  })

  it.each([
    ['message', callback(message), 'message'],
    ['message', callback({ ...message, subtype: 'message_changed' }), 'message.message_changed'],
    ['app_mention', callback({ type: 'app_mention', subtype: 'x y' }), 'app_mention'],
    ['app_rate_limited', { type: 'app_rate_limited' }, 'app_rate_limited'],
  ])('names %s in %j %s', (type, json, name) => {
    expect(slack.eventName(type, json)).toBe(name)
  })

  it('takes JSON only: interactivity and slash commands, which are forms, are not for a queue', () => {
    expect(slack.mediaTypes).toEqual(['application/json'])
  })

  it('is about the thread, which a message begins and its replies and changes continue', () => {
    const key = 'T061EG9R6/C0123ABC456/1525215129.000001'
    expect(slack.subject('message', callback(message))).toEqual({
      key,
      kind: 'thread',
      title: 'The build is red.',
    })
    const reply = { ...message, ts: '1525215200.000002', thread_ts: message.ts, text: 'Looking.' }
    expect(slack.subject('message', callback(reply))).toEqual({ key, kind: 'thread' })
    const inside = { type: 'message', channel: message.channel, ts: '1525215300.000003' }
    for (const event of [
      { ...inside, subtype: 'message_changed', message: { ...message, text: 'Green.' } },
      { ...inside, subtype: 'message_changed', message: reply },
      { ...inside, subtype: 'message_deleted', deleted_ts: message.ts },
      { ...inside, subtype: 'message_deleted', deleted_ts: reply.ts, previous_message: reply },
    ]) {
      expect(slack.subject('message', callback(event))).toMatchObject({ key, kind: 'thread' })
    }
  })

  it.each([
    [
      { type: 'reaction_added', user: 'U1', item: { type: 'message', channel: 'C1', ts: '1.1' } },
      'thread',
      'T061EG9R6/C1/1.1',
    ],
    [
      { type: 'pin_added', channel_id: 'C1', item: { type: 'message', message: { ts: '1.1' } } },
      'thread',
      'T061EG9R6/C1/1.1',
    ],
    [{ type: 'link_shared', channel: 'C1', message_ts: '1.1' }, 'thread', 'T061EG9R6/C1/1.1'],
    [{ type: 'channel_created', channel: { id: 'C1', name: 'fun' } }, 'channel', 'T061EG9R6/C1'],
    [{ type: 'member_joined_channel', channel: 'C1', user: 'U1' }, 'channel', 'T061EG9R6/C1'],
    [{ type: 'file_created', file_id: 'F1', file: { id: 'F1' } }, 'file', 'T061EG9R6/files/F1'],
    [{ type: 'team_join', user: { id: 'U1' } }, 'user', 'T061EG9R6/users/U1'],
    [{ type: 'tokens_revoked', tokens: {} }, 'workspace', 'T061EG9R6'],
  ])('%j is about a %s', (event, kind, key) => {
    expect(slack.subject('', callback(event))).toMatchObject({ kind, key })
  })

  describe('asked whether the address is ours', () => {
    it('answers with the challenge', () => {
      expect(slack.challenge?.(verification)).toBe(verification.challenge)
    })

    it.each([
      ['an event', callback(message)],
      ['an event with such a member', callback(message, { challenge: 'x' })],
      ['an event about it', callback({ ...verification })],
      ['no text', { ...verification, challenge: ['x'] }],
      ['an empty text', { ...verification, challenge: '' }],
      ['a long text', { ...verification, challenge: 'x'.repeat(1001) }],
      ['a line end', { ...verification, challenge: 'x\r\nset-cookie: a=b' }],
      ['another alphabet', { ...verification, challenge: 'é' }],
      ['nothing', undefined],
    ])('does not answer %s', (_what, json) => {
      expect(slack.challenge?.(json)).toBeUndefined()
    })

    it('never answers with anything but a short line of ASCII', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 1100 }), (challenge) => {
          const answer = slack.challenge?.({ ...verification, challenge })
          if (answer === undefined) return
          expect(answer).toBe(challenge)
          expect(answer).toMatch(/^[ -~]{1,1000}$/)
        }),
      )
    })
  })
})
