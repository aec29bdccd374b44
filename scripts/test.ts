/**
 * `pnpm test [vitest arguments]`: runs all tests once. The last line is `N passed, N failed`, alone on its line.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf } from '@weir/core/faults'
import { ensureRedisBinary } from './redis-binary.ts'
import { summariseTests, summaryLine } from './test-summary.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const passedOn = process.argv.slice(2)
if (passedOn[0] === '--') passedOn.shift()

const work = mkdtempSync(join(tmpdir(), 'weir-test-report-'))
const reportFile = join(work, 'report.json')
try {
  ensureRedisBinary()
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`]
  const runner = spawn(process.execPath, [vitest, 'run', ...reporters, ...passedOn], {
    cwd: root,
    stdio: 'inherit',
  })
  // A terminal's Ctrl-C reaches vitest by itself; whoever signals this process alone means vitest too.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => runner.kill(signal))
  const [exitCode] = await once(runner, 'exit')
  const report = existsSync(reportFile) ? readFileSync(reportFile, 'utf8') : undefined
  const summary = summariseTests(report, typeof exitCode === 'number' ? exitCode : null)
  for (const note of summary.notes) console.log(note)
  console.log(summaryLine(summary))
  process.exitCode = summary.failed === 0 ? 0 : 1
} catch (error) {
  console.error(`weir: ${messageOf(error)}`)
  console.log(summaryLine({ passed: 0, failed: 1 }))
  process.exitCode = 1
} finally {
  rmSync(work, { recursive: true, force: true })
}
