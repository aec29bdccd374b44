/**
 * Loading the configuration: flag > environment > file > default, one schema, and every problem at once.
 *
 *   text ─▶ tree ─▶ ${…} replaced ─▶ + variables ─▶ + flags ─▶ schema ─▶ rules ─▶ config
 */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { messageOf } from '../faults.ts'
import { Draft } from './draft.ts'
import { isProduction, readEnvironment, strayVariables } from './environment.ts'
import { readConfigFile } from './file.ts'
import { type Environment, variable } from './interpolate.ts'
import { fieldPath, isRecord, outlineOf, type Path } from './outline.ts'
import { configFault, type Problem, problemsOfIssue, type Source } from './problems.ts'
import { brokenRules, type Judged, noticesOf } from './rules.ts'
import { type Config, configSchema } from './schema.ts'

export interface LoadInput {
  /** Path of the file; it must exist. Without it, the one that CONFIG_FILE names. */
  readonly file?: string | undefined
  /** Path of a file that is read where neither `file` nor CONFIG_FILE names one, and only if it exists. */
  readonly defaultFile?: string | undefined
  /** The content of the file, in place of reading it. */
  readonly text?: string | undefined
  readonly env: Environment
  /** Values by dotted path, as from `--set webhook.ingest.port=9000`. Undefined values do not count. */
  readonly flags?: Readonly<Record<string, unknown>> | undefined
  /** Processor cores for `num_workers: auto`; those of the machine where nothing is said. */
  readonly cores?: number | undefined
}

export interface LoadedConfig {
  readonly config: Config
  /** Sentences for the operator about settings that have no effect, or more effect than they seem to have. */
  readonly notices: readonly string[]
  /** Where each field that is not the default was set, by dotted path. */
  readonly sources: ReadonlyMap<string, Source>
  /** The file that was read. */
  readonly file: string | undefined
  /** True when nothing says which Redis to use, so that `start` may run a private one. */
  readonly privateRedis: boolean
}

/** Loads and checks the configuration. Throws a `CONFIG_INVALID` fault whose message has a line for each problem. */
export async function loadConfig(input: LoadInput): Promise<LoadedConfig> {
  const { env, flags = {}, cores = availableParallelism() } = input
  const production = isProduction(env)
  const schema = configSchema({ cores, production })
  const outline = outlineOf(schema)

  const { name, content } = await textOf(input)
  const file = readConfigFile(content, name ?? 'config.yaml')
  if (!file.readable) throw configFault(file.problems)
  const draft = new Draft({ outline, env, cores, file, fileName: name ?? 'config.yaml' })
  draft.addFile(file.tree)
  const environment = readEnvironment(env, outline)
  for (const { path, variable, value } of environment.settings) {
    draft.set(path, value, { from: 'environment', variable })
  }
  for (const { path } of environment.problems) if (path) draft.remove(path)
  for (const [path, value] of Object.entries(flags)) draft.setFlag(path, value)

  const problems: Problem[] = [...file.problems, ...environment.problems, ...draft.problems]
  let parsed = schema.safeParse(draft.tree)
  if (!parsed.success) {
    const { issues } = parsed.error
    for (const issue of issues) {
      problems.push(...problemsOfIssue(issue, outline, draft.valueAt, draft.sourceAt))
    }
    // Rules want a whole configuration: what is wrong is taken out, so that they can judge the rest.
    for (const issue of issues) {
      const paths: Path[] =
        issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => [...issue.path, key])
          : [fieldPath(outline, issue.path)]
      for (const path of paths) draft.remove(path)
    }
    parsed = schema.safeParse(draft.tree)
    if (!parsed.success) throw configFault(problems, parsed.error)
  }

  const config: Config = { ...parsed.data, production }
  const judged: Judged = {
    config,
    outline,
    source: (path) => draft.sources.get(path),
    place: (path) => draft.sourceAt(path.split('.')),
    isSet: (path) => draft.isSet(path),
    isUnread: (path) => draft.isUnread(path),
  }
  problems.push(...brokenRules(judged))
  if (problems.length > 0) throw configFault(problems)

  const redisNotices = chooseServer(config, draft.sources)
  const notices = [...redisNotices, ...noticesOf(judged), ...strayVariables(env, outline)]
  return {
    config,
    notices,
    sources: draft.sources,
    file: name,
    privateRedis: !namesRedis(config, draft.sources),
  }
}

async function textOf(input: LoadInput): Promise<{ name: string | undefined; content: string }> {
  const named = input.file ?? (variable(input.env, 'CONFIG_FILE') || undefined)
  if (input.text !== undefined) return { name: named, content: input.text }
  const name = named ?? input.defaultFile
  if (name === undefined) return { name, content: '' }
  try {
    return { name, content: await readFile(name, 'utf8') }
  } catch (error) {
    const missing = isRecord(error) && error.code === 'ENOENT'
    if (missing && named === undefined) return { name: undefined, content: '' }
    const by = input.file === undefined && named !== undefined ? ', which CONFIG_FILE names,' : ''
    const message = missing
      ? `the configuration file${by} does not exist`
      : `cannot be read: ${messageOf(error)}`
    throw configFault([{ where: name, message }], error)
  }
}

const LAYERS = ['file', 'environment', 'flag'] as const

/** Makes `redis.url` the one server to use, from `redis.addresses` where those were set on a higher layer. */
function chooseServer(config: Config, sources: Map<string, Source>): string[] {
  const { redis } = config.webhook
  const [first, ...more] = redis.addresses
  const from = sources.get('webhook.redis.addresses')
  const urlFrom = sources.get('webhook.redis.url')
  if (first === undefined || from === undefined || redis.sentinel_enabled || redis.cluster_enabled) return []
  if (urlFrom !== undefined && LAYERS.indexOf(urlFrom.from) >= LAYERS.indexOf(from.from)) {
    return ['webhook.redis.addresses: accepted, no effect while webhook.redis.url is set']
  }
  redis.url = `redis://${first}`
  sources.set('webhook.redis.url', from)
  if (more.length === 0) return []
  return [
    `webhook.redis.addresses: only the first of ${redis.addresses.length} addresses is used, as neither sentinel_enabled nor cluster_enabled is set`,
  ]
}

/** Settings that say which Redis to use, or how to get into it. */
const SERVER = [
  'url',
  'addresses',
  'master_name',
  'username',
  'password',
  'tls_cert_file',
  'tls_ca_file',
] as const

function namesRedis({ webhook: { redis } }: Config, sources: ReadonlyMap<string, Source>): boolean {
  return SERVER.some((key) => {
    const empty = redis[key] === null || redis[key]?.length === 0
    return sources.has(`webhook.redis.${key}`) && !empty
  })
}
