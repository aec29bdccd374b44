/**
 * Runs a gateway under load against a Redis to which something happens, and compares what was answered with what is there:
 * the sender's own record of every 202 against the events that the streams hold in the end.
 *
 * There is no consumer, so a stream keeps everything, and every event must be in one of them, once.
 */
import { randomBytes } from 'node:crypto'
import { decodeRecord } from '@weir/core/record'
import type { Redis } from 'ioredis'
import { expect } from 'vitest'
import { sendGithub, type TestGateway, withGateway } from '../support/gateway.ts'

/** A Redis of several servers. */
export interface Place {
  /** How a gateway finds it. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** All servers run, agree on who is a master, and the replicas are in sync. */
  untilHealed(): Promise<void>
  /** A connection to the master of each stream. */
  streams(): Promise<readonly { readonly name: string; readonly client: Redis }[]>
}

export interface Load {
  readonly durability: Durability
  /** From now on events carry so many bytes that cannot be packed. */
  pad(bytes: number): void
  /** Resolves when so many more have been answered. */
  answered(more: number): Promise<void>
}

/** Durability as it is configured: how many replicas must confirm, of how many that a master has. */
export type Durability = 'local' | `replica, ${number} of ${number}`

export interface Outcome {
  readonly scenario: string
  readonly durability: Durability
  /** Events that were answered 202. */
  readonly acknowledged: number
  /** Of those, what no server has in the end. */
  readonly missing: number
  /** Events that are in the stream more than once. */
  readonly twice: number
  readonly spooled: number
  /** Events that Redis came back without; the gateway noticed, and offered them again. */
  readonly reoffered: number
  /** Times that the gateway reported LOSS. */
  readonly losses: number
  /** Longest time between two answers, ms. */
  readonly gapMs: number
  readonly statuses: ReadonlyMap<number, number>
}

/** Times in which everything notices, gives up and comes back soon enough for a test. */
const QUICK = {
  'redis.command_timeout': '500ms',
  'redis.connect_timeout': '500ms',
  'redis.reconnect_max_delay': '100ms',
  'ingest.admission_budget': '400ms',
  'ingest.spool.drain_interval': '20ms',
  'security.enable_rate_limiting': false,
}

export interface RunOptions {
  /** Requests at once. */
  readonly concurrency: number
  /** Answers before it happens, and after it is healed. */
  readonly answers: number
  /** More settings, by dotted path below `webhook`. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** Lets `happen` do what it does under load, heal included, and compares the records. */
export async function runUnderLoad(
  place: Place,
  scenario: string,
  happen: (load: Load) => Promise<void>,
  durability: Durability,
  { concurrency, answers, settings: more }: RunOptions,
): Promise<Outcome> {
  const settings = {
    ...QUICK,
    ...(durability !== 'local' && {
      'redis.durability': 'replica',
      'redis.replicas': confirming(durability),
      'redis.replica_timeout': '200ms',
    }),
    ...more,
  }
  return withGateway(
    { redisUrl: '', settings, env: { REDIS_URL: undefined, ...place.env } },
    async (running) => {
      const sender = startSender(running, concurrency)
      try {
        await sender.answered(answers)
        await happen({ durability, pad: sender.pad, answered: sender.answered })
        await place.untilHealed()
        await sender.answered(answers)
      } finally {
        await sender.stop()
      }
      await atRest(running, waitsForAll(durability))
      const found = await eventsOf(place)
      const unique = new Set(found)
      return {
        scenario,
        durability,
        acknowledged: sender.acknowledged.size,
        missing: [...sender.acknowledged].filter((id) => !unique.has(id)).length,
        twice: found.length - unique.size,
        spooled: total(running, 'webhook_spooled_total'),
        reoffered: await running.counter('webhook_reoffered_total', 'outcome=accepted'),
        losses: await running.counter('webhook_loss_detected_total'),
        gapMs: sender.gapMs,
        statuses: sender.statuses,
      }
    },
  )
}

function confirming(durability: Durability): number {
  return Number(/\d+/.exec(durability)?.[0] ?? 0)
}

function waitsForAll(durability: Durability): boolean {
  const [confirm, all] = durability.match(/\d+/g) ?? []
  return confirm !== undefined && confirm === all
}

interface Sender extends Omit<Load, 'durability'> {
  readonly acknowledged: ReadonlySet<string>
  readonly statuses: ReadonlyMap<number, number>
  readonly gapMs: number
  stop(): Promise<void>
}

/** Sends each event once, as GitHub does, and keeps a record of the answers. */
function startSender({ port }: TestGateway, concurrency: number): Sender {
  const acknowledged = new Set<string>()
  const statuses = new Map<number, number>()
  let sent = 0
  let stopped = false
  let answeredAt = performance.now()
  let gapMs = 0
  let padding = ''
  const work = async (): Promise<void> => {
    while (!stopped) {
      const n = ++sent
      const { status, json } = await sendGithub(
        port,
        `delivery-${n}`,
        `{"action":"opened","n":${n},"padding":"${padding}"}`,
      )
      const now = performance.now()
      gapMs = Math.max(gapMs, now - answeredAt)
      answeredAt = now
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status === 202) acknowledged.add(String(json.event_id))
    }
  }
  const workers = Promise.all(Array.from({ length: concurrency }, work))
  return {
    acknowledged,
    statuses,
    get gapMs() {
      return gapMs
    },
    pad(bytes) {
      padding = randomBytes((bytes * 3) / 4).toString('base64')
    },
    async answered(more) {
      const goal = acknowledged.size + more
      await expect
        .poll(() => acknowledged.size, { timeout: 30_000, interval: 10 })
        .toBeGreaterThanOrEqual(goal)
    },
    async stop() {
      stopped = true
      await workers
    },
  }
}

/** How long nothing is offered again when everything has been, ms: every lost event is looked for by itself. */
const QUIET_MS = 3_000

/** The spool is empty, and what was to be offered again has been: with `durable`, there is nothing of that. */
async function atRest(running: TestGateway, durable: boolean): Promise<void> {
  await expect.poll(() => running.spool?.records, { timeout: 30_000, interval: 20 }).toBe(0)
  if (durable) return
  let before = -1
  const quiet = () => {
    const now = total(running, 'webhook_reoffered_total')
    const same = now === before
    before = now
    return same
  }
  await expect.poll(quiet, { timeout: 60_000, interval: QUIET_MS }).toBe(true)
}

/** The sum of a counter over all its labels. */
function total({ metrics }: TestGateway, counter: string): number {
  let sum = 0
  for (const [name, value] of Object.entries(metrics.counters())) {
    if (name === counter || name.startsWith(`${counter}{`)) sum += value
  }
  return sum
}

/** Entries read at once. */
const PAGE = 100

/** The ids of all events in all streams. */
async function eventsOf(place: Place): Promise<string[]> {
  const ids: string[] = []
  for (const { name, client } of await place.streams()) {
    for (let from = '-'; ; ) {
      const entries = await client.xrangeBuffer(name, from, '+', 'COUNT', PAGE)
      for (const [, fields] of entries) ids.push(decodeRecord(fields).id)
      const last = entries.at(-1)
      if (last === undefined) break
      from = `(${last[0].toString()}`
    }
  }
  return ids
}
