/** What the gateway writes into the audit trail: requests that it did not believe, counted, and its own coming and going. */

import { keysOf, redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { connectRedis } from '@weir/core/redis/link'
import { auditLines, readAuditState } from '@weir/core/stream/audit-log'
import { createChainVerifier, readEntry } from '@weir/security/audit-chain'
import { describe, expect, it } from 'vitest'
import { POLL, send, sendGithub, useGateway } from './support/gateway.ts'
import { MASTER_KEY, useKeyrings } from './support/keyring.ts'

const keyrings = useKeyrings()
const { gateway } = useGateway({ 'security.enable_audit_logging': true, 'ingest.flood_guard.failures': 0 })

/** Every entry, after the chain was verified. */
async function trailOf(config: Config) {
  const keys = keysOf(config, 0)
  const link = connectRedis(redisSettings(config, keys, 'reader'))
  try {
    await link.ready()
    const { floor, head } = await readAuditState(link, keys)
    const verifier = createChainVerifier(floor, [{ ...head, says: 'the head' }])
    const entries = []
    for await (const line of auditLines(link, keys, floor.n, head.n)) {
      verifier.take(line)
      entries.push(readEntry(line)!)
    }
    expect(verifier.end()).toBeUndefined()
    return entries
  } finally {
    await link.close()
  }
}

describe('the audit trail of a gateway', () => {
  it('has the keys that were made for tenants', async () => {
    let config: Config | undefined
    const encrypting = {
      'security.encryption_enabled': true,
      'security.encryption_master_key': MASTER_KEY,
      'security.keyring_directory': keyrings.directory,
    }
    await gateway(async (running) => {
      config = running.config
      expect((await sendGithub(running.port, 'd-1', '{}', '/webhooks/github/acme')).status).toBe(202)
    }, encrypting)
    const key = (await keyrings.store.read('acme'))?.keys[0]?.id
    expect(await trailOf(config as Config)).toContainEqual(
      expect.objectContaining({ action: 'keyring.made', target: 'tenant acme', detail: { key } }),
    )
  })

  it('has its coming and going, and refused requests as counts, in an unbroken chain', async () => {
    let config: Config | undefined
    await gateway(async (running) => {
      config = running.config
      for (let i = 0; i < 50; i++) {
        await send(running.port, '/webhooks/github/acme', {
          headers: ['Content-Type', 'application/json'],
          body: `secret ${i}`,
        })
      }
      expect((await sendGithub(running.port, 'd-1')).status).toBe(202)
    })
    const entries = await trailOf(config as Config)
    expect(entries[0]).toMatchObject({ action: 'gateway.start', outcome: 'done' })
    expect(entries.at(-1)).toMatchObject({ action: 'gateway.stop', outcome: 'done' })
    const refused = entries.filter(({ action }) => action === 'request.refuse')
    const counts = refused.map(({ detail }) => Number(detail.count ?? 1))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(50)
    expect(refused.length).toBeLessThan(20)
    expect(refused[0]).toMatchObject({
      target: 'github/acme',
      outcome: 'refused',
      detail: { reason: 'missing' },
    })
    // Nothing that a sender wrote, and no address.
    expect(JSON.stringify(entries)).not.toMatch(/secret|127\.0\.0\.1/)
  })

  it('is counted as damaged when Redis does not have any more what it had acknowledged', () =>
    gateway(async ({ config, counter, link, port }) => {
      const keys = keysOf(config, 0)
      await expect.poll(async () => (await readAuditState(link, keys)).head.n, POLL).toBeGreaterThan(0)
      expect(await counter('webhook_audit_damage_total')).toBe(0)
      await link.call('DEL', keys.audit, keys.auditHead)
      const { epoch } = link
      link.reconnect()
      await expect.poll(() => link.epoch, POLL).toBeGreaterThan(epoch)
      await send(port, '/webhooks/github', { headers: ['Content-Type', 'application/json'], body: '{}' })
      await expect.poll(() => counter('webhook_audit_damage_total'), POLL).toBe(1)
    }))
})
