import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { messageOf } from '@weir/core/faults'
import { InvalidArgumentError } from 'commander'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import { integerOption, nameOption, toolFlag } from '../options.ts'
import type { Outgoing } from '../outgoing.ts'
import { ageText, tableOf } from '../text.ts'

interface Options {
  readonly tool: string
  readonly tenant?: string
  readonly event?: string
  readonly sample?: string
  readonly file?: string
  readonly list?: true
  readonly url?: string
  readonly secret?: string
  readonly deliveryId?: string
  readonly header?: readonly (readonly [string, string])[]
  readonly repeat: number
}

interface Answer {
  /** HTTP status; null when there was no answer. */
  readonly status: number | null
  /** `accepted`, `duplicate`, the code of a problem document, or why there was no answer. */
  readonly answer: string
  readonly event_id: string | null
  readonly detail: string | null
  readonly ms: number
}

/** How long the gateway may take for one event, ms. */
const ANSWER_LIMIT_MS = 15_000

export const sendCommand = commandOf<Options>(
  (command) =>
    command
      .addOption(toolFlag('whose event').default('github'))
      .option('--tenant <tenant>', 'for which tenant', nameOption)
      .option('--event <type>', 'which event, as the sender names it: push, pull_request, …')
      .option('--sample <name>', 'which of the bundled events (default: the first that fits)')
      .option('--list', 'list the bundled events and send nothing')
      .option('--file <file>', 'send the bytes of this file instead; - is standard input')
      .option('--url <url>', 'the gateway (default: http://localhost: and the configured port)')
      .option(
        '--secret <secret>',
        'sign with this (default: the configured secret, else the one that start made)',
      )
      .option('--delivery-id <id>', "the sender's delivery id (default: a new one each time)")
      .option('--header <name: value>', 'one more header; may be repeated', headerOption)
      .option('--repeat <n>', 'send it so many times', integerOption(1, 1_000_000), 1)
      .addHelpText(
        'after',
        '\nExit codes: 0 every answer was a 2xx, 1 one was not, 2 the gateway did not answer.',
      ),
  async (invocation) => (invocation.options.list ? listSamples(invocation) : send(invocation)),
)

function headerOption(
  text: string,
  before: readonly (readonly [string, string])[] = [],
): (readonly [string, string])[] {
  const at = text.indexOf(':')
  const name = text.slice(0, at).trim().toLowerCase()
  if (at < 1 || !/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name))
    throw new InvalidArgumentError("Write a header as 'Name: value'.")
  return [...before, [name, text.slice(at + 1).trim()]]
}

async function listSamples({ io, print }: Invocation<Options>): Promise<ExitCode> {
  const { sampleNames } = await import('../outgoing.ts')
  const samples = sampleNames(io.samples)
  print.answer({ samples }, () =>
    tableOf(
      [
        { head: 'tool', cell: ({ tool }) => tool },
        { head: 'sample', cell: ({ sample }) => sample },
      ],
      samples,
      print.style,
    ),
  )
  return OK
}

async function send({ options, io, print }: Invocation<Options>): Promise<ExitCode> {
  const { tool } = options
  const { headersOf, ownEvent, sampleEvent, secretFor } = await import('../outgoing.ts')
  const { loadForCommand } = await import('../session.ts')
  const { config } = await loadForCommand(options, io)
  if (options.file !== undefined && options.sample !== undefined)
    throw new CommandFailure('send a --file or a --sample, not both.')
  const outgoing: Outgoing =
    options.file === undefined
      ? sampleEvent(io.samples, config, tool, { name: options.sample, event: options.event })
      : ownEvent(config, tool, await bytesOf(options.file, io), options.event)
  const secret = options.secret ?? secretFor(tool, config, resolve(io.cwd, config.webhook.data_dir))
  const url = addressOf(options, tool, config.webhook.ingest.port)

  const answers: Answer[] = []
  while (answers.length < options.repeat && !io.signal.aborted) {
    const sending = { deliveryId: options.deliveryId, nowMs: io.clock.now() }
    const headers = {
      ...headersOf(outgoing, config, secret, sending),
      ...Object.fromEntries(options.header ?? []),
    }
    const answer = await post(url, headers, outgoing.body, io)
    answers.push(answer)
    if (answer.status === null) break
  }
  print.answer({ url, tool, bytes: outgoing.body.length, answers }, () => answersText(answers, print.style))
  const last = answers.at(-1)
  if (last?.status === null) {
    io.err(
      `error: the gateway at ${url} does not answer: ${last.detail ?? ''}. Is it running? --url names another.\n`,
    )
    return FAILED
  }
  const refused = answers.find(({ status }) => status !== null && (status < 200 || status > 299))
  if (refused === undefined) return OK
  if (refused.detail !== null && !print.json) io.err(`${refused.answer}: ${refused.detail}\n`)
  return NEGATIVE
}

async function bytesOf(file: string, io: Invocation<Options>['io']): Promise<Buffer> {
  if (file === '-') return io.readInput()
  try {
    return await readFile(resolve(io.cwd, file))
  } catch (error) {
    throw new CommandFailure(`--file ${file} cannot be read: ${messageOf(error)}.`, FAILED, { cause: error })
  }
}

function addressOf({ url, tenant }: Options, tool: string, port: number): string {
  const base = URL.parse(url ?? `http://localhost:${port}`)
  if (base === null || !['http:', 'https:'].includes(base.protocol)) {
    throw new CommandFailure(`--url ${url}: write the address of a gateway, such as http://localhost:8080.`)
  }
  // Only an address was given: the path of the tool. A path that was given is meant.
  if (base.pathname === '/')
    base.pathname = tenant === undefined ? `/webhooks/${tool}` : `/webhooks/${tool}/${tenant}`
  return base.href
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: Buffer,
  io: Invocation<Options>['io'],
): Promise<Answer> {
  const began = io.clock.monotonic()
  const ms = () => Math.round(io.clock.monotonic() - began)
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      redirect: 'manual',
      signal: AbortSignal.any([io.signal, AbortSignal.timeout(ANSWER_LIMIT_MS)]),
    })
    return { status: response.status, ...wordsOf(await response.text(), response.status), ms: ms() }
  } catch (error) {
    const cause =
      error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
    return { status: null, answer: 'no answer', event_id: null, detail: cause, ms: ms() }
  }
}

/** The gateway answers {"status","event_id"}, or a problem document. Anything else is not a gateway. */
function wordsOf(text: string, status: number): Omit<Answer, 'status' | 'ms'> {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { answer: status < 300 ? 'not a gateway' : 'refused', event_id: null, detail: null }
  }
  const field = (name: string): string | null => {
    const value: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined
    return typeof value === 'string' ? value : null
  }
  return {
    answer: field('code') ?? field('status') ?? 'unknown',
    event_id: field('event_id'),
    detail: field('detail'),
  }
}

function answersText(answers: readonly Answer[], style: Parameters<typeof tableOf>[2]): string {
  return tableOf(
    [
      { head: '#', cell: ({ at }) => at + 1, align: 'right' },
      {
        head: 'status',
        cell: ({ status }) => status,
        align: 'right',
        paint: ({ status }) => (status !== null && status < 300 ? 'green' : 'red'),
      },
      { head: 'answer', cell: ({ answer }) => answer },
      { head: 'event', cell: ({ event_id: id }) => id },
      { head: 'took', cell: ({ ms }) => ageText(ms), align: 'right' },
    ],
    answers.map((answer, at) => ({ ...answer, at })),
    style,
  )
}
