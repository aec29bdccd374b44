/** The private Redis of a `start` that runs now, as it noted it in its data directory. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * redis:// URL of the private Redis that runs on this data directory; undefined when none does.
 * `start` keeps {"pid", "birth", "port"} in run/redis.json as long as its Redis runs.
 */
export function privateRedisUrl(dataDirectory: string): string | undefined {
  const note = readNote(join(dataDirectory, 'run', 'redis.json'))
  return note !== undefined && isAlive(note.pid) ? `redis://127.0.0.1:${note.port}` : undefined
}

function readNote(file: string): { pid: number; port: number } | undefined {
  let note: unknown
  try {
    note = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    // No start was ever here, or it is just writing its note.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (typeof note !== 'object' || note === null || !('pid' in note) || !('port' in note)) return undefined
  const { pid, port } = note
  return Number.isSafeInteger(pid) && Number.isSafeInteger(port)
    ? { pid: Number(pid), port: Number(port) }
    : undefined
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
