/**
 * Destroying a tenant's keys makes unreadable what was encrypted for it, also in a backup that was taken before: shown by
 * restoring one.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { keysOf } from '@weir/core/config/parts'
import { destroyKeys } from '@weir/core/keyring/changes'
import type { KeyNote } from '@weir/core/keyring/key-store'
import { openPipelineView } from '@weir/core/pipeline-view'
import { connectRedis } from '@weir/core/redis/link'
import { pipelineViewOptions } from '@weir/core/view/options'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sendGithub, withGateway } from './support/gateway.ts'
import { MASTER_KEY, useKeyrings } from './support/keyring.ts'
import { withRedis } from './support/redis.ts'

const keyrings = useKeyrings()
let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-shredding-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const bodyOf = (tenant: string) => JSON.stringify({ action: 'opened', of: tenant })

interface Backup {
  readonly file: string
  /** Event ids by tenant. */
  readonly ids: Readonly<Record<string, string>>
}

/** Accepts an event of each tenant, and takes a backup of Redis (BGSAVE) as operators do. */
function backupWith(...tenants: string[]): Promise<Backup> {
  return withRedis(async (client, server) => {
    const ids: Record<string, string> = {}
    const settings = {
      'security.encryption_enabled': true,
      'security.encryption_master_key': MASTER_KEY,
      'security.keyring_directory': keyrings.directory,
    }
    await withGateway({ redisUrl: server.url, settings }, async ({ port }) => {
      for (const tenant of tenants) {
        const answer = await sendGithub(port, 'delivery', bodyOf(tenant), `/webhooks/github/${tenant}`)
        expect(answer.status).toBe(202)
        ids[tenant] = String(answer.json.event_id)
      }
    })
    await client.save()
    const file = join(directory, 'backup.rdb')
    copyFileSync(join(server.directory, 'dump.rdb'), file)
    return { file, ids }
  })
}

/** Restores the backup into an empty server and asks for the events' bytes: the text, or the code of the fault. */
function restored({ file, ids }: Backup): Promise<Readonly<Record<string, string>>> {
  const place = mkdtempSync(join(directory, 'restored-'))
  mkdirSync(place, { recursive: true })
  copyFileSync(file, join(place, 'dump.rdb'))
  return withRedis(
    (_client, server) =>
      withGateway(
        {
          redisUrl: server.url,
          settings: {
            'security.encryption_master_key': MASTER_KEY,
            'security.keyring_directory': keyrings.directory,
          },
        },
        async ({ config, encryption }) => {
          const keys = keysOf(config)
          const link = connectRedis({
            url: server.url,
            commandTimeoutMs: 2_000,
            connectTimeoutMs: 2_000,
            reconnectMaxDelayMs: 100,
            name: 'restore',
          })
          await link.ready()
          const view = openPipelineView(
            pipelineViewOptions(config, [{ keys, link }], systemClock, encryption?.keyring),
          )
          const found: Record<string, string> = {}
          for (const [tenant, id] of Object.entries(ids)) {
            const raw = await view.raw(id).catch((error: { code?: string }) => error.code ?? String(error))
            found[tenant] = typeof raw === 'string' ? raw : raw?.kind === 'bytes' ? String(raw.body) : 'gone'
          }
          await link.close()
          return found
        },
      ),
    { directory: place, args: ['--appendonly', 'no'] },
  )
}

describe('a tenant whose keys were destroyed', () => {
  it('cannot be read in a backup from before, with all that is left: backup, master key and keyring', async () => {
    const backup = await backupWith('acme', 'other')
    // That a restore works at all, and the backup is whole:
    expect(await restored(backup)).toEqual({ acme: bodyOf('acme'), other: bodyOf('other') })
    await destroyKeys(keyrings.store, 'acme', systemClock.now())
    expect(await restored(backup)).toEqual({ acme: 'KEY_DESTROYED', other: bodyOf('other') })
  })

  it('has left its salt nowhere: the backup never had it, and no key can be derived without', async () => {
    const { file } = await backupWith('acme')
    const [note] = (await keyrings.store.read('acme'))!.keys as [KeyNote]
    const salt = Buffer.from(note.salt, 'base64url')
    const backup = readFileSync(file)
    // What is encrypted is there, with the id of its key.
    expect(backup.includes(Buffer.from(note.id, 'hex'))).toBe(true)
    for (const spelling of [salt, note.salt, salt.toString('hex'), salt.toString('base64')])
      expect(backup.includes(spelling)).toBe(false)

    await destroyKeys(keyrings.store, 'acme', systemClock.now())
    const left = (await keyrings.store.read('acme'))!
    expect(left).toMatchObject({ keys: [], destroyed: [{ id: note.id }] })
    expect(JSON.stringify(left)).not.toContain(note.salt)
    const guess = { ...note, salt: Buffer.alloc(32).toString('base64url') }
    expect(createTenantCipher([MASTER_KEY]).derive('acme', guess)).toBe('damaged')
  })
})
