/**
 * The tree of the image, made as Dockerfile.webhook makes it but without a Docker engine: the stage `tree` is read, its COPY
 * instructions are done by the rules of .dockerignore, and its RUN instructions are run in a directory that stands for WORKDIR.
 *
 * What installs programs into the base image (apt-get, npm --global) is left out: the machine has them.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

export interface Instruction {
  readonly name: string
  readonly text: string
}

/** The instructions, continued lines joined and comments left out. */
export function instructionsOf(dockerfile: string): Instruction[] {
  return dockerfile
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => /^([A-Z]+)\s+(.*)$/.exec(line.trim()))
    .filter((match) => match !== null)
    .map(([, name = '', text = '']) => ({ name, text }))
}

/** Those of the stage `name`, without its FROM. */
export function stageOf(instructions: readonly Instruction[], name: string): Instruction[] {
  const start = instructions.findIndex((each) => each.name === 'FROM' && each.text.endsWith(` AS ${name}`))
  if (start < 0) throw new Error(`there is no stage ${name}`)
  const end = instructions.findIndex((each, index) => index > start && each.name === 'FROM')
  return instructions.slice(start + 1, end < 0 ? undefined : end)
}

/** Whether .dockerignore keeps `path` out: its last pattern that matches the path or a directory above it decides. */
export function ignores(dockerignore: string): (path: string) => boolean {
  const rules = dockerignore
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) =>
      line.startsWith('!') ? { out: false, is: matcher(line.slice(1)) } : { out: true, is: matcher(line) },
    )
  return (path) => {
    const parts = path.split('/')
    const all = parts.map((_, index) => parts.slice(0, index + 1).join('/'))
    return rules.reduce((ignored, { out, is }) => (all.some(is) ? out : ignored), false)
  }
}

/** `*` stands for any part of a name, hidden ones included, and `**` for any directories. */
function matcher(glob: string): (path: string) => boolean {
  const parts = glob.split(/(\*\*\/|\*)/).map((part) => {
    if (part === '**/') return '(?:.*/)?'
    return part === '*' ? '[^/]*' : part.replaceAll(/[.+^${}()|[\]\\?]/g, '\\$&')
  })
  const whole = new RegExp(`^${parts.join('')}$`)
  return (path) => whole.test(path)
}

export interface TreeOptions {
  readonly root: string
  /** Stands for WORKDIR; must exist and be empty. */
  readonly target: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Called before a RUN instruction; false = it is left out. */
  readonly before: (command: string) => boolean
}

/** How long one RUN may take, ms: an installation that waits for the network in vain must not wait for ever. */
const RUN_TIMEOUT_MS = 120_000

/** Throws with the output of a command that fails. */
export function makeTree({ root, target, env, before }: TreeOptions): void {
  const instructions = instructionsOf(readFileSync(join(root, 'Dockerfile.webhook'), 'utf8'))
  const ignored = ignores(readFileSync(join(root, '.dockerignore'), 'utf8'))
  for (const { name, text } of stageOf(instructions, 'tree')) {
    if (name === 'COPY') copy(text)
    else if (name === 'RUN' && before(text)) run(text)
  }

  function copy(text: string): void {
    const words = text.split(/\s+/)
    const to = words.pop() as string
    for (const from of words) {
      const intoDirectory = to.endsWith('/')
      copyPath(from, intoDirectory ? join(target, to, from.split('/').at(-1) as string) : join(target, to))
    }
  }

  function copyPath(from: string, to: string): void {
    if (statSync(join(root, from)).isDirectory()) {
      for (const name of readdirSync(join(root, from))) copyPath(`${from}/${name}`, join(to, name))
    } else if (!ignored(from)) {
      mkdirSync(dirname(to), { recursive: true })
      copyFileSync(join(root, from), to)
    }
  }

  function run(command: string): void {
    const result = spawnSync('sh', ['-ec', command], {
      cwd: target,
      env,
      encoding: 'utf8',
      timeout: RUN_TIMEOUT_MS,
    })
    if (result.status !== 0) throw new Error(`RUN ${command} failed:\n${result.stdout}\n${result.stderr}`)
  }
}

/** A directory with `pnpm` in it, for PATH: the image installs it by npm. */
export function pnpmDirectory(directory: string): string {
  mkdirSync(directory, { recursive: true })
  const program = join(directory, 'pnpm')
  writeFileSync(program, '#!/bin/sh\nexec npx --yes pnpm@12 "$@"\n')
  chmodSync(program, 0o755)
  return directory
}
