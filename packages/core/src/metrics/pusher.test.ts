import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Counter, Registry } from 'prom-client'
import { afterEach, describe, expect, it } from 'vitest'
import { createPusher, type PusherOptions } from './pusher.ts'

interface Taken {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly type: string | undefined
  readonly authorization: string | undefined
  readonly body: string
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Takes pushes, answering each with the next of these statuses and then 200. */
async function gateway(...statuses: number[]) {
  const taken: Taken[] = []
  const server = createServer(async (request, response) => {
    const { method, url, headers } = request
    const body = await textOf(request)
    taken.push({
      method,
      url,
      type: headers['content-type'],
      authorization: headers.authorization,
      body,
    })
    response.writeHead(statuses.shift() ?? 200)
    response.end('pushed metrics are invalid')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { taken, host: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A pause that ends when the test says so. */
function handClock() {
  const pauses: { readonly ms: number; end(): void }[] = []
  return {
    pauses,
    wait: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        if (signal?.aborted) return resolve()
        signal?.addEventListener('abort', () => resolve(), { once: true })
        pauses.push({ ms, end: resolve })
      }),
  }
}

function pusherTo(url: string, options: Partial<PusherOptions> = {}) {
  const registry = new Registry()
  const events = new Counter({ name: 'events_total', help: 'Events', registers: [registry] })
  const clock = handClock()
  const told: string[] = []
  const results: string[] = []
  const pusher = createPusher({
    url,
    job: 'webhook-consumer',
    instance: 'host-1:8082',
    registry,
    intervalMs: 30_000,
    send: fetch,
    clock,
    pushed: (result) => results.push(result),
    onTrouble: (reason) => told.push(reason),
    onBack: () => told.push('back'),
    ...options,
  })
  return { pusher, events, clock, told, results }
}

describe('the pusher', () => {
  it('puts what is measured into the group of its job and instance, again and again, and once more at the end', async () => {
    const { taken, host } = await gateway()
    const { pusher, events, clock, told, results } = pusherTo(`http://${host}/base/`)
    pusher.start()
    pusher.start()
    await expect.poll(() => clock.pauses).toHaveLength(1)
    expect(taken).toEqual([
      {
        method: 'PUT',
        url: '/base/metrics/job/webhook-consumer/instance/host-1%3A8082',
        type: expect.stringMatching(/^text\/plain; version=0\.0\.4/),
        authorization: undefined,
        body: '# HELP events_total Events\n# TYPE events_total counter\nevents_total 0\n',
      },
    ])
    expect(clock.pauses[0]?.ms).toBe(30_000)
    events.inc(3)
    clock.pauses[0]?.end()
    await expect.poll(() => clock.pauses).toHaveLength(2)
    expect(taken[1]?.body).toContain('events_total 3')
    events.inc()
    await Promise.all([pusher.stop(), pusher.stop()])
    expect(taken.map(({ body }) => body.match(/^events_total (\d)/m)?.[1])).toEqual(['0', '3', '4'])
    expect(results).toEqual(['ok', 'ok', 'ok'])
    expect(told).toEqual([])
  })

  it('tells a refusal once, counts each, and tells when it is over', async () => {
    const { host } = await gateway(400, 400, 503)
    const { pusher, clock, told, results } = pusherTo(`http://${host}`)
    pusher.start()
    for (let round = 1; round <= 4; round++) {
      await expect.poll(() => clock.pauses).toHaveLength(round)
      clock.pauses[round - 1]?.end()
    }
    await pusher.stop()
    expect(results.slice(0, 4)).toEqual(['failed', 'failed', 'failed', 'ok'])
    expect(told).toEqual([
      'status 400: pushed metrics are invalid',
      'status 503: pushed metrics are invalid',
      'back',
    ])
  })

  it('never throws, whether nobody listens or the metrics cannot be had', async () => {
    const { host } = await gateway()
    for (const close of closing.splice(0)) close()
    const away = pusherTo(`http://${host}`)
    away.pusher.start()
    await expect.poll(() => away.results).toHaveLength(1)
    await away.pusher.stop()
    expect(away.told).toEqual([expect.stringContaining('ECONNREFUSED')])
    const broken = pusherTo(`http://${host}`, {
      registry: {
        contentType: new Registry().contentType,
        metrics: () => Promise.reject(new Error('no numbers')),
      },
    })
    broken.pusher.start()
    await expect.poll(() => broken.results).toHaveLength(1)
    await broken.pusher.stop()
    expect(broken.told).toEqual(['no numbers'])
    expect(broken.results).toEqual(['failed', 'failed'])
  })

  it('sends credentials of the address as such, and tells them to nobody', async () => {
    const { taken, host } = await gateway(401)
    const { pusher, told } = pusherTo(`http://me:p%40ss@${host}`)
    pusher.start()
    await expect.poll(() => taken).toHaveLength(1)
    await pusher.stop()
    expect(taken[0]?.authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`)
    expect(told.join()).not.toContain('p@ss')
  })

  it('does not wait at its end for a push that nobody answers', async () => {
    const bodies: unknown[] = []
    const { pusher, results, told } = pusherTo('http://push.example', {
      send(_url, { body, signal }) {
        bodies.push(body)
        if (bodies.length > 1) return Promise.resolve(new Response(''))
        return new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
        )
      },
    })
    pusher.start()
    await expect.poll(() => bodies).toHaveLength(1)
    await pusher.stop()
    expect(bodies).toHaveLength(2)
    expect({ results, told }).toEqual({ results: ['ok'], told: [] })
  })

  it('that was never started pushes nothing', async () => {
    const { taken, host } = await gateway()
    await pusherTo(`http://${host}`).pusher.stop()
    expect(taken).toEqual([])
  })
})
