/**
 * What prewarming is worth: how often what was made hot is read, and how many more accesses find their context hot. On a trace of
 * SIMULATED people (prewarm-trace.ts has how they behave), learnt from the days before each moment, over the last days of it.
 *
 *     pnpm bench:prewarm [--seed 1] [--days 28] [--test-days 7] [--quick]
 *
 * The baseline, "most recent", keeps hot what was read last, of so many bytes, which it holds all the time. Prewarming keeps what it
 * predicts, and what did not come true within the lookback window is cooled; so it mostly holds far less than its limit.
 */
import { parseArgs } from 'node:util'
import type { Habit } from '@weir/context-lifecycle/prewarm/habits'
import type { PredictOptions } from '@weir/context-lifecycle/prewarm/predict'
import { noteCost } from './prewarm-cost.ts'
import { type Outcome, predictionsOf, type Step, withMostRecent, withPredictions } from './prewarm-replay.ts'
import { DAY_MS, MINUTE_MS, simulatedTrace } from './prewarm-trace.ts'
import { headline, machine, percentile, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    days: { type: 'string', default: '28' },
    'test-days': { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const days = Number(values.days)
const testDays = Number(values['test-days'] ?? (values.quick ? 1 : 7))
const MONDAY = 4 * DAY_MS
const HISTORIES = [
  ['15 minutes', 15 * MINUTE_MS],
  ['1 day', DAY_MS],
  ['3 days', 3 * DAY_MS],
  ['7 days', 7 * DAY_MS],
] as const
const LIMITS = [1, 4, 16, 64].map((mb) => mb * 1_000_000)
const RULES: PredictOptions = {
  max: 10,
  threshold: 0.7,
  lookbackMs: 15 * MINUTE_MS,
  historyMs: 14 * DAY_MS,
}

const trace = simulatedTrace(Number(values.seed), days, MONDAY)
const testFrom = trace.endsAt - testDays * DAY_MS
const test = trace.accesses.filter(({ at }) => at >= testFrom)

/** How often predictions of a confidence come true: each context once until it is read or its time is over. */
function calibration(steps: readonly Step[]) {
  const times = new Map<string, number[]>()
  for (const { id, at } of test) times.set(id, [...(times.get(id) ?? []), at])
  /** A context and a row of the table → until when it is the same case. */
  const until = new Map<string, number>()
  const cases: { readonly confidence: number; readonly kind: Habit; readonly hit: boolean }[] = []
  for (const { at, found } of steps) {
    if (at + RULES.lookbackMs > trace.endsAt) break
    for (const { id, confidence, reasons } of found) {
      const one = `${id} ${bins.findIndex((bin) => bin > confidence)}`
      if ((until.get(one) ?? 0) >= at) continue
      until.set(one, at + RULES.lookbackMs)
      const hit = (times.get(id) ?? []).some((read) => read > at && read <= at + RULES.lookbackMs)
      cases.push({ confidence, kind: reasons[0]!.kind, hit })
    }
  }
  return cases
}

const bins = [0.05, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01]
const percent = (part: number, whole: number) =>
  whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`
const mb = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)

/** With every prediction that is likelier than nothing; thresholds are applied later. */
const learntFrom = (historyMs: number) =>
  predictionsOf(trace, testFrom, { ...RULES, historyMs, threshold: bins[0]! })
const prewarmed = (steps: readonly Step[], limit: number, threshold = RULES.threshold) =>
  withPredictions(trace, testFrom, steps, limit, { ...RULES, threshold })
const all = learntFrom(RULES.historyMs)
const ms = all.map((step) => step.ms).sort((a, b) => a - b)
const none = prewarmed(all, 0)
const cost = await noteCost(values.quick ? 1 : 5)

console.log(machine({ Redis: cost.redis }))
console.log(
  `SIMULATED behaviour, not recorded users: ${trace.accesses.length} accesses to ${new Set(trace.accesses.map(({ id }) => id)).size} contexts in ${days} days; ` +
    `measured on the ${test.length} of the last ${testDays}, each moment learnt from the ${RULES.historyMs / DAY_MS} days before it. Seed ${values.seed}.`,
)
const row = (name: string, limit: number, { warmed, hits, found, held }: Outcome) => [
  name,
  limit === 0 ? '–' : mb(limit),
  limit === 0 ? '–' : mb(held),
  String(warmed),
  percent(hits, warmed),
  percent(found, test.length),
  percent(found - none.found, test.length - none.found),
]
const HEAD = [
  ...['limit, MB', 'held, MB', 'made hot', 'read in time'],
  ...['accesses that found it hot', 'of those that did not without'],
]
printTable(
  `Prewarming against "most recent", at most ${RULES.max} at once, confidence ≥ ${RULES.threshold}`,
  ['', ...HEAD],
  [
    row('30 minutes after a read', 0, none),
    ...LIMITS.flatMap((limit) => [
      row('most recent', limit, withMostRecent(trace, testFrom, limit)),
      row('prewarming', limit, prewarmed(all, limit)),
    ]),
  ],
)
const LIMIT = 16_000_000
printTable(
  'Prewarming at other thresholds',
  ['threshold', ...HEAD],
  [0.3, 0.5, 0.6, 0.7, 0.8, 0.9].map((each) => row(String(each), LIMIT, prewarmed(all, LIMIT, each))),
)
printTable(
  'Prewarming that has learnt from less',
  ['history', ...HEAD],
  HISTORIES.map(([name, length]) => row(name, LIMIT, prewarmed(learntFrom(length), LIMIT))),
)
const cases = calibration(all)
const shareOf = (those: typeof cases) =>
  those.length === 0
    ? '–'
    : `${percent(those.filter(({ hit }) => hit).length, those.length)} of ${those.length}`
printTable(
  'How often predictions come true, by their confidence and strongest reason',
  ['confidence', 'all', 'sequence', 'together', 'hour'],
  bins.slice(1).map((high, n) => {
    const inside = cases.filter(({ confidence }) => confidence >= bins[n]! && confidence < high)
    const kinds = (['sequence', 'together', 'hour'] as const).map((kind) =>
      shareOf(inside.filter((each) => each.kind === kind)),
    )
    return [`${bins[n]!.toFixed(2)}–${Math.min(1, high).toFixed(2)}`, shareOf(inside), ...kinds]
  }),
)
printTable(
  'One look at the accesses of 14 days, ms',
  ['', 'p50', 'p99'],
  [['predict', percentile(ms, 0.5).toFixed(2), percentile(ms, 0.99).toFixed(2)]],
)
printTable(
  'What a note costs Redis',
  ['', 'counted only', 'counted and noted'],
  [
    ['CPU of an access, µs', spread(cost.without), spread(cost.noted)],
    ['memory of the note, bytes', '0', cost.bytes.toFixed(1)],
  ],
)
const { warmed, hits } = prewarmed(all, LIMIT)
headline({ question: 'what was prewarmed and then read in time', figure: (100 * hits) / warmed, unit: '%' })
