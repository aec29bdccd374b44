/**
 * `pnpm check`: everything that can be said about the sources without running them. Runs all checks, shows what the
 * failing ones say, then a table; exit code 1 when any fails.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configurationPage } from '@weir/core/config/page'
import { messageOf } from '@weir/core/faults'
import { dashboardFiles } from './dashboards.ts'
import { metricsPage } from './docs-metrics.ts'
import { checkImports } from './imports.ts'
import { scalingPage } from './scaling/page.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

interface CheckResult {
  readonly ok: boolean
  readonly output: string
}
interface Check {
  readonly name: string
  run(): CheckResult | Promise<CheckResult>
}

const checks: Check[] = [
  {
    name: 'format and lint (biome)',
    run: () => runNode('@biomejs/biome/bin/biome', ['ci', '--error-on-warnings', '--colors=off', '.']),
  },
  {
    name: 'types (tsc)',
    run: () => runNode('typescript/bin/tsc', ['--noEmit', '--project', 'tsconfig.json']),
  },
  { name: 'boundaries and cycles of imports', run: runImportCheck },
  { name: 'unused code and dependencies (knip)', run: () => runNode('knip/bin/knip.js', ['--no-progress']) },
  { name: 'generated documents', run: runDocumentCheck },
]
const rows: string[] = []
let failed = 0
for (const { name, run } of checks) {
  const started = performance.now()
  const { ok, output } = await run()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (!ok) {
    failed += 1
    console.log(`── ${name}\n${output.trim()}\n`)
  }
  rows.push(`${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(38)} ${seconds.padStart(5)} s`)
}
console.log(rows.join('\n'))
process.exitCode = failed === 0 ? 0 : 1

function runImportCheck(): CheckResult {
  try {
    const violations = checkImports(root)
    return {
      ok: violations.length === 0,
      output: violations.map(({ where, what }) => `${where} ${what}`).join('\n'),
    }
  } catch (error) {
    return { ok: false, output: messageOf(error) }
  }
}

/** The pages and dashboards that are made from the program, each with the script that writes it. */
async function runDocumentCheck(): Promise<CheckResult> {
  const pages = [
    { page: 'docs/configuration.md', script: 'scripts/docs-config.ts', text: configurationPage() },
    { page: 'docs/metrics.md', script: 'scripts/docs-metrics.ts', text: await metricsPage() },
    { page: 'docs/scaling.md', script: 'scripts/docs-scaling.ts', text: scalingPage() },
    ...[...dashboardFiles()].map(([page, text]) => ({ page, script: 'scripts/dashboards.ts', text })),
  ]
  const stale = pages.filter(({ page, text }) => readFileSync(join(root, page), 'utf8') !== text)
  const advice = stale.map(
    ({ page, script }) => `${page} is not what ${script} writes. Run: npx --yes pnpm@12 exec node ${script}`,
  )
  return { ok: stale.length === 0, output: advice.join('\n') }
}

/** Runs a tool's own program by its path under node_modules: no dependence on PATH. */
function runNode(program: string, args: readonly string[]): CheckResult {
  return runProgram([join(root, 'node_modules', program), ...args])
}

function runProgram(args: readonly string[]): CheckResult {
  const env = { ...process.env, NO_COLOR: '1' }
  const result = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 64 << 20 })
  const started = result.error ? `${result.error.message}\n` : ''
  return { ok: result.status === 0, output: `${started}${result.stdout ?? ''}${result.stderr ?? ''}` }
}
