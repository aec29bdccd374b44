/** The published schemas of compose files and of GitHub workflows: both are in one Python package, taken by its hash and only unpacked. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/process.ts'

const PACKAGE = 'check-jsonschema==0.39.0'
const HASH = 'sha256:14ce5c94871c551268ea948ffe21e9f1464dc48fb20bf9a4c13deeaaf756cf9b'
const DIRECTORY = join(root, 'node_modules/.cache/weir-schemas')
const VENDORED = 'check_jsonschema/builtin_schemas/vendor'
/** How long fetching may take, ms: a machine without a way to the package must not wait for ever. */
const FETCH_TIMEOUT_MS = 60_000

export type SchemaName = 'compose-spec' | 'github-workflows'

/** Undefined where the package cannot be had (no Python with pip, or no way to it). */
export function schemaOf(name: SchemaName): object | undefined {
  const file = join(DIRECTORY, VENDORED, `${name}.json`)
  if (!existsSync(file)) fetch()
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

function fetch(): void {
  rmSync(DIRECTORY, { recursive: true, force: true })
  mkdirSync(DIRECTORY, { recursive: true })
  const requirement = join(DIRECTORY, 'requirement.txt')
  writeFileSync(requirement, `${PACKAGE} --hash=${HASH}\n`)
  const python = (...args: string[]) =>
    spawnSync('python3', ['-m', ...args], { cwd: DIRECTORY, timeout: FETCH_TIMEOUT_MS }).status === 0
  const how = [
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '--only-binary',
    ':all:',
    '--require-hashes',
  ]
  if (!python('pip', 'download', ...how, '--requirement', requirement)) return
  const wheel = readdirSync(DIRECTORY).find((name) => name.endsWith('.whl'))
  if (wheel) python('zipfile', '-e', wheel, '.')
}
