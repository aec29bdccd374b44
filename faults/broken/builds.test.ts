/** A harness is worth what it notices: each build that is broken on purpose must be found out, and by the right finding. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../../tests/support/process.ts'
import { MATRIX } from '../matrix.ts'
import { type Outcome, runScenario } from '../run-scenario.ts'
import { BROKEN_BUILDS, type BrokenBuild, CHANGES, changed } from './builds.ts'

/** A run of a few seconds, on a busy machine. */
const PATIENT = { timeout: 120_000 }

/** A kill must meet an event that is accepted, and not yet answered: several kills, ms. */
const UNTIL_IT_SHOWS_MS = 8_000

async function runOn(name: string, build: BrokenBuild | undefined, durationMs = 0): Promise<Outcome> {
  const scenario = MATRIX.find((each) => each.name === name)!
  return runScenario(scenario, { seed: 'broken builds', durationMs, concurrency: 64, keep: 'nothing', build })
}

describe('builds that are broken on purpose', () => {
  it.each(BROKEN_BUILDS)('%s fits the sources as they are', (build) => {
    for (const file of new Set(CHANGES[build].map((change) => change.file))) {
      const source = readFileSync(join(root, file), 'utf8')
      expect(changed(build, file, source)).not.toBe(source)
    }
  })

  it('refuse a source that they do not fit', () => {
    expect(() => changed('other-bytes', 'apps/consumer/src/decode.ts', '')).toThrow(
      /does not fit .*decode\.ts/,
    )
  })

  it('the sources as they are keep the promise', PATIENT, async () => {
    expect(await runOn('consumer-killed', undefined)).toMatchObject({ kind: 'kept' })
  })

  it('ack before processing loses events when a consumer dies', PATIENT, async () => {
    const outcome = await runOn('consumer-killed', 'ack-first')
    expect(outcome).toMatchObject({ kind: 'broken', verdict: { doubled: [], altered: [], unasked: [] } })
    expect('verdict' in outcome && outcome.verdict.lost.length).toBeGreaterThan(0)
  })

  it('a body without its last byte is noticed', PATIENT, async () => {
    const outcome = await runOn('gateway-killed', 'other-bytes')
    expect(outcome.kind).toBe('broken')
    expect('verdict' in outcome && outcome.verdict.altered.length).toBeGreaterThan(0)
  })

  it('an event id for each attempt of the sender doubles what was accepted unheard', PATIENT, async () => {
    const outcome = await runOn('gateway-killed', 'no-dedupe', UNTIL_IT_SHOWS_MS)
    expect(outcome.kind).toBe('broken')
    expect('verdict' in outcome && outcome.verdict.doubled.length).toBeGreaterThan(0)
  })
})
