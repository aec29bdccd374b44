/**
 * How long it takes from starting `webhook-cli` until it has ended: its help, the help of one command, that command asking a Redis
 * that runs; beside it what Node takes to do nothing. All of them in turn, the median of all rounds.
 *
 *     pnpm bench:cli [--rounds 20] [--quick]
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createLoad } from './gateway-load.ts'
import { githubPayloads } from './payloads.ts'
import { SECRET, startWorld } from './processes.ts'
import { headline, machine, median, printTable, quartiles, target } from './table.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false } },
})
const rounds = Number(values.rounds ?? (values.quick ? 3 : 20))
/** Help is asked for by people who wait, ms. */
const HELP = { atMost: 250 }

const root = fileURLToPath(new URL('..', import.meta.url))
const CLI = 'apps/cli/src/main.ts'
const NOTHING = 'node -e 0'
const HELP_ROW = 'webhook-cli --help'
const STATUS_ROW = 'webhook-cli status --json'
const COMMANDS = new Map([
  [NOTHING, ['-e', '0']],
  [HELP_ROW, [CLI, '--help']],
  ['the same by way of scripts/run.mjs, as pnpm starts it', ['scripts/run.mjs', CLI, '--help']],
  ['webhook-cli status --help', [CLI, 'status', '--help']],
  [STATUS_ROW, [CLI, 'status', '--json']],
])

/** ms, by command. */
const times = new Map([...COMMANDS.keys()].map((name) => [name, [] as number[]]))

function time(args: readonly string[], redisUrl: string): number {
  const began = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    env: { PATH: process.env.PATH, REDIS_URL: redisUrl },
    encoding: 'utf8',
  })
  const ms = performance.now() - began
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr}`)
  return ms
}

const world = await startWorld({ appendfsync: 'no' })
try {
  // A few events wait, as where somebody asks.
  const gateway = await world.startGateway()
  await createLoad(githubPayloads(), SECRET, 1).run(gateway.port, 10)
  // The first round warms the disk's cache.
  for (let round = -1; round < rounds; round++) {
    for (const [name, args] of COMMANDS) {
      const ms = time(args, world.redis.url)
      if (round >= 0) times.get(name)!.push(ms)
    }
  }
} finally {
  await world.stop()
}

console.log(
  `${machine({ Redis: world.version })} · ${rounds} rounds, interleaved; median (quartiles) from start to end`,
)
printTable(
  'Starting webhook-cli',
  ['command', 'ms', 'more than Node alone', 'target'],
  [...times].map(([name, found]) => [
    name,
    quartiles(found, 0),
    name === NOTHING
      ? ''
      : quartiles(
          found.map((ms, round) => ms - times.get(NOTHING)![round]!),
          0,
        ),
    name === HELP_ROW ? target(median(found), HELP, 'ms') : '',
  ]),
)
headline({ question: HELP_ROW, figure: median(times.get(HELP_ROW)!), unit: 'ms', goal: HELP })
headline({ question: STATUS_ROW, figure: median(times.get(STATUS_ROW)!), unit: 'ms' })
