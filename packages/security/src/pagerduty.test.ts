import { describe, expect, it } from 'vitest'
import { createPagerDutyVerifier, signPagerDuty } from './pagerduty.ts'
import { BODY, judge } from './verifier.test-support.ts'

const SECRET = Buffer.from('the secret')
const RIGHT = signPagerDuty(SECRET, BODY)
const WRONG = `v1=${'0'.repeat(64)}`
const verifier = createPagerDutyVerifier([SECRET])
const judged = (value: string) => judge(verifier, { 'x-pagerduty-signature': value })

describe('PagerDuty signatures', () => {
  it("agree with the vector of PagerDuty's own library", () => {
    // https://github.com/PagerDuty/go-pagerduty/blob/main/webhookv3/webhookv3_test.go
    const secret = Buffer.from('lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK')
    const body = Buffer.from(
      '{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_type":"incident","occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Tenex Engineer","type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident","self":"https://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/PGR0VU2","number":2,"status":"triggered","title":"A little bump in the road","service":{"html_url":"https://acme.pagerduty.com/services/PF9KMXH","id":"PF9KMXH","self":"https://api.pagerduty.com/services/PF9KMXH","summary":"API Service","type":"service_reference"},"assignees":[{"html_url":"https://acme.pagerduty.com/users/PTUXL6G","id":"PTUXL6G","self":"https://api.pagerduty.com/users/PTUXL6G","summary":"User 123","type":"user_reference"}],"escalation_policy":{"html_url":"https://acme.pagerduty.com/escalation_policies/PUS0KTE","id":"PUS0KTE","self":"https://api.pagerduty.com/escalation_policies/PUS0KTE","summary":"Default","type":"escalation_policy_reference"},"teams":[{"html_url":"https://acme.pagerduty.com/teams/PFCVPS0","id":"PFCVPS0","self":"https://api.pagerduty.com/teams/PFCVPS0","summary":"Engineering","type":"team_reference"}],"priority":{"html_url":"https://acme.pagerduty.com/account/incident_priorities","id":"PSO75BM","self":"https://api.pagerduty.com/priorities/PSO75BM","summary":"P1","type":"priority_reference"},"urgency":"high","conference_bridge":{"conference_number":1000,"conference_url":"https://example.com"},"resolve_reason":null}}}',
    )
    const published = 'v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd'
    expect(signPagerDuty(secret, body)).toBe(published)
    const headers = { 'x-pagerduty-signature': published }
    expect(judge(createPagerDutyVerifier([secret]), headers, { body })).toEqual({ ok: true })
  })

  it('are a list, while a secret is rotated, in which one has to be right', () => {
    expect(judged(RIGHT)).toEqual({ ok: true })
    expect(judged(`${WRONG},${RIGHT}`)).toEqual({ ok: true })
    expect(judged(`v2=anything,${RIGHT},v0=`)).toEqual({ ok: true })
    expect(judged(`${WRONG},${WRONG}`)).toMatchObject({ reason: 'mismatch' })
  })

  it('are malformed when a part of the list is', () => {
    for (const value of [
      '',
      ',',
      `${RIGHT},`,
      `${RIGHT}, ${WRONG}`,
      `${RIGHT};${WRONG}`,
      `${RIGHT},v1=`,
      `${RIGHT},${WRONG}0`,
      RIGHT.replace('v1', 'V1'),
      RIGHT.replace('v1', 'v2'),
      Array(9).fill(RIGHT).join(),
    ]) {
      expect(judged(value), value).toMatchObject({ reason: 'malformed' })
    }
    expect(judged(Array(8).fill(RIGHT).join())).toEqual({ ok: true })
  })
})
