/**
 * The secrets that `pnpm start` makes by itself, so that nothing is open by accident on the first day: kept in the
 * data directory, readable by their owner alone.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Fault } from '@weir/core/faults'

/** Bytes of randomness in a made secret (256 bits; RFC 2104 asks for at least the length of the hash). */
const SECRET_BYTES = 32

export interface MadeSecrets {
  /** A value for every name asked for. */
  readonly values: Readonly<Record<string, string>>
  /** The names that had no value before. */
  readonly fresh: readonly string[]
}

/**
 * Values for these environment variables out of `file`; those that it does not have yet are made and added.
 * Throws a Fault (CONFIG_INVALID) when the file is there and is not ours.
 */
export function keepSecrets(file: string, names: readonly string[]): MadeSecrets {
  const kept = readSecrets(file)
  const fresh = names.filter((name) => kept[name] === undefined)
  const all = {
    ...kept,
    ...Object.fromEntries(fresh.map((name) => [name, makeSecret(name)])),
  }
  if (fresh.length > 0) writeSecrets(file, all)
  return { values: Object.fromEntries(names.map((name) => [name, all[name] ?? ''])), fresh }
}

/** Standard Webhooks has a form of its own for secrets: https://www.standardwebhooks.com */
function makeSecret(name: string): string {
  const bytes = randomBytes(SECRET_BYTES)
  return name === 'STANDARD_WEBHOOK_SECRET'
    ? `whsec_${bytes.toString('base64')}`
    : bytes.toString('base64url')
}

function readSecrets(file: string): Record<string, string> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw foreign(file)
  const entries = Object.entries(value)
  if (!entries.every((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== '')) {
    throw foreign(file)
  }
  chmodSync(file, 0o600) // a copy or an editor may have opened it to others
  return Object.fromEntries(entries)
}

/** Written beside and renamed, so that a crash leaves the old file or the new one. */
function writeSecrets(file: string, secrets: Record<string, string>): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.${process.pid}.new`
  writeFileSync(beside, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })
  renameSync(beside, file)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // The message would quote the text, which is a secret.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function foreign(file: string): Fault {
  return new Fault(
    'CONFIG_INVALID',
    `${file} is not a JSON object of names and secrets. Mend it, or move it away and new secrets are made`,
  )
}
