import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createGenericVerifier,
  GENERIC_SIGNATURE_HEADER,
  GENERIC_TIMESTAMP_HEADER,
  signGeneric,
} from './generic.ts'
import { judge as judgeBy, requestWith } from './verifier.test-support.ts'
import type { SignedHeaders, Verdict } from './verifier.ts'

const SECRET = Buffer.from('a shared secret')
const BODY = Buffer.from('{"type":"deploy"}')
const NOW_S = 1_700_000_000
const TOLERANCE_MS = 300_000

interface Judged {
  readonly body?: Buffer
  readonly nowMs?: number
  readonly secrets?: readonly Buffer[]
  readonly toleranceMs?: number
}

function judge(headers: SignedHeaders, given: Judged = {}): Verdict {
  const verifier = createGenericVerifier({
    secrets: given.secrets ?? [SECRET],
    signatureHeader: GENERIC_SIGNATURE_HEADER,
    timestampHeader: GENERIC_TIMESTAMP_HEADER,
    toleranceMs: given.toleranceMs ?? TOLERANCE_MS,
  })
  return judgeBy(verifier, headers, { body: given.body ?? BODY, nowMs: given.nowMs ?? NOW_S * 1000 })
}

const signed = (timestamp: number | string, body = BODY, secret = SECRET): SignedHeaders => ({
  'x-webhook-timestamp': String(timestamp),
  'x-webhook-signature': signGeneric(secret, Number(timestamp), body),
})

describe('generic signatures', () => {
  it('are HMAC-SHA256 over "<timestamp>.<raw body>"', () => {
    const expected = createHmac('sha256', SECRET).update(`${NOW_S}.{"type":"deploy"}`).digest('hex')
    expect(signGeneric(SECRET, NOW_S, BODY)).toBe(`sha256=${expected}`)
    expect(judge(signed(NOW_S))).toEqual({ ok: true })
  })

  it('hold for any body and time', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.integer({ min: 0, max: 4_000_000_000 }), (bytes, seconds) => {
        const body = Buffer.from(bytes)
        expect(judge(signed(seconds, body), { body, nowMs: seconds * 1000 })).toEqual({ ok: true })
      }),
    )
  })

  it('bind the time: another timestamp makes them wrong', () => {
    const headers = { ...signed(NOW_S), 'x-webhook-timestamp': String(NOW_S + 1) }
    expect(judge(headers)).toMatchObject({ ok: false, reason: 'mismatch' })
  })

  it('bind the boundary between time and body', () => {
    // "1700000000" + "." + "5.x" must not pass for the time 1700000000 with the dot elsewhere.
    const signature = signGeneric(SECRET, 170000000, Buffer.from('0.x'))
    const headers = { 'x-webhook-timestamp': '1700000000', 'x-webhook-signature': signature }
    expect(judge(headers, { body: Buffer.from('x') })).toMatchObject({ reason: 'mismatch' })
  })

  it.each([
    [0, 'now'],
    [TOLERANCE_MS, 'as old as the tolerance allows'],
    [-30_000, 'as far ahead as allowed'],
  ])('signed %i ms ago (%s) are believed', (ageMs) => {
    expect(judge(signed(NOW_S), { nowMs: NOW_S * 1000 + ageMs })).toEqual({ ok: true })
  })

  it('are stale after the tolerance, and only when they are right otherwise', () => {
    const nowMs = NOW_S * 1000 + TOLERANCE_MS + 1
    expect(judge(signed(NOW_S), { nowMs })).toMatchObject({ ok: false, reason: 'stale' })
    expect(judge(signed(NOW_S, BODY, Buffer.from('other')), { nowMs })).toMatchObject({ reason: 'mismatch' })
  })

  it('from more than 30 s ahead are refused, whatever the tolerance', () => {
    const nowMs = NOW_S * 1000 - 30_001
    expect(judge(signed(NOW_S), { nowMs })).toMatchObject({ ok: false, reason: 'future' })
    expect(judge(signed(NOW_S), { nowMs: NOW_S * 1000 - 2_000, toleranceMs: 1_000 })).toMatchObject({
      reason: 'future',
    })
  })

  it.each([
    ['empty', ''],
    ['in milliseconds', String(NOW_S * 1000)],
    ['negative', '-1'],
    ['with a sign', '+1700000000'],
    ['with a leading zero', '01700000000'],
    ['fractional', '1700000000.5'],
    ['exponential', '17e8'],
    ['hexadecimal', '0x6553f100'],
    ['with white space', ' 1700000000'],
    ['a date', '2023-11-14T22:13:20Z'],
  ])('with a timestamp that is %s are malformed', (_, timestamp) => {
    const headers = { ...signed(NOW_S), 'x-webhook-timestamp': timestamp }
    expect(judge(headers)).toMatchObject({ ok: false, reason: 'malformed' })
  })

  it('need both headers, each once', () => {
    const { 'x-webhook-timestamp': timestamp, 'x-webhook-signature': signature } = signed(NOW_S) as Record<
      string,
      string
    >
    expect(judge({})).toMatchObject({ reason: 'missing' })
    expect(judge({ 'x-webhook-signature': signature })).toMatchObject({ reason: 'missing' })
    expect(judge({ 'x-webhook-timestamp': timestamp })).toMatchObject({ reason: 'missing' })
    const twice = (value = ''): string[] => [value, value]
    expect(judge({ ...signed(NOW_S), 'x-webhook-timestamp': twice(timestamp) })).toMatchObject({
      reason: 'duplicated',
    })
    expect(judge({ ...signed(NOW_S), 'x-webhook-signature': twice(signature) })).toMatchObject({
      reason: 'duplicated',
    })
  })

  it('stand under the header names that the configuration gives', () => {
    const verifier = createGenericVerifier({
      secrets: [SECRET],
      signatureHeader: 'x-acme-signature',
      timestampHeader: 'x-acme-time',
      toleranceMs: TOLERANCE_MS,
    })
    const headers = {
      'x-acme-signature': signGeneric(SECRET, NOW_S, BODY),
      'x-acme-time': String(NOW_S),
    }
    expect(judgeBy(verifier, headers, { body: BODY })).toEqual({ ok: true })
    expect(verifier.examine(requestWith(signed(NOW_S)))).toMatchObject({ reason: 'missing' })
  })

  it('are checked against every secret while one is being rotated', () => {
    const next = Buffer.from('the next secret')
    expect(judge(signed(NOW_S, BODY, next), { secrets: [SECRET, next] })).toEqual({ ok: true })
  })

  it('cannot be checked within a tolerance that is no duration', () => {
    for (const toleranceMs of [Number.NaN, -1]) {
      expect(() => judge({}, { toleranceMs })).toThrow(/milliseconds/)
    }
    expect(judge(signed(NOW_S), { nowMs: Number.NaN })).toMatchObject({ reason: 'stale' })
  })

  it('cannot be checked without a secret, or with an empty one', () => {
    expect(() => judge({}, { secrets: [] })).toThrow(TypeError)
    expect(() => judge({}, { secrets: [Buffer.alloc(0)] })).toThrow(TypeError)
  })
})
