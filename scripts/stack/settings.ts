/** What `pnpm start` runs, out of the environment and the configuration file. */
import { join, resolve } from 'node:path'
import { loadConfig } from '@weir/core/config/load'
import type { Config } from '@weir/core/config/schema'
import { TOOLS } from '@weir/core/config/tools'
import { keepSecrets } from './secrets.ts'

export interface StartSettings {
  readonly config: Config
  /** Sentences for the operator about the configuration as it was given. */
  readonly notices: readonly string[]
  /** The configuration file that was read, absolute. */
  readonly configFile: string | undefined
  /** Absolute. */
  readonly dataDirectory: string
  /** Nothing says which Redis to use: run one. */
  readonly privateRedis: boolean
  /** Secrets that were not given but made by us, now or at an earlier start, by the name of their variable. */
  readonly madeSecrets: Readonly<Record<string, string>>
  /** Those of them that were made now. */
  readonly freshSecrets: readonly string[]
  /** The environment of the apps: what was given, and what was made up here. Without REDIS_URL of a private Redis. */
  readonly childEnv: Readonly<Record<string, string>>
}

export interface StartInput {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The root of the repository, where config.yaml is looked for. */
  readonly root: string
  /** Relative paths in variables are taken from here. */
  readonly cwd: string
}

/**
 * Loads the configuration, and makes the secrets that it lacks; production makes none and refuses instead.
 * Throws a Fault (CONFIG_INVALID) whose message has a line for each problem.
 */
export async function readStartSettings({ env, root, cwd }: StartInput): Promise<StartSettings> {
  const defaultFile = join(root, 'config.yaml')
  const given = await loadConfig({ env, defaultFile })
  const dataDirectory = resolve(cwd, given.config.webhook.data_dir)
  const configFile = given.file === undefined ? undefined : resolve(cwd, given.file)

  const development = !given.config.production
  const names = development ? missingSecrets(given.config) : []
  const made = keepSecrets(join(dataDirectory, 'secrets.json'), names)

  const childEnv: Record<string, string> = { ...defined(env), ...made.values, WEIR_DATA_DIR: dataDirectory }
  if (configFile !== undefined) childEnv.CONFIG_FILE = configFile
  const { config, privateRedis } = await loadConfig({ env: childEnv, file: configFile })
  return {
    config,
    notices: given.notices,
    configFile,
    dataDirectory,
    privateRedis,
    madeSecrets: made.values,
    freshSecrets: made.fresh,
    childEnv,
  }
}

/** Variables of the secrets without which something would be refused: the signing tools', the operators', the master key. */
function missingSecrets(config: Config): string[] {
  const { tools, security, ops } = config.webhook
  const missing: string[] = TOOLS.filter((tool) => {
    const wanted = tools[tool].enabled && tools[tool].signature === 'auto'
    return wanted && security.signature_secrets[tool] === null
  }).map((tool) => `${tool.toUpperCase()}_WEBHOOK_SECRET`)
  if (ops.token === null) missing.push('OPS_TOKEN')
  if (security.encryption_enabled && security.encryption_master_key === null)
    missing.push('ENCRYPTION_MASTER_KEY')
  return missing
}

function defined(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
