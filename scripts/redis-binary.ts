/**
 * Finds the Redis server program on this machine, and installs it where that is possible without asking.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Fault } from '@weir/core/faults'

const SERVERS = ['redis-server', 'valkey-server'] as const

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

/**
 * Path of redis-server or valkey-server. When there is none: installs Debian's package when root on a Debian-like
 * machine, else throws a Fault (REDIS_UNAVAILABLE) whose one line says what to install.
 */
export function ensureRedisBinary(machine: Machine = thisMachine()): string {
  const found = findProgram(machine.path, SERVERS)
  if (found !== undefined) return found
  const apt = findProgram(machine.path, ['apt-get'])
  if (machine.platform === 'linux' && machine.uid === 0 && apt !== undefined) {
    machine.say('weir: no redis-server on this machine: installing it with apt-get (once)')
    const output = install(apt, machine)
    const installed = findProgram(machine.path, SERVERS)
    if (installed !== undefined) return installed
    throw new Fault('REDIS_UNAVAILABLE', `apt-get could not install redis-server: ${lastLine(output)}`)
  }
  throw new Fault(
    'REDIS_UNAVAILABLE',
    'no redis-server or valkey-server on PATH. Install one (Debian, Ubuntu: apt-get install redis-server; ' +
      'Fedora: dnf install valkey; macOS: brew install redis), or set REDIS_URL to a server that runs already',
  )
}

function install(apt: string, machine: Machine): string {
  // Another apt-get may be at work on a fresh machine: wait for its lock instead of failing.
  const args = ['-o', 'DPkg::Lock::Timeout=120', '-q', '-y']
  const first = machine.run(apt, [...args, '--no-install-recommends', 'install', 'redis-server'])
  if (!first.ok) {
    // Usually the package lists are missing (container images come without) or too old.
    const update = machine.run(apt, [...args, 'update'])
    const second = machine.run(apt, [...args, '--no-install-recommends', 'install', 'redis-server'])
    if (!second.ok) return update.ok ? second.output : update.output
  }
  // The package starts its own service on port 6379, which nobody asked for: Weir runs its own server.
  if (existsSync('/run/systemd/system'))
    machine.run('systemctl', ['disable', '--now', 'redis-server.service'])
  return first.output
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? ''
}

function thisMachine(): Machine {
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
