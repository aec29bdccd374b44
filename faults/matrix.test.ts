/** The short set of the matrix: one round of each kind of fault, as `pnpm faults` runs it. All of it: docs/reliability.md. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../tests/support/process.ts'
import { MATRIX } from './matrix.ts'
import { runScenario } from './run-scenario.ts'

/** A run of a few seconds, on a busy machine. */
const PATIENT = { timeout: 180_000 }

const SHORT = [
  'everything-killed',
  'consumer-sleeps',
  'redis-killed-everysec',
  'connections-half-open',
  'out-of-memory',
  'script-flush',
  'master-and-gateways-killed',
  'cluster-master-killed',
  'slot-migration',
  'disk-full',
  's3-and-ai-fail',
  'rolling-restart',
]

describe('what happens under load', () => {
  it('has a name of its own each', () => {
    expect(new Set(MATRIX.map(({ name }) => name)).size).toBe(MATRIX.length)
    expect(MATRIX.map(({ name }) => name)).toEqual(expect.arrayContaining(SHORT))
  })

  it('is told in docs/reliability.md, all of it', () => {
    const page = readFileSync(join(root, 'docs/reliability.md'), 'utf8')
    for (const { what } of MATRIX) expect(page).toContain(what)
  })

  it.each(SHORT)(
    '%s: every accepted event has one effect, with the bytes that were sent',
    PATIENT,
    async (name) => {
      const scenario = MATRIX.find((each) => each.name === name)!
      const outcome = await runScenario(scenario, {
        seed: 'short set',
        durationMs: 0,
        concurrency: 16,
        keep: 'nothing',
        build: undefined,
      })
      // Where this machine cannot have it happen, nothing is said about it.
      if (outcome.kind === 'not here') return
      expect(outcome).toMatchObject({ kind: 'kept', rounds: 1 })
    },
  )
})
