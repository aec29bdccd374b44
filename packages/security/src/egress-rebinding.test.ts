import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, request as sendHttp } from 'node:http'
import { request as sendHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEgressPolicy, type EgressPolicy } from './egress.ts'
import { EgressRefusedError, guardedRequestOptions, type LookupAll, resolveTarget } from './egress-connect.ts'

/** A DNS that gives one answer after the other, then the last for ever, and counts the questions. */
function dns(...answers: (readonly string[])[]): LookupAll & { readonly asked: () => number } {
  let asked = 0
  const lookup = async () => {
    const answer = answers[Math.min(asked++, answers.length - 1)] ?? []
    return answer.map((address) => ({ address }))
  }
  return Object.assign(lookup, { asked: () => asked })
}

describe('a guarded request', () => {
  let server: Server
  let port = 0
  const seen: (string | undefined)[] = []
  beforeAll(async () => {
    server = createServer((incoming, answer) => {
      seen.push(`${incoming.socket.localAddress} ${incoming.headers.host} ${incoming.url}`)
      answer.end('ok')
    })
    // On all of 127.0.0.0/8, so that a connection to the wrong address of it would be answered, and seen.
    server.listen(0, '0.0.0.0')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })
  afterAll(async () => {
    server.close()
    await once(server, 'close')
  })

  /** Only 127.0.0.1, so that any other loopback address stands for a place that is not allowed. */
  const policy = (): EgressPolicy =>
    createEgressPolicy({ http: true, ports: [port], allow: ['127.0.0.1', '::ffff:127.0.0.1'] })

  async function send(url: string, lookup: LookupAll): Promise<number | undefined> {
    const guarded = guardedRequestOptions(new URL(url), policy(), lookup)
    if (!guarded.ok) throw new EgressRefusedError(guarded)
    const outgoing = sendHttp(guarded.options).end()
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'end')
    return answer.statusCode
  }

  it('goes to the address that was checked, though the DNS changes its answer (rebinding)', async () => {
    const lookup = dns(['127.0.0.1'], ['127.0.0.2'])
    seen.length = 0
    expect(await send(`http://rebind.example:${port}/a?b=c`, lookup)).toBe(200)
    expect(seen).toEqual([`127.0.0.1 rebind.example:${port} /a?b=c`])
    // Asked once: what was judged is what was connected to.
    expect(lookup.asked()).toBe(1)
    await expect(send(`http://rebind.example:${port}/`, lookup)).rejects.toMatchObject({
      code: 'EGRESS_REFUSED',
      refusal: { reason: 'loopback', address: '127.0.0.2' },
    })
    expect(seen).toHaveLength(1)
  })

  it('does not go where the DNS leads after the target was checked', async () => {
    const lookup = dns(['127.0.0.1'], ['127.0.0.2', '127.0.0.1'])
    const url = `http://rebind.example:${port}/`
    seen.length = 0
    expect(await resolveTarget(new URL(url), policy(), lookup)).toMatchObject({ ok: true })
    await expect(send(url, lookup)).rejects.toMatchObject({ code: 'EGRESS_REFUSED' })
    expect(seen).toEqual([])
  })

  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
  ])('to the literal %s is judged although Node does not look it up', async (host, header) => {
    const lookup = dns([])
    seen.length = 0
    expect(await send(`http://${host}:${port}/`, lookup)).toBe(200)
    expect(seen).toEqual([`127.0.0.1 ${header}:${port} /`])
    expect(lookup.asked()).toBe(0)
  })

  it.each(['127.0.0.2', '2130706434', '[::ffff:127.0.0.2]', '[::1]', 'localhost'])(
    'to %s is not made',
    async (host) => {
      seen.length = 0
      await expect(send(`http://${host}:${port}/`, dns(['127.0.0.1']))).rejects.toThrow(EgressRefusedError)
      expect(seen).toEqual([])
    },
  )

  it('has a connection of its own, not one that somebody opened unguarded', async () => {
    const guarded = guardedRequestOptions(
      new URL('https://example.com/'),
      createEgressPolicy(),
      dns(['198.41.0.4']),
    )
    expect(guarded).toMatchObject({ ok: true, options: { agent: false } })
  })

  it('over TLS names the host to the server, and no address', async () => {
    const names: (string | false | null)[] = []
    const tls = createTlsServer({
      SNICallback: (name, done) => {
        names.push(name)
        done(new Error('no certificate here'))
      },
    })
    tls.on('tlsClientError', () => names.push('refused'))
    tls.listen(0, '127.0.0.1')
    await once(tls, 'listening')
    const tlsPort = (tls.address() as AddressInfo).port
    const secure = createEgressPolicy({ ports: [tlsPort], allow: ['127.0.0.1'] })
    for (const host of ['hooks.example', '127.0.0.1']) {
      const url = new URL(`https://${host}:${tlsPort}/`)
      const guarded = guardedRequestOptions(url, secure, dns(['127.0.0.1']))
      if (!guarded.ok) throw new EgressRefusedError(guarded)
      expect(guarded.options.servername).toBe(host === '127.0.0.1' ? '' : host)
      await once(sendHttps(guarded.options).end(), 'error')
    }
    tls.close()
    await once(tls, 'close')
    expect(names.filter((name) => name !== 'refused')).toEqual(['hooks.example'])
  })
})
