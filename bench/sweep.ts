/**
 * A sweep that makes many contexts warm while events flow: how long it takes, and what it does to the time from accepted to settled.
 *
 *     pnpm bench:sweep [--contexts 100000] [--due 10000] [--rate 500] [--seconds 12] [--rounds 3] [--quick]
 *
 * The gateway, the consumer, the curator and the sender are processes of their own, with one Redis, all on this machine. It is filled with
 * contexts of one to three varied events (varied.ts). The curator runs all the time: it enriches the contexts of the flow, and looks every
 * second whether something is due. Each round measures the flow alone, then with a sweep: so many contexts become due all at once, soon
 * after measuring has begun. Then once more beside a bystander (bystander.ts), who uses the processor as the sweep did and nothing else:
 * what it does to the flow is this machine's, and what a sweep does beyond that is the sweep's.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { ContextId } from '@weir/context-lifecycle/context-id'
import { systemClock } from '@weir/core/clock'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { deriveEventId, locatorOf } from '@weir/core/event'
import { describeExit, spawnTied } from '../scripts/tied-child.ts'
import { createContextEvents } from './context-events.ts'
import { benchContexts } from './contexts-place.ts'
import { bucketPercentile, p50p99, type RunResult, startLatencyWorld } from './latency-run.ts'
import type { App } from './processes.ts'
import { inPipeline } from './records.ts'
import { headline, machine, median, percentile, printTable, spread, target } from './table.ts'
import { createVariedSource } from './varied.ts'

const { values } = parseArgs({
  options: {
    contexts: { type: 'string' },
    due: { type: 'string' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    /** More flags for the curator's Node, e.g. --cpu-prof. */
    'curator-node': { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const count = Number(values.contexts ?? (values.quick ? 3_000 : 100_000))
const due = Number(values.due ?? (values.quick ? 1_000 : 10_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const load = {
  rate: Number(values.rate),
  warmUpSeconds: values.quick ? 1 : 5,
  seconds: Number(values.seconds ?? (values.quick ? 3 : 12)),
}

/** Targets on two cores: of 10,000 contexts, s; from accepted to settled, ms, as without a sweep (bench:latency). */
const SWEEP_SECONDS = { atMost: (10 * due) / 10_000 }
const P99_MS = { atMost: 25 }
/** p99 from due to handled with a sweep, against without, in the same round. */
const HARM = { atMost: 1.25 }
const MOST_EVENTS = 3
/** Varied events that the contexts have in turn, each under an id of its own: making one takes longer than appending it. */
const POOL = values.quick ? 300 : 3_000
const TOGETHER = 200
const POLL_MS = 20
const SWEEP_TIMEOUT_MS = 300_000
/** More than a claim lasts (sweep.ts): who was looked at and stays counts from later. */
const CLAIMED_MS = 150_000
/** When contexts become due, after the warm-up, ms. */
const LEAD_MS = 500

const directory = mkdtempSync(join(tmpdir(), 'weir-sweep-'))
const place = await startLatencyWorld('everysec', directory)
const { world } = place
const { link, config } = world
const hotMs = config.webhook.context_lifecycle.hot_duration
const contexts = benchContexts(link)
const { keys } = contexts.place
const size = async (zset: string) => Number(await link.call('ZCARD', zset))

async function fill(): Promise<readonly ContextId[]> {
  const varied = createVariedSource()
  const make = createContextEvents('acme', createDictionarySet(loadBundledDictionaries()))
  const pool = Array.from({ length: POOL }, (_, n) => make(n, `${n}`, Date.now(), varied.event(n, 0, n)))
  const ids: ContextId[] = []
  let made = 0
  await inPipeline(Array(count).keys(), TOGETHER, async (n) => {
    for (let k = 0; k <= n % MOST_EVENTS; k++) {
      const { event, record } = pool[made % POOL]!
      const id = deriveEventId(locatorOf('acme', 'github', { kind: 'delivery-id', value: `fill ${made++}` }))
      const subject = { key: `acme/site#${n}`, kind: 'pull_request' }
      const { context } = await contexts.contexts.append({ ...event, id, subject }, { ...record, id })
      if (k === 0) ids.push(context)
    }
  })
  return ids
}

interface Sweep {
  readonly seconds: number
  readonly warm: number
  readonly extended: number
  readonly curatorCpu: number
}

/** Lets the contexts become due after the warm-up. @returns when, ms */
async function makeDue(ids: readonly ContextId[]): Promise<number> {
  const at = Date.now() + load.warmUpSeconds * 1000 + LEAD_MS
  await inPipeline(ids, TOGETHER, (id) => link.call('ZADD', keys.hot, 'XX', at - hotMs, id))
  return at
}

/** Resolves when everything that became due at `at` has been looked at. */
async function sweep(at: number, curator: App): Promise<Sweep> {
  const before = await size(keys.warm)
  await systemClock.wait(Math.max(0, at - Date.now()))
  const usedBefore = curator.cpu()
  for (;;) {
    const left = await link.call('ZCOUNT', keys.hot, '-inf', Date.now() - hotMs + CLAIMED_MS)
    if (left === 0) break
    if (Date.now() - at > SWEEP_TIMEOUT_MS) throw new Error(`${left} contexts are still due`)
    await systemClock.wait(POLL_MS)
  }
  const seconds = (Date.now() - at) / 1000
  const warm = (await size(keys.warm)) - before
  return { seconds, warm, extended: due - warm, curatorCpu: curator.cpu() - usedBefore }
}

/** Somebody else uses the processor as this sweep did. */
async function standBy({ seconds, curatorCpu }: Sweep): Promise<void> {
  await systemClock.wait(load.warmUpSeconds * 1000 + LEAD_MS)
  const main = fileURLToPath(new URL('bystander.ts', import.meta.url))
  const child = spawnTied(process.execPath, [main, String(seconds), String(curatorCpu / seconds)], {
    stdio: ['ignore', 'inherit', 'inherit'],
    deathSignal: 'SIGKILL',
  })
  const exit = await child.exit
  if (exit.code !== 0) throw new Error(`the bystander ended with ${describeExit(exit)}`)
}

interface Round {
  readonly alone: RunResult
  readonly swept: RunResult
  readonly beside: RunResult
  readonly sweep: Sweep
  /** Bytes. */
  readonly memory: readonly [before: number, after: number]
}

const rows: Round[] = []
let filledSeconds = 0
try {
  const began = performance.now()
  const ids = await fill()
  filledSeconds = (performance.now() - began) / 1000
  console.log(
    `filled ${count} contexts in ${filledSeconds.toFixed(0)} s, Redis ${((await world.usedMemory()) / 2 ** 20).toFixed(0)} MiB`,
  )
  // As where a curator has always run: the cards of all these contexts are made, and only the flow makes new work.
  await link.call('DEL', keys.dirty)
  const curator = await world.startCurator(
    values['curator-node'] === undefined ? {} : { NODE_OPTIONS: values['curator-node'] },
  )
  // The first run fills the contexts of the flow itself, and is not counted.
  await place.run({ ...load, seconds: 1 })
  for (let round = 0; round < rounds; round++) {
    const alone = await place.run(load)
    const before = await world.usedMemory()
    const at = await makeDue(ids.slice(round * due, (round + 1) * due))
    let found: Sweep | undefined
    const swept = await place.run(load, async () => {
      found = await sweep(at, curator)
    })
    const after = await world.usedMemory()
    const beside = await place.run(load, () => standBy(found!))
    rows.push({ alone, swept, beside, sweep: found!, memory: [before, after] })
  }
} finally {
  await place.stop()
  rmSync(directory, { recursive: true, force: true })
}

const p = (result: RunResult, share: number) => bucketPercentile(result.settled, share)
const of = (what: (round: Round) => number, digits = 1) => spread(rows.map(what), digits)
const mid = (what: (round: Round) => number) => median(rows.map(what))
const ARMS = ['alone', 'swept', 'beside'] as const
type Arm = (typeof ARMS)[number]
const NAMES: Readonly<Record<Arm, string>> = {
  alone: 'without a sweep',
  swept: 'with a sweep',
  beside: 'beside a bystander',
}
const cpu = (part: keyof RunResult['cpu'], of: Arm) => (round: Round) =>
  (round[of].cpu[part] / round[of].wall) * 100
const mib = (bytes: number) => bytes / 2 ** 20

console.log(
  `${machine({ Redis: world.version })} · ${count} contexts of 1 to ${MOST_EVENTS} events, ${due} due, ${load.rate} events/s for ${load.seconds} s, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  `A sweep of ${due} contexts from hot to warm`,
  ['', 'found', 'target'],
  [
    [
      'seconds, from when they became due',
      of(({ sweep: { seconds } }) => seconds),
      target(
        mid(({ sweep: { seconds } }) => seconds),
        SWEEP_SECONDS,
        's',
      ),
    ],
    ['contexts in a second', of(({ sweep: { seconds, warm } }) => warm / seconds, 0), ''],
    ['warm', of(({ sweep: { warm } }) => warm, 0), ''],
    ['important, and hot for longer', of(({ sweep: { extended } }) => extended, 0), ''],
    ['CPU of the curator meanwhile, s', of(({ sweep: { curatorCpu } }) => curatorCpu), ''],
    ['Redis memory before, MiB', of(({ memory: [before] }) => mib(before), 0), ''],
    ['Redis memory after, MiB', of(({ memory: [, after] }) => mib(after), 0), ''],
  ],
)
printTable(
  'From accepted to settled, ms',
  ['', 'p50', 'p99', 'target of p99', 'due→handled p50 / p99', 'due→202 p50 / p99'],
  ARMS.map((which) => [
    NAMES[which],
    of((round) => p(round[which], 0.5)),
    of((round) => p(round[which], 0.99)),
    target(
      mid((round) => p(round[which], 0.99)),
      P99_MS,
      'ms',
    ),
    `${of((round) => percentile(round[which].handled, 0.5))} / ${of((round) => percentile(round[which].handled, 0.99))}`,
    `${of((round) => percentile(round[which].answered, 0.5))} / ${of((round) => percentile(round[which].answered, 0.99))}`,
  ]),
)
printTable(
  'CPU while measuring, % of one core (others: the curator, and what else ran)',
  ['', 'gateway', 'consumer', 'Redis', 'sender', 'others'],
  ARMS.map((which) => [
    NAMES[which],
    ...(['gateway', 'consumer', 'redis', 'sender', 'others'] as const).map((part) => of(cpu(part, which), 0)),
  ]),
)
const against = (other: 'alone' | 'beside') => (round: Round) =>
  percentile(round.swept.handled, 0.99) / percentile(round[other].handled, 0.99)
const harm = against('alone')
console.log(
  `\np99 from due to handled with a sweep, against without: ${of(harm, 2)} (${target(mid(harm), HARM, '×')}); against beside a bystander: ${of(against('beside'), 2)}`,
)
headline({
  question: `a sweep of ${due} contexts from hot to warm among ${count}`,
  figure: mid(({ sweep: { seconds } }) => seconds),
  unit: 's',
  goal: SWEEP_SECONDS,
})
headline({
  question: `p99 from accepted to settled meanwhile, at ${load.rate} events/s`,
  figure: mid(({ swept }) => p(swept, 0.99)),
  unit: 'ms',
  goal: P99_MS,
})
headline({
  question: 'p99 from due to handled with a sweep, against without',
  figure: mid(harm),
  unit: '×',
  goal: HARM,
})
headline({
  question: 'p99 from due to handled with a sweep, against beside a bystander',
  figure: mid(against('beside')),
  unit: '×',
})
for (const [at, round] of rows.entries()) {
  const told = ARMS.map((which) => {
    const { handled, refused, missing } = round[which]
    return `${NAMES[which]} ${p50p99(handled)} ms, ${refused} refused, ${missing} without effect`
  })
  console.log(`round ${at + 1}: ${told.join('; ')}`)
}
if (rows.some((round) => ARMS.some((which) => round[which].missing + round[which].refused > 0))) {
  console.error('Something accepted has no effect, or something was refused: see above.')
  process.exitCode = 1
}
