import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEgressPolicy, type EgressOptions, type EgressReason } from './egress.ts'

const POLICY = createEgressPolicy()

/** The reason of the refusal; `ok` for none. */
function judge(url: string, options: EgressOptions = {}): EgressReason | 'ok' {
  const verdict = createEgressPolicy(options).checkUrl(url)
  return verdict.ok ? 'ok' : verdict.reason
}

describe('URLs that may be called', () => {
  it.each([
    ['https://example.com', 'https://example.com/'],
    ['https://hooks.example.com/in?a=1#part', 'https://hooks.example.com/in?a=1#part'],
    ['HTTPS://EXAMPLE.COM:443/', 'https://example.com/'],
    ['https://a_b.example.com/', 'https://a_b.example.com/'],
    ['https://xn--bcher-kva.example/', 'https://xn--bcher-kva.example/'],
    ['https://bücher.example/', 'https://xn--bcher-kva.example/'],
    ['https://localhost.example.com/', 'https://localhost.example.com/'],
    ['https://mylocal.example.com/', 'https://mylocal.example.com/'],
    ['https://8.8.8.8/', 'https://8.8.8.8/'],
    ['https://134744072/', 'https://8.8.8.8/'],
    ['https://[2606:4700::1111]/', 'https://[2606:4700::1111]/'],
    ['https://[::ffff:8.8.8.8]/', 'https://[::ffff:808:808]/'],
    ['https://[64:ff9b::8.8.8.8]/', 'https://[64:ff9b::808:808]/'],
  ])('%s', (text, parsed) => {
    const verdict = POLICY.checkUrl(text)
    expect(verdict.ok && verdict.url.href).toBe(parsed)
  })
})

describe('hostile URLs', () => {
  it.each<[EgressReason, string, string]>([
    ['malformed', 'nothing', ''],
    ['malformed', 'a path', '/hooks'],
    ['malformed', 'a host alone', 'example.com'],
    ['malformed', 'no host', 'https://'],
    ['malformed', 'a port that is none', 'https://example.com:99999/'],
    ['malformed', 'an address with five parts', 'https://1.2.3.4.5/'],
    ['malformed', 'an address out of bounds', 'https://4294967296/'],
    ['malformed', 'a part out of bounds', 'https://256.0.0.1/'],
    ['malformed', 'a name that ends in a number', 'https://example.0x7f/'],
    ['malformed', 'a zone', 'https://[fe80::1%25eth0]/'],
    ['malformed', 'a NUL', 'https://example.com%00.internal/'],
    ['malformed', 'a space in the host', 'https://exam ple.com/'],
    ['malformed', 'more than 2,048 characters', `https://example.com/${'a'.repeat(2_048)}`],
    ['scheme', 'http', 'http://example.com/'],
    ['scheme', 'ftp', 'ftp://example.com/'],
    ['scheme', 'file', 'file:///etc/passwd'],
    ['scheme', 'data', 'data:text/plain,hello'],
    ['scheme', 'javascript', 'javascript:alert(1)'],
    ['scheme', 'gopher', 'gopher://127.0.0.1:6379/_FLUSHALL'],
    ['scheme', 'a host and port alone', 'localhost:6379'],
    ['scheme', 'web socket', 'wss://example.com/'],
    ['credentials', 'a user', 'https://user@example.com/'],
    ['credentials', 'a password', 'https://:secret@example.com/'],
    ['credentials', 'a host that looks like the user', 'https://example.com@127.0.0.1/'],
    ['credentials', 'an escaped @', 'https://a%40b@example.com/'],
    ['port', 'that of SSH', 'https://example.com:22/'],
    ['port', 'that of Redis', 'https://example.com:6379/'],
    ['port', 'that of http', 'https://example.com:80/'],
    ['port', 'zero', 'https://example.com:0/'],
    ['hostname', 'this machine', 'https://localhost/'],
    ['hostname', 'this machine in capitals', 'https://LOCALHOST/'],
    ['hostname', 'this machine with a dot', 'https://localhost./'],
    ['hostname', 'this machine in wide letters', 'https://ｌｏｃａｌｈｏｓｔ/'],
    ['hostname', 'this machine with a soft hyphen', 'https://local\u00adhost/'],
    ['hostname', 'this machine escaped', 'https://%6cocalhost/'],
    ['hostname', 'this machine with a tab within', 'https://local\thost/'],
    ['hostname', 'this machine behind backslashes', 'https:\\\\localhost\\'],
    ['hostname', 'a name within this machine', 'https://a.localhost/'],
    ['hostname', 'this machine with its domain', 'https://localhost.localdomain/'],
    ['hostname', 'the metadata service', 'https://metadata.google.internal/'],
    ['hostname', 'a service of Kubernetes', 'https://redis.default.svc.cluster.local/'],
    ['hostname', 'mDNS', 'https://printer.local/'],
    ['hostname', 'mDNS with the dot of another script', 'https://printer。local/'],
    ['hostname', 'a home network', 'https://router.home.arpa/'],
    ['hostname', 'a company network', 'https://wiki.corp/'],
    ['hostname', 'a local network', 'https://nas.lan/'],
    ['hostname', 'a single label', 'https://redis/'],
    ['hostname', 'a dot at the end', 'https://example.com./'],
    ['hostname', 'two dots at the end', 'https://example.com../'],
    ['hostname', 'an empty label', 'https://a..example.com/'],
    ['hostname', 'an empty first label', 'https://.example.com/'],
    ['hostname', 'a wildcard', 'https://*.example.com/'],
    ['hostname', 'a comma', 'https://example.com,localhost/'],
    ['hostname', 'a hyphen at the start', 'https://-a.example.com/'],
    ['hostname', 'a hyphen at the end', 'https://a-.example.com/'],
    ['hostname', 'a label of 64', `https://${'a'.repeat(64)}.example.com/`],
    ['hostname', 'a name of 255', `https://${'a.'.repeat(122)}example.com/`],
    ['loopback', 'decimal', 'https://127.0.0.1/'],
    ['loopback', 'another of the range', 'https://127.255.255.254/'],
    ['loopback', 'one number', 'https://2130706433/'],
    ['loopback', 'octal', 'https://0177.0.0.1/'],
    ['loopback', 'octal, one number', 'https://017700000001/'],
    ['loopback', 'hex', 'https://0x7f.0x0.0x0.0x1/'],
    ['loopback', 'hex, one number', 'https://0x7F000001/'],
    ['loopback', 'two parts', 'https://127.1/'],
    ['loopback', 'three parts', 'https://127.0.1/'],
    ['loopback', 'mixed', 'https://0x7f.1/'],
    ['loopback', 'a dot at the end', 'https://127.0.0.1./'],
    ['loopback', 'wide digits', 'https://１２７.0.0.1/'],
    ['loopback', 'circled digits', 'https://①②⑦.0.0.1/'],
    ['loopback', 'dots of another script', 'https://127。0。0。1/'],
    ['loopback', 'escaped', 'https://%31%32%37.0.0.1/'],
    ['loopback', 'no slashes', 'https:127.0.0.1'],
    ['loopback', 'one slash', 'https:/127.0.0.1/'],
    ['loopback', 'an @ and no user', 'https://@127.0.0.1/'],
    ['loopback', 'IPv6', 'https://[::1]/'],
    ['loopback', 'IPv6 in full', 'https://[0000:0000:0000:0000:0000:0000:0000:0001]/'],
    ['loopback', 'mapped', 'https://[::ffff:127.0.0.1]/'],
    ['loopback', 'mapped, in hex', 'https://[::ffff:7f00:1]/'],
    ['loopback', 'compatible', 'https://[::127.0.0.1]/'],
    ['loopback', 'translated', 'https://[::ffff:0:127.0.0.1]/'],
    ['loopback', 'NAT64', 'https://[64:ff9b::127.0.0.1]/'],
    ['loopback', '6to4', 'https://[2002:7f00:1::]/'],
    ['this-network', 'zero', 'https://0/'],
    ['this-network', 'zeros', 'https://0.0.0.0/'],
    ['this-network', 'zeros of IPv6', 'https://[::]/'],
    ['metadata', 'decimal', 'https://169.254.169.254/latest/meta-data/'],
    ['metadata', 'one number', 'https://2852039166/'],
    ['metadata', 'hex', 'https://0xA9FEA9FE/'],
    ['metadata', 'octal', 'https://0251.0376.0251.0376/'],
    ['metadata', 'three parts', 'https://169.254.43518/'],
    ['metadata', 'compatible, in hex', 'https://[::a9fe:a9fe]/'],
    ['metadata', 'mapped', 'https://[::ffff:a9fe:a9fe]/'],
    ['metadata', 'NAT64', 'https://[64:ff9b::a9fe:a9fe]/'],
    ['metadata', '6to4', 'https://[2002:a9fe:a9fe::1]/'],
    ['metadata', 'of AWS, IPv6', 'https://[fd00:ec2::254]/'],
    ['metadata', 'of Azure', 'https://168.63.129.16/'],
    ['private', 'a private address', 'https://10.0.0.1/'],
  ])('%s: %s', (reason, _, url) => {
    expect(judge(url)).toBe(reason)
    // Nothing but `allow` opens a way: neither http nor ports.
    if (reason !== 'scheme' && reason !== 'port')
      expect(judge(url, { http: true, ports: [443, 80, 8080] })).toBe(reason)
  })

  it('are refused with a sentence that repeats no address', () => {
    expect(POLICY.checkUrl('https://10.1.2.3/')).toEqual({
      ok: false,
      reason: 'private',
      detail: 'the address is private (RFC 1918); use one on the public internet',
    })
    expect(POLICY.checkAddress('64:ff9b::a01:203')).toMatchObject({
      detail:
        'the address is NAT64 (RFC 6052) for an IPv4 address that is private (RFC 1918); use one on the public internet',
    })
  })

  it('are refused and never thrown at, whatever they are', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl({ withFragments: true })), (text) => {
        for (const url of [text, `https://${text}`, `https://[${text}]`]) {
          const verdict = POLICY.checkUrl(url)
          if (verdict.ok) expect(verdict.url.protocol).toBe('https:')
        }
      }),
    )
  })
})
