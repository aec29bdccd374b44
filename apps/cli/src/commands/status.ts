import type { StatusDocument } from '@weir/core/view/documents'
import { commandOf } from '../command.ts'
import { type ExitCode, OK } from '../exit.ts'
import { ageText, counted, pairs, sizeText, type TableStyle, tableOf } from '../text.ts'
import { addWatchOptions, type WatchOptions, watched } from '../watch.ts'
import { numberText, verdictText } from './audit-ledger.ts'
import { breakersText } from './breakers.ts'
import { partitionsText, planText } from './partitions.ts'

export const statusCommand = commandOf<WatchOptions>(
  addWatchOptions,
  async (invocation): Promise<ExitCode> => {
    const { options, io, print } = invocation
    const { withSession } = await import('../session.ts')
    return withSession(options, io, async ({ view }): Promise<ExitCode> => {
      await watched(invocation, view.status, (status) => statusText(status, print.style))
      return OK
    })
  },
)

function statusText(status: StatusDocument, style: TableStyle): string {
  const { ledger, lag, oldest, redis } = status
  const memory = redis.max_memory_bytes === 0 ? 'no limit' : sizeText(redis.max_memory_bytes)
  const blocks = [
    `${verdictText(status, style.paint)}\n`,
    pairs(
      [
        ['accepted', numberText(ledger.accepted)],
        ['settled', numberText(ledger.settled)],
        [
          'lag',
          `${numberText(lag.messages)} (unread ${numberText(lag.unread)}, pending ${lag.pending}, parked ${lag.parked})`,
        ],
        [
          'oldest',
          `unread ${ageText(oldest.unread_ms)}, pending ${ageText(oldest.pending_ms)}, overdue ${ageText(oldest.overdue_ms)}`,
        ],
        ['dead', numberText(ledger.dead)],
        ['superseded', ledger.superseded === 0 ? null : numberText(ledger.superseded)],
        ['purged', ledger.purged === 0 ? null : numberText(ledger.purged)],
        ['spooled', numberText(ledger.spooled)],
        ['unaccounted', numberText(ledger.unaccounted)],
        ...(status.plan === null ? status.streams : []).map(
          ({ name, length, memory_bytes: bytes }) =>
            [
              'stream',
              `${name}: ${counted(length, 'entry').replace(/entrys$/, 'entries')}, ${sizeText(bytes)}`,
            ] as const,
        ),
        ['clock', clockText(status.clock_behind_ms)],
        ['group', status.group ? null : 'does not exist yet: no consumer has ever run'],
        [
          'redis',
          `${redis.version ?? 'version unknown'}, ${sizeText(redis.used_memory_bytes)} of ${memory}, ${redis.eviction_policy ?? 'policy unknown'}${redis.append_only === false ? ', NOT append-only' : ''}`,
        ],
      ],
      style,
    ),
    ...(status.plan === null ? [] : [planText(status.plan), partitionsText(status.partitions, style)]),
    status.consumers.length === 0 ? 'no consumers\n' : consumersText(status, style),
    status.gateways.length === 0 ? 'no gateways\n' : gatewaysText(status, style),
    breakersText(status.breakers, style),
  ]
  return blocks.join('\n')
}

/** Differences up to a second are those of any two clocks. */
const SHOWN_FROM_MS = 1_000

function clockText(behindMs: number): string | null {
  if (behindMs <= SHOWN_FROM_MS) return null
  return `SET BACK: ${ageText(behindMs)} behind the ids of its own stream, which tell no time meanwhile (docs/redis.md)`
}

function consumersText({ consumers }: StatusDocument, style: TableStyle): string {
  return tableOf(
    [
      { head: 'consumer', cell: ({ name }) => name },
      {
        head: 'state',
        cell: ({ alive }) => (alive ? 'alive' : 'silent'),
        paint: ({ alive }) => (alive ? 'green' : 'yellow'),
      },
      { head: 'seen', cell: ({ seen_ms: seen }) => (seen === null ? null : ageText(seen)), align: 'right' },
      { head: 'idle', cell: ({ idle_ms: idle }) => (idle === null ? null : ageText(idle)), align: 'right' },
      { head: 'pending', cell: ({ pending }) => pending, align: 'right' },
      { head: 'held', cell: ({ held }) => held, align: 'right' },
      { head: 'running', cell: ({ running }) => running, align: 'right' },
    ],
    consumers,
    style,
  )
}

function gatewaysText({ gateways }: StatusDocument, style: TableStyle): string {
  return tableOf(
    [
      { head: 'gateway', cell: ({ name }) => name },
      { head: 'seen', cell: ({ seen_ms: seen }) => ageText(seen), align: 'right' },
      {
        head: 'spooled',
        cell: ({ spooled }) => spooled,
        align: 'right',
        paint: ({ spooled }) => (spooled > 0 ? 'yellow' : undefined),
      },
    ],
    gateways,
    style,
  )
}
