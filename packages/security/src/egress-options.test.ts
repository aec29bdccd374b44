import { describe, expect, it } from 'vitest'
import { createEgressPolicy, type EgressOptions, type EgressReason } from './egress.ts'

/** The reason of the refusal; `ok` for none. */
function judge(url: string, options: EgressOptions): EgressReason | 'ok' {
  const verdict = createEgressPolicy(options).checkUrl(url)
  return verdict.ok ? 'ok' : verdict.reason
}

describe('what is allowed by name', () => {
  const allow = ['hooks.corp.internal', 'localhost', '10.1.2.0/24', 'fd00::/8', '127.0.0.1', 'Bücher.example']

  it.each([
    ['https://hooks.corp.internal/', 'ok'],
    ['https://HOOKS.corp.internal/', 'ok'],
    ['https://hooks.corp.internal./', 'hostname'],
    ['https://a.hooks.corp.internal/', 'hostname'],
    ['https://corp.internal/', 'hostname'],
    ['https://localhost/', 'ok'],
    ['https://10.1.2.3/', 'ok'],
    ['https://[::ffff:10.1.2.3]/', 'ok'],
    ['https://10.1.3.1/', 'private'],
    ['https://[64:ff9b::10.1.2.3]/', 'private'],
    ['https://[2002:a01:203::]/', 'private'],
    ['https://[fd12::1]/', 'ok'],
    ['https://127.1/', 'ok'],
    ['https://127.0.0.2/', 'loopback'],
    ['http://hooks.corp.internal/', 'scheme'],
    ['https://hooks.corp.internal:8443/', 'port'],
    ['https://u@hooks.corp.internal/', 'credentials'],
  ])('%s: %s', (url, expected) => {
    expect(judge(url, { allow })).toBe(expected)
  })

  it('may lead anywhere; other names may not', () => {
    const policy = createEgressPolicy({ allow })
    expect(policy.checkAddress('192.168.0.1', 'hooks.corp.internal')).toEqual({ ok: true })
    expect(policy.checkAddress('192.168.0.1', 'Hooks.Corp.Internal')).toEqual({ ok: true })
    expect(policy.checkAddress('192.168.0.1', 'xn--bcher-kva.example')).toEqual({ ok: true })
    expect(policy.checkAddress('192.168.0.1', 'example.com')).toMatchObject({ reason: 'private' })
    expect(policy.checkAddress('192.168.0.1')).toMatchObject({ reason: 'private' })
    expect(policy.checkAddress('fe80::1%eth0', 'hooks.corp.internal')).toMatchObject({ reason: 'malformed' })
  })

  it.each([
    ['', /allowed target '' is none; write an exact host name/],
    ['*.corp.internal', /no wildcard/],
    ['hooks.corp.internal.', /dot at the end/],
    ['hooks.corp.internal:8443', /no wildcard, port/],
    ['https://hooks.corp.internal/', /exact host name/],
    ['user@hooks.corp.internal', /exact host name/],
    ['hooks..internal', /exact host name/],
    ['127.1', /exact host name/],
    ['0x7f000001', /exact host name/],
    ['10.0.0.1/8', /probably 10\.0\.0\.0\/8 is meant/],
    ['10/8', /address range '10\/8' is none/],
    ['fe80::%eth0/10', /'fe80::%eth0\/10'/],
    ['[::1]', /'\[::1\]' is none/],
  ])('cannot be %j', (target, message) => {
    expect(() => createEgressPolicy({ allow: [target] })).toThrow(
      expect.objectContaining({ name: 'TypeError', message: expect.stringMatching(message) }),
    )
  })
})

describe('schemes and ports', () => {
  it.each<[string, EgressOptions, EgressReason | 'ok']>([
    ['http://example.com/', { http: true }, 'ok'],
    ['http://example.com:443/', { http: true }, 'ok'],
    ['http://example.com:8080/', { http: true }, 'port'],
    ['http://localhost/', { http: true }, 'hostname'],
    ['ftp://example.com/', { http: true }, 'scheme'],
    ['https://example.com:8443/', { ports: [443, 8443] }, 'ok'],
    ['https://example.com/', { ports: [8443] }, 'port'],
    ['https://example.com:8443/', { ports: [] }, 'port'],
  ])('%s with %j: %s', (url, options, expected) => {
    expect(judge(url, options)).toBe(expected)
  })

  it.each([0, -1, 65_536, 443.5, Number.NaN])('cannot be the port %d', (port) => {
    expect(() => createEgressPolicy({ ports: [port] })).toThrow(TypeError)
  })
})

describe('hosts', () => {
  it.each([
    ['example.com', 'ok'],
    ['EXAMPLE.com', 'ok'],
    ['[2606:4700::1111]', 'ok'],
    ['2606:4700::1111', 'ok'],
    ['::1', 'loopback'],
    ['[::1]', 'loopback'],
    ['fe80::1%eth0', 'malformed'],
    ['0x7f.1', 'hostname'],
    ['2130706433', 'hostname'],
    ['example.1', 'hostname'],
    ['LOCALHOST', 'hostname'],
    ['', 'hostname'],
    ['.', 'hostname'],
  ])('that no URL has brought to one spelling: %j is %s', (host, expected) => {
    const verdict = createEgressPolicy().checkHost(host)
    expect(verdict.ok ? 'ok' : verdict.reason).toBe(expected)
  })
})
