/** One run of bench/latency.ts: an order to the sender, and what the sender, the handler and the apps say came of it. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@weir/core/clock'
import { endChild, spawnTied } from '../scripts/tied-child.ts'
import {
  ANSWERED,
  COLUMNS,
  type Order,
  SCHEDULED,
  SENT,
  type SenderMessage,
  STATUS,
} from './latency-deliveries.ts'
import { cpuOfMachine } from './machine.ts'
import { type App, SECRET, startWorld, type World, type WorldOptions } from './processes.ts'
import { percentile } from './table.ts'

/** How long everything may take to be settled after the last delivery, ms. */
const SETTLE_TIMEOUT_MS = 120_000
const POLL_MS = 20
/** What the handler writes for each run, bytes. */
const HANDLED_BYTES = 16
const ACCEPTED = 202
const SETTLE_METRIC = 'webhook_event_accepted_to_settled_seconds_bucket'

export interface Load {
  readonly rate: number
  readonly warmUpSeconds: number
  readonly seconds: number
}

/** Sorted, ms. */
export type Times = Float64Array

export interface RunResult {
  readonly load: Load
  readonly offered: number
  readonly accepted: number
  /** Deliveries answered otherwise, or not at all. */
  readonly refused: number
  /** Accepted events whose handler did not run. */
  readonly missing: number
  /** Accepted by way of the spool. */
  readonly spooled: number
  /** 202s in a second, from the first due time to the last answer. */
  readonly achieved: number
  /** From the due time to setting out: how late the sender itself is. */
  readonly late: Times
  /** From the due time to the 202. */
  readonly answered: Times
  /** From the due time to the handler's run. */
  readonly handled: Times
  /** From the stream entry to the acknowledgement, by the consumer's histogram. */
  readonly settled: Buckets
  /** CPU while measuring by part, seconds; `others` is what ran beside us. */
  readonly cpu: Readonly<Record<'gateway' | 'consumer' | 'redis' | 'sender' | 'others', number>>
  /** How long measuring took, s. */
  readonly wall: number
  readonly connections: number
}

export interface LatencyWorld {
  readonly world: World
  /** @param meanwhile is begun when measuring is, and awaited */
  run(load: Load, meanwhile?: () => Promise<void>): Promise<RunResult>
  stop(): Promise<void>
}

/** Everything of the pipeline, and a sender, in processes of their own. */
export async function startLatencyWorld(
  appendfsync: WorldOptions['appendfsync'],
  directory: string,
): Promise<LatencyWorld> {
  const world = await startWorld({ appendfsync })
  try {
    return await inWorld(world, appendfsync, directory)
  } catch (error) {
    await world.stop()
    throw error
  }
}

async function inWorld(world: World, appendfsync: string, directory: string): Promise<LatencyWorld> {
  const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
  const handledFile = join(directory, `handled-${appendfsync}`)
  const consumer = await world.startConsumer(here('latency-handler.ts'), { LATENCY_RECORD: handledFile })
  const gateway = await world.startGateway()
  const sender = spawnTied(process.execPath, [here('latency-sender.ts'), String(gateway.port), SECRET], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    deathSignal: 'SIGKILL',
  })
  const heard = (kind: SenderMessage['kind']) =>
    new Promise<SenderMessage>((resolve, reject) => {
      const listen = (message: unknown) => {
        if ((message as SenderMessage).kind !== kind) return
        sender.process.off('message', listen)
        resolve(message as SenderMessage)
      }
      sender.process.on('message', listen)
      void sender.exit.then(() => reject(new Error('the sender ended')))
    })
  await heard('ready')
  let sent = 0

  const cpuNow = () => ({
    gateway: gateway.cpu(),
    consumer: consumer.cpu(),
    redis: world.redisCpu(),
    machine: cpuOfMachine(),
    own: process.cpuUsage(),
    at: performance.now(),
  })

  async function run(load: Load, meanwhile?: () => Promise<void>): Promise<RunResult> {
    const warmUp = Math.round(load.rate * load.warmUpSeconds)
    const count = Math.round(load.rate * load.seconds)
    const file = join(directory, `sent-${appendfsync}`)
    const order: Order = { rate: load.rate, warmUp, count, first: sent, file }
    const spooledBefore = await gateway.metric('webhook_spooled_total')
    const measuring = heard('measuring')
    const done = heard('done')
    sender.process.send(order)
    await measuring
    const before = cpuNow()
    const bucketsBefore = await bucketsOf(consumer)
    const besides = meanwhile?.()
    const { cpu: senderCpu, connections } = (await done) as Extract<SenderMessage, { kind: 'done' }>
    const after = cpuNow()
    await besides
    sent += warmUp + count
    await world.untilSettled(SETTLE_TIMEOUT_MS)
    await untilHandled(handledFile, sent)
    const cpu = {
      gateway: after.gateway - before.gateway,
      consumer: after.consumer - before.consumer,
      redis: after.redis - before.redis,
      sender: senderCpu,
    }
    const used = process.cpuUsage(before.own)
    const ours = cpu.gateway + cpu.consumer + cpu.redis + cpu.sender + (used.user + used.system) / 1e6
    return {
      load,
      ...evaluate(readDoubles(file), order, readHandled(handledFile)),
      spooled: (await gateway.metric('webhook_spooled_total')) - spooledBefore,
      settled: difference(await bucketsOf(consumer), bucketsBefore),
      cpu: { ...cpu, others: Math.max(0, after.machine - before.machine - ours) },
      wall: (after.at - before.at) / 1000,
      connections,
    }
  }

  return {
    world,
    run,
    async stop() {
      await endChild(sender, 0)
      await world.stop()
    },
  }
}

function evaluate(table: Float64Array, order: Order, handledAt: ReadonlyMap<number, number>) {
  const late = new Float64Array(order.count)
  const answered: number[] = []
  const handled: number[] = []
  let refused = 0
  let missing = 0
  let lastAnswer = 0
  for (let i = 0; i < order.count; i++) {
    const row = i * COLUMNS
    const due = table[row + SCHEDULED]!
    late[i] = table[row + SENT]! - due
    if (table[row + STATUS] !== ACCEPTED) {
      refused++
      continue
    }
    lastAnswer = Math.max(lastAnswer, table[row + ANSWERED]!)
    answered.push(table[row + ANSWERED]! - due)
    const at = handledAt.get(order.first + order.warmUp + i)
    if (at === undefined) missing++
    else handled.push(at - due)
  }
  return {
    offered: order.count,
    accepted: answered.length,
    refused,
    missing,
    achieved: (answered.length / (lastAnswer - table[SCHEDULED]!)) * 1000,
    late: late.sort(),
    answered: Float64Array.from(answered).sort(),
    handled: Float64Array.from(handled).sort(),
  }
}

/** The handler writes in batches, up to a moment later. */
async function untilHandled(file: string, count: number): Promise<void> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS / 60
  // Refused deliveries never come: then the wait ends by time.
  while (performance.now() < deadline && statSync(file).size < count * HANDLED_BYTES) {
    await systemClock.wait(POLL_MS)
  }
}

function readDoubles(file: string): Float64Array {
  const bytes = readFileSync(file)
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

/** Number of the delivery → when its handler first ran. */
function readHandled(file: string): ReadonlyMap<number, number> {
  const doubles = readDoubles(file)
  const handled = new Map<number, number>()
  for (let i = 0; i + 1 < doubles.length; i += 2) {
    if (!handled.has(doubles[i]!)) handled.set(doubles[i]!, doubles[i + 1]!)
  }
  return handled
}

/** Upper bound in ms → how many were at most that, cumulative; in ascending order. */
export type Buckets = readonly (readonly [upTo: number, count: number])[]

async function bucketsOf(consumer: App): Promise<Buckets> {
  const counts = new Map<number, number>()
  for (const [sample, value] of await consumer.metrics()) {
    if (!sample.startsWith(SETTLE_METRIC)) continue
    const bound = /le="([^"]+)"/.exec(sample)?.[1] ?? ''
    const upTo = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound) * 1000
    counts.set(upTo, (counts.get(upTo) ?? 0) + value)
  }
  return [...counts].sort(([a], [b]) => a - b)
}

function difference(after: Buckets, before: Buckets): Buckets {
  const was = new Map(before)
  return after.map(([upTo, count]) => [upTo, count - (was.get(upTo) ?? 0)])
}

/** A percentile of a histogram, interpolated within its bucket as Prometheus does, ms. */
export function bucketPercentile(buckets: Buckets, share: number): number {
  const wanted = (buckets.at(-1)?.[1] ?? 0) * share
  let from = 0
  let below = 0
  for (const [upTo, count] of buckets) {
    if (count >= wanted && count > below) {
      if (upTo === Number.POSITIVE_INFINITY) return from
      return from + ((wanted - below) / (count - below)) * (upTo - from)
    }
    from = upTo
    below = count
  }
  return Number.NaN
}

/** Share of a histogram that is at most one of its bounds, 0 to 1. */
export function shareUpTo(buckets: Buckets, ms: number): number {
  const count = buckets.find(([upTo]) => upTo >= ms)?.[1] ?? 0
  return count / (buckets.at(-1)?.[1] ?? 0)
}

/** `p50 / p99` of sorted times, ms. */
export function p50p99(times: Times): string {
  return `${percentile(times, 0.5).toFixed(1)} / ${percentile(times, 0.99).toFixed(1)}`
}
