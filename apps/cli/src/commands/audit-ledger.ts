import type { AuditDocument, Verdict } from '@weir/core/view/documents'
import type { LedgerFacts } from '@weir/core/view/status'
import { commandOf } from '../command.ts'
import { type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import { type Paint, type TableStyle, tableOf } from '../text.ts'

const CODES: Readonly<Record<Verdict, ExitCode>> = {
  balanced: OK,
  unbalanced: NEGATIVE,
  loss: NEGATIVE,
  unknown: FAILED,
}

export const auditLedgerCommand = commandOf(
  (command) =>
    command.addHelpText(
      'after',
      '\nExit codes: 0 balanced; 1 events are missing, counted twice, or were lost by Redis; 2 unknown, or Redis cannot be reached.',
    ),
  async ({ options, io, print }) => {
    const { withSession } = await import('../session.ts')
    const { audit, partitions } = await withSession(options, io, ({ view }) => view.ledger())
    print.answer(audit, () => auditText(audit, print.style) + unevenText(partitions))
    return CODES[audit.verdict]
  },
)

/** With several partitions: those whose own ledger does not balance, as sums may hide it. */
function unevenText(partitions: LedgerFacts['partitions']): string {
  if (partitions.length === 1) return ''
  return partitions
    .filter(({ unaccounted }) => unaccounted !== 0)
    .map(({ stream, unaccounted }) => `${stream}: ${numberText(unaccounted)} unaccounted\n`)
    .join('')
}

const PLACES = [
  ['settled', 'done'],
  ['superseded', 'done under another entry'],
  ['purged', 'given up by an operator'],
  ['unread', 'in the stream, no consumer has read it'],
  ['pending', 'with a consumer'],
  ['parked', 'waiting for a retry or an open breaker'],
  ['dead', 'in the dead letters'],
] as const

function auditText(audit: AuditDocument, style: TableStyle): string {
  const { ledger } = audit
  const rows = [
    { name: 'accepted', count: numberText(ledger.accepted), meaning: 'events that the stream took' },
    ...PLACES.map(([name, meaning]) => ({ name: `  ${name}`, count: numberText(ledger[name]), meaning })),
    {
      name: 'unaccounted',
      count: numberText(ledger.unaccounted),
      meaning: 'accepted − the sum of the places',
    },
    {
      name: 'spooled',
      count: numberText(ledger.spooled),
      meaning: 'beside the ledger: not yet in the stream',
    },
  ]
  const table = tableOf(
    [
      { head: 'place', cell: (row) => row.name },
      { head: 'events', cell: (row) => row.count, align: 'right' },
      { head: 'meaning', cell: (row) => row.meaning, paint: () => 'dim' },
    ],
    rows,
    style,
  )
  return `${table}\n${verdictText(audit, style.paint)}\n`
}

export function numberText(count: number | null): string {
  return count === null ? 'unknown' : String(count)
}

/** One sentence on how the audit ended. */
export function verdictText({ verdict, ledger, losses }: AuditDocument, paint: Paint): string {
  switch (verdict) {
    case 'balanced':
      return paint('balanced: every accepted event is in exactly one place', 'green')
    case 'unbalanced': {
      const count = ledger.unaccounted ?? 0
      const what =
        count > 0 ? `${count} accepted events are in no place` : `${-count} events are in more than one place`
      return paint(`UNBALANCED: ${what}`, 'red')
    }
    case 'loss': {
      const ranges = losses.map(
        ({ stream, last_generated_id: last, witness_id: witness }) =>
          `${stream}: after ${last} up to ${witness}`,
      )
      return paint(`LOSS: Redis lost events that it had acknowledged (${ranges.join('; ')})`, 'red')
    }
    case 'unknown':
      return paint(
        'unknown: Redis cannot tell how many events are unread (something else trimmed the stream)',
        'yellow',
      )
  }
}
