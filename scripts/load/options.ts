/** What the load test was asked for on its command line. */
import { parseArgs } from 'node:util'
import { parseDuration } from '@weir/core/config/duration'
import { TOOLS } from '@weir/core/config/tools'

export interface LoadOptions {
  /** Base address of the gateway. */
  readonly target: string
  /** Deliveries a second. */
  readonly rate: number
  readonly durationMs: number
  readonly tool: string
  readonly tenant: string | undefined
  readonly secret: string | undefined
  /** Base address of the operations API; undefined = what became of the events is not looked at. */
  readonly operations: string | undefined
  readonly token: string | undefined
  /** How long accepted events may take to settle after the last delivery, ms. */
  readonly settleMs: number
  readonly maxConnections: number
  readonly json: boolean
}

/** What was asked for cannot be done; the message says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `usage: scripts/load-test-webhooks.sh [--target http://localhost:8080] [--rate 100] [--duration 30s] [--tool github] [--tenant name]
         [--secret text] [--operations http://localhost:8081] [--token text] [--no-verify] [--settle-timeout 60s] [--max-connections 1000] [--json]

Sends signed deliveries at a constant rate by the clock, whether or not answers come, and tells how long they took, counted from when each
was due. Then asks the operations API for every accepted event: all must be settled. The secret is <TOOL>_WEBHOOK_SECRET, the token OPS_TOKEN, or
what \`start\` made.

Exit codes: 0 every delivery was accepted and settled, 1 one was not, 2 nothing was sent.
`

/** A day at 10,000 a second would not fit into memory: every accepted event is remembered until it is seen settled. */
const MAX_DELIVERIES = 20_000_000
const MAX_RATE = 50_000
const MAX_CONNECTIONS = 20_000

/** Throws UsageError. */
export function readLoadOptions(argv: readonly string[]): LoadOptions {
  const values = parse(argv)
  const tool = values.tool ?? 'github'
  if (!(TOOLS as readonly string[]).includes(tool))
    throw new UsageError(`--tool ${tool}: there is no such tool; there are ${TOOLS.join(', ')}`)
  const rate = wholeNumber('rate', values.rate ?? '100', MAX_RATE)
  const durationMs = duration('duration', values.duration ?? '30s')
  if ((rate * durationMs) / 1000 > MAX_DELIVERIES)
    throw new UsageError(
      `--rate ${rate} for that long are more than ${MAX_DELIVERIES} deliveries; choose a shorter --duration`,
    )
  return {
    target: address('target', values.target ?? 'http://localhost:8080'),
    rate,
    durationMs,
    tool,
    tenant: values.tenant,
    secret: values.secret,
    operations:
      values['no-verify'] === true
        ? undefined
        : address('operations', values.operations ?? 'http://localhost:8081'),
    token: values.token,
    settleMs: duration('settle-timeout', values['settle-timeout'] ?? '60s'),
    maxConnections: wholeNumber('max-connections', values['max-connections'] ?? '1000', MAX_CONNECTIONS),
    json: values.json === true,
  }
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...argv],
      options: {
        target: text,
        rate: text,
        duration: text,
        tool: text,
        tenant: text,
        secret: text,
        operations: text,
        token: text,
        'no-verify': flag,
        'settle-timeout': text,
        'max-connections': text,
        json: flag,
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function wholeNumber(name: string, value: string, max: number): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1 || number > max)
    throw new UsageError(`--${name} ${value}: write a whole number from 1 to ${max}`)
  return number
}

function duration(name: string, value: string): number {
  const ms = parseDuration(value)
  if (ms === undefined || ms < 1)
    throw new UsageError(`--${name} ${value}: write a duration such as 30s, 5m or 1h`)
  return ms
}

function address(name: string, value: string): string {
  const url = URL.parse(value)
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new UsageError(`--${name} ${value}: write an address such as http://localhost:8080`)
  return url.href.replace(/\/$/, '')
}
