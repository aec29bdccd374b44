/** What a child process writes: all of it goes to a file of bounded size, and what matters to the screen. */
import { createWriteStream, mkdirSync, openSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'

/** Size at which a log file becomes `<name>.log.1`, replacing the one before. */
const MAX_LOG_BYTES = 64 << 20

export interface LogFile {
  write(line: string): void
  /** Resolves when everything is on its way to the disk. */
  close(): Promise<void>
}

/** Appends lines to `path`; at `maxBytes` the file is renamed to `<path>.1` and a new one begun. */
export function openLogFile(path: string, maxBytes = MAX_LOG_BYTES): LogFile {
  mkdirSync(dirname(path), { recursive: true })
  let size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  let stream = append(path)
  return {
    write(line) {
      const bytes = Buffer.byteLength(line) + 1
      if (size > 0 && size + bytes > maxBytes) {
        // The old stream keeps its open file under the new name until its last lines are written.
        stream.end()
        renameSync(path, `${path}.1`)
        stream = append(path)
        size = 0
      }
      size += bytes
      stream.write(`${line}\n`)
    },
    close: () => new Promise((resolve) => stream.end(resolve)),
  }
}

function append(path: string): WriteStream {
  // Opened here and now: the stream's own opening might come after the rename above.
  const stream = createWriteStream(path, { fd: openSync(path, 'a') })
  stream.on('error', (error) => console.error(`weir: cannot write ${path}: ${error.message}`))
  return stream
}

/** pino's numbers for what is worth showing (https://github.com/pinojs/pino/blob/main/docs/api.md#loggerlevels-object). */
const WARN_LEVEL = 40
const LEVEL_NAMES: Readonly<Record<number, string>> = { 40: 'warning', 50: 'ERROR', 60: 'FATAL' }
const HIDDEN_FIELDS = new Set(['level', 'time', 'pid', 'hostname', 'name', 'app', 'msg', 'err', 'error', 'v'])
/** Longest value of a field on the screen; the log file has it whole. */
const SHOWN_VALUE = 200

/**
 * A log line as a person wants to see it, or undefined when it need not be seen: pino's JSON below `warn`.
 * What is not JSON (a crash's stack, a warning of Node) is shown as it is.
 */
export function readableLogLine(line: string): string | undefined {
  if (line.trim() === '') return undefined
  const entry = parseEntry(line)
  if (!entry) return line
  const level = Number(entry.level)
  if (level < WARN_LEVEL) return undefined
  const parts = [`${LEVEL_NAMES[level] ?? `level ${level}`}:`, String(entry.msg ?? '')]
  const error = messageIn(entry.err) ?? messageIn(entry.error)
  if (error !== undefined && error !== entry.msg) parts.push(`(${error})`)
  for (const [name, value] of Object.entries(entry)) {
    if (HIDDEN_FIELDS.has(name)) continue
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    parts.push(`${name}=${text.length > SHOWN_VALUE ? `${text.slice(0, SHOWN_VALUE)}…` : text}`)
  }
  return parts.filter((part) => part !== '').join(' ')
}

function parseEntry(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && 'level' in value ? { ...value } : undefined
  } catch (error) {
    // A line that only looks like JSON is shown as it is.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function messageIn(error: unknown): string | undefined {
  if (typeof error === 'string') return error
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : undefined
}
