import { lookup as dnsLookup } from 'node:dns/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEgressPolicy } from './egress.ts'
import {
  checkRedirect,
  createGuardedLookup,
  EgressRefusedError,
  type LookupAll,
  resolveTarget,
} from './egress-connect.ts'

const POLICY = createEgressPolicy()
const PUBLIC = '198.41.0.4'
const PUBLIC_6 = '2001:503:ba3e::2:30'

/** A DNS that gives one answer after the other, then the last for ever, and counts the questions. */
function dns(...answers: (readonly string[])[]): LookupAll & { readonly asked: () => number } {
  let asked = 0
  const lookup = async () => {
    const answer = answers[Math.min(asked++, answers.length - 1)] ?? []
    return answer.map((address) => ({ address }))
  }
  return Object.assign(lookup, { asked: () => asked })
}

const unresolvable: LookupAll = () =>
  Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND gone.example'), { code: 'ENOTFOUND' }))

/** What the socket would get. */
function ask(
  lookup: ReturnType<typeof createGuardedLookup>,
  hostname: string,
  options: Parameters<typeof lookup>[1],
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    lookup(hostname, options, (error, address, family) => {
      if (error) reject(error)
      else resolve(options.all === true ? address : [address, family])
    })
  })
}

describe('the target of a URL', () => {
  const target = (url: string, lookup: LookupAll) => resolveTarget(new URL(url), POLICY, lookup)

  it('is every address that its host leads to', async () => {
    expect(await target('https://example.com/', dns([PUBLIC, PUBLIC_6]))).toEqual({
      ok: true,
      addresses: [
        { address: PUBLIC, family: 4 },
        { address: PUBLIC_6, family: 6 },
      ],
    })
  })

  it('is a literal address itself, and the DNS is not asked', async () => {
    const lookup = dns([])
    expect(await target(`https://[${PUBLIC_6}]/`, lookup)).toEqual({
      ok: true,
      addresses: [{ address: PUBLIC_6, family: 6 }],
    })
    expect(lookup.asked()).toBe(0)
  })

  it.each([
    ['the only one', ['10.0.0.1'], '10.0.0.1'],
    ['the last one', [PUBLIC, PUBLIC_6, '::1'], '::1'],
    ['the first one', ['169.254.169.254', PUBLIC], '169.254.169.254'],
    ['one in disguise', [PUBLIC, '64:ff9b::a00:1'], '64:ff9b::a00:1'],
    ['one with a zone', [PUBLIC, 'fe80::1%eth0'], 'fe80::1%eth0'],
  ])('is refused when one address is: %s', async (_, answer, address) => {
    const refusal = await target('https://example.com/', dns(answer))
    expect(refusal).toMatchObject({ ok: false, address })
    expect(!refusal.ok && refusal.detail).toMatch(/^the host name does not lead outside: /)
    expect(!refusal.ok && refusal.detail).not.toContain(address)
  })

  it('is refused before the DNS is asked, when the URL is', async () => {
    const lookup = dns([PUBLIC])
    expect(await target('http://example.com/', lookup)).toMatchObject({ reason: 'scheme' })
    expect(await target('https://redis/', lookup)).toMatchObject({ reason: 'hostname' })
    expect(await target('https://10.0.0.1/', lookup)).toMatchObject({ reason: 'private' })
    expect(lookup.asked()).toBe(0)
  })

  it('is allowed to be internal by its name', async () => {
    const policy = createEgressPolicy({ allow: ['hooks.corp.internal'] })
    const url = new URL('https://hooks.corp.internal/')
    expect(await resolveTarget(url, policy, dns(['10.0.0.1']))).toMatchObject({ ok: true })
  })

  it('may be unresolvable', async () => {
    expect(await target('https://gone.example/', unresolvable)).toMatchObject({
      ok: false,
      reason: 'unresolvable',
      cause: { code: 'ENOTFOUND' },
    })
    expect(await target('https://empty.example/', dns([]))).toMatchObject({ reason: 'unresolvable' })
  })

  it('can be resolved by node:dns', async () => {
    const policy = createEgressPolicy({ allow: ['localhost', '127.0.0.0/8', '::1'] })
    expect(await resolveTarget(new URL('https://localhost/'), policy, dnsLookup)).toMatchObject({ ok: true })
  })
})

describe('a guarded lookup', () => {
  const both = createGuardedLookup(POLICY, dns([PUBLIC, PUBLIC_6, '::ffff:198.41.0.4']))

  it.each([
    [{}, [PUBLIC, 4]],
    [{ family: 0 }, [PUBLIC, 4]],
    [{ family: 6 }, [PUBLIC_6, 6]],
    [{ family: 'IPv6' as const }, [PUBLIC_6, 6]],
    [{ family: 'IPv4' as const, all: false }, [PUBLIC, 4]],
    [{ family: 6, all: true }, [{ address: PUBLIC_6, family: 6 }]],
    [
      { all: true },
      [
        { address: PUBLIC, family: 4 },
        { address: PUBLIC_6, family: 6 },
        // Mapped: an IPv4 socket connects to it, so it is spelled as IPv4.
        { address: PUBLIC, family: 4 },
      ],
    ],
  ])('answers %j like dns.lookup', async (options, expected) => {
    expect(await ask(both, 'example.com', options)).toEqual(expected)
  })

  it('judges also the addresses of the family that was not asked for', async () => {
    const lookup = createGuardedLookup(POLICY, dns([PUBLIC, '::1']))
    await expect(ask(lookup, 'example.com', { family: 4 })).rejects.toMatchObject({
      name: 'EgressRefusedError',
      code: 'EGRESS_REFUSED',
      refusal: { reason: 'loopback', address: '::1' },
    })
  })

  it('refuses names and literals that the policy refuses', async () => {
    const lookup = dns([PUBLIC])
    const guarded = createGuardedLookup(POLICY, lookup)
    await expect(ask(guarded, 'localhost', {})).rejects.toThrow(EgressRefusedError)
    await expect(ask(guarded, '127.0.0.1', {})).rejects.toThrow(EgressRefusedError)
    await expect(ask(guarded, '0x7f.1', {})).rejects.toThrow(EgressRefusedError)
    expect(lookup.asked()).toBe(0)
  })

  it('fails as the look-up did, or without an address of the family', async () => {
    await expect(ask(createGuardedLookup(POLICY, unresolvable), 'gone.example', {})).rejects.toMatchObject({
      code: 'ENOTFOUND',
    })
    await expect(
      ask(createGuardedLookup(POLICY, dns([PUBLIC])), 'example.com', { family: 6 }),
    ).rejects.toMatchObject({ refusal: { reason: 'unresolvable', detail: 'the host has no IPv6 address' } })
  })

  it('yields nothing that the policy refuses, whatever the DNS answers', async () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom(PUBLIC, PUBLIC_6), fc.string())
    await fc.assert(
      fc.asyncProperty(fc.array(address, { maxLength: 4 }), async (answer) => {
        const allowed = answer.every((each) => POLICY.checkAddress(each).ok)
        const asked = ask(createGuardedLookup(POLICY, dns(answer)), 'example.com', { all: true })
        if (allowed && answer.length > 0) expect(await asked).toHaveLength(answer.length)
        else await expect(asked).rejects.toThrow(EgressRefusedError)
      }),
    )
  })
})

describe('a redirect', () => {
  const from = new URL('https://hooks.example.com/a/b?c')
  it.each([
    ['/d', 'https://hooks.example.com/d'],
    ['d', 'https://hooks.example.com/a/d'],
    ['?e', 'https://hooks.example.com/a/b?e'],
    ['//other.example.com/d', 'https://other.example.com/d'],
    ['https://other.example.com/d', 'https://other.example.com/d'],
  ])('to %s leads to %s', (location, target) => {
    const verdict = checkRedirect(from, location, POLICY)
    expect(verdict.ok && verdict.url.href).toBe(target)
  })

  it.each([
    ['', 'malformed'],
    ['https://', 'malformed'],
    ['http://hooks.example.com/a', 'scheme'],
    ['ftp://hooks.example.com/a', 'scheme'],
    ['javascript:alert(1)', 'scheme'],
    ['//169.254.169.254/latest', 'metadata'],
    ['\\\\127.1\\', 'loopback'],
    ['https://[::1]/', 'loopback'],
    ['//user@other.example.com/', 'credentials'],
    ['//other.example.com:6379/', 'port'],
    ['//localhost/', 'hostname'],
  ])('to %j is refused: %s', (location, reason) => {
    expect(checkRedirect(from, location, POLICY)).toMatchObject({ ok: false, reason })
  })

  it('never leads from https: to http:, even where http: is allowed', () => {
    const http = createEgressPolicy({ http: true })
    expect(checkRedirect(from, 'http://hooks.example.com/', http)).toMatchObject({
      reason: 'scheme',
      detail: 'the redirect leads from https: to http:',
    })
    expect(checkRedirect(new URL('http://a.example.com/'), 'http://b.example.com/', http).ok).toBe(true)
    expect(checkRedirect(new URL('http://a.example.com/'), 'https://b.example.com/', http).ok).toBe(true)
  })
})
