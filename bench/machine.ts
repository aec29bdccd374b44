/** What a benchmark ran on: the head of every table, and the CPU that its processes used. */
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** Packages whose version changes figures, and the manifests that pin them. */
const PACKAGES = new Map([
  ['ioredis', '../packages/core/package.json'],
  ['zstd-napi', '../packages/core/package.json'],
  ['bullmq', 'package.json'],
  ['fastify', 'package.json'],
  ['express', 'package.json'],
  ['@octokit/webhooks-examples', 'package.json'],
])

/**
 * The line that stands above every table: processor, cores, memory, system, Node, and the versions of what is measured.
 * @param extra further parts by name, e.g. `{ Redis: '7.0.15' }`
 */
export function machine(extra: Readonly<Record<string, string>> = {}): string {
  const processors = cpus()
  const named = { Node: process.versions.node, ...extra, ...packageVersions() }
  return [
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `${type()} ${release()}`,
    ...Object.entries(named).map(([name, version]) => `${name} ${version}`),
  ].join(' · ')
}

function packageVersions(): Record<string, string> {
  const versions: Record<string, string> = {}
  for (const [name, manifest] of PACKAGES) {
    const { dependencies } = JSON.parse(readFileSync(new URL(manifest, import.meta.url), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const version = dependencies[name]
    if (version === undefined) throw new Error(`${manifest} does not pin ${name}`)
    versions[name] = version
  }
  return versions
}

/** CPU that all threads of a process have used so far, seconds (Linux; to the nanosecond). */
export function cpuOfProcess(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')
    nanoseconds += Number(text.slice(0, text.indexOf(' ')))
  }
  return nanoseconds / 1e9
}

/** Ticks of /proc/stat in a second. */
const TICKS = 100

/** CPU that everything on this machine has used so far, all cores together, seconds (Linux). */
export function cpuOfMachine(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? ''
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number)
  return (user + nice + system + irq + softirq) / TICKS
}
