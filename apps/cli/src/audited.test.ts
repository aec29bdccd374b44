import { type AuditNote, type Auditor, NO_AUDIT } from '@weir/core/audit/auditor'
import { Fault } from '@weir/core/faults'
import { describe, expect, it } from 'vitest'
import { audited, type Ended } from './audited.ts'
import { CommandFailure, NEGATIVE, OK } from './exit.ts'

/** An auditor that refuses the records with these numbers, from 0. */
function auditorThat(...refuses: number[]): { audit: Auditor; recorded: AuditNote[] } {
  const recorded: AuditNote[] = []
  let count = 0
  const record = async (note: AuditNote) => {
    if (refuses.includes(count++)) throw new Fault('REDIS_OUT_OF_MEMORY', 'full')
    recorded.push(note)
    return { n: 40 + recorded.length, hash: 'x' }
  }
  return { audit: { ...NO_AUDIT, record }, recorded }
}

const ACTION = { action: 'dlq.purge', target: 'all', detail: { letters: 3 } }
const done = async (): Promise<Ended> => ({ code: OK, outcome: 'done', detail: { done: 3 } })

describe('an audited action', () => {
  it('has an entry before it and one after it', async () => {
    const { audit, recorded } = auditorThat()
    const code = await audited({ audit }, ACTION, async () => {
      expect(recorded).toHaveLength(1)
      return { code: NEGATIVE, outcome: 'stopped', detail: { done: 2 } }
    })
    expect(code).toBe(NEGATIVE)
    expect(recorded).toEqual([
      { action: 'dlq.purge', target: 'all', outcome: 'intended', detail: { letters: 3 } },
      { action: 'dlq.purge', target: 'all', outcome: 'stopped', detail: { intended: 41, done: 2 } },
    ])
  })

  it('is not done when the first cannot be written', async () => {
    const { audit, recorded } = auditorThat(0)
    let ran = false
    const run = () => {
      ran = true
      return done()
    }
    const refused = audited({ audit }, ACTION, run)
    await expect(refused).rejects.toThrow(CommandFailure)
    await expect(refused).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('nothing was done'),
    })
    expect({ ran, recorded }).toEqual({ ran: false, recorded: [] })
  })

  it('ends with 2 when the second cannot be written, and says that it was done', async () => {
    const { audit } = auditorThat(1)
    await expect(audited({ audit }, ACTION, done)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('the action ended (done), but the audit trail could not be told so'),
    })
  })

  it('is recorded as failed when it fails, and fails as it did', async () => {
    const failure = new Fault('REDIS_UNAVAILABLE', 'gone')
    const fail = () => Promise.reject(failure)
    const { audit, recorded } = auditorThat()
    await expect(audited({ audit }, ACTION, fail)).rejects.toBe(failure)
    expect(recorded[1]).toMatchObject({ outcome: 'failed', detail: { intended: 41, error: 'gone' } })
  })

  it('says both when it fails and the trail cannot be told so, and ends as it would have', async () => {
    const fail = () => Promise.reject(new CommandFailure('no such letter', NEGATIVE))
    await expect(audited(auditorThat(1), ACTION, fail)).rejects.toMatchObject({
      exitCode: NEGATIVE,
      message: expect.stringMatching(
        /^no such letter; nor could the audit trail be told that it failed \(full\)/,
      ),
    })
  })

  it('is done without auditing where that is off', async () => {
    expect(await audited({ audit: NO_AUDIT }, ACTION, done)).toBe(OK)
  })
})
