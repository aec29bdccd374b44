/** Settings about who may send: secrets of tenants, networks. */
import { describe, expect, it } from 'vitest'
import { redactedConfig } from './describe.ts'
import { loadConfig } from './load.ts'

const load = (security: unknown, more: object = {}) =>
  loadConfig({ text: JSON.stringify({ webhook: { security, ...more } }), env: {}, cores: 1 })

describe('webhook.security.tenant_secrets', () => {
  it('are read by tenant and tool, one or a list', async () => {
    const { config } = await load({
      tenant_secrets: { acme: { github: 'a,b', jira: ['c', 'd'] }, globex: {} },
    })
    expect(config.webhook.security.tenant_secrets).toEqual({
      acme: { github: ['a,b'], jira: ['c', 'd'] },
      globex: {},
    })
    expect(JSON.stringify(redactedConfig(config))).not.toContain('a,b')
  })

  it.each([
    [{ 'Acme Inc': { github: 's' } }, /has a key that is no name of a tenant/],
    [{ acme: { slakc: 's' } }, /has something that is no tool for acme/],
    [{ acme: { github: '' } }, /is empty for acme, github/],
    [{ acme: { github: 7 } }, /is not text \(put it in quotes\) for acme, github/],
    [{ acme: { github: [] } }, /is an empty list for acme, github/],
    [{ acme: 'secret-of-acme' }, /has no tools for acme/],
    ['secret-of-acme', /tenant_secrets/],
  ])('of %j', async (tenants, problem) => {
    const loading = load({ tenant_secrets: tenants })
    if (problem === undefined)
      return expect((await loading).config.webhook.security.tenant_secrets).toBeTruthy()
    await expect(loading).rejects.toThrow(problem)
    await expect(loading).rejects.not.toThrow(/secret-of-acme/)
  })
})

describe('networks', () => {
  it.each(['192.0.2.1', '140.82.112.0/20', '0.0.0.0/0', '2a0a:a440::/29', '::1', '::/0'])(
    'may be %s',
    async (network) => {
      const { config } = await load({}, { tools: { github: { allow_from: [network] } } })
      expect(config.webhook.tools.github.allow_from).toEqual([network])
    },
  )

  it.each([
    '192.0.2',
    '192.0.2.1/33',
    '192.0.2.1/',
    '192.0.2.1/08',
    '192.0.2.1/8/8',
    'fe80::1%eth0',
    '::1/129',
    'localhost',
    '010.0.0.1',
  ])('may not be %s', async (network) => {
    const loading = load({}, { ingest: { trusted_proxies: [network] } })
    await expect(loading).rejects.toThrow(/trusted_proxies/)
  })
})
