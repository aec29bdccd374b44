/**
 * Child processes that do not outlive this one, and the end of processes in general.
 *
 * A child gets its own process group, so that Ctrl-C in a terminal reaches the parent alone and the parent decides
 * the order of stopping. When the parent is killed with SIGKILL, Linux' parent-death signal ends the child
 * (prctl(2) PR_SET_PDEATHSIG, through util-linux' setpriv); elsewhere run-files.ts finds it at the next start.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'

/** How a process ended: its exit code, or the signal that ended it, or why it could not be started. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly error?: Error
}

export interface TiedChild {
  readonly process: ChildProcess
  /** Resolves when the process has ended (or could not start); never rejects. */
  readonly exit: Promise<Exit>
}

/**
 * Starts `command`; `deathSignal` is what it gets when this process dies without ending it.
 * The signal belongs to the thread that spawns: call this from a main thread.
 */
export function spawnTied(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { readonly deathSignal?: NodeJS.Signals } = {},
): TiedChild {
  const { deathSignal = 'SIGTERM', ...spawnOptions } = options
  const tie = canTie() ? ['--pdeathsig', deathSignal.replace('SIG', ''), '--'] : undefined
  const child = tie
    ? spawn('setpriv', [...tie, command, ...args], { ...spawnOptions, detached: true })
    : spawn(command, [...args], { ...spawnOptions, detached: true })
  const exit = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      // 'error' is also emitted for a kill that failed; then the process still lives and 'exit' will follow.
      if (child.pid === undefined) resolve({ code: null, signal: null, error })
    })
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  return { process: child, exit }
}

/** "exit code 1", "signal SIGKILL", or why it did not start. */
export function describeExit(exit: Exit): string {
  if (exit.error) return exit.error.message
  return exit.signal ? `signal ${exit.signal}` : `exit code ${exit.code}`
}

/**
 * Asks a child to end with SIGTERM, and kills it when it has not ended after `graceMs`.
 * Resolves with the way it ended. Harmless when it has ended already.
 */
export async function endChild(child: TiedChild, graceMs: number): Promise<Exit> {
  if (child.process.exitCode === null && child.process.signalCode === null) {
    child.process.kill('SIGTERM')
    // A stopped (SIGSTOP) process does not see SIGTERM before it continues.
    child.process.kill('SIGCONT')
    const timer = setTimeout(() => child.process.kill('SIGKILL'), graceMs)
    await child.exit
    clearTimeout(timer)
  }
  return child.exit
}

/** Is there a setpriv that knows --pdeathsig? Costs 2 ms, so it is asked each time rather than remembered. */
function canTie(): boolean {
  return (
    process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'TERM', '--', 'true']).status === 0
  )
}
