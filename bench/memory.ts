/**
 * How much of Redis' memory a waiting GitHub event takes, dedupe evidence included, and what it consists of: Weir with the
 * structural starter, Weir with a dictionary of the tenant's own, a BullMQ job, a plain XADD of the raw body, and an item of
 * a list with the key that says it was seen.
 *
 *     pnpm bench:memory [--events 50000] [--explore] [--quick]
 *
 * The events are the examples with varied values (varied.ts), none twice. The starter holds structure only, so it has seen
 * none of them; a tenant's own dictionary learns from half of the examples and is measured on the other half.
 * `--explore` also measures what would make it smaller.
 */
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { Admission } from '@weir/core/stream/admit'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { learn } from './learned.ts'
import { evidenceByDensity } from './memory-evidence.ts'
import { explore } from './memory-explore.ts'
import { createMeter, type Meter } from './memory-meter.ts'
import { itemOf, QUEUE, SEEN_SECONDS, seenKey } from './naive-queue.ts'
import { githubPayloads } from './payloads.ts'
import { startWorld } from './processes.ts'
import { createRecorder, fieldOf, type GithubEvent, inPipeline, type PackingOptions } from './records.ts'
import { type Goal, headline, machine, printTable, target } from './table.ts'
import { createVariedSource } from './varied.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    explore: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
})
const events = Number(values.events ?? (values.quick ? 2000 : 50_000))
/** Raw records are ten times as large: fewer say the same. */
const fewer = Math.ceil(events / 5)
const TENANTS = 50
/** Tenants for which a dictionary is learned; the figure is their mean. */
const LEARNING_TENANTS = values.quick ? 1 : 3
/** Events that a tenant's dictionary learns from: what `webhook-cli dict train` does unasked. */
const LEARNED_EVENTS = values.quick ? 300 : 2000
/** Events in one window: with the hashes of the default, and few events with fewer hashes. */
const DENSITIES = values.quick ? [2000, 20_000] : [10_000, 30_000, 50_000, 300_000, 1_000_000]
const FEW = values.quick
  ? [{ count: 2000, shards: 128 }]
  : [
      { count: 1000, shards: 64 },
      { count: 10_000, shards: 512 },
    ]

/** Of these, what the summary tells. */
const HEADLINE_DENSITIES = values.quick ? [20_000] : [30_000, 300_000]

/** Targets, bytes: 1 KB, 0.75 KB. */
const STRUCTURAL = { atMost: 1024 }
const OWN = { atMost: 768 }
const EVIDENCE = { atMost: 35 }

const varied = createVariedSource()
const examples = Array.from({ length: varied.examples }, (_, i) => i)

/** Varied events, none twice. @param from which examples they are made from */
function* variedEvents(
  count: number,
  from: readonly number[] = examples,
  tenantOf: (i: number) => number = (i) => i % TENANTS,
): Generator<GithubEvent> {
  for (let i = 0; i < count; i++) yield varied.event(from[i % from.length]!, tenantOf(i), i)
}

function* published(count: number): Generator<GithubEvent> {
  const payloads = githubPayloads()
  for (let i = 0; i < count; i++) yield payloads[i % payloads.length]!
}

/** Means per event, bytes. */
interface Filled {
  readonly bytes: number
  readonly body: number
  readonly frame?: number
}

/** The events as admissions. */
function* recorded(source: Iterable<GithubEvent>, options: PackingOptions = {}): Generator<Recorded> {
  const recorder = createRecorder(options)
  for (const event of source) yield { admission: recorder(event), body: event.body.length }
}

interface Recorded {
  readonly admission: Admission
  readonly body: number
}

/** Admits the events; the whole cost of each, evidence included. */
async function admitted(meter: Meter, source: Iterable<Recorded>): Promise<Required<Filled>> {
  let [count, body, frame] = [0, 0, 0]
  const bytes = await meter.bytesOf(() =>
    inPipeline(source, 200, (each) => {
      count++
      body += each.body
      frame += fieldOf(each.admission, 'body').length
      return meter.admit(each.admission)
    }),
  )
  return { bytes: bytes / count, body: body / count, frame: frame / count }
}

async function raw(meter: Meter): Promise<Filled> {
  let body = 0
  const bytes = await meter.bytesOf(() =>
    inPipeline(variedEvents(fewer), 100, (event) => {
      body += event.body.length
      return meter.link.call('XADD', 'raw', '*', 'id', randomUUID(), 'type', event.type, 'body', event.body)
    }),
  )
  return { bytes: bytes / fewer, body: body / fewer }
}

/** As Express + naive Redis leaves it (gateway-peer.ts). */
async function naive(meter: Meter): Promise<Filled> {
  let body = 0
  const bytes = await meter.bytesOf(() =>
    inPipeline(variedEvents(fewer), 100, async (event) => {
      body += event.body.length
      const id = randomUUID()
      await Promise.all([
        meter.link.call('SET', seenKey(id), '1', 'EX', SEEN_SECONDS, 'NX'),
        meter.link.call('LPUSH', QUEUE, itemOf(id, event.type, event.body)),
      ])
    }),
  )
  return { bytes: bytes / fewer, body: body / fewer }
}

async function bullmq(meter: Meter, url: string): Promise<Filled> {
  let body = 0
  const connection = new Redis(url)
  const queue = new Queue('webhooks', { connection })
  const bytes = await meter.bytesOf(async () => {
    let batch: Parameters<typeof queue.addBulk>[0] = []
    for (const event of variedEvents(fewer)) {
      body += event.body.length
      const data = { type: event.type, body: event.body.toString() }
      batch.push({ name: event.type, data, opts: { jobId: randomUUID() } })
      if (batch.length < 200) continue
      await queue.addBulk(batch)
      batch = []
    }
    await queue.addBulk(batch)
  })
  await queue.close()
  connection.disconnect()
  return { bytes: bytes / fewer, body: body / fewer }
}

/** Makes a tenant's dictionary of its events. */
type Learn = (lessons: readonly GithubEvent[]) => Buffer

/** A few tenants: the dictionary of each learns from every other example, and is measured on those between. */
async function own(meter: Meter, learnFrom: Learn): Promise<Filled> {
  const sum = { bytes: 0, body: 0, frame: 0 }
  const taught = examples.filter((i) => i % 2 === 0)
  const unseen = examples.filter((i) => i % 2 === 1)
  for (let tenant = 0; tenant < LEARNING_TENANTS; tenant++) {
    const lessons = variedEvents(Math.min(LEARNED_EVENTS, events), taught, () => tenant)
    const dictionary = learnFrom([...lessons])
    const measured = variedEvents(fewer, unseen, () => tenant)
    const filled = await admitted(meter, recorded(measured, { dictionary }))
    sum.bytes += filled.bytes / LEARNING_TENANTS
    sum.body += filled.body / LEARNING_TENANTS
    sum.frame += filled.frame / LEARNING_TENANTS
  }
  return sum
}

const world = await startWorld({ appendfsync: 'no', redisArgs: ['--appendonly', 'no'] })
try {
  const meter = createMeter(world)
  const starters = [...recorded(variedEvents(events))]
  const job = await bullmq(meter, world.redis.url)
  const starter = await admitted(meter, starters)
  const tenants = await own(meter, learn)
  const rows: readonly (readonly [name: string, filled: Filled, goal?: Goal])[] = [
    ['BullMQ job', job],
    ['XADD of the raw body', await raw(meter)],
    ['list item, and the key of what was seen', await naive(meter)],
    ['Weir, no dictionary', await admitted(meter, recorded(variedEvents(fewer), { dictionary: null }))],
    ['Weir, structural starter', starter, STRUCTURAL],
    ["Weir, tenant's own dictionary", tenants, OWN],
    ['Weir, starter, examples as published', await admitted(meter, recorded(published(events))), STRUCTURAL],
  ]
  console.log(
    `${machine({ Redis: world.version })} · ${events} events of ${TENANTS} tenants with varied values (own dictionaries: ${LEARNING_TENANTS} tenants, ${fewer} each; raw, list and BullMQ: ${fewer})`,
  )
  printTable(
    'Redis memory per waiting GitHub event, bytes',
    ['what', 'Redis', 'of BullMQ', 'target', 'body as sent', 'packed frame'],
    rows.map(([name, { bytes, body, frame }, goal]) => [
      name,
      bytes.toFixed(0),
      `${(bytes / job.bytes).toFixed(3)}×`,
      goal === undefined ? '' : target(bytes, goal),
      body.toFixed(0),
      frame?.toFixed(0) ?? '',
    ]),
  )

  const parts = await meter.parts(starters.map(({ admission }) => admission))
  const whole = parts.reduce((sum, { bytes }) => sum + bytes, 0)
  printTable(
    `What one consists of, structural starter (${events} events), bytes`,
    ['part', 'bytes', 'share', 'measured as'],
    [
      ...parts.map(({ name, bytes, how }) => [
        name,
        bytes.toFixed(1),
        `${((bytes / whole) * 100).toFixed(0)} %`,
        how,
      ]),
      ['all', whole.toFixed(1), '', ''],
    ],
  )

  const densities = await evidenceByDensity(meter, [
    ...DENSITIES.map((count) => ({ count, shards: meter.evidenceShards })),
    ...FEW,
  ])
  printTable(
    'Dedupe evidence in the window, bytes per event',
    ['events in one window', 'evidence_shards', 'events in each', 'bytes', 'target'],
    densities.map(({ count, shards, bytes }) => [
      String(count),
      String(shards),
      (count / shards).toFixed(1),
      bytes.toFixed(1),
      target(bytes, EVIDENCE),
    ]),
  )

  const waiting = 'Redis memory per waiting GitHub event'
  headline({ question: `${waiting}, structural starter`, figure: starter.bytes, unit: 'B', goal: STRUCTURAL })
  headline({
    question: `the same, dictionary of the tenant's own`,
    figure: tenants.bytes,
    unit: 'B',
    goal: OWN,
  })
  headline({
    question: 'the same, against a BullMQ job, structural starter',
    figure: starter.bytes / job.bytes,
    unit: '×',
  })
  for (const { count, bytes } of densities.filter(({ count }) => HEADLINE_DENSITIES.includes(count)))
    headline({
      question: `dedupe evidence per event, ${count} in the window`,
      figure: bytes,
      unit: 'B',
      goal: EVIDENCE,
    })

  if (values.explore) {
    const tables = await explore(meter, world, [...variedEvents(Math.min(events, 5000))])
    for (const { title, head, rows: found } of tables) printTable(title, head, found)
  }
} finally {
  await world.stop()
}
