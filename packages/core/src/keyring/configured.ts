/** The keyring that the configuration asks for. */
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Auditor } from '../audit/auditor.ts'
import type { Clock } from '../clock.ts'
import { keyringSettings } from '../config/parts.ts'
import type { Config } from '../config/schema.ts'
import { Fault, messageOf } from '../faults.ts'
import { connectRedis, type RedisLink } from '../redis/link.ts'
import { infoField } from '../redis/suitability.ts'
import { createDirectoryStore } from './directory-store.ts'
import type { KeyStore } from './key-store.ts'
import { createKeyring, type KeyCipher, type Keyring, type KeyringEvent, keyringText } from './keyring.ts'
import { checkKeyringServer, createRedisStore } from './redis-store.ts'

export interface ConfiguredStore {
  readonly store: KeyStore
  /**
   * Sentences for the operator about the place. Throws Fault REDIS_UNSUITABLE for a server that must not be used, such as, in
   * production, the one that holds the events; REDIS_UNAVAILABLE when one of them does not answer.
   * @param events to that one
   */
  vet(events: RedisLink): Promise<readonly string[]>
}

/**
 * Where the keyring is.
 * @param name shown by CLIENT LIST
 */
export function configuredStore(
  config: Config,
  name: string,
  onError: (error: Error) => void,
): ConfiguredStore {
  const { security, data_dir: data } = config.webhook
  if (security.keyring_url === null) {
    const store = createDirectoryStore(security.keyring_directory ?? join(data, 'keyring'))
    return { store, vet: async () => [] }
  }
  const link = connectRedis(keyringSettings(config, security.keyring_url, name), { onError })
  return {
    store: createRedisStore(link),
    async vet(events) {
      const runId = infoField(await events.call('INFO', 'server'), 'run_id')
      return checkKeyringServer(link, config.production, runId)
    },
  }
}

/** @param masters texts of the master keys; may throw for one that is weak */
export type CipherMaker = (masters: readonly [string, ...string[]]) => KeyCipher

/** Undefined without a master key. Throws Fault CONFIG_INVALID for one that is weak. */
export function configuredCipher(config: Config, cipherOf: CipherMaker): KeyCipher | undefined {
  const { encryption_master_key: master, encryption_previous_master_keys: previous } = config.webhook.security
  if (master === null) return undefined
  try {
    return cipherOf([master, ...(previous ?? [])])
  } catch (cause) {
    const message = `webhook.security.encryption_master_key, or a previous one: ${messageOf(cause)}`
    throw new Fault('CONFIG_INVALID', message, { cause })
  }
}

export interface ConfiguredKeyringDeps {
  readonly cipherOf: CipherMaker
  /** Shown by CLIENT LIST. */
  readonly name: string
  readonly clock: Clock
  tell(event: KeyringEvent): void
  /** Told about every error of the connection to the keyring's Redis. */
  onError(error: Error): void
}

export interface Encryption extends ConfiguredStore {
  readonly keyring: Keyring
  readonly cipher: KeyCipher
}

/**
 * What a gateway encrypts with. Throws Fault CONFIG_INVALID where it is to and has no master key, and as
 * `configuredKeyring`.
 */
export function gatewayEncryption(config: Config, deps: ConfiguredKeyringDeps): Encryption | undefined {
  const encryption = configuredKeyring(config, deps)
  if (config.webhook.security.encryption_enabled && encryption === undefined) {
    throw new Fault(
      'CONFIG_INVALID',
      'webhook.security.encryption_master_key: none given; with encryption_enabled set ENCRYPTION_MASTER_KEY to what `openssl rand -base64 48` makes',
    )
  }
  return encryption
}

/** Not yet started. Undefined without a master key: then nothing can be sealed, or opened. Throws as `configuredCipher`. */
export function configuredKeyring(config: Config, deps: ConfiguredKeyringDeps): Encryption | undefined {
  const cipher = configuredCipher(config, deps.cipherOf)
  if (cipher === undefined) return undefined
  const { store, vet } = configuredStore(config, deps.name, deps.onError)
  const { keyring_max_tenants: maxTenants, keyring_refresh: refreshMs } = config.webhook.security
  const { clock, tell } = deps
  return { keyring: createKeyring({ store, cipher, maxTenants, refreshMs, clock, tell }), cipher, store, vet }
}

/** What an audit trail should have of a keyring's life, besides what operators do to it. */
const AUDITED: Partial<Record<KeyringEvent['kind'], { readonly action: string }>> = {
  made: { action: 'keyring.made' },
  restored: { action: 'keyring.restored' },
  'went-back': { action: 'keyring.regressed' },
}

/** Tells a log, and an audit trail of what matters to it. */
export function keyringNotes(log: Logger, auditor: () => Auditor): (event: KeyringEvent) => void {
  const tell = keyringLog(log)
  return (event) => {
    tell(event)
    const audited = AUDITED[event.kind]
    if (audited === undefined || !('tenant' in event)) return
    const detail = event.kind === 'made' ? { key: event.key } : {}
    auditor().note({ ...audited, target: `tenant ${event.tenant}`, outcome: 'done', detail })
  }
}

/** Tells a log. */
export function keyringLog(log: Logger): (event: KeyringEvent) => void {
  return (event) => {
    const { level, text } = keyringText(event)
    const { kind, tenant } = { tenant: undefined, ...event }
    log[level]({ event: 'keyring', kind, tenant }, text)
  }
}
