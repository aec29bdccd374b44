/**
 * `pnpm bench`: asks every question (questions.ts) in turn, each in a process of its own, and ends with one table of their figures.
 *
 *     pnpm bench [--only gateway,consumer] [--list] [--quick]
 *
 * `--quick`: a few events each, to see that all of them run; the figures say little. A goal that is missed is a figure: the exit
 * code is 1 only when a benchmark failed, or told nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeExit, endChild, spawnTied, type TiedChild } from '../scripts/tied-child.ts'
import { QUESTIONS, type Question } from './questions.ts'
import { type Answer, answerOf, summaryOf } from './summary.ts'
import { HEADLINES_FILE, machine, printTable } from './table.ts'

/** How long a benchmark that is told to stop may take, ms. */
const STOP_GRACE_MS = 5_000

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
})

function chosen(): readonly Question[] {
  if (values.only === undefined) return QUESTIONS
  const wanted = values.only.split(',')
  const unknown = wanted.filter((name) => !QUESTIONS.some((question) => question.name === name))
  if (unknown.length > 0) {
    console.error(`No benchmark is called ${unknown.join(', ')}; --list names them all.`)
    process.exit(1)
  }
  return QUESTIONS.filter(({ name }) => wanted.includes(name))
}

let running: TiedChild | undefined
let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopping = true
    if (running) void endChild(running, STOP_GRACE_MS)
  })
}

async function answer({ name, file, args = [] }: Question, directory: string): Promise<Answer> {
  const headlines = join(directory, name)
  const program = fileURLToPath(new URL(file, import.meta.url))
  const quick = values.quick ? ['--quick'] : []
  running = spawnTied(process.execPath, [...process.execArgv, program, ...args, ...quick], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [HEADLINES_FILE]: headlines },
  })
  const exit = await running.exit
  running = undefined
  return answerOf(name, headlines, exit.code === 0 ? undefined : describeExit(exit))
}

async function askAll(questions: readonly Question[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  const answers: Answer[] = []
  try {
    for (const question of questions) {
      console.log(`\n── ${question.name}: ${question.asks}\n`)
      const began = performance.now()
      answers.push(await answer(question, directory))
      if (stopping) return process.exit(130)
      console.log(`\n(${((performance.now() - began) / 1000).toFixed(0)} s)`)
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  const { head, rows, met, missed, failed } = summaryOf(answers)
  console.log(`\n── all\n\n${machine()}${values.quick ? ' · quick: the figures say little' : ''}`)
  printTable('All figures', head, rows)
  console.log(
    `\n${answers.length - failed} benchmarks ran, ${failed} failed; ${met} goals met, ${missed} missed`,
  )
  if (failed > 0) process.exitCode = 1
}

if (values.list) for (const { name, asks } of QUESTIONS) console.log(`${name.padEnd(12)}  ${asks}`)
else await askAll(chosen())
