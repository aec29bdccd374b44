/** What a command needs to work: the configuration, Redis, and the view of the pipeline. Loaded only when used. */
import { resolve } from 'node:path'
import { type LoadedConfig, loadConfig } from '@weir/core/config/load'
import { redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { isFault, messageOf } from '@weir/core/faults'
import { openPipelineView, type PipelineView } from '@weir/core/pipeline-view'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { pipelineViewOptions } from '@weir/core/view/options'
import { CommandFailure } from './exit.ts'
import type { Io } from './io.ts'
import type { GlobalOptions } from './options.ts'
import { privateRedisUrl } from './private-redis.ts'

export interface Session {
  readonly config: Config
  readonly link: RedisLink
  readonly view: PipelineView
}

/** How long the first connection may take before the command gives up, ms. */
const CONNECT_LIMIT_MS = 5_000

/** Where the configuration file is looked for when nobody names one. */
const DEFAULT_FILE = 'config.yaml'

/**
 * The configuration as operators' commands need it. What only servers must have in production (tokens, signature
 * secrets) is not asked for: in an emergency a command must not fail for want of it. `config check` asks.
 */
export async function loadForCommand(globals: GlobalOptions, io: Io): Promise<LoadedConfig> {
  const { NODE_ENV: _node, WEIR_ENV: _weir, ...env } = io.env
  return load(globals, io, env)
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
    flags: { 'webhook.redis.url': globals.redisUrl },
  })
}

/** Connects, runs `use` and disconnects. Fails when Redis cannot be reached at the start. */
export async function withSession<T>(
  globals: GlobalOptions,
  io: Io,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const loaded = await loadForCommand(globals, io)
  const { config } = loaded
  const settings = redisSettings(config, `webhook-cli:${process.pid}`)
  const dataDirectory = resolve(io.cwd, config.webhook.data_dir)
  const started = loaded.privateRedis ? privateRedisUrl(dataDirectory) : undefined
  const url = globals.redisUrl ?? started ?? settings.url
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined) // looked at only while connecting
  const link = connectRedis({ ...settings, url }, { onError: failed.reject })
  try {
    await connected(link, failed.promise, io.signal).catch((error: unknown) => {
      const where =
        loaded.privateRedis && started === undefined
          ? `No Redis is configured (REDIS_URL, --redis-url), no \`start\` runs in ${dataDirectory}, and there is none at ${shown(url)} either`
          : `Redis at ${shown(url)} cannot be reached; check REDIS_URL or --redis-url, and that it runs`
      throw new CommandFailure(`${where} (${messageOf(error)}).`, 2, { cause: error })
    })
    return await use({ config, link, view: openPipelineView(pipelineViewOptions(config, link, io.clock)) })
  } finally {
    await link.close()
  }
}

/** Resolves when the link is up; rejects with the first error of the connection. */
async function connected(link: RedisLink, failed: Promise<never>, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.timeout(CONNECT_LIMIT_MS)
  const ready = link.ready(AbortSignal.any([signal, limit])).catch((error: unknown) => {
    if (limit.aborted && isFault(error, 'REDIS_UNAVAILABLE'))
      throw new Error(`no connection within ${CONNECT_LIMIT_MS / 1000} s`)
    throw error
  })
  await Promise.race([ready, failed])
}

/** A URL without its password. */
function shown(url: string): string {
  const parsed = URL.parse(url)
  if (parsed === null) return url
  if (parsed.password !== '') parsed.password = '***'
  return parsed.href
}
