import { isUtf8 } from 'node:buffer'
import { messageOf } from '@weir/core/faults'
import type { UnpackedBody } from '@weir/core/packing'
import type { DeadLetterDocument } from '@weir/core/view/documents'
import { commandOf, type Printer } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { cut, manyLines, pairs, sizeText } from '../text.ts'

interface Options {
  readonly raw?: true
}

/** Lines and columns of the body that are shown as text. */
const SHOWN_LINES = 40
const SHOWN_COLUMNS = 160

export const dlqShowCommand = commandOf<Options>(
  (command) =>
    command
      .argument('<id>', 'letter id or event id')
      .option('--raw', 'write the bytes as the sender sent them to standard output'),
  async ({ options, args, io, print }) => {
    const id = args[0] ?? ''
    const { withSession } = await import('../session.ts')
    return withSession(options, io, async ({ view }): Promise<ExitCode> => {
      const found = await view.deadLetters.find(id)
      if (found === undefined) {
        throw new CommandFailure(
          `there is no dead letter ${id}; it was replayed or purged, or never was.`,
          NEGATIVE,
        )
      }
      if (options.raw) {
        const bytes = await view.rawLetter(id)
        if (bytes === undefined)
          throw new CommandFailure('the record of this letter cannot be read.', NEGATIVE)
        io.outBytes(bytes.body)
        return OK
      }
      let bytes: UnpackedBody | undefined
      let problem: string | null = found.document.readable ? null : 'the record cannot be read'
      try {
        bytes = await view.rawLetter(id)
      } catch (error) {
        const { isUnreadable } = await import('@weir/core/packing')
        if (!isUnreadable(error)) throw error
        problem = messageOf(error)
      }
      const headers = bytes === undefined ? null : Object.fromEntries(bytes.headers)
      const document = { ...found.document, headers, ...bodyFields(bytes?.body), body_problem: problem }
      print.answer(document, () => letterText(found.document, bytes, problem, print))
      return OK
    })
  },
)

/** The body as JSON can carry it: text where it is text, else base64. */
function bodyFields(body: Buffer | undefined): { body: string | null; body_base64: string | null } {
  if (body === undefined) return { body: null, body_base64: null }
  return isUtf8(body)
    ? { body: body.toString('utf8'), body_base64: null }
    : { body: null, body_base64: body.toString('base64') }
}

function letterText(
  letter: DeadLetterDocument,
  bytes: UnpackedBody | undefined,
  problem: string | null,
  { paint, style }: Printer,
): string {
  const facts = pairs(
    [
      ['letter', letter.letter_id],
      ['event', letter.event_id],
      ['stream id', letter.stream_id],
      ['tool', letter.tool],
      ['tenant', letter.tenant],
      ['type', letter.type],
      ['reason', letter.reason],
      ['error', letter.error],
      ['attempts', letter.attempts],
      ['received', letter.received_at],
      ['first failed', letter.first_failed_at],
      ['died', letter.dead_at],
      ['bytes', problem ?? sizeText(bytes?.body.length ?? null)],
    ],
    style,
  )
  if (bytes === undefined) return facts
  const headers = bytes.headers.map(([name, value]): [string, string] => [name, value])
  return `${facts}\n${pairs(headers, style)}\n${bodyText(bytes.body, paint('… --raw writes all of it', 'dim'))}`
}

function bodyText(body: Buffer, more: string): string {
  if (!isUtf8(body)) return `${more}\n`
  const text = indented(body.toString('utf8'))
  const lines = manyLines(text).split('\n')
  const shown = lines.slice(0, SHOWN_LINES).map((line) => cut(line, SHOWN_COLUMNS))
  const whole = lines.length <= SHOWN_LINES && shown.every((line, at) => line === lines[at])
  return `${shown.join('\n')}\n${whole ? '' : `${more}\n`}`
}

function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text // not JSON, or nested too deeply: shown as it came
  }
}
