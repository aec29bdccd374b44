import type { BreakerDocument } from '@weir/core/view/documents'
import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { ageText, type Colour, type TableStyle, tableOf } from '../text.ts'

export const breakersCommand = commandOf(
  () => undefined,
  async ({ options, io, print }) => {
    const { withSession } = await import('../session.ts')
    const breakers = await withSession(options, io, ({ view }) => view.breakers())
    print.answer({ breakers }, () => breakersText(breakers, print.style))
    return OK
  },
)

const COLOURS: Readonly<Record<BreakerDocument['state'], Colour>> = {
  closed: 'green',
  open: 'red',
  'half-open': 'yellow',
}

export function breakersText(breakers: readonly BreakerDocument[], style: TableStyle): string {
  return tableOf<BreakerDocument>(
    [
      { head: 'tool', cell: ({ tool }) => tool },
      { head: 'breaker', cell: ({ state }) => state, paint: ({ state }) => COLOURS[state] },
      { head: 'failures', cell: ({ failures }) => failures, align: 'right' },
      { head: 'open since', cell: ({ open_since: since }) => since },
      {
        head: 'next try in',
        cell: ({ state, wait_ms: wait }) => (state === 'closed' ? null : ageText(wait)),
        align: 'right',
      },
    ],
    breakers,
    style,
  )
}
