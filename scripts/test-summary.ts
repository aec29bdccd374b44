/** Turns vitest's JSON report into the last lines of `pnpm test`. */
import { stripVTControlCharacters } from 'node:util'

export interface TestSummary {
  readonly passed: number
  /** Failed tests, and test files that could not even be loaded; at least 1 when the run as a whole failed. */
  readonly failed: number
  /** What the two numbers do not say: each failure with the start of its reason, and one sentence for anything else. */
  readonly notes: readonly string[]
}

/**
 * Reads the report of vitest's JSON reporter (`report`, undefined when none was written) and the exit code of its
 * process (null when a signal ended it). Nothing counts as passed that was not executed: no tests is a failure.
 */
export function summariseTests(report: string | undefined, exitCode: number | null): TestSummary {
  const files = report === undefined ? undefined : filesOf(JSON.parse(report))
  if (files === undefined) return { passed: 0, failed: 1, notes: ['The test runner ended without a report.'] }
  const notes: string[] = []
  let passed = 0
  let failed = 0
  let skipped = 0
  for (const file of files) {
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed += 1
      else if (test.status === 'failed') {
        failed += 1
        notes.push(`Failed: ${file.name}: ${test.fullName}\n${reasonsOf(test)}`)
      } else skipped += 1
    }
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      failed += 1
      notes.push(
        `Counted as one failure, because the file as a whole failed: ${file.name}\n${indented(file.message ?? '')}`,
      )
    }
  }
  if (skipped > 0) notes.push(`${skipped} skipped`)
  if (passed + failed === 0) {
    return { passed: 0, failed: 1, notes: [...notes, 'No test was executed: that counts as a failure.'] }
  }
  if (exitCode !== 0 && failed === 0) {
    const how = exitCode === null ? 'was ended by a signal' : `ended with exit code ${exitCode}`
    return {
      passed,
      failed: 1,
      notes: [...notes, `Every test passed, but the test runner ${how}; see above.`],
    }
  }
  return { passed, failed, notes }
}

/** The line that scripts read. */
export function summaryLine(summary: { readonly passed: number; readonly failed: number }): string {
  return `${summary.passed} passed, ${summary.failed} failed`
}

/** How much of a failure's message is repeated at the end, lines. */
const REASON_LINES = 12

interface ReportedTest {
  readonly fullName: string
  readonly status: string
  readonly failureMessages?: readonly string[] | undefined
}
interface ReportedFile {
  readonly name: string
  readonly status: string
  readonly message?: string | undefined
  readonly assertionResults: readonly ReportedTest[]
}

function reasonsOf(test: ReportedTest): string {
  return (test.failureMessages ?? []).map(indented).join('\n')
}

function indented(message: string): string {
  return stripVTControlCharacters(message)
    .split('\n')
    .slice(0, REASON_LINES)
    .map((line) => `    ${line}`)
    .join('\n')
}

function filesOf(report: unknown): readonly ReportedFile[] | undefined {
  if (typeof report !== 'object' || report === null || !('testResults' in report)) return undefined
  return Array.isArray(report.testResults) ? (report.testResults as readonly ReportedFile[]) : undefined
}
