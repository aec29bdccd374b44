/**
 * Notes about running processes, one small file each in a directory: who holds this data directory, and which
 * children a start left behind that was killed before it could end them.
 *
 * A process id alone proves nothing, because ids are used again; so a note also holds the process's time of birth.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** How often a process that is not our child is asked whether it still lives, ms. */
const POLL_MS = 20

export interface RunNote {
  readonly pid: number
  /** When the process was born, in the operating system's own words; see `birthOf`. */
  readonly birth: string
  /** The TCP port it serves, where that matters to others. */
  readonly port?: number
}

export interface RunFiles {
  /** Notes a running process under a name, replacing an older note. */
  write(name: string, pid: number, port?: number): void
  /** Notes this process under a name, unless a living process holds it: then returns that one's note. */
  claim(name: string, pid: number): RunNote | undefined
  remove(name: string): void
  /** The note, whether its process lives or not; undefined when there is none (or none that can be read). */
  read(name: string): RunNote | undefined
  /** Ends the noted process if it still lives (SIGTERM, SIGKILL after `graceMs`); true when there was one. */
  endLeftover(name: string, graceMs: number): Promise<boolean>
}

/** Run files in `directory`, which is made when the first is written. */
export function runFiles(directory: string): RunFiles {
  const fileOf = (name: string) => join(directory, `${name}.json`)

  const read = (name: string): RunNote | undefined => {
    try {
      return parseNote(readFileSync(fileOf(name), 'utf8'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
  const write = (name: string, pid: number, port: number | undefined, flag: 'w' | 'wx'): void => {
    mkdirSync(directory, { recursive: true })
    const note: RunNote = { pid, birth: birthOf(pid) ?? 'gone', ...(port === undefined ? {} : { port }) }
    writeFileSync(fileOf(name), `${JSON.stringify(note)}\n`, { flag })
  }

  return {
    read,
    write: (name, pid, port) => write(name, pid, port, 'w'),
    claim(name, pid) {
      for (;;) {
        try {
          write(name, pid, undefined, 'wx')
          return undefined
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
          const holder = read(name)
          if (holder && lives(holder)) return holder
          rmSync(fileOf(name), { force: true })
        }
      }
    },
    remove: (name) => rmSync(fileOf(name), { force: true }),
    async endLeftover(name, graceMs) {
      const note = read(name)
      if (!note || !lives(note)) return false
      process.kill(note.pid, 'SIGTERM')
      process.kill(note.pid, 'SIGCONT')
      const deadline = performance.now() + graceMs
      let killed = false
      while (lives(note)) {
        if (!killed && performance.now() > deadline) {
          process.kill(note.pid, 'SIGKILL')
          killed = true
        }
        await wait(POLL_MS)
      }
      return true
    },
  }
}

function lives(note: RunNote): boolean {
  return birthOf(note.pid) === note.birth
}

/**
 * When the process with this id was born: the same words for the same process, others for a later one with the
 * same id, undefined when there is none (an ended process whose parent has not asked for it counts as none).
 * Linux: boot id and start time in ticks, proc_pid_stat(5); elsewhere what ps says.
 */
export function birthOf(pid: number): string | undefined {
  if (process.platform !== 'linux') {
    const ps = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
    const [state = '', ...birth] = (ps.stdout ?? '').trim().split(/\s+/)
    return birth.length === 0 || state.startsWith('Z') ? undefined : birth.join(' ')
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses and may hold anything, spaces and ')' included.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTicks] = [fields[0], fields[19]]
    if (state === 'Z' || state === 'X' || startTicks === undefined) return undefined
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${startTicks}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

function parseNote(text: string): RunNote | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('birth' in value))
      return undefined
    const { pid, birth } = value
    if (!Number.isSafeInteger(pid) || typeof pid !== 'number' || pid <= 1 || typeof birth !== 'string')
      return undefined
    return 'port' in value && typeof value.port === 'number'
      ? { pid, birth, port: value.port }
      : { pid, birth }
  } catch (error) {
    // A note torn by a crash says nothing.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
