import type { FoundEvent } from '@weir/context-lifecycle/event-lookup'
import { commandOf } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { ageText, pairs, sizeText, type TableStyle } from '../text.ts'

interface Options {
  readonly raw?: true
}

export const eventsGetCommand = commandOf<Options>(
  (command) =>
    command
      .argument('<id>', 'event id, as the gateway answered it (evt_…)')
      .option('--raw', 'write the bytes as the sender sent them to standard output'),
  async ({ options, args, io, print }) => {
    const id = args[0] ?? ''
    const { EVENT_ID_PATTERN } = await import('@weir/core/event')
    if (!EVENT_ID_PATTERN.test(id)) {
      throw new CommandFailure(
        `${JSON.stringify(id)} is not an event id: evt_ and 22 characters, as the gateway answered it.`,
      )
    }
    const { withSession } = await import('../session.ts')
    const { createEventLookup } = await import('@weir/context-lifecycle/event-lookup')
    return withSession(options, io, async (session): Promise<ExitCode> => {
      const { contexts } = await session.contexts()
      const events = createEventLookup(session.view, contexts)
      if (options.raw) {
        const found = await events.bytes(id)
        if (found === undefined) throw unknown(id)
        if (found.kind === 'gone') {
          throw new CommandFailure(
            `${id} was settled and its bytes are no longer held (webhook.stream.keep_settled).`,
            NEGATIVE,
          )
        }
        io.outBytes(found.body)
        return OK
      }
      const event = await events.find(id)
      if (event === undefined) throw unknown(id)
      print.answer(event, () => eventText(event, print.style))
      return OK
    })
  },
)

function unknown(id: string): CommandFailure {
  return new CommandFailure(
    `nobody knows ${id}: it was never accepted here, or was settled so long ago that it is forgotten.`,
    NEGATIVE,
  )
}

function eventText(event: FoundEvent, style: TableStyle): string {
  const { subject } = event
  return pairs(
    [
      ['event', event.event_id],
      ['place', event.place],
      ['tool', event.tool],
      ['tenant', event.tenant],
      ['type', event.event ?? event.type],
      ['subject', subject && `${subject.kind} ${subject.key}`],
      ['title', subject?.title],
      ['url', subject?.url],
      ['context', event.context],
      ['received', event.received_at],
      ['stream id', event.stream_id],
      ['failed attempts', event.attempts],
      ['deliveries', event.deliveries],
      ['consumer', event.consumer],
      ['idle', event.idle_ms === null ? null : ageText(event.idle_ms)],
      ['due', event.due_at],
      ['reason', event.reason],
      ['error', event.error],
      ['first failed', event.first_failed_at],
      ['died', event.dead_at],
      ['dead letter', event.letter_id],
      ['bytes', bytesText(event)],
    ],
    style,
  )
}

function bytesText({
  bytes_available: available,
  bytes_problem: problem,
  size,
  content_type: type,
}: FoundEvent): string {
  if (problem !== null) return problem
  if (!available) return 'no longer held'
  return `${sizeText(size)}${type === null ? '' : `, ${type}`} (--raw prints them)`
}
