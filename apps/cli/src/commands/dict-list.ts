import type { DictionaryDocument } from '@weir/core/view/documents'
import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { sizeText, tableOf } from '../text.ts'

export const dictListCommand = commandOf(
  () => undefined,
  async ({ options, io, print }) => {
    const { withSession } = await import('../session.ts')
    const { dictionaries, partitions } = await withSession(options, io, async (session) => ({
      dictionaries: await session.view.dictionaries.list(),
      partitions: session.partitions.length,
    }))
    print.answer({ dictionaries }, () =>
      tableOf<DictionaryDocument>(
        [
          { head: 'dictionary', cell: ({ id }) => id },
          { head: 'kind', cell: ({ kind }) => kind },
          { head: 'tool', cell: ({ tool }) => tool },
          { head: 'tenant', cell: ({ tenant }) => tenant },
          { head: 'size', cell: ({ bytes }) => sizeText(bytes), align: 'right' },
          {
            head: 'ratio',
            cell: ({ ratio_before: before, ratio_after: after }) =>
              before === null || after === null ? null : `${before.toFixed(1)} → ${after.toFixed(1)}`,
          },
          {
            head: 'published',
            cell: (one) => `${one.partitions} of ${partitions}`,
            paint: (one) => (one.partitions < partitions ? 'yellow' : undefined),
          },
          { head: 'since', cell: ({ since }) => since },
        ],
        dictionaries,
        print.style,
      ),
    )
    return OK
  },
)
