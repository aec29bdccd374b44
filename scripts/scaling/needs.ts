/** What a rate of events needs, derived from what one event costs. */
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

const HOUR_S = 3_600
const DAY_S = 86_400
const MONTH_HOURS = 730
const GIB = 2 ** 30

export interface Needs {
  /** Events per second. */
  readonly rate: number
  /** Cores; handlers' own work not included. */
  readonly gatewayCores: number
  readonly consumerCores: number
  readonly curatorCores: number
  /** Masters that the CPU of Redis needs (each has one core for commands), and that its memory needs. */
  readonly mastersForCpu: number
  readonly mastersForMemory: number
  readonly masters: number
  readonly partitions: number
  /** Of all masters, bytes. */
  readonly memory: number
  /** From the senders, bits/s; between gateways, Redis, its replicas and consumers, bits/s. */
  readonly networkIn: number
  readonly networkInside: number
  /** Requests to cold storage per second, and what it holds, bytes. */
  readonly objectPuts: number
  readonly objectBytes: number
  /** USD per month, by what it is for. */
  readonly money: {
    readonly cpu: number
    readonly memory: number
    readonly network: number
    readonly objects: number
  }
}

/**
 * @param rate events per second, day and night
 * @param contexts whether it is remembered what events were about; without, Weir is a queue
 */
export function needsOf(rate: number, contexts: boolean): Needs {
  const only = (value: number) => (contexts ? value : 0)
  const gatewayCores = (rate * CPU_US.gateway) / 1e6 / USE.process
  const consumerCores = (rate * (contexts ? CPU_US.consumer : CPU_US.consumerAlone)) / 1e6 / USE.process
  const curatorCores = (rate * only(CPU_US.curator)) / 1e6 / USE.process
  const redisCores = (rate * (CPU_US.redisQueue + only(CPU_US.redisContext))) / 1e6 / USE.redis
  const inContexts =
    STAY.hotHours * HOUR_S * BYTES.hot +
    STAY.warmHours * HOUR_S * BYTES.warm +
    STAY.coldDays * DAY_S * (BYTES.coldIndex + BYTES.card / EVENTS_PER_CONTEXT)
  const memory =
    rate *
    MEMORY_OVERHEAD *
    (STAY.backlogHours * HOUR_S * BYTES.waiting +
      STAY.horizonDays * DAY_S * BYTES.remembered +
      only(inContexts))
  const mastersForCpu = Math.ceil(redisCores)
  const mastersForMemory = Math.ceil(memory / MASTER_BYTES)
  const masters = Math.max(1, mastersForCpu, mastersForMemory)
  // In: packed by the gateway, out: to the consumer, into the context, and everything written to each replica.
  const written = contexts ? BYTES.appendOnly : BYTES.appendOnlyAlone
  const inside = rate * (BYTES.waiting * 2 + only(BYTES.hot) + REPLICAS * written)
  const objectPuts = only(rate / EVENTS_PER_CONTEXT)
  const objectBytes = only(rate) * STAY.coldDays * DAY_S * BYTES.coldObject
  const cores = gatewayCores + consumerCores + curatorCores + masters * (1 + REPLICAS)
  return {
    rate,
    gatewayCores,
    consumerCores,
    curatorCores,
    mastersForCpu,
    mastersForMemory,
    masters,
    partitions: masters === 1 ? 1 : masters * 2,
    memory,
    networkIn: rate * BYTES.request * 8,
    networkInside: inside * 8,
    objectPuts,
    objectBytes,
    money: {
      cpu: cores * PRICES.cpuHour * MONTH_HOURS,
      memory: ((memory * (1 + REPLICAS)) / GIB) * PRICES.gibHour * MONTH_HOURS,
      network: ((inside * 2) / 1e9) * PRICES.gbBetweenZones * MONTH_HOURS * HOUR_S,
      objects:
        (objectPuts / 1_000) * PRICES.objectPutsPer1000 * MONTH_HOURS * HOUR_S +
        (objectBytes / 1e9) * PRICES.objectGbMonth,
    },
  }
}
