/**
 * The gateway's way to one partition: its connection, whether it takes events, the admission, the long memory, what it
 * acknowledged, the report, and what follows every connect. Lanes know nothing of each other: one whose master is away
 * is alone with that.
 */
import type { Clock } from '@weir/core/clock'
import { dedupeWindows, longMemory } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import type { DictionarySet } from '@weir/core/dictionaries'
import { isFault, messageOf } from '@weir/core/faults'
import type { Opener } from '@weir/core/keyring/keyring'
import type { Partition } from '@weir/core/partition'
import { checkSuitability } from '@weir/core/redis/suitability'
import { type Admission, type Admitter, createAdmitter } from '@weir/core/stream/admit'
import type { PlannedOutcome } from '@weir/core/stream/admit-by-plan'
import { ensureGroup } from '@weir/core/stream/group'
import type { Logger } from 'pino'
import { runSteps, type Step } from './after-connect.ts'
import { createDurability } from './durability.ts'
import type { GatewayMetrics } from './metrics.ts'
import { createPackers, type Packers } from './packers.ts'
import { createPulse, type Pulse } from './pulse.ts'
import { createRecall, type Recall } from './recall.ts'
import { createReoffer } from './reoffer.ts'
import { createReporter, type Owners } from './report.ts'
import { createWitness, type Witness } from './witness.ts'

export interface Lane extends Partition {
  readonly pulse: Pulse
  readonly admitter: Admitter
  readonly recall: Recall
  readonly witness: Witness
  readonly packers: Packers
  start(): void
  /** Ends what it does by itself, with a last report. The link stays open: others may still need it. */
  stop(): Promise<void>
}

export interface LaneOptions {
  readonly partition: Partition
  readonly config: Config
  /** Of this lane alone: what it learns holds for its partition. */
  readonly dictionaries: DictionarySet
  /** For learned dictionaries that are encrypted. */
  readonly opener: Opener
  /** Where copies of dictionaries lie; undefined without a spool. */
  readonly spoolDirectory: string | undefined
  /** Name of this gateway. */
  readonly gateway: string
  readonly owners: Owners
  /** Events in the spool that wait for this partition. */
  spooled(): number
  /** Memory for the records that it saw acknowledged, bytes. */
  readonly witnessBytes: number
  /** The usual admission, which may end in another lane. */
  admit(admission: Admission): Promise<PlannedOutcome<Lane>>
  /** What comes before the other steps after a connect. */
  readonly firstSteps: readonly Step[]
  /** It takes events (again); after a connect, when the steps are done. */
  onReady(): void
  readonly clock: Clock
  random(): number
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

export function createLane(options: LaneOptions): Lane {
  const { config, clock, metrics } = options
  const { link, keys } = options.partition
  const { ingest, deduplication, compression, redis } = config.webhook
  const log = redis.cluster_enabled ? options.log.child({ partition: keys.partition }) : options.log

  const witness = createWitness({
    windowMs: ingest.reoffer_window,
    maxBytes: options.witnessBytes,
    now: () => clock.monotonic(),
  })
  const packers = createPackers({
    dictionaries: options.dictionaries,
    level: compression.level,
    maxLearned: compression.learned_dictionaries,
    spoolDirectory: options.spoolDirectory,
    opener: options.opener,
  })
  // Before the pulse, so that its listeners come first: the numbering and the distrust must precede any event.
  let connection = witness.nextConnection()
  const removeListeners = [
    link.onConnect(() => {
      connection = witness.nextConnection()
    }),
    link.onDisconnect(() => packers.distrust()),
  ]
  const reporter = createReporter({
    link,
    keys,
    gateway: options.gateway,
    owners: options.owners,
    spooled: options.spooled,
    witness,
    up: () => pulse.up,
    clock,
    log,
  })
  const durability = createDurability({ config, link, keys, clock, metrics, log })
  const pulse = createPulse({ link, vet, probe: durability.probe(reporter.report), clock, log })
  const admitter = durability.admitter(
    createAdmitter({
      keys,
      window: dedupeWindows(config),
      evidenceShards: deduplication.evidence_shards,
      now: () => clock.now(),
    }),
  )
  const recall = durability.recall(
    createRecall({
      link,
      memory: longMemory(config, keys),
      redisNow: () => admitter.redisNow(),
      refreshMs: deduplication.refresh_interval,
      up: () => pulse.up,
      clock,
      random: () => options.random(),
      metrics,
      log,
    }),
  )
  const reoffer = createReoffer({
    link,
    keys,
    async admit(admission) {
      const { outcome, place } = await options.admit(admission)
      return { outcome, witness: place.witness }
    },
    witness,
    metrics,
    log,
  })

  pulse.onUp((fresh) => {
    if (fresh) stepsDone = afterConnect()
    else options.onReady()
  })

  /** What was said of this server; not again at every question. */
  let warned: ReadonlySet<string> = new Set()

  async function vet(): Promise<void> {
    const { version, warnings } = await checkSuitability(link, config.production)
    for (const warning of warnings) if (!warned.has(warning)) log.warn({ event: 'redis', version }, warning)
    warned = new Set(warnings)
    await durability.vet()
  }

  /** The steps of the last connection; a new one makes them all due again. */
  let steps = new AbortController()
  let stepsDone: Promise<void> = Promise.resolve()

  async function afterConnect(): Promise<void> {
    steps.abort()
    steps = new AbortController()
    const mine = connection
    // One after the other: those of a lost connection fail at once.
    await stepsDone
    await runSteps(
      [
        ...options.firstSteps,
        { name: 'group', run: () => ensureGroup(link, keys) },
        { name: 'dictionaries', run: () => packers.publish(link, keys) },
        { name: 'witness', run: () => reoffer(mine) },
        { name: 'long memory', run: () => recall.refresh() },
      ],
      steps.signal,
      { pulse, clock, metrics, log },
    )
    options.onReady()
  }

  const stopped = new AbortController()
  let learning: Promise<void> = Promise.resolve()

  /** Looks for dictionaries that were learned meanwhile. */
  async function keepLearning(): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.wait(compression.refresh_interval, stopped.signal)
      if (stopped.signal.aborted || !pulse.up) continue
      await packers.refresh(link, keys).catch((error: unknown) => {
        if (isFault(error, 'REDIS_UNAVAILABLE')) pulse.suspect()
        log.warn(
          { event: 'dictionaries', reason: messageOf(error) },
          'learned dictionaries could not be looked for',
        )
      })
    }
  }

  return {
    link,
    keys,
    pulse,
    admitter,
    recall,
    witness,
    packers,
    start() {
      recall.start()
      learning = keepLearning()
      reporter.start()
    },
    async stop() {
      steps.abort()
      await stepsDone
      recall.stop()
      stopped.abort()
      await learning
      await reporter.stop()
      pulse.stop()
      for (const remove of removeListeners) remove()
    },
  }
}
