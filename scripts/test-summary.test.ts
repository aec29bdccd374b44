import { describe, expect, it } from 'vitest'
import { summariseTests, summaryLine } from './test-summary.ts'

const report = (...files: { status: string; tests: string[] }[]) =>
  JSON.stringify({
    testResults: files.map(({ status, tests }, index) => ({
      name: `${index}.test.ts`,
      status,
      assertionResults: tests.map((test, at) => ({
        status: test,
        fullName: `test ${at}`,
        failureMessages:
          test === 'failed'
            ? ['\u001b[31mAssertionError\u001b[39m: expected 1 to be 2\n    at somewhere']
            : [],
      })),
    })),
  })

describe('the summary of a test run', () => {
  it('counts tests over all files', () => {
    const summary = summariseTests(
      report(
        { status: 'passed', tests: ['passed', 'passed'] },
        { status: 'failed', tests: ['passed', 'failed'] },
      ),
      1,
    )
    expect(summary).toMatchObject({ passed: 3, failed: 1 })
    expect(summaryLine(summary)).toBe('3 passed, 1 failed')
  })

  it('names each failed test and why it failed, for whoever sees only the end of a long log', () => {
    expect(summariseTests(report({ status: 'failed', tests: ['passed', 'failed'] }), 1).notes).toEqual([
      'Failed: 0.test.ts: test 1\n    AssertionError: expected 1 to be 2\n        at somewhere',
    ])
  })

  it('counts a file that could not be loaded as a failure', () => {
    const summary = summariseTests(
      report({ status: 'passed', tests: ['passed'] }, { status: 'failed', tests: [] }),
      1,
    )
    expect(summary).toMatchObject({ passed: 1, failed: 1 })
    expect(summary.notes[0]).toContain('1.test.ts')
  })

  it('does not call a run good that executed nothing', () => {
    expect(summariseTests(report(), 0).failed).toBe(1)
    expect(summariseTests(report({ status: 'passed', tests: ['pending', 'todo'] }), 0)).toMatchObject({
      passed: 0,
      failed: 1,
    })
    expect(summariseTests(undefined, 0).failed).toBe(1)
  })

  it('does not call a run good that the runner calls bad (an error outside of any test, a crash)', () => {
    const good = report({ status: 'passed', tests: ['passed'] })
    expect(summariseTests(good, 1)).toMatchObject({ passed: 1, failed: 1 })
    expect(summariseTests(good, null).notes.at(-1)).toContain('signal')
    expect(summariseTests(good, 0)).toEqual({ passed: 1, failed: 0, notes: [] })
  })

  it('mentions skipped tests', () => {
    expect(summariseTests(report({ status: 'passed', tests: ['passed', 'skipped'] }), 0).notes).toEqual([
      '1 skipped',
    ])
  })
})
