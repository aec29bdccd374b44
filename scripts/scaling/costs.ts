/**
 * What one event costs, as measured (docs/benchmarks.md: two cores of a small virtual machine, GitHub's examples of 9.9 kB), and what
 * resources are assumed to cost. Everything that docs/scaling.md says follows from these.
 */

/** CPU in µs for each event, at full load. */
export const CPU_US = {
  /** `pnpm bench:gateway`, all examples. */
  gateway: 175,
  /** `pnpm bench:consumer`, with contexts; without what handlers do. */
  consumer: 164,
  /** The same without contexts, where handlers read the payload. */
  consumerAlone: 76,
  /** `pnpm bench:latency --find-max`, every write fsynced: 44 % of a core at 4,535 events/s. */
  redisQueue: 97,
  /** The same with contexts: 44 % at 4,057 events/s. */
  redisContext: 11,
  /** `pnpm bench:sweep`, from hot to warm: 8.1 s for 10,000 contexts of two events. */
  curator: 405,
} as const

/** Bytes for each event. */
export const BYTES = {
  /** On the wire from the sender, headers included. */
  request: 9_900 + 600,
  /** Packed, with what Redis needs around it (`pnpm bench:memory`). */
  waiting: 990,
  hot: 1_550,
  /** `pnpm bench:tiers`, contexts of six events. */
  warm: 950,
  /** What stays in Redis of an event that is cold: its index entry. */
  coldIndex: 40,
  /** Beyond the window, for the horizon (`pnpm bench:long-memory`). */
  remembered: 12,
  /** Of a context, for search, in every tier: words, and an embedding of 256 dimensions (`pnpm bench:tiers`). */
  card: 860,
  coldObject: 1_000,
  /** Append-only file, with contexts. */
  appendOnly: 3_700,
  appendOnlyAlone: 1_900,
} as const

/** Events of one context, and so in one cold object, as in `pnpm bench:tiers`. */
export const EVENTS_PER_CONTEXT = 6

/** How full a process is planned to be. What is left is for bursts, for a neighbour that died, and for the machine. */
export const USE = { process: 0.6, redis: 0.5 } as const

/** How long events stay where. */
export const STAY = { hotHours: 0.5, warmHours: 3, horizonDays: 3, backlogHours: 1, coldDays: 30 } as const

/** Memory beyond the data: fragmentation, buffers of the append-only file. */
export const MEMORY_OVERHEAD = 1.25
/** Memory of one Redis master that is still restarted and copied in minutes, bytes. */
export const MASTER_BYTES = 64e9
/** Replicas of each master. */
export const REPLICAS = 2

/**
 * USD, as an order of magnitude of what large clouds ask on their public lists: no vendor's offer. Change them for your own.
 */
export const PRICES = {
  cpuHour: 0.04,
  gibHour: 0.005,
  /** Between zones, each way. */
  gbBetweenZones: 0.01,
  objectPutsPer1000: 0.005,
  objectGbMonth: 0.023,
} as const
