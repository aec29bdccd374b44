/**
 * The secrets that requests are verified with: those of the configuration, and those in files, which are read again when
 * they change (Kubernetes swaps them under a running process). A tenant that has secrets of its own for a tool has no
 * others for it: whoever knows the one that all share could otherwise speak for that tenant.
 *
 * What cannot be used (a file that cannot be read, or is empty, or holds what is no secret of its tool) stops a start. While
 * the gateway runs it is told, and what counted before goes on to count.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '@weir/core/clock'
import type { Config } from '@weir/core/config/schema'
import { TOOLS, type Tool } from '@weir/core/config/tools'
import { NAME_PATTERN } from '@weir/core/event'
import { Fault, isFault, messageOf } from '@weir/core/faults'
import type { Logger } from 'pino'

/** Secrets by owner: `<tool>` for all tenants, `<tenant>.<tool>` for one. */
export type SecretBook = ReadonlyMap<string, readonly string[]>

export interface Secrets {
  /** Those that count for this tenant and tool now; empty when there are none. */
  of(tool: Tool, tenant: string): readonly string[]
  /** Changes whenever they do. */
  readonly edition: number
  /** Looks at the files every `secrets_refresh`, until `stop`. */
  start(): void
  stop(): Promise<void>
}

export interface SecretsOptions {
  readonly security: Config['webhook']['security']
  /** Throws a Fault CONFIG_INVALID when these are no secrets of that tool. */
  readonly check: (tool: Tool, secrets: readonly string[]) => void
  readonly clock: Clock
  readonly log: Logger
}

/** Longest file of secrets, bytes: a certificate bundle put there by mistake is not read into memory. */
const MAX_FILE_BYTES = 64 * 1024

/** Throws Fault CONFIG_INVALID for a file that cannot be used. */
export async function openSecrets({ security, check, clock, log }: SecretsOptions): Promise<Secrets> {
  const { secrets_directory: directory, secrets_refresh: refreshMs } = security
  const configured = configuredSecrets(security)
  for (const [owner, secrets] of configured) check(toolOf(owner), secrets)
  let book = configured
  let tenants = tenantsIn(book)
  let edition = 0
  let told = ''

  async function read(): Promise<void> {
    if (directory === null) return
    const files = await readSecretFiles(directory, check)
    const next = new Map(configured)
    for (const [owner, secrets] of files) next.set(owner, [...(configured.get(owner) ?? []), ...secrets])
    if (sameBook(book, next)) return
    book = next
    tenants = tenantsIn(book)
    edition++
  }
  await read()

  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()

  async function keepReading(): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.wait(refreshMs, stopped.signal)
      if (stopped.signal.aborted) return
      const before = edition
      try {
        await read()
        told = ''
        if (edition !== before)
          log.info({ event: 'secrets', owners: [...book.keys()] }, 'secrets were read again')
      } catch (error) {
        if (!isFault(error)) throw error
        // Said once, not every ten seconds.
        if (told !== error.message)
          log.error({ event: 'secrets', reason: error.message }, 'secrets cannot be read again')
        told = error.message
      }
    }
  }

  return {
    // Most tenants have none of their own: no name is put together for them, with every request.
    of: (tool, tenant) =>
      (tenants.has(tenant) ? book.get(`${tenant}.${tool}`) : undefined) ?? book.get(tool) ?? NONE,
    get edition() {
      return edition
    },
    start() {
      if (directory !== null) running = keepReading()
    },
    async stop() {
      stopped.abort()
      await running
    },
  }
}

const NONE: readonly string[] = []

function configuredSecrets({
  signature_secrets: tools,
  tenant_secrets: tenants,
}: SecretsOptions['security']): SecretBook {
  const book = new Map<string, readonly string[]>()
  for (const tool of TOOLS) {
    const secrets = tools[tool]
    if (secrets !== null) book.set(tool, secrets)
  }
  for (const [tenant, theirs] of Object.entries(tenants ?? {})) {
    for (const [tool, secrets] of Object.entries(theirs)) book.set(`${tenant}.${tool}`, secrets)
  }
  return book
}

async function readSecretFiles(directory: string, check: SecretsOptions['check']): Promise<SecretBook> {
  const book = new Map<string, readonly string[]>()
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (cause) {
    throw unusable(`${directory} cannot be read (${messageOf(cause)})`, cause)
  }
  for (const name of names.sort()) {
    // Kubernetes keeps `..data` and dated directories beside the files.
    if (name.startsWith('.')) continue
    const tool = toolOf(name)
    const tenant = name.slice(0, -tool.length - 1)
    if (!TOOLS.includes(tool) || (name !== tool && !NAME_PATTERN.test(tenant))) {
      throw unusable(`${name} is neither <tool> nor <tenant>.<tool>; the tools are ${TOOLS.join(', ')}`)
    }
    const secrets = await readSecretFile(join(directory, name))
    check(tool, secrets)
    book.set(name, secrets)
  }
  return book
}

async function readSecretFile(path: string): Promise<readonly string[]> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw unusable(`${path} cannot be read (${messageOf(cause)})`, cause)
  }
  if (bytes.length > MAX_FILE_BYTES) throw unusable(`${path} has ${bytes.length} bytes; that is no secret`)
  const lines = bytes.toString('utf8').split(/\r?\n/)
  const secrets = lines.filter((line) => line.trim() !== '')
  if (secrets.length === 0) throw unusable(`${path} is empty; write one secret a line, or remove it`)
  return secrets
}

/** Tenants with secrets of their own, for some tool. */
function tenantsIn(book: SecretBook): ReadonlySet<string> {
  const owners = [...book.keys()].filter((owner) => owner.includes('.'))
  return new Set(owners.map((owner) => owner.slice(0, owner.lastIndexOf('.'))))
}

function toolOf(owner: string): Tool {
  return owner.slice(owner.lastIndexOf('.') + 1) as Tool
}

function unusable(what: string, cause?: unknown): Fault {
  return new Fault('CONFIG_INVALID', `webhook.security.secrets_directory: ${what}`, { cause })
}

function sameBook(a: SecretBook, b: SecretBook): boolean {
  if (a.size !== b.size) return false
  for (const [owner, secrets] of a) {
    const others = b.get(owner)
    if (others?.length !== secrets.length || secrets.some((secret, i) => secret !== others[i])) return false
  }
  return true
}
