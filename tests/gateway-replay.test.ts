/** A captured GitHub request sent again under a new delivery id: its signature holds, as GitHub does not sign the id. */
import { describe, expect, it } from 'vitest'
import {
  expectProblem,
  githubHeaders,
  send,
  sendGithub,
  storedEvents,
  useGateway,
} from './support/gateway.ts'

const { redis, gateway } = useGateway()
const body = Buffer.from('{"action":"opened"}')

describe('a body that comes again under another delivery id', () => {
  it('is accepted, counted, told and marked', () =>
    gateway(async ({ port, counter, log }) => {
      const answers = [await sendGithub(port, 'd-1', body), await sendGithub(port, 'd-2', body)]
      expect(answers.map(({ status }) => status)).toEqual([202, 202])
      expect(await counter('webhook_replay_suspects_total', 'tool=github')).toBe(1)
      expect(log.filter(({ event }) => event === 'replay_suspect')).toHaveLength(1)
      const events = await storedEvents(redis.client())
      const marks = events.map(({ headers }) => headers.find(([name]) => name === 'x-weir-replay-suspect'))
      expect(marks).toEqual([undefined, ['x-weir-replay-suspect', '1']])
    }))

  it('is refused where that is configured, and the first one is not', () =>
    gateway(
      async ({ port }) => {
        expect((await sendGithub(port, 'd-1', body)).status).toBe(202)
        expectProblem(await sendGithub(port, 'd-2', body), 409, 'REPLAY_SUSPECTED')
        expect((await sendGithub(port, 'd-1', body)).status).toBe(200)
        expect(await storedEvents(redis.client())).toHaveLength(1)
      },
      { 'security.replay_suspects': 'refuse' },
    ))

  it('is not looked for where that is configured, and cannot be claimed by a sender', () =>
    gateway(
      async ({ port, counter }) => {
        const headers = [...githubHeaders(body, 'd-1'), 'X-Weir-Replay-Suspect', '1']
        await send(port, '/webhooks/github', { headers, body })
        await sendGithub(port, 'd-2', body)
        expect(await counter('webhook_replay_suspects_total', 'tool=github')).toBe(0)
        for (const event of await storedEvents(redis.client())) {
          expect(event.headers.map(([name]) => name)).not.toContain('x-weir-replay-suspect')
        }
      },
      { 'security.replay_suspects': 'off' },
    ))
})
