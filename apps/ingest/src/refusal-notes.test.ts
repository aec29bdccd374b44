import { type AuditNote, NO_AUDIT } from '@weir/core/audit/auditor'
import { systemClock } from '@weir/core/clock'
import { describe, expect, it } from 'vitest'
import { createRefusalNotes } from './refusal-notes.ts'

function setUp(maxKinds = 50, hashKey: Uint8Array = Buffer.from('0123456789abcdef')) {
  const noted: AuditNote[] = []
  const notes = createRefusalNotes(
    { ...NO_AUDIT, note: (note) => noted.push(note) },
    { intervalMs: 1_000, maxKinds, clock: systemClock, hashKey },
  )
  return { notes, noted }
}

const REFUSED = { tool: 'github', tenant: 'default', reason: 'mismatch', network: '203.0.113.9' }

describe('notes of refused requests', () => {
  it('say what was refused, how often and from which network, without saying who that is', () => {
    const { notes, noted } = setUp()
    for (let i = 0; i < 50_000; i++) notes.refused(REFUSED)
    notes.refused({ ...REFUSED, reason: 'missing', tenant: 'acme' })
    notes.refused({ ...REFUSED, network: '' })
    notes.stop()
    expect(noted).toEqual([
      {
        action: 'request.refuse',
        target: 'github/default',
        outcome: 'refused',
        detail: {
          reason: 'mismatch',
          network: expect.stringMatching(/^[0-9a-f]{16}$/),
          count: 50_000,
          seconds: expect.any(Number),
        },
      },
      expect.objectContaining({ target: 'github/acme', detail: expect.objectContaining({ count: 1 }) }),
      expect.objectContaining({ detail: expect.objectContaining({ network: '' }) }),
    ])
    expect(JSON.stringify(noted)).not.toContain('203.0.113')
  })

  it('tell what was refused from what was only marked', () => {
    const { notes, noted } = setUp()
    notes.refused({ ...REFUSED, reason: 'replay_suspect' })
    notes.refused({ ...REFUSED, reason: 'replay_suspect', outcome: 'flagged' })
    notes.stop()
    expect(noted.map(({ outcome }) => outcome)).toEqual(['refused', 'flagged'])
  })

  it('have the same hash for the same network under the same key only', () => {
    const hashes = (key: string) => {
      const { notes, noted } = setUp(50, Buffer.from(key))
      for (const network of ['192.0.2.1', '192.0.2.2']) notes.refused({ ...REFUSED, network })
      notes.stop()
      return noted.map(({ detail }) => detail?.network)
    }
    const [one, two] = hashes('0123456789abcdef')
    expect(one).not.toBe(two)
    expect(hashes('0123456789abcdef')).toEqual([one, two])
    expect(hashes('fedcba9876543210')).not.toContain(one)
  })

  it('are few, whatever a flood makes up', () => {
    const { notes, noted } = setUp(20)
    for (let i = 0; i < 10_000; i++) notes.refused({ ...REFUSED, tenant: `t${i}` })
    notes.stop()
    expect(noted).toHaveLength(21)
    expect(noted.at(-1)).toMatchObject({ target: 'others', detail: { reason: 'others', count: 9_980 } })
  })
})
