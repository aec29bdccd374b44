/**
 * Notices when the package manager that started this process has been killed.
 *
 * pnpm passes signals on to its script, npm does not: `kill` on a running `npx pnpm start` ends npx and leaves pnpm and
 * the script running without anybody who knows of them. Whoever ends the launcher means what it launched.
 */
import { readFileSync } from 'node:fs'
import { birthOf } from './run-files.ts'

const LOOK_INTERVAL_MS = 500
/** More generations than `npx`, a shell, `pnpm`, a shell, and this process. */
const MAX_GENERATIONS = 8
const PACKAGE_MANAGER = /^(?:npm|npx|pnpm)\b/

/**
 * Calls `onGone` once when one of the processes between this one and the outermost package manager above it ends.
 * Knows them on Linux only; does nothing elsewhere, and when no package manager is above.
 */
export function watchLaunchers(onGone: () => void): void {
  if (process.platform !== 'linux') return
  const launchers = launchersOf(process.ppid, readStatus).map((pid) => ({ pid, birth: birthOf(pid) }))
  if (launchers.length === 0) return
  const timer = setInterval(() => {
    if (launchers.every(({ pid, birth }) => birthOf(pid) === birth)) return
    clearInterval(timer)
    onGone()
  }, LOOK_INTERVAL_MS)
  timer.unref()
}

export interface ProcessStatus {
  /** The program's own title, at most 15 characters. */
  readonly name: string
  readonly parent: number
}

/** Process ids from `parent` up to the outermost package manager; empty when there is none. */
export function launchersOf(
  parent: number,
  statusOf: (pid: number) => ProcessStatus | undefined,
): readonly number[] {
  const ancestors: { pid: number; name: string }[] = []
  let pid = parent
  while (pid > 1 && ancestors.length < MAX_GENERATIONS) {
    const status = statusOf(pid)
    if (!status) break
    ancestors.push({ pid, name: status.name })
    pid = status.parent
  }
  const outermost = ancestors.findLastIndex(({ name }) => PACKAGE_MANAGER.test(name))
  return ancestors.slice(0, outermost + 1).map((ancestor) => ancestor.pid)
}

/** Undefined when it has just ended. */
function readStatus(pid: number): ProcessStatus | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const end = stat.lastIndexOf(')')
    const [, parent] = stat.slice(end + 2).split(' ')
    return { name: stat.slice(stat.indexOf('(') + 1, end), parent: Number(parent) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
