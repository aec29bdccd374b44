import type { IncomingMessage } from 'node:http'
import { loadConfig } from '@weir/core/config/load'
import { signGithub } from '@weir/security/github'
import { describe, expect, it } from 'vitest'
import { readHeaders } from './headers.ts'
import { createLimits, limitedProblem } from './limits.ts'
import { createSenders, type Sender } from './sender.ts'
import { examine, verify } from './trust.ts'

async function senders(flags: Record<string, unknown> = {}, env: Record<string, string> = {}) {
  const { config } = await loadConfig({
    text: '',
    env,
    flags: Object.fromEntries(Object.entries(flags).map(([path, value]) => [`webhook.${path}`, value])),
  })
  return createSenders(config)
}

const sender = async (tool: string, flags?: Record<string, unknown>, env?: Record<string, string>) =>
  (await senders(flags, env)).get(tool) as Sender

const headers = (all: Record<string, string> = {}) =>
  readHeaders({ headers: all, rawHeaders: Object.entries(all).flat() } as unknown as IncomingMessage, [])

describe('who is believed', () => {
  const body = Buffer.from('{}')
  const signed = headers({ 'x-hub-signature-256': signGithub(Buffer.from('s'), body) })

  it('with a secret: whoever signed with it', async () => {
    const { trust } = await sender('github', {}, { GITHUB_WEBHOOK_SECRET: 's' })
    const claim = examine(trust, signed, '203.0.113.9')
    expect(claim.ok && verify(trust, claim, body, 0)).toEqual({ ok: true })
    expect(claim.ok && verify(trust, claim, Buffer.from('[]'), 0)).toMatchObject({
      ok: false,
      reason: 'mismatch',
      signatureWrong: true,
    })
    expect(examine(trust, headers(), '127.0.0.1')).toMatchObject({
      ok: false,
      reason: 'missing',
      signatureWrong: false,
      problem: { code: 'SIGNATURE_MISSING', status: 401, headers: ['WWW-Authenticate', 'Webhook-Signature'] },
    })
  })

  it('without one: nobody, not even this machine', async () => {
    const { trust } = await sender('github')
    expect(examine(trust, signed, '127.0.0.1')).toMatchObject({
      ok: false,
      reason: 'no_secret',
      problem: { code: 'SECRET_NOT_CONFIGURED', detail: expect.stringContaining('GITHUB_WEBHOOK_SECRET') },
    })
  })

  it('of a tool whose signatures cannot be verified yet: nobody, even with a secret', async () => {
    const { trust } = await sender('jira', {}, { JIRA_WEBHOOK_SECRET: 's' })
    expect(examine(trust, headers(), '127.0.0.1')).toMatchObject({
      ok: false,
      problem: { detail: expect.stringContaining('webhook.tools.jira.signature: none') },
    })
  })

  it('with signature: none: this machine alone, and no proxy on it', async () => {
    const { trust } = await sender('jira', { 'tools.jira.signature': 'none' })
    expect(examine(trust, headers(), '127.0.0.1').ok).toBe(true)
    expect(examine(trust, headers(), '::ffff:127.0.0.1').ok).toBe(true)
    expect(examine(trust, headers(), '::1').ok).toBe(true)
    expect(examine(trust, headers(), '10.0.0.7')).toMatchObject({ ok: false, reason: 'not_local' })
    expect(examine(trust, headers(), undefined).ok).toBe(false)
    for (const name of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']) {
      expect(examine(trust, headers({ [name]: '127.0.0.1' }), '127.0.0.1').ok).toBe(false)
    }
  })

  it('with verification switched off: everybody', async () => {
    const { trust } = await sender('jira', { 'security.enable_signature_verification': false })
    const claim = examine(trust, headers(), '203.0.113.9')
    expect(claim.ok && verify(trust, claim, body, 0)).toEqual({ ok: true })
  })
})

describe('a sender', () => {
  it('is there for every enabled tool', async () => {
    const all = await senders({ 'tools.gitlab.enabled': false })
    expect([...all.keys()]).toEqual(['github', 'jira', 'alertmanager', 'generic'])
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
