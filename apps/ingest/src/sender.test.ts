import type { IncomingMessage } from 'node:http'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { TOOLS } from '@weir/core/config/tools'
import { signGithub } from '@weir/security/github'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { readHeaders } from './headers.ts'
import { createLimits, limitedProblem } from './limits.ts'
import { openSecrets } from './secrets.ts'
import { checkSecrets, createSenders, type Sender } from './sender.ts'
import { examine, type Trust, verify } from './trust.ts'

async function senders(flags: Record<string, unknown> = {}, env: Record<string, string> = {}) {
  const { config } = await loadConfig({
    text: '',
    env,
    flags: Object.fromEntries(Object.entries(flags).map(([path, value]) => [`webhook.${path}`, value])),
  })
  const secrets = await openSecrets({
    security: config.webhook.security,
    check: checkSecrets(config),
    clock: systemClock,
    log: pino({ enabled: false }),
  })
  return createSenders(config, secrets)
}

const sender = async (tool: string, flags?: Record<string, unknown>, env?: Record<string, string>) =>
  (await senders(flags, env)).get(tool) as Sender

const trusted = async (
  tool: string,
  flags?: Record<string, unknown>,
  env?: Record<string, string>,
  tenant = 'default',
): Promise<Trust> => (await sender(tool, flags, env)).trustFor(tenant)

const request = { method: 'POST', url: '/webhooks/github' } as IncomingMessage
const headers = (all: Record<string, string> = {}) =>
  readHeaders({ headers: all, rawHeaders: Object.entries(all).flat() } as unknown as IncomingMessage, [])

describe('who is believed', () => {
  const body = Buffer.from('{}')
  const signed = headers({ 'x-hub-signature-256': signGithub(Buffer.from('s'), body) })

  it('with a secret: whoever signed with it', async () => {
    const trust = await trusted('github', {}, { GITHUB_WEBHOOK_SECRET: 's' })
    const claim = examine(trust, request, signed, '203.0.113.9')
    expect(claim.ok && verify(trust, claim, body, 0)).toEqual({ ok: true })
    expect(claim.ok && verify(trust, claim, Buffer.from('[]'), 0)).toMatchObject({
      ok: false,
      reason: 'mismatch',
      signatureWrong: true,
    })
    expect(examine(trust, request, headers(), '127.0.0.1')).toMatchObject({
      ok: false,
      reason: 'missing',
      signatureWrong: false,
      problem: { code: 'SIGNATURE_MISSING', status: 401, headers: ['WWW-Authenticate', 'Webhook-Signature'] },
    })
  })

  it('without one: nobody, not even this machine', async () => {
    const trust = await trusted('github')
    expect(examine(trust, request, signed, '127.0.0.1')).toMatchObject({
      ok: false,
      reason: 'no_secret',
      problem: { code: 'SECRET_NOT_CONFIGURED', detail: expect.stringContaining('GITHUB_WEBHOOK_SECRET') },
    })
  })

  it('for a tenant with secrets of its own: whoever signed with one of them, and nobody with those of all', async () => {
    const secrets = { 'security.tenant_secrets': { acme: { github: ['of acme', 'old one of acme'] } } }
    const all = { GITHUB_WEBHOOK_SECRET: 's' }
    const believes = async (tenant: string, secret: string) => {
      const trust = await trusted('github', secrets, all, tenant)
      const claim = examine(
        trust,
        request,
        headers({ 'x-hub-signature-256': signGithub(Buffer.from(secret), body) }),
        '1.2.3.4',
      )
      return claim.ok && verify(trust, claim, body, 0).ok
    }
    expect(await believes('acme', 'of acme')).toBe(true)
    expect(await believes('acme', 'old one of acme')).toBe(true)
    expect(await believes('acme', 's')).toBe(false)
    expect(await believes('globex', 's')).toBe(true)
    expect(await believes('globex', 'of acme')).toBe(false)
  })

  it('refuses to start with what is no secret of its tool', async () => {
    await expect(senders({}, { STANDARD_WEBHOOK_SECRET: 'whsec_%%%' })).rejects.toThrow(
      /secrets of standard cannot be used/,
    )
  })

  it('with signature: none: this machine alone, and no proxy on it', async () => {
    const trust = await trusted('jira', { 'tools.jira.signature': 'none' })
    expect(examine(trust, request, headers(), '127.0.0.1').ok).toBe(true)
    expect(examine(trust, request, headers(), '::ffff:127.0.0.1').ok).toBe(true)
    expect(examine(trust, request, headers(), '::1').ok).toBe(true)
    expect(examine(trust, request, headers(), '10.0.0.7')).toMatchObject({ ok: false, reason: 'not_local' })
    expect(examine(trust, request, headers(), undefined).ok).toBe(false)
    for (const name of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']) {
      expect(examine(trust, request, headers({ [name]: '127.0.0.1' }), '127.0.0.1').ok).toBe(false)
    }
  })

  it('with verification switched off: everybody', async () => {
    const trust = await trusted('jira', { 'security.enable_signature_verification': false })
    const claim = examine(trust, request, headers(), '203.0.113.9')
    expect(claim.ok && verify(trust, claim, body, 0)).toEqual({ ok: true })
  })
})

describe('a sender', () => {
  it('is there for every enabled tool', async () => {
    const all = await senders({ 'tools.gitlab.enabled': false })
    expect([...all.keys()]).toEqual(TOOLS.filter((tool) => tool !== 'gitlab'))
  })

  it('derives ids only where one occurrence passes in a window', async () => {
    expect((await sender('github')).derivesIds).toBe(true)
    expect((await sender('github', { 'deduplication.window_configs.github.max_size': 2 })).derivesIds).toBe(
      false,
    )
    // Three of each pass for Jira; Alertmanager has no stable ids.
    expect((await sender('jira')).derivesIds).toBe(false)
    expect((await sender('alertmanager')).derivesIds).toBe(false)
  })

  it('may use the spool as it is configured', async () => {
    const spools = async (tool: string, flags: Record<string, unknown>) => (await sender(tool, flags)).spools
    expect(await spools('alertmanager', {})).toBe(true)
    expect(await spools('alertmanager', { 'ingest.spool.for': 'never-retrying' })).toBe(false)
    expect(await spools('github', { 'ingest.spool.for': 'never-retrying' })).toBe(true)
    expect(await spools('github', { 'ingest.spool.enabled': false })).toBe(false)
  })
})

describe('limits', () => {
  it('are those of all, of the tool, of the tenant and of the address', async () => {
    const limits = createLimits(100)(await sender('github'), 'acme', '203.0.113.9')
    expect(limits.map(({ type, name, limit, periodMs }) => [type, name, limit, periodMs])).toEqual([
      ['global', 'all', 10_000, 1000],
      ['tool', 'github', 5000, 1000],
      ['tenant', 'acme', 100, 60_000],
      ['ip', expect.stringMatching(/^[0-9a-f]{16}$/), 100, 60_000],
    ])
  })

  it('that are 0 are none', async () => {
    const none = { 'security.global_rate_limit': 0, 'security.per_tool_rate_limits.github': 0 }
    expect(createLimits(0)(await sender('github', none), 'acme', '203.0.113.9')).toEqual([])
    expect(createLimits(0)(await sender('gitlab'), 'acme', undefined).map(({ type }) => type)).toEqual([
      'global',
    ])
  })

  it('tell when to come again, with the status that makes the sender do it', () => {
    const limit = { type: 'tenant', name: 'acme', limit: 100, periodMs: 60_000 } as const
    const said = limitedProblem(limit, 12_345, 503)
    expect(said).toMatchObject({ code: 'RATE_LIMITED', status: 503 })
    expect(said.headers).toEqual([
      'Retry-After',
      '13',
      'RateLimit-Policy',
      '"tenant";q=100;w=60',
      'RateLimit',
      '"tenant";r=0;t=13',
    ])
    expect(said.detail).toContain('100 events in 60 s')
    expect(limitedProblem(limit, 1, 429).headers[1]).toBe('1')
  })
})
