import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuditChain, createCheckpointSigner, readCheckpoint } from '@weir/security/audit-checkpoint'
import { pino } from 'pino'
import { afterAll, describe, expect, it } from 'vitest'
import { useWorld } from '../../../../tests/heart/world.ts'
import { systemClock } from '../clock.ts'
import { loadConfig } from '../config/load.ts'
import { Fault } from '../faults.ts'
import { auditCheckpoints } from '../stream/audit-log.ts'
import { type AuditorEvent, NO_AUDIT } from './auditor.ts'
import { auditLog, type ConfiguredAuditorDeps, configuredAuditor } from './configured.ts'

const world = useWorld()
const { keys } = world
const directory = mkdtempSync(join(tmpdir(), 'weir-audit-'))
afterAll(() => rmSync(directory, { recursive: true }))

async function configured(settings: Record<string, unknown>, deps: Partial<ConfiguredAuditorDeps> = {}) {
  const flags = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`webhook.security.${key}`, value]),
  )
  const { config, notices } = await loadConfig({ env: {}, flags })
  const link = await world.link()
  const auditor = () =>
    configuredAuditor(config, {
      partition: { link, keys },
      actor: 'test',
      chainOf: (pem) => createAuditChain(createCheckpointSigner(pem)),
      clock: systemClock,
      random: Math.random,
      tell: () => undefined,
      ...deps,
    })
  return { auditor, notices, link }
}

const file = (name: string, text: string) => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}
const NOTE = { action: 'a', target: 'b', outcome: 'c' }

describe('the configured auditor', () => {
  it('does nothing where auditing is off, and does not look for a key', async () => {
    const { auditor, notices } = await configured({ audit_signing_key_file: '/nowhere.pem' })
    expect(auditor()).toBe(NO_AUDIT)
    expect(notices).toEqual([])
  })

  it('signs with the key, as often as it is told', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const key = { audit_signing_key_file: file('key.pem', pem), audit_checkpoint_every: 2 }
    const { auditor, notices, link } = await configured({ enable_audit_logging: true, ...key })
    const on = auditor()
    for (let i = 0; i < 3; i++) await on.record(NOTE)
    await on.close()
    const checkpoints = (await auditCheckpoints(link, keys)).map((line) => readCheckpoint(line))
    expect(checkpoints).toMatchObject([{ n: 2, key: createCheckpointSigner(pem).keyId }])
    expect(notices).toEqual([])
  })

  it('says that checkpoints are not signed without one', async () => {
    const { auditor, notices, link } = await configured({
      enable_audit_logging: true,
      audit_checkpoint_every: 1,
    })
    expect(notices).toEqual([expect.stringContaining('checkpoints of the audit trail are not signed')])
    const on = auditor()
    await on.record(NOTE)
    await on.close()
    expect(readCheckpoint((await auditCheckpoints(link, keys))[0] ?? '')).toMatchObject({ n: 1, key: '' })
  })

  it('refuses a key that it cannot use, unless its owner may do without', async () => {
    for (const path of [join(directory, 'nowhere.pem'), file('no.pem', 'not a key')]) {
      const settings = { enable_audit_logging: true, audit_signing_key_file: path }
      const strict = await configured(settings)
      expect(strict.auditor).toThrow(Fault)
      expect(strict.auditor).toThrow(/^webhook\.security\.audit_signing_key_file: /)
      const lenient = await configured(settings, { onUnreadableKey: () => createAuditChain(undefined) })
      const on = lenient.auditor()
      expect(await on.record(NOTE)).toBeDefined()
      await on.close()
      expect(await auditCheckpoints(lenient.link, keys)).toEqual([])
    }
  })
})

describe('the log', () => {
  it('is told of everything, and of losses as errors; these are counted, too', () => {
    const point = { n: 3, hash: 'ab' }
    const events: AuditorEvent[] = [
      { kind: 'away', error: new Error('no') },
      { kind: 'back' },
      { kind: 'dropped', count: 2 },
      { kind: 'unwritten', count: 3 },
      { kind: 'lost', point },
      { kind: 'checkpoint', line: '{"n":3}' },
      { kind: 'trimmed', removed: 3, floor: point },
      { kind: 'trim-refused', n: 3 },
      { kind: 'upkeep-failed', error: new Error('no') },
    ]
    const lines: string[] = []
    const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) })
    const damages: number[] = []
    const tell = auditLog(log, (count) => void damages.push(count))
    for (const event of events) tell(event)
    const written = lines.map((line) => JSON.parse(line))
    expect(written.map(({ level }) => log.levels.labels[level])).toEqual([
      'warn',
      'info',
      'error',
      'error',
      'error',
      'info',
      'info',
      'error',
      'warn',
    ])
    expect(written.every(({ event }) => event === 'audit')).toBe(true)
    expect(damages).toEqual([2, 3, 1, 1])
    expect(written[5]).toMatchObject({ checkpoint: '{"n":3}', msg: 'audit checkpoint' })
  })
})
