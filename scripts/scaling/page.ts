/** docs/scaling.md, made from the costs, the shipped settings and the simulation, so that it cannot say otherwise than they. */
import { type AutoscalerSettings, type Course, courseOf, type Second, simulate } from './autoscaler.ts'
import {
  BYTES,
  CPU_US,
  EVENTS_PER_CONTEXT,
  MASTER_BYTES,
  MEMORY_OVERHEAD,
  PRICES,
  REPLICAS,
  STAY,
  USE,
} from './costs.ts'
import { type Needs, needsOf } from './needs.ts'
import { hpaSettings, kedaSettings } from './settings.ts'
import { BURST_SECONDS, burst, DAY_SECONDS, day } from './traces.ts'

const RATES = [10_000, 100_000, 1_000_000]
/** A backlog that is not to be passed (docs/monitoring.md). */
const OBJECTIVE = 1_000
/** Handlers that wait for another service, ten at once in each consumer (`consumer.num_workers`). */
const HANDLER_MS = 50
const WORKERS = 10
const PER_CONSUMER = (WORKERS * 1_000) / HANDLER_MS
const DAY_PEAK = 2_000
const BURST_BASE = 200
const BURST_FACTOR = 15
/** What was shipped before the simulation: a lag of 300 each, doubled every half minute, one less every minute. */
const EARLIER: AutoscalerSettings = {
  minReplicas: 3,
  maxReplicas: 20,
  lagEach: 300,
  scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 30 }] },
  scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] },
}
const SIMULATED = { perConsumer: PER_CONSUMER, startSeconds: 20, syncSeconds: 15, scrapeSeconds: 15 }

const TRACES = [
  {
    name: `a day with ${count(DAY_PEAK)} events/s at its peak`,
    arrivals: day(DAY_PEAK),
    seconds: DAY_SECONDS,
  },
  {
    name: `${BURST_BASE} events/s, for ten minutes ${BURST_FACTOR} times as many`,
    arrivals: burst(BURST_BASE, BURST_FACTOR),
    seconds: BURST_SECONDS,
  },
] as const

function run(settings: AutoscalerSettings, trace: (typeof TRACES)[number]): Second[] {
  return simulate({ settings, arrivals: trace.arrivals, seconds: trace.seconds, ...SIMULATED })
}

/** The whole page. */
export function scalingPage(): string {
  const hpa = hpaSettings()
  const same = JSON.stringify(hpa) === JSON.stringify(kedaSettings())
  const { busyEach, ...lagAlone } = hpa
  const shipped = same ? 'HPA and KEDA, as shipped' : 'HPA, as shipped'
  return `# Scaling, on paper and in simulation

Made by \`scripts/docs-scaling.ts\` from \`scripts/scaling\`: costs that were measured ([benchmarks.md](benchmarks.md)), prices that are assumed. Nobody has run a million
events a second; this is what follows if the cost of an event stays what it is on two cores of a small virtual machine. What was
measured stops at 4,500 events/s, with sender, gateway, Redis and consumer on those two cores. For small installations: [capacity.md](capacity.md).

## What is put in

| for each event | | |
|---|---|---|
| gateway | ${CPU_US.gateway} µs CPU | all of GitHub's examples, at full load |
| consumer | ${CPU_US.consumer} µs CPU, ${CPU_US.consumerAlone} without contexts | without what handlers do |
| curator | ${CPU_US.curator} µs CPU | from hot to warm; the way to cold storage is not measured |
| Redis | ${CPU_US.redisQueue} µs CPU, ${CPU_US.redisContext} more with contexts | every write fsynced; a master has one core for commands |
| on the wire | ${count(BYTES.request)} B | |
| waiting in the stream | ${BYTES.waiting} B | packed; 760 with the tenant's own dictionary |
| in a context | ${count(BYTES.hot)} B hot, ${BYTES.warm} warm, ${BYTES.coldIndex} of index when cold | |
| its share of the card for search | ${Math.round(BYTES.card / EVENTS_PER_CONTEXT)} B | ${BYTES.card} B for each context of ${EVENTS_PER_CONTEXT} events, in every tier |
| remembered as seen | ${BYTES.remembered} B | for ${STAY.horizonDays} days |
| append-only file | ${count(BYTES.appendOnly)} B, ${count(BYTES.appendOnlyAlone)} without contexts | written to ${REPLICAS} replicas as well |
| cold storage | ${count(BYTES.coldObject)} B, ${EVENTS_PER_CONTEXT} events to an object | for ${STAY.coldDays} days |

Processes are planned to be ${percent(USE.process)} busy, a Redis master ${percent(USE.redis)}; memory is the data and ${percent(MEMORY_OVERHEAD - 1)} more, at most ${gb(MASTER_BYTES)} to a
master, so that it restarts in minutes. A backlog of ${STAY.backlogHours} hour fits; contexts are hot for ${STAY.hotHours * 60} minutes and warm for ${STAY.warmHours} hours. USD, as an order of magnitude and nobody's
offer: ${PRICES.cpuHour} a core and hour, ${PRICES.gibHour} a GiB of memory and hour, ${PRICES.gbBetweenZones} a GB between zones each way, ${PRICES.objectPutsPer1000} a thousand
puts, ${PRICES.objectGbMonth} a GB and month of objects.

## What comes out

Steadily, day and night. Masters: the most of what their CPU and what their memory need. Partitions: twice as many, so that slots can be spread.

### As a queue, without contexts

${needsTable(RATES.map((rate) => needsOf(rate, false)))}

### With contexts

${needsTable(RATES.map((rate) => needsOf(rate, true)))}

- Gateways and consumers are the small part, and scale by adding more: they share nothing but Redis.
- As a queue, a master for each 5,000 events/s: its CPU asks for more than the hour of backlog.
- With contexts memory decides, and nine tenths of it are for what is cold: the index (${BYTES.coldIndex} B an event) by which an event is found, and the card (${BYTES.card} B a context)
  by which search finds it, for ${STAY.coldDays} days, without asking cold storage. \`webhook-cli retention run --older-than 7d\` takes three quarters of that away. At 100,000
  events/s keep contexts of what people ask about, not of everything (switching them off by tool or tenant is not built yet).
- A Cluster of more than some hundred masters has not been tried by anybody here, and its gossip grows with the square: from 100,000 events/s
  on, several installations side by side, tenants spread over them, are the simpler way. Nothing in Weir is shared between two.
- Puts to cold storage cost more than what is stored there, as long as a context is a few events.

## The autoscaler

Simulated second by second with the settings that are shipped (\`k8s/webhook-hpa.yaml\`, \`k8s/keda/scaled-object.yaml\`: ${same ? 'the same numbers' : 'different numbers'}), the algorithm as
Kubernetes documents it, the lag scraped and looked at every ${SIMULATED.scrapeSeconds} s (a look sees what was scraped ${SIMULATED.scrapeSeconds - 1} s before, the
unluckiest case), a consumer at work ${SIMULATED.startSeconds} s after it is wanted. A consumer settles ${PER_CONSUMER} events/s: ten handlers
at once that wait ${HANDLER_MS} ms for another service. ${hpa.minReplicas} to ${hpa.maxReplicas} consumers, ${hpa.lagEach} of lag and ${percent(busyEach ?? 0)} of busy workers aimed at for each.

| trace | settings | highest lag | above ${count(OBJECTIVE)} | at the longest | consumers at most | changes | consumer hours |
|---|---|---|---|---|---|---|---|
${TRACES.flatMap((trace) => [
  courseRow(
    trace.name,
    'earlier: 300 each, +100 % in 30 s, −1 in 60 s',
    courseOf(run(EARLIER, trace), OBJECTIVE),
  ),
  courseRow('', 'the lag alone, as shipped', courseOf(run(lagAlone, trace), OBJECTIVE)),
  courseRow('', shipped, courseOf(run(hpa, trace), OBJECTIVE)),
]).join('\n')}

**The lag alone is too late, and forgets.** While consumers keep up there is no lag, so the lag says that the fewest would do; one after the other is taken away until
they do not keep up, and thousands wait before the next look. So there is a second metric, which sees the work that is done and not only what is left undone: how many
consumers the handlers keep busy (\`webhook_stage_duration_seconds\` of the handlers, over \`webhook_consumer_workers\`), aimed at ${percent(busyEach ?? 0)} of each. The autoscaler takes the one that
asks for more. Where most events have no handler, consumers are busy with other things, and only the lag counts: the row in the middle.

In a burst nobody can do anything before the first consumers have started. What waits meanwhile is in the stream (1 kB each), and lost by nobody; it is late.

### The lag over time: the burst

${timeline(run(hpa, TRACES[1]), BURST_TIMES)}

### The lag over time: the day, at the worst second of each hour, settings as shipped

${timeline(run(hpa, TRACES[0]), worstOfHours(run(hpa, TRACES[0])))}
`
}

/** Seconds after the beginning. */
const BURST_TIMES = [
  0, 600, 615, 630, 645, 660, 690, 720, 780, 840, 900, 1_200, 1_500, 1_800, 2_400, 3_000, 3_599,
]
const HOUR_SECONDS = 3_600

function worstOfHours(history: readonly Second[]): number[] {
  return Array.from({ length: history.length / HOUR_SECONDS }, (_, hour) => {
    const from = hour * HOUR_SECONDS
    let worst = from
    for (let at = from; at < from + HOUR_SECONDS; at++) if (history[at]!.lag > history[worst]!.lag) worst = at
    return worst
  })
}

function timeline(history: readonly Second[], times: readonly number[]): string {
  const most = Math.max(...times.map((at) => history[at]!.lag), 1)
  const rows = times.map((at) => {
    const { arrived, lag, replicas, working } = history[at]!
    const bar = '█'.repeat(Math.round((lag / most) * 30))
    return `${clock(at)}  ${count(arrived).padStart(6)}/s  ${String(replicas).padStart(2)} wanted, ${String(working).padStart(2)} at work  ${count(lag).padStart(8)}  ${bar}`
  })
  return [
    '```',
    'time      arriving  consumers              lag',
    ...rows.map((row) => row.trimEnd()),
    '```',
  ].join('\n')
}

function courseRow(trace: string, settings: string, course: Course): string {
  const { highestLag, secondsAbove, longestAbove, most, changes, replicaHours } = course
  const cells = [
    trace,
    settings,
    count(highestLag),
    `${count(secondsAbove)} s`,
    `${longestAbove} s`,
    most,
    changes,
    replicaHours.toFixed(0),
  ]
  return `| ${cells.join(' | ')} |`
}

function needsTable(all: readonly Needs[]): string {
  const row = (name: string, pick: (needs: Needs) => string) => `| ${name} | ${all.map(pick).join(' | ')} |`
  return [
    `| events/s | ${all.map(({ rate }) => count(rate)).join(' | ')} |`,
    `|---|${all.map(() => '---').join('|')}|`,
    row('gateways, cores', ({ gatewayCores }) => count(Math.ceil(gatewayCores))),
    row('consumers, cores without handlers', ({ consumerCores }) => count(Math.ceil(consumerCores))),
    row('curators, cores', ({ curatorCores }) => count(Math.ceil(curatorCores))),
    row('Redis masters for their CPU', ({ mastersForCpu }) => count(mastersForCpu)),
    row('Redis masters for their memory', ({ mastersForMemory }) => count(mastersForMemory)),
    row('partitions', ({ partitions }) => count(partitions)),
    row('memory of all masters', ({ memory }) => gb(memory)),
    row('from the senders', ({ networkIn }) => gbit(networkIn)),
    row('inside', ({ networkInside }) => gbit(networkInside)),
    row('puts to cold storage', ({ objectPuts }) => (objectPuts === 0 ? 'none' : `${count(objectPuts)}/s`)),
    row('cold storage', ({ objectBytes }) => (objectBytes === 0 ? 'none' : gb(objectBytes))),
    row('USD a month: CPU', ({ money }) => dollars(money.cpu)),
    row('memory', ({ money }) => dollars(money.memory)),
    row('network between zones', ({ money }) => dollars(money.network)),
    row('cold storage', ({ money }) => dollars(money.objects)),
  ].join('\n')
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function gb(bytes: number): string {
  if (bytes < 1e12) return `${count(bytes / 1e9)} GB`
  return bytes < 1e13 ? `${(bytes / 1e12).toFixed(1)} TB` : `${count(bytes / 1e12)} TB`
}

function gbit(bits: number): string {
  return bits < 1e10 ? `${(bits / 1e9).toFixed(1)} Gbit/s` : `${count(bits / 1e9)} Gbit/s`
}

/** Two digits: the prices are no better. */
function dollars(value: number): string {
  return count(Number(value.toPrecision(2)))
}

function clock(second: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  return `${two(second / 3_600)}:${two((second % 3_600) / 60)}:${two(second % 60)}`
}
