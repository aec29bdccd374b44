/** Turns vitest's JSON report into the last lines of `pnpm test`. */

export interface TestSummary {
  readonly passed: number
  /** Failed tests, and test files that could not even be loaded; at least 1 when the run as a whole failed. */
  readonly failed: number
  /** What the two numbers do not say, one sentence each. */
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
    for (const { status } of file.assertionResults) {
      if (status === 'passed') passed += 1
      else if (status === 'failed') failed += 1
      else skipped += 1
    }
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      failed += 1
      notes.push(`Counted as one failure, because the file as a whole failed: ${file.name}`)
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

interface ReportedFile {
  readonly name: string
  readonly status: string
  readonly assertionResults: readonly { readonly status: string }[]
}

function filesOf(report: unknown): readonly ReportedFile[] | undefined {
  if (typeof report !== 'object' || report === null || !('testResults' in report)) return undefined
  return Array.isArray(report.testResults) ? (report.testResults as readonly ReportedFile[]) : undefined
}
