/**
 * The share of the processor that a process of the background takes where it runs beside those that events wait for.
 *
 * On Linux a nice value is a thread's own (setpriority(2)), and V8 has started its workers before any code of ours runs. And with autogroups
 * (sched(7), "The autogroup feature": the kernel's default) it counts only among the processes of one session: between sessions their
 * autogroups' nice values count. Neither makes way at once: who runs may finish its slice, some milliseconds, while others wake up; those of
 * the policy SCHED_IDLE are interrupted. In a container control groups divide instead (`cpu_shares`, requests).
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

/** How long the program that sets the policy may take, ms. */
const CHRT_TIMEOUT_MS = 1000

/**
 * Lowers this process' priority, as far as the system allows: all its threads, those that it starts later, and its session when this process
 * leads one; then it makes way at once, too. Never fails: what cannot be lowered stays as it is.
 *
 * @param nice 1 (hardly) to 19 (most): what is left to it where processors are short, a tenth for 10
 */
export function lowerPriority(nice: number): void {
  attempt(() => setPriority(nice))
  if (process.platform !== 'linux') return
  attempt(() => {
    for (const thread of readdirSync('/proc/self/task')) attempt(() => setPriority(Number(thread), nice))
  })
  attempt(() => {
    // Another's session has processes that are to stay as they are.
    if (sessionOf(readFileSync('/proc/self/stat', 'utf8')) !== process.pid) return
    writeFileSync('/proc/self/autogroup', String(nice))
    if (readFileSync('/proc/sys/kernel/sched_autogroup_enabled', 'utf8').trim() !== '1') return
    // Only in an autogroup of its own, which keeps its share: beside others in theirs, SCHED_IDLE would get nothing. Node has no call for it.
    const own = String(process.pid)
    spawnSync('chrt', ['--all-tasks', '--idle', '--pid', '0', own], {
      stdio: 'ignore',
      timeout: CHRT_TIMEOUT_MS,
    })
  })
}

/** The sixth field of proc_pid_stat(5); the second is a name in parentheses that may contain anything. */
function sessionOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3])
}

function attempt(act: () => void): void {
  try {
    act()
  } catch {
    // A thread that has ended; a kernel without autogroups, or one that allows a change in a tenth of a second only.
  }
}
