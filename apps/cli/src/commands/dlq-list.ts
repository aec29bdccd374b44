import type { DeadLetterDocument } from '@weir/core/view/documents'
import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { addLetterFilters, type LetterFilters, queryOf } from '../letter-filters.ts'
import { integerOption } from '../options.ts'
import { tableOf } from '../text.ts'

interface Options extends LetterFilters {
  readonly count: number
}

const COUNT = 50

export const dlqListCommand = commandOf<Options>(
  (command) => addLetterFilters(command).option('--count <n>', 'letters to show', integerOption(1), COUNT),
  async ({ options, io, print }) => {
    const query = await queryOf(options, io.clock.now())
    const { withSession } = await import('../session.ts')
    const page = await withSession(options, io, async ({ view }) => {
      const letters: DeadLetterDocument[] = []
      let next = query.after ?? null
      // A page may be short where matches are rare; here the user gets what was asked for.
      do {
        const found = await view.deadLetters.page(
          { ...query, after: next ?? undefined },
          options.count - letters.length,
        )
        letters.push(...found.dead_letters)
        next = found.next
      } while (next !== null && letters.length < options.count && !io.signal.aborted)
      return { dead_letters: letters, next }
    })
    print.answer(page, () => {
      if (page.dead_letters.length === 0) return 'no dead letters\n'
      return tableOf<DeadLetterDocument>(
        [
          { head: 'letter', cell: (letter) => letter.letter_id },
          { head: 'died', cell: (letter) => letter.dead_at },
          { head: 'tool', cell: (letter) => letter.tool },
          { head: 'tenant', cell: (letter) => letter.tenant },
          { head: 'type', cell: (letter) => letter.type },
          { head: 'attempts', cell: (letter) => letter.attempts, align: 'right' },
          { head: 'reason', cell: (letter) => letter.reason, paint: () => 'red' },
          { head: 'event', cell: (letter) => letter.event_id },
          { head: 'error', cell: (letter) => letter.error },
        ],
        page.dead_letters,
        print.style,
      )
    })
    if (page.next !== null && !print.json) io.err(`there are more: --after ${page.next}\n`)
    return OK
  },
)
