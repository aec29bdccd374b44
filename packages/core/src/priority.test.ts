/** Each case in a process of its own: a priority that was lowered cannot be raised again by everybody. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { useProcesses } from '../../../tests/support/use-processes.ts'

const NICE = 10
const AUTOGROUPS = '/proc/sys/kernel/sched_autogroup_enabled'
const autogroups = existsSync(AUTOGROUPS) && readFileSync(AUTOGROUPS, 'utf8').trim() === '1'
/** The shell leads the session. */
const FOLLOWING = ['sh', '-c', '"$@"; true', 'sh']
/** sched(7) */
const SCHED_OTHER = 0
const SCHED_IDLE = 5
const niceOfAutogroup = (pid: number) =>
  Number(/nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, 'utf8'))?.[1])
/** The 41st field of proc_pid_stat(5). */
const policyOf = (pid: number) =>
  Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[38])

describe('a process of the background', () => {
  const processes = useProcesses()
  /** What a shell has started outlives it. */
  const followers: number[] = []
  afterEach(() => {
    for (const pid of followers.splice(0)) process.kill(pid, 'SIGKILL')
  })
  /**
   * The process, when it has lowered its priority and then used a thread that it had not before.
   * @param before the command line that starts it in its turn
   */
  const lowered = async (before: readonly string[] = []) => {
    const module = new URL('priority.ts', import.meta.url).href
    const program = `
      import { lowerPriority } from '${module}'
      import { deflate } from 'node:zlib'
      lowerPriority(${NICE})
      deflate('later', () => console.log('lowered', process.pid))
      setInterval(() => {}, 1000)`
    const [command, ...args] = [...before, process.execPath, '--input-type=module', '--eval', program]
    const [, pid] = await processes.run(command!, { args }).waitForLine(/lowered (\d+)/)
    if (before.length > 0) followers.push(Number(pid))
    return Number(pid)
  }

  it.runIf(process.platform === 'linux')(
    'lowers every one of its threads, V8’s own and later ones too',
    async () => {
      const pid = await lowered()
      const threads = readdirSync(`/proc/${pid}/task`).map(Number)
      expect(threads.length).toBeGreaterThan(5)
      expect(threads.filter((thread) => getPriority(thread) !== NICE)).toEqual([])
    },
  )

  it.runIf(autogroups)('lowers the session that it leads', async () => {
    expect(niceOfAutogroup(await lowered())).toBe(NICE)
  })

  it.runIf(autogroups)(
    'makes way at once in a session of its own, and in that of another keeps its share',
    async () => {
      expect(policyOf(await lowered())).toBe(SCHED_IDLE)
      expect(policyOf(await lowered(FOLLOWING))).toBe(SCHED_OTHER)
    },
  )

  it.runIf(autogroups)('leaves the session of another as it is', async () => {
    expect(niceOfAutogroup(await lowered(FOLLOWING))).toBe(0)
  })
})
