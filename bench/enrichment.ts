/**
 * How many requests to a model provider the enrichment of a thousand events takes: events of a trace with bursts go into their contexts,
 * the curator's jobs enrich them, and a server that speaks the API counts what it is asked.
 *
 *     pnpm bench:enrichment [--events 5000] [--speed 100] [--quick]
 *
 * The trace is made up, after how the senders behave: a push to a pull request brings a run of checks within minutes, a review a handful of
 * comments, an alert fires and resolves several times, a ticket is edited field by field; and single events in between. The program prints its
 * shape. Time runs `speed` times faster than the trace says, for the patience of the enrichment too.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { configuredEnrichment } from '@weir/ai/configured'
import { createCardMaker } from '@weir/context-lifecycle/search/make-card'
import { ADAPTERS } from '@weir/core/adapters/table'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { deriveEventId, locatorOf } from '@weir/core/event'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { createPacker } from '@weir/core/packing'
import { decodeRecord, encodeRecord } from '@weir/core/record'
import { connectQueue, connectRedis } from '@weir/core/redis/link'
import { pino } from 'pino'
import { enricherOf } from '../apps/curator/src/enricher.ts'
import { createEnrichmentJobs } from '../apps/curator/src/enrichment-jobs.ts'
import { createCuratorMetrics } from '../apps/curator/src/metrics.ts'
import { startRedis } from '../scripts/private-redis.ts'
import { randomFrom } from '../scripts/random.ts'
import { benchContexts } from './contexts-place.ts'
import { githubPayloads } from './payloads.ts'
import { headline, machine, printTable, target } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    speed: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const count = Number(values.events ?? (values.quick ? 500 : 5000))
const speed = Number(values.speed ?? (values.quick ? 300 : 100))
const PER_THOUSAND = { atMost: 100 }

/** One kind of burst: how many events, how far apart (median, s), and how often it begins. */
const BURSTS = [
  { name: 'checks of a push', events: 14, apartS: 6, share: 0.4 },
  { name: 'review comments', events: 5, apartS: 20, share: 0.2 },
  { name: 'flapping alert', events: 6, apartS: 30, share: 0.1 },
  { name: 'ticket edited', events: 5, apartS: 8, share: 0.2 },
  { name: 'single event', events: 1, apartS: 1, share: 0.1 },
] as const
/** Bursts begin so far apart on average, s: a team of some dozens in working hours. */
const BETWEEN_S = 12

interface Planned {
  /** ms of the trace */
  readonly at: number
  readonly subject: string
}

/** @param dice in [0, 1) */
function burstFor(dice: number): (typeof BURSTS)[number] {
  let left = dice
  for (const burst of BURSTS) {
    left -= burst.share
    if (left < 0) return burst
  }
  return BURSTS[0]
}

function trace(): Planned[] {
  const random = randomFrom('enrichment trace')
  const events: Planned[] = []
  for (let burst = 0, at = 0; events.length < count; burst++) {
    at += -Math.log(1 - random()) * BETWEEN_S * 1000
    const kind = burstFor(random())
    // Four of five bursts are about something that there was a burst about lately.
    const subject = random() < 0.8 && burst > 20 ? burst - 1 - Math.floor(random() * 20) : burst
    const many = Math.max(1, Math.round(kind.events * (0.5 + random())))
    let when = at
    for (let n = 0; n < many; n++) {
      events.push({ at: when, subject: `acme/site#${subject}` })
      when += kind.apartS * 1000 * Math.exp(random() * 2 - 1)
    }
  }
  return events.sort((a, b) => a.at - b.at).slice(0, count)
}

const asked = { embeddings: 0, texts: 0, summaries: 0 }
const provider = createServer((request, response) => {
  let body = ''
  request.on('data', (part: Buffer) => {
    body += part
  })
  request.on('end', () => {
    const json = JSON.parse(body) as { input?: string[] }
    response.setHeader('content-type', 'application/json')
    if (json.input !== undefined) {
      asked.embeddings++
      asked.texts += json.input.length
      const data = json.input.map((_, index) => ({ object: 'embedding', index, embedding: vectorOf(index) }))
      const usage = { prompt_tokens: 1, total_tokens: 1 }
      response.end(JSON.stringify({ object: 'list', model: 'bench', data, usage }))
      return
    }
    asked.summaries++
    const message = { role: 'assistant', content: 'Something happened, and then something else.' }
    response.end(
      JSON.stringify({
        id: 'x',
        object: 'chat.completion',
        created: 0,
        model: 'bench',
        choices: [{ index: 0, finish_reason: 'stop', message }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
    )
  })
})
const DIMENSIONS = 8
const vectorOf = (seed: number) => Array.from({ length: DIMENSIONS }, (_, at) => Math.sin(seed * 7 + at + 1))
await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`

const server = await startRedis({ appendfsync: 'no' })
const settings = {
  url: server.url,
  commandTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
  reconnectMaxDelayMs: 500,
  name: 'bench',
}
const link = connectRedis(settings)
await link.ready()
const { config } = await loadConfig({
  env: {},
  flags: {
    'webhook.ai.base_url': baseUrl,
    'webhook.ai.embedding.provider': 'openai',
    'webhook.ai.embedding.model': 'bench',
    'webhook.ai.embedding.dimensions': DIMENSIONS,
    'webhook.ai.summarization.model': 'bench',
  },
})
const ai = config.webhook.ai.enrichment
const enrichment = configuredEnrichment(config, {
  link,
  prefix: '{webhook-events}:ai:',
  keyring: undefined,
  redact: (text) => text,
  clock: systemClock,
  random: Math.random,
  observe: () => undefined,
})!
const { contexts, place } = benchContexts(link)
const queue = connectQueue(settings)
const jobs = createEnrichmentJobs({
  makeCard: createCardMaker({
    placeOf: () => place,
    contexts,
    opener: NO_KEYRING,
    sealing: undefined,
    enricher: enricherOf(enrichment),
    enrichesLater: true,
    events: ai.max_events,
    now: systemClock.now,
  }),
  places: [place],
  placeOf: () => place,
  connection: queue,
  pumps: {
    words: { quietMs: ai.quiet / speed, maxDelayMs: ai.max_delay / speed, intervalMs: 1000 / speed },
    enrichment: {
      quietMs: ai.provider_quiet / speed,
      maxDelayMs: ai.provider_max_delay / speed,
      intervalMs: ai.provider_interval / speed,
    },
  },
  concurrency: ai.concurrency,
  clock: systemClock,
  metrics: createCuratorMetrics(),
  log: pino({ level: 'warn' }),
})
await jobs.start()

const packer = createPacker(createDictionarySet(loadBundledDictionaries()), 3)
const github = ADAPTERS.get('github')!
const examples = githubPayloads()
const planned = trace()
const began = performance.now()
for (const [n, { at, subject }] of planned.entries()) {
  const wait = at / speed - (performance.now() - began)
  if (wait > 0) await systemClock.wait(wait)
  const { type, body } = examples[n % examples.length]!
  const payload = JSON.parse(body.toString())
  const locator = locatorOf('default', 'github', { kind: 'delivery-id', value: `${n}` })
  const identity = {
    id: deriveEventId(locator),
    tenant: 'default',
    tool: 'github',
    type,
    receivedAt: Date.now(),
  }
  const whole = { ...identity, locator, derived: true, headers: [], body, traceparent: '' }
  const record = decodeRecord(
    encodeRecord(whole, packer.pack('github', [], body)).map((field) => Buffer.from(field as string)),
  )
  const name = github.eventName(type, payload)
  const event = {
    ...identity,
    attempt: 1,
    headers: new Map(),
    body,
    payload,
    name,
    subject: { key: subject, kind: 'pull_request' },
  }
  await contexts.append(event, record)
}
const behind = async () =>
  Number(await link.call('ZCARD', place.keys.dirty)) + Number(await link.call('ZCARD', place.keys.unenriched))
while ((await behind()) > 0) await systemClock.wait(50)
const known = Number(await link.call('ZCARD', place.keys.active))
const hours = (planned.at(-1)!.at / 3_600_000).toFixed(1)
await jobs.stop()
enrichment.stop()
queue.disconnect()
await link.close()
await server.stop()
provider.closeAllConnections()
provider.close()

const perThousand = (calls: number) => (calls / count) * 1000
const calls = asked.embeddings + asked.summaries
console.log(
  `${machine()} · ${count} events about ${known} subjects in ${hours} h of the trace, ${speed} times faster; asked when quiet for ${ai.provider_quiet / 1000} s, at the latest after ${ai.provider_max_delay / 1000} s, looked for every ${ai.provider_interval / 1000} s`,
)
printTable(
  'The trace',
  ['burst', 'events, about', 'apart, about', 'share of bursts'],
  BURSTS.map(({ name, events, apartS, share }) => [name, String(events), `${apartS} s`, share.toFixed(1)]),
)
printTable(
  'Requests to the provider for each 1,000 events',
  ['', 'requests', 'target'],
  [
    ['summaries', perThousand(asked.summaries).toFixed(0), ''],
    ['embeddings', perThousand(asked.embeddings).toFixed(0), ''],
    ['texts in these', perThousand(asked.texts).toFixed(0), ''],
    ['both', perThousand(calls).toFixed(0), target(perThousand(calls), PER_THOUSAND)],
    ['one call of each for each event', '2000', ''],
  ],
)
headline({
  question: 'requests to a model for 1,000 events of a made-up trace with bursts',
  figure: perThousand(calls),
  unit: '',
  goal: PER_THOUSAND,
})
