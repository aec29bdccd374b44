import { isFault, messageOf } from '@weir/core/faults'
import type { StatusDocument } from '@weir/core/view/documents'
import type { Command } from 'commander'
import { type Context, commandOf } from '../command.ts'
import { type ExitCode, OK } from '../exit.ts'
import { durationFlag } from '../options.ts'
import { ageText, counted, pairs, sizeText, type TableStyle, tableOf } from '../text.ts'
import { numberText, verdictText } from './audit-ledger.ts'
import { breakersText } from './breakers.ts'
import { partitionsText, planText } from './partitions.ts'

interface Options {
  readonly watch?: true
  readonly interval: number
}

const INTERVAL = '2s'
const SHORTEST_INTERVAL_MS = 100
const CLEAR_SCREEN = '\u001b[H\u001b[2J'

export function statusCommand(context: Context): Command {
  return commandOf<Options>(
    context,
    'status',
    'show ledger, lag, consumers, gateways, breakers, stream and Redis',
    (command) =>
      command
        .option('--watch', 'show it again and again, until Ctrl-C')
        .addOption(durationFlag('--interval <duration>', 'pause between two looks with --watch', INTERVAL)),
    async ({ options, io, print }): Promise<ExitCode> => {
      const { withSession } = await import('../session.ts')
      return withSession(options, io, async ({ view }): Promise<ExitCode> => {
        if (!options.watch) {
          const status = await view.status()
          print.answer(status, () => statusText(status, print.style))
          return OK
        }
        while (!io.signal.aborted) {
          try {
            const status = await view.status()
            print.line(status, () => `${io.terminal ? CLEAR_SCREEN : ''}${statusText(status, print.style)}\n`)
          } catch (error) {
            // Watching goes on: the outage is what the user wants to see the end of.
            if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
            io.err(`Redis does not answer (${messageOf(error)}); still watching\n`)
          }
          await io.clock.wait(Math.max(SHORTEST_INTERVAL_MS, options.interval), io.signal)
        }
        return OK
      })
    },
  )
}

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
