/** What a command needs to work: the configuration, Redis, and the view of the pipeline. Loaded only when used. */
import { resolve } from 'node:path'
import type { Enrichment } from '@weir/ai/enrichment'
import { type ConfiguredContexts, configuredContexts } from '@weir/context-lifecycle/configured'
import type { Auditor, AuditorEvent } from '@weir/core/audit/auditor'
import { configuredAuditor } from '@weir/core/audit/configured'
import { secretsIn } from '@weir/core/config/describe'
import { type LoadedConfig, loadConfig } from '@weir/core/config/load'
import { redisPlace } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { isFault, messageOf } from '@weir/core/faults'
import { configuredKeyring, type Encryption } from '@weir/core/keyring/configured'
import { keyringText } from '@weir/core/keyring/keyring'
import { connectPartition, type Partition } from '@weir/core/partition'
import { openPipelineView, type PipelineView } from '@weir/core/pipeline-view'
import { type PartitionPlan, SINGLE_PLAN } from '@weir/core/plan'
import { placeText } from '@weir/core/redis/place'
import { checkVersion } from '@weir/core/redis/suitability'
import { readPlan } from '@weir/core/stream/plans'
import { pipelineViewOptions } from '@weir/core/view/options'
import { ifAllowed } from '@weir/core/view/replies'
import { createAuditChain, createCheckpointSigner } from '@weir/security/audit-checkpoint'
import { sealedWith } from '@weir/security/envelope'
import { createRedactor } from '@weir/security/redact'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { CommandFailure } from './exit.ts'
import type { GlobalOptions } from './global-options.ts'
import type { Io } from './io.ts'
import { madeSecret } from './made-secrets.ts'
import { privateRedisUrl } from './private-redis.ts'

export interface Session {
  readonly config: Config
  /** Every partition that there ever was. */
  readonly partitions: readonly [Partition, ...Partition[]]
  /** undefined on a Cluster where nothing has ever been started. */
  readonly plan: PartitionPlan | undefined
  readonly view: PipelineView
  /** For what is encrypted; undefined without a master key. Its keyring is not started: entries are read when they are needed. */
  readonly encryption: Encryption | undefined
  /**
   * What is remembered, also where new events are not any more. Opened when it is first asked for: on a Cluster contexts have
   * connections of their own. Throws a CommandFailure when they cannot be reached.
   */
  contexts(): Promise<Omit<ConfiguredContexts, 'close'>>
  /** What embeds questions; undefined where `webhook.ai.enabled` is false. */
  enrichment(): Promise<Enrichment | undefined>
  /** Does nothing where auditing is off. */
  readonly audit: Auditor
}

/** How long the first connection may take before the command gives up, ms: longer than one attempt, which tells why it failed. */
export const CONNECT_LIMIT_MS = 6_000

/** Where the configuration file is looked for when nobody names one. */
const DEFAULT_FILE = 'config.yaml'

/**
 * The configuration as operators' commands need it. What only servers must have in production (tokens, signature
 * secrets) is not asked for: in an emergency a command must not fail for want of it. `config check` asks.
 * Without a master key it has the one that `start` made.
 */
export async function loadForCommand(globals: GlobalOptions, io: Io): Promise<LoadedConfig> {
  const { NODE_ENV: _node, WEIR_ENV: _weir, ...env } = io.env
  const loaded = await load(globals, io, env)
  const { data_dir: dataDirectory, security } = loaded.config.webhook
  security.encryption_master_key ??=
    madeSecret(resolve(io.cwd, dataDirectory), 'ENCRYPTION_MASTER_KEY') ?? null
  return loaded
}

/** The configuration as the apps will have it. Throws a Fault (CONFIG_INVALID) with a line for each problem. */
export async function loadForServers(globals: GlobalOptions, io: Io): Promise<LoadedConfig> {
  return load(globals, io, io.env)
}

async function load(globals: GlobalOptions, io: Io, env: Io['env']): Promise<LoadedConfig> {
  return loadConfig({
    env,
    file: globals.config === undefined ? undefined : resolve(io.cwd, globals.config),
    defaultFile: resolve(io.cwd, DEFAULT_FILE),
    flags: globals.redisUrl === undefined ? {} : thisServer(globals.redisUrl),
  })
}

/** The one server that was named, whatever topology is configured. */
function thisServer(url: string): Readonly<Record<string, unknown>> {
  const one = { sentinel_enabled: false, cluster_enabled: false, partitions: 1, url }
  return Object.fromEntries(Object.entries(one).map(([key, value]) => [`webhook.redis.${key}`, value]))
}

/** Where no Redis is configured: takes the private one of a `start` that runs. False when there is none, or it is not asked for. */
export function useStarted({ config, privateRedis }: LoadedConfig, dataDirectory: string): boolean {
  const url = privateRedis ? privateRedisUrl(dataDirectory) : undefined
  if (url !== undefined) config.webhook.redis.url = url
  return url !== undefined
}

/** Connects, runs `use` and disconnects. Fails when Redis cannot be reached at the start. */
export async function withSession<T>(
  globals: GlobalOptions,
  io: Io,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const loaded = await loadForCommand(globals, io)
  const { config } = loaded
  const dataDirectory = resolve(io.cwd, config.webhook.data_dir)
  const started = useStarted(loaded, dataDirectory)
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined) // looked at only while connecting
  const name = `webhook-cli:${process.pid}`
  const connect = (partition: number) => connectPartition(config, partition, name, { onError: failed.reject })
  const partitions: [Partition, ...Partition[]] = [connect(0)]
  const shown = placeText(redisPlace(config))
  const audit = configuredAuditor(config, {
    partition: partitions[0],
    actor: io.operator,
    chainOf: (pem) => createAuditChain(createCheckpointSigner(pem)),
    // Not every operator may read the key: then the apps make the checkpoints.
    onUnreadableKey: () => createAuditChain(undefined),
    clock: io.clock,
    random: Math.random,
    tell: (event) => tellAudit(event, io),
  })
  let remembered: ConfiguredContexts | undefined
  let enriching: Enrichment | undefined
  const encryption = configuredKeyring(config, {
    cipherOf: createTenantCipher,
    name: `${name}-keyring`,
    clock: io.clock,
    tell: (event) => {
      if (event.kind === 'away' || event.kind === 'damaged') io.err(`note: ${keyringText(event).text}\n`)
    },
    onError: () => undefined, // what needs the keyring says why it cannot be read
  })
  try {
    const unreachable = (error: unknown) => {
      const where =
        loaded.privateRedis && !started
          ? `No Redis is configured (REDIS_URL, --redis-url), no \`start\` runs in ${dataDirectory}, and there is none at ${shown} either`
          : `Redis at ${shown} cannot be reached; check REDIS_URL, REDIS_ADDRESSES or --redis-url, and that it runs`
      throw new CommandFailure(`${where} (${messageOf(error)}).`, 2, { cause: error })
    }
    await connected(partitions, failed.promise, io.signal).catch(unreachable)
    const info = await ifAllowed(partitions[0].link.call('INFO', 'server'))
    if (info !== null) checkVersion(info)
    const { cluster_enabled: several, partitions: configured } = config.webhook.redis
    const plan = several ? await readPlan(partitions[0]) : SINGLE_PLAN
    for (let each = 1; each < (plan?.highest ?? configured); each++) partitions.push(connect(each))
    await connected(partitions, failed.promise, io.signal).catch(unreachable)
    const view = openPipelineView({
      ...pipelineViewOptions(config, partitions, io.clock, encryption?.keyring),
      plan: () => plan,
    })
    const contexts = async () => {
      if (remembered !== undefined) return remembered
      const away = Promise.withResolvers<never>()
      away.promise.catch(() => undefined) // looked at only while connecting
      remembered = configuredContexts(config, {
        home: partitions[0].link,
        keyring: encryption?.keyring,
        keyOf: sealedWith,
        clock: io.clock,
        name: `${name}-contexts`,
        link: { onError: away.reject },
      })
      await connected(remembered.places, away.promise, io.signal).catch(unreachable)
      return remembered
    }
    const enrichment = async () => {
      const { configuredEnrichment } = await import('@weir/ai/configured')
      enriching ??= configuredEnrichment(config, {
        link: partitions[0].link,
        prefix: partitions[0].keys.ai,
        keyring: encryption?.keyring,
        redact: createRedactor({ secrets: secretsIn(config), fields: config.webhook.security.redact_fields }),
        clock: io.clock,
        random: Math.random,
        observe: () => undefined,
      })
      return enriching
    }
    return await use({ config, partitions, plan, view, encryption, contexts, enrichment, audit })
  } finally {
    await audit.close()
    await remembered?.close()
    enriching?.stop()
    await encryption?.keyring.stop()
    await Promise.all(partitions.map(({ link }) => link.close()))
  }
}

/** What a command must not keep to itself; that an entry could not be written, `audited` says. */
function tellAudit(event: AuditorEvent, io: Io): void {
  if (event.kind !== 'lost') return
  io.err(`note: Redis lost audit entry ${event.point.n}, which it had acknowledged\n`)
}

/** Resolves when all links are up; rejects with the first error of the connection. */
export async function connected(
  places: readonly Pick<Partition, 'link'>[],
  failed: Promise<never>,
  signal: AbortSignal,
): Promise<void> {
  const limit = AbortSignal.timeout(CONNECT_LIMIT_MS)
  const either = AbortSignal.any([signal, limit])
  const ready = Promise.all(places.map(({ link }) => link.ready(either))).catch((error: unknown) => {
    if (limit.aborted && isFault(error, 'REDIS_UNAVAILABLE'))
      throw new Error(`no connection within ${CONNECT_LIMIT_MS / 1000} s`)
    throw error
  })
  await Promise.race([ready, failed])
}
