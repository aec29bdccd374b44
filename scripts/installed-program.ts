/**
 * Finds a program on this machine, and installs it where that is possible without asking: as root on a Debian-like one.
 */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Machine {
  /** The search path for programs, as in the environment variable PATH. */
  readonly path: string
  readonly platform: NodeJS.Platform
  /** User id; 0 is root. Undefined where the platform has none. */
  readonly uid: number | undefined
  /** Runs a program to its end and tells whether it succeeded; its output is kept for `explain`. */
  run(command: string, args: readonly string[]): { readonly ok: boolean; readonly output: string }
  /** Shows one line to the user. */
  say(line: string): void
}

/** Where the program is, or why it is not there and cannot be installed. */
export type Found =
  | { readonly kind: 'found'; readonly path: string }
  | { readonly kind: 'installed'; readonly path: string }
  | { readonly kind: 'install-failed'; readonly why: string }
  | { readonly kind: 'missing' }

/** Looks for the first of `names` that can be run; where there is none, installs Debian's `debianPackage`. */
export function findOrInstall(names: readonly string[], debianPackage: string, machine: Machine): Found {
  const found = findProgram(machine.path, names)
  if (found !== undefined) return { kind: 'found', path: found }
  const apt = findProgram(machine.path, ['apt-get'])
  if (machine.platform !== 'linux' || machine.uid !== 0 || apt === undefined) return { kind: 'missing' }
  machine.say(`weir: no ${names[0]} on this machine: installing it with apt-get (once)`)
  const output = install(apt, debianPackage, machine)
  const installed = findProgram(machine.path, names)
  if (installed !== undefined) return { kind: 'installed', path: installed }
  return { kind: 'install-failed', why: `apt-get could not install ${debianPackage}: ${lastLine(output)}` }
}

/** Path of the first of `names` that is executable, looking through the directories of `path`. */
function findProgram(path: string, names: readonly string[]): string | undefined {
  for (const name of names) {
    for (const directory of path.split(delimiter)) {
      if (directory === '') continue
      const file = join(directory, name)
      const stat = statSync(file, { throwIfNoEntry: false })
      if (stat?.isFile() && (stat.mode & 0o111) !== 0) return file
    }
  }
  return undefined
}

function install(apt: string, debianPackage: string, machine: Machine): string {
  // Another apt-get may be at work on a fresh machine: wait for its lock instead of failing.
  const args = ['-o', 'DPkg::Lock::Timeout=120', '-q', '-y']
  const first = machine.run(apt, [...args, '--no-install-recommends', 'install', debianPackage])
  if (first.ok) return first.output
  // Usually the package lists are missing (container images come without) or too old.
  const update = machine.run(apt, [...args, 'update'])
  const second = machine.run(apt, [...args, '--no-install-recommends', 'install', debianPackage])
  return second.ok || update.ok ? second.output : update.output
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? ''
}

export function thisMachine(): Machine {
  return {
    path: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    platform: process.platform,
    uid: process.getuid?.(),
    run(command, args) {
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
      const result = spawnSync(command, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
      return { ok: result.status === 0, output: `${result.stdout ?? ''}\n${result.stderr ?? ''}` }
    },
    say: (line) => console.error(line),
  }
}
