#!/usr/bin/env node
/** webhook-cli's process: argv, environment, streams and signals. */
import { hostname, userInfo } from 'node:os'
import { systemClock } from '@weir/core/clock'
import { runCli } from './cli.ts'
import type { Io } from './io.ts'

const { stdin, stdout, stderr, env } = process
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) process.exit(130)
    stopping.abort()
  })
}
// The reader of a pipe may leave early (`| head`); that is no error.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises') // few are asked, and help should be fast
  const lines = createInterface({ input: stdin, output: stderr })
  try {
    return await lines.question(question, { signal: stopping.signal })
  } finally {
    lines.close()
  }
}

async function readInput(): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** The user whose process it is; behind sudo also who that was. In a container there may be a number and no name. */
function operator(): string {
  let user: string
  try {
    user = userInfo().username
  } catch {
    user = `uid-${process.getuid?.() ?? 'unknown'}`
  }
  const before = env.SUDO_USER ? ` (${env.SUDO_USER})` : ''
  return `${user}${before}@${hostname()}`
}

const terminal = stdout.isTTY === true
const io: Io = {
  out: (text) => void stdout.write(text),
  outBytes: (bytes) => void stdout.write(bytes),
  err: (text) => void stderr.write(text),
  terminal,
  columns: terminal ? stdout.columns : undefined,
  // https://no-color.org: any value that is not empty.
  colour: terminal && !env.NO_COLOR && env.TERM !== 'dumb',
  ask: stdin.isTTY === true ? ask : undefined,
  readInput,
  signal: stopping.signal,
  env,
  cwd: process.cwd(),
  operator: operator(),
  samples: new URL('../../../examples/events/', import.meta.url),
  clock: systemClock,
}

process.exitCode = await runCli(process.argv.slice(2), io)
