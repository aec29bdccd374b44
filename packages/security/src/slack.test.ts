import { describe, expect, it } from 'vitest'
import { createSlackVerifier, signSlack } from './slack.ts'
import { judge, TOLERANCE_MS } from './verifier.test-support.ts'

// https://docs.slack.dev/authentication/verifying-requests-from-slack
const SECRET = Buffer.from('8f742231b10e8888abcd99yyyzzz85a5')
const TIME = 1_531_420_618
const BODY = Buffer.from(
  'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
)
const PUBLISHED = 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503'

const verifier = createSlackVerifier([SECRET], TOLERANCE_MS)
const signed = (signature = PUBLISHED, timestamp = String(TIME)) => ({
  'x-slack-signature': signature,
  'x-slack-request-timestamp': timestamp,
})
const judged = (headers = signed(), ageMs = 0) =>
  judge(verifier, headers, { body: BODY, nowMs: TIME * 1000 + ageMs })

describe('Slack signatures', () => {
  it('agree with the example that Slack publishes', () => {
    expect(signSlack(SECRET, TIME, BODY)).toBe(PUBLISHED)
    expect(judged()).toEqual({ ok: true })
  })

  it('hold for five minutes, and half a minute ahead of our clock', () => {
    expect(judged(signed(), TOLERANCE_MS)).toEqual({ ok: true })
    expect(judged(signed(), TOLERANCE_MS + 1)).toMatchObject({ reason: 'stale' })
    expect(judged(signed(), -30_000)).toEqual({ ok: true })
    expect(judged(signed(), -30_001)).toMatchObject({ reason: 'future' })
  })

  it('bind the time', () => {
    expect(judged(signed(PUBLISHED, String(TIME + 1)))).toMatchObject({ reason: 'mismatch' })
  })

  it('are malformed in any other form, and need both headers', () => {
    for (const value of [PUBLISHED.slice(3), PUBLISHED.replace('v0', 'v1'), `${PUBLISHED},${PUBLISHED}`]) {
      expect(judged(signed(value))).toMatchObject({ reason: 'malformed' })
    }
    for (const timestamp of ['', '0x5b47dd0a', `${TIME}.0`, `${TIME}000`, `0${TIME}`]) {
      expect(judged(signed(PUBLISHED, timestamp))).toMatchObject({ reason: 'malformed' })
    }
    const { 'x-slack-request-timestamp': _, ...untimed } = signed()
    expect(judge(verifier, untimed)).toMatchObject({ reason: 'missing' })
  })
})
