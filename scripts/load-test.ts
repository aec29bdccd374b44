/**
 * What `scripts/load-test-webhooks.sh` runs: signed deliveries at a constant rate, their times, and whether each accepted one was settled.
 */
import { resolve } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import { build, type Histogram } from 'hdr-histogram-js'
import { madeSecret } from '../apps/cli/src/made-secrets.ts'
import { deliveriesOf } from './load/deliveries.ts'
import { type LoadOptions, readLoadOptions, USAGE, UsageError } from './load/options.ts'
import { type Answered, sendAll } from './load/sender.ts'
import { NoAnswers, type SettledReport, untilSettled } from './load/settled.ts'
import { table } from './stack/table.ts'

const SAMPLES = new URL('../examples/events/', import.meta.url)
const PROGRESS_MS = 1_000
const PERCENTILES = [50, 90, 95, 99, 99.9, 100]

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort())

try {
  if (process.argv.slice(2).some((arg) => arg === '--help' || arg === '-h')) process.stdout.write(USAGE)
  else process.exitCode = await loadTest(readLoadOptions(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`)
  process.exitCode = 2
}

/** Times in ms, to 0.1 ms. */
interface Times {
  readonly all: Histogram
  record(ms: number): void
  at(percentile: number): number
}

function createTimes(): Times {
  const all = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 36_000_000,
    numberOfSignificantValueDigits: 3,
  })
  return {
    all,
    record: (ms) => all.recordValue(Math.max(0, Math.round(ms * 10))),
    at: (percentile) => all.getValueAtPercentile(percentile) / 10,
  }
}

async function loadTest(options: LoadOptions): Promise<number> {
  const { tool, tenant, target, rate, durationMs, operations } = options
  const dataDirectory = resolve(process.env.WEIR_DATA_DIR ?? '.weir')
  const variable = `${tool.toUpperCase()}_WEBHOOK_SECRET`
  const secret = options.secret ?? process.env[variable] ?? madeSecret(dataDirectory, variable)
  if (secret === undefined)
    throw new UsageError(`there is no secret to sign with: pass --secret or set ${variable}`)
  const token = options.token ?? process.env.OPS_TOKEN ?? madeSecret(dataDirectory, 'OPS_TOKEN')
  if (operations !== undefined && token === undefined)
    throw new UsageError(
      'there is no token for the operations API: pass --token or set OPS_TOKEN, or use --no-verify',
    )
  const url = `${target}/webhooks/${tool}${tenant === undefined ? '' : `/${tenant}`}`
  const count = Math.max(1, Math.floor((rate * durationMs) / 1000))

  const answered = createTimes()
  const late = createTimes()
  const statuses = new Map<number, number>()
  const details = new Map<number, string>()
  const accepted = new Set<string>()
  let answers = 0
  const onAnswer = (answer: Answered) => {
    answers++
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    late.record(answer.lateMs)
    if (answer.status === 202 && answer.eventId !== undefined) {
      accepted.add(answer.eventId)
      answered.record(answer.ms)
    } else details.set(answer.status, answer.detail ?? '')
  }
  const delivery = deliveriesOf(tool, SAMPLES, secret, systemClock.now)
  say(`${count} deliveries to ${url}, ${rate}/s`)
  const progress = setInterval(
    () => say(`${answers} of ${count} answered, ${accepted.size} accepted`),
    PROGRESS_MS,
  )
  const began = systemClock.monotonic()
  const sent = await sendAll({
    url: () => url,
    rate,
    count,
    maxConnections: options.maxConnections,
    delivery,
    clock: systemClock,
    signal: stopping.signal,
    onAnswer,
  }).finally(() => clearInterval(progress))
  const seconds = (systemClock.monotonic() - began) / 1000
  if (statuses.get(0) === sent)
    throw new NoAnswers(
      `${url} does not answer (${details.get(0) ?? ''}); is the gateway running? --target names another`,
    )

  const verified =
    operations === undefined || accepted.size === 0
      ? undefined
      : await untilSettled(accepted, {
          operations,
          token: token ?? '',
          clock: systemClock,
          withinMs: options.settleMs,
          signal: stopping.signal,
          onLeft: (left) => left > 0 && say(`${left} accepted events are not settled yet`),
        })
  const whole = accepted.size === sent && (verified === undefined || verified.settled === accepted.size)
  tellResult(options, {
    sent,
    seconds,
    accepted: accepted.size,
    statuses,
    details,
    answered,
    late,
    verified,
    whole,
  })
  return whole ? 0 : 1
}

interface Result {
  readonly sent: number
  readonly seconds: number
  readonly accepted: number
  readonly statuses: ReadonlyMap<number, number>
  readonly details: ReadonlyMap<number, string>
  readonly answered: Times
  readonly late: Times
  readonly verified: SettledReport | undefined
  readonly whole: boolean
}

function tellResult(options: LoadOptions, result: Result): void {
  const { sent, seconds, accepted, statuses, details, answered, late, verified, whole } = result
  const times = (of: Times) =>
    Object.fromEntries(PERCENTILES.map((at) => [`p${at}`, of.all.totalCount === 0 ? null : of.at(at)]))
  const byStatus = [...statuses].sort(([a], [b]) => a - b)
  if (options.json) {
    const answer = {
      sent,
      per_second: Number((sent / seconds).toFixed(1)),
      accepted,
      statuses: Object.fromEntries(byStatus),
      accepted_ms: times(answered),
      sent_late_ms: times(late),
      settled: verified?.settled ?? null,
      elsewhere: verified?.elsewhere ?? null,
      whole,
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
    return
  }
  const lines = [
    `sent ${sent} in ${seconds.toFixed(1)} s (${(sent / seconds).toFixed(0)}/s), accepted ${accepted}`,
    ...byStatus.map(
      ([status, n]) =>
        `  ${status === 0 ? 'no answer' : status}: ${n}${details.has(status) ? `  (${details.get(status)})` : ''}`,
    ),
    '',
    table(
      ['ms', ...PERCENTILES.map((at) => (at === 100 ? 'max' : `p${at}`))],
      [
        ['due → 202', ...Object.values(times(answered)).map((ms) => ms?.toFixed(1) ?? '–')],
        ['sent late', ...Object.values(times(late)).map((ms) => ms?.toFixed(1) ?? '–')],
      ],
    ),
    '',
  ]
  if (verified === undefined) lines.push('what became of them was not looked at')
  else {
    lines.push(`settled ${verified.settled} of ${accepted} accepted`)
    for (const [place, n] of Object.entries(verified.elsewhere))
      lines.push(`  ${place}: ${n}, such as ${verified.examples[place]}`)
  }
  process.stdout.write(`${lines.join('\n')}\n`)
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
