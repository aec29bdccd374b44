/**
 * `pnpm demo`: starts everything on free ports with a temporary data directory, sends the bundled events as their
 * senders would, and shows what became of each. Exit code 0 only when every event was accepted, recognised when it
 * was sent again, settled, given back byte for byte, is in its context, and the ledger balances.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ContextDocument, SummaryDocument } from '@weir/context-lifecycle/document'
import type { SearchDocument } from '@weir/context-lifecycle/search/document'
import { systemClock } from '@weir/core/clock'
import { TOOLS } from '@weir/core/config/tools'
import { messageOf } from '@weir/core/faults'
import { freePort } from './free-port.ts'
import { type Counts, isAtRest, ledgerLine, readLedger } from './stack/ledger.ts'
import { addressesOf, appPlans } from './stack/plan.ts'
import {
  type Answer,
  GENERIC_SAMPLE,
  readSamples,
  type Sample,
  type Secrets,
  sendSample,
} from './stack/samples.ts'
import { readStartSettings, type StartSettings } from './stack/settings.ts'
import { startStack } from './stack/stack.ts'
import { table } from './stack/table.ts'

/** Words, an identifier, and the subject that answers each. */
const QUESTIONS = [
  ['consumer lag', '{}:{alertname="WebhookConsumerLag"}'],
  ['spelling in the readme', 'Codertocat/Hello-World#1'],
  ['HT-21', 'HT-21'],
] as const

/** How long the events may take to settle, ms. */
const SETTLE_TIMEOUT_MS = 30_000
const SETTLE_POLL_MS = 100
const QUESTION_TIMEOUT_MS = 5_000
/** Of the environment, only what programs need to run: the demo shall not touch anybody's Redis or secrets. */
const KEPT_VARIABLES = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'TZ']

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort())

const directory = mkdtempSync(join(tmpdir(), 'weir-demo-'))
try {
  process.exitCode = (await demo()) ? 0 : 1
} catch (error) {
  console.error(`weir: ${messageOf(error)}`)
  process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}

async function demo(): Promise<boolean> {
  const settings = await demoSettings()
  console.log('starting a private Redis, the gateway, the consumer, the curator and the operations API …')
  const stack = await startStack({
    dataDirectory: settings.dataDirectory,
    privateRedis: true,
    apps: appPlans(settings.config, fileURLToPath(new URL('../apps', import.meta.url))),
    env: settings.childEnv,
    say: (line) => console.log(`  ${line}`),
    signal: stopping.signal,
  })
  try {
    return await sendAndReport(settings)
  } finally {
    await stack.stop()
  }
}

/** Defaults for everything but the ports. */
async function demoSettings(): Promise<StartSettings> {
  const [gateway, operations] = [await freePort(), await freePort()]
  const [consumer, curator] = [await freePort(), await freePort()]
  const config = {
    webhook: {
      data_dir: directory,
      ingest: { host: '127.0.0.1', port: gateway },
      ops: { host: '127.0.0.1', port: operations },
      consumer: { ops_port: consumer },
      context_lifecycle: { curator: { ops_port: curator } },
      ai: { enrichment: { quiet: '200ms' } }, // nobody waits ten seconds for a demonstration
    },
  }
  const file = join(directory, 'config.yaml')
  writeFileSync(file, JSON.stringify(config)) // JSON is YAML
  const env = Object.fromEntries(KEPT_VARIABLES.map((name) => [name, process.env[name]]))
  return readStartSettings({ env: { ...env, CONFIG_FILE: file }, root: directory, cwd: directory })
}

interface Sent {
  readonly sample: Sample
  readonly answers: readonly Answer[]
}

async function sendAndReport(settings: StartSettings): Promise<boolean> {
  const { config, madeSecrets } = settings
  const { gateway, operations } = addressesOf(config)
  const secrets: Secrets = Object.fromEntries(
    TOOLS.map((tool) => [tool, madeSecrets[`${tool.toUpperCase()}_WEBHOOK_SECRET`]]),
  )
  const index = fileURLToPath(new URL('../examples/events/index.json', import.meta.url))
  const sent: Sent[] = []
  for (const sample of [...readSamples(index), GENERIC_SAMPLE]) {
    if (stopping.signal.aborted) throw new Error('stopped')
    // As often as the window of its tool lets it pass (Jira: 3), and once more.
    const answers: Answer[] = []
    for (let time = 0; time <= passesOf(settings, sample.tool); time += 1) {
      answers.push(await sendSample(gateway, sample, secrets, Date.now()))
    }
    sent.push({ sample, answers })
  }

  const counts = await atRest(operations, config.webhook.ops.token)
  const problems: string[] = []
  const rows: string[][] = []
  for (const { sample, answers } of sent) {
    const passes = passesOf(settings, sample.tool)
    const first = answers[0]?.eventId
    const asExpected = answers.every(({ status, says, eventId }, time) =>
      time < passes
        ? status === 202 && says === 'accepted'
        : status === 200 && says === 'duplicate' && eventId === first,
    )
    const fate = await fateOf(operations, config.webhook.ops.token, first, sample.body)
    const name = `${sample.tool} ${sample.name}`
    if (!asExpected)
      problems.push(`${name}: answered ${answers.map(({ status, says }) => `${status} ${says}`).join(', ')}`)
    if (fate.place !== 'settled') problems.push(`${name}: is ${fate.place}, not settled`)
    if (fate.bytes !== 'same') problems.push(`${name}: the bytes are ${fate.bytes}`)
    rows.push([
      sample.tool,
      fate.event ?? sample.name,
      first ?? '-',
      answers.map(({ status }) => status).join(' '),
      fate.place,
      fate.attempts,
      fate.bytes,
    ])
  }
  console.log(`\n${table(['tool', 'type', 'event id', 'answers', 'now', 'failed attempts', 'bytes'], rows)}`)
  console.log('\n202 = accepted, 200 = recognised as sent before (in its window Jira passes three times).')
  const accepted = sent.flatMap(({ answers }) => answers).filter(({ status }) => status === 202).length
  problems.push(...(await remembered(operations, config.webhook.ops.token, accepted)))
  return balanced(counts, sent, problems)
}

/** Prints what is remembered, and says what is wrong with it. */
async function remembered(operations: string, token: string | null, accepted: number): Promise<string[]> {
  const ask: Ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${operations}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(QUESTION_TIMEOUT_MS),
    })
    if (!response.ok) throw new Error(`${path} answered ${response.status}`)
    return (await response.json()) as T
  }
  const { contexts } = await ask<{ contexts: readonly SummaryDocument[] }>('/contexts?limit=1000')
  const documents = await Promise.all(
    contexts.map(({ context_id: id }) => ask<ContextDocument>(`/contexts/${id}`)),
  )
  documents.sort((a, b) => b.importance - a.importance)
  const rows = documents.map(({ tool, subject, state, importance, events, timeline, title }) => [
    tool,
    subject.slice(0, 40),
    state ?? '-',
    importance.toFixed(2),
    String(events),
    timeline.at(-1)?.what ?? '-',
    (title ?? '-').slice(0, 40),
  ])
  console.log('\nWhat happened around what, the most important first (webhook-cli context show):')
  console.log(table(['tool', 'subject', 'state', 'importance', 'events', 'last', 'title'], rows))
  const events = contexts.reduce((sum, context) => sum + context.events, 0)
  const problems =
    events === accepted ? [] : [`${events} events are in contexts, and ${accepted} were accepted`]
  return [...problems, ...(await found(ask, contexts))]
}

type Ask = <T>(path: string) => Promise<T>

/** Prints summaries and answers to a few questions, once the curator has made them, and says which are wrong. */
async function found(ask: Ask, contexts: readonly SummaryDocument[]): Promise<string[]> {
  const deadline = systemClock.monotonic() + SETTLE_TIMEOUT_MS
  // It is 503 until the cards are loaded: then there is no answer yet.
  const search = (q: string) =>
    ask<SearchDocument>(`/contexts/search?limit=3&q=${encodeURIComponent(q)}`).catch(() => undefined)
  const summedUp = async () => {
    const documents = await Promise.all(
      contexts.map(({ context_id: id }) => ask<ContextDocument>(`/contexts/${id}?limit=1`)),
    )
    return documents.filter(({ summary, events }) => summary?.events === events)
  }
  let whole = await summedUp()
  while (
    (whole.length < contexts.length || (await search('anything'))?.searched !== contexts.length) &&
    systemClock.monotonic() < deadline &&
    !stopping.signal.aborted
  ) {
    await systemClock.wait(SETTLE_POLL_MS, stopping.signal)
    whole = await summedUp()
  }
  const told = whole.filter(({ events }) => events > 2).sort((a, b) => b.events - a.events)
  console.log('\nSummed up, without any model (webhook.ai can name one):')
  for (const { tool, subject, summary } of told.slice(0, 3))
    console.log(`  ${tool} ${subject}\n${(summary?.text ?? '').replace(/^/gm, '    ')}`)
  console.log('\nFound (webhook-cli context search):')
  const rows: string[][] = []
  const wrong =
    whole.length < contexts.length ? [`${contexts.length - whole.length} contexts have no whole summary`] : []
  for (const [question, expected] of QUESTIONS) {
    const [best] = (await search(question))?.results ?? []
    rows.push([
      question,
      best?.subject.slice(0, 45) ?? '-',
      best?.score.toFixed(2) ?? '-',
      best?.title ?? '-',
    ])
    if (best?.subject !== expected)
      wrong.push(`"${question}" found ${best?.subject ?? 'nothing'}, not ${expected}`)
  }
  console.log(table(['question', 'subject', 'score', 'title'], rows))
  return wrong
}

/** Prints the ledger and everything that is not as it should be. */
function balanced(counts: Counts | undefined, sent: readonly Sent[], problems: string[]): boolean {
  const accepted = sent.flatMap(({ answers }) => answers).filter(({ status }) => status === 202).length
  if (counts === undefined) problems.push('the ledger could not be read')
  else {
    console.log(`ledger: ${ledgerLine(counts)}`)
    if (counts.accepted !== accepted)
      problems.push(`the ledger has ${counts.accepted} accepted, the gateway said 202 to ${accepted}`)
    if (!isAtRest(counts)) problems.push(`not everything was at rest after ${SETTLE_TIMEOUT_MS / 1000} s`)
    if (counts.settled !== accepted)
      problems.push(`${counts.settled} of ${accepted} accepted events are settled`)
  }
  for (const problem of problems) console.log(`PROBLEM: ${problem}`)
  console.log(
    problems.length === 0
      ? `the ledger balances: ${accepted} accepted, ${accepted} settled`
      : 'the demo failed',
  )
  return problems.length === 0
}

/** How many occurrences of one delivery pass within the window of this tool. */
function passesOf({ config }: StartSettings, tool: string): number {
  const windows: Readonly<Record<string, { readonly max_size: number }>> =
    config.webhook.deduplication.window_configs
  return windows[tool]?.max_size ?? 1
}

/** The ledger when everything is at rest, or as it is when that takes too long. */
async function atRest(operations: string, token: string | null): Promise<Counts | undefined> {
  const deadline = systemClock.monotonic() + SETTLE_TIMEOUT_MS
  for (;;) {
    const answer = await readLedger(operations, token)
    const counts = answer.kind === 'counts' ? answer.counts : undefined
    const late = systemClock.monotonic() > deadline || stopping.signal.aborted
    if (late || (counts && isAtRest(counts))) return counts
    await systemClock.wait(SETTLE_POLL_MS, stopping.signal)
  }
}

interface Fate {
  readonly event: string | undefined
  readonly place: string
  readonly attempts: string
  /** Are the bytes that the operations API gives back those that were sent? */
  readonly bytes: string
}

async function fateOf(
  operations: string,
  token: string | null,
  id: string | undefined,
  body: Buffer,
): Promise<Fate> {
  if (id === undefined) return { event: undefined, place: 'nowhere', attempts: '-', bytes: '-' }
  const ask = (path: string) =>
    fetch(`${operations}/events/${id}${path}`, {
      headers: { authorization: `Bearer ${token ?? ''}` },
      signal: AbortSignal.timeout(QUESTION_TIMEOUT_MS),
    })
  const [about, raw] = [await ask(''), await ask('/raw')]
  const answer: unknown = await about.json()
  const bytes = raw.status === 200 ? Buffer.from(await raw.arrayBuffer()) : undefined
  const field = (name: string): unknown =>
    typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined
  const [event, place, attempts] = [field('event') ?? field('type'), field('place'), field('attempts')]
  return {
    event: typeof event === 'string' ? event : undefined,
    place: typeof place === 'string' ? place : `unknown (${about.status})`,
    attempts: typeof attempts === 'number' ? String(attempts) : '-',
    bytes: bytes === undefined ? `not to be had (${raw.status})` : bytes.equals(body) ? 'same' : 'different',
  }
}
