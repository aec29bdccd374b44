/** `pnpm faults`: see options.ts and docs/reliability.md. */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { ensureRedisBinary } from '../scripts/redis-binary.ts'
import { MATRIX } from './matrix.ts'
import { type FaultOptions, readFaultOptions, USAGE, UsageError } from './options.ts'
import { outcomeLine, printOutcomes } from './report.ts'
import { type Outcome, runScenario } from './run-scenario.ts'

const names = MATRIX.map(({ name }) => name)

function readOptions(): FaultOptions | undefined {
  const argv = process.argv.slice(2)
  if (argv.includes('--help')) {
    console.log(USAGE)
    return undefined
  }
  try {
    return readFaultOptions(argv[0] === '--' ? argv.slice(1) : argv, names, randomUUID)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`weir: ${error.message}\n\n${USAGE}`)
    process.exitCode = 2
    return undefined
  }
}

async function runAll(options: FaultOptions): Promise<void> {
  const chosen = MATRIX.filter(({ name }) => options.only?.includes(name) ?? true)
  if (options.list) {
    for (const { name, what } of chosen) console.log(`${name.padEnd(26)}${what}`)
    return
  }
  ensureRedisBinary()
  if (options.keep !== undefined) mkdirSync(options.keep, { recursive: true })
  console.log(`seed ${options.seed}`)
  const outcomes: Outcome[] = []
  const keep = options.keep === undefined ? 'what went wrong' : { in: options.keep }
  for (const scenario of chosen) {
    const outcome = await runScenario(scenario, { ...options, keep })
    outcomes.push(outcome)
    console.log(outcomeLine(outcome))
  }
  printOutcomes(outcomes)
  process.exitCode = outcomes.some(({ kind }) => kind === 'broken' || kind === 'failed') ? 1 : 0
}

const options = readOptions()
if (options !== undefined) await runAll(options)
