/**
 * What a flood of badly signed requests does to properly signed ones: their time from due to answered, in turns without and with
 * the flood, and how many commands Redis is asked for. Gateway, Redis, flood and sender share this machine.
 *
 *     pnpm bench:flood [--flood 5000] [--good 200] [--seconds 5] [--rounds 5] [--quick]
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '@weir/core/clock'
import { signGithub } from '@weir/security/github'
import { spawnTied } from '../scripts/tied-child.ts'
import { githubPayloads } from './payloads.ts'
import { SECRET, startWorld, type World } from './processes.ts'
import { headline, machine, median, percentile, printTable, spread, target } from './table.ts'

const { values } = parseArgs({
  options: {
    flood: { type: 'string' },
    good: { type: 'string', default: '200' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const rate = Number(values.good)
const badly = Number(values.flood ?? (values.quick ? 1000 : 5000))
const seconds = Number(values.seconds ?? (values.quick ? 1 : 5))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
/** p99 of the well signed during a flood, against without. */
const SLOWER = { atMost: 2 }
/** Commands that Redis sees for a badly signed request: fewer than one. */
const COMMANDS = { atMost: 0.99 }
const { body } = githubPayloads().find(({ type }) => type === 'push')!
const signature = signGithub(Buffer.from(SECRET), body)
const request = (): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: ${randomUUID()}\r\nX-Hub-Signature-256: ${signature}\r\nContent-Length: ${body.length}\r\n\r\n`,
    ),
    body,
  ])

/** Sends at a constant rate, whether or not answers come; ms from due to answered, sorted. */
async function good(port: number): Promise<Float64Array> {
  const times: number[] = []
  const free: Socket[] = []
  const open = new Set<Socket>()
  const waits: Promise<void>[] = []
  const started = performance.now()
  for (let n = 0; n < rate * seconds; n++) {
    const due = started + (n / rate) * 1000
    await systemClock.wait(Math.max(0, due - performance.now()))
    const socket = free.pop() ?? connect({ port, host: '127.0.0.1', noDelay: true })
    open.add(socket)
    socket.write(request())
    waits.push(
      once(socket, 'data').then(([chunk]) => {
        if (!String(chunk).startsWith('HTTP/1.1 202'))
          throw new Error(`answered ${String(chunk).slice(0, 200)}`)
        times.push(performance.now() - due)
        free.push(socket)
      }),
    )
  }
  await Promise.all(waits)
  for (const socket of open) socket.destroy()
  return Float64Array.from(times).sort()
}

interface Flooded {
  readonly sent: number
  /** Left out, as its sender had no processor when they were due. */
  readonly missed: number
  readonly answered: number
  /** Connections. */
  readonly opened: number
  readonly statuses: Readonly<Record<string, number>>
}

async function withFlood<T>(
  port: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly flood: Flooded }> {
  const { process: child } = spawnTied(
    process.execPath,
    [fileURLToPath(new URL('flood-sender.ts', import.meta.url)), String(port), String(badly)],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      deathSignal: 'SIGKILL',
    },
  )
  await once(child, 'message')
  const result = await work()
  const told = once(child, 'message')
  child.send('stop')
  const [flood] = (await told) as [Flooded]
  return { result, flood }
}

async function commandsOf({ link }: World): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(String(await link.call('INFO', 'stats')))?.[1])
}

const world = await startWorld({ appendfsync: 'no' })
try {
  const gateway = await world.startGateway()
  await good(gateway.port) // warm up
  const quiet: Float64Array[] = []
  const flooded: Float64Array[] = []
  const extra: number[] = []
  const floods: Flooded[] = []
  const cpu = { quiet: 0, flood: 0 }
  for (let round = 0; round < rounds; round++) {
    const [commands, used] = [await commandsOf(world), gateway.cpu()]
    quiet.push(await good(gateway.port))
    const [between, usedBetween] = [await commandsOf(world), gateway.cpu()]
    const { result, flood } = await withFlood(gateway.port, () => good(gateway.port))
    flooded.push(result)
    floods.push(flood)
    extra.push((await commandsOf(world)) - between - (between - commands))
    cpu.quiet += usedBetween - used
    cpu.flood += gateway.cpu() - usedBetween
  }
  const sum = (pick: (flood: Flooded) => number) => floods.reduce((all, flood) => all + pick(flood), 0)
  const answers = new Map<string, number>()
  for (const { statuses } of floods) {
    for (const [status, count] of Object.entries(statuses))
      answers.set(status, (answers.get(status) ?? 0) + count)
  }
  const at = (share: number) => (times: readonly Float64Array[]) =>
    spread(times.map((each) => percentile(each, share)))
  console.log(
    `${machine({ Redis: world.version })} · ${rate} well signed a second for ${seconds} s, ${rounds} rounds, without and with ${badly} badly signed a second from another address; median of rounds (min–max)`,
  )
  printTable(
    'Well signed requests, ms from due to answered',
    ['', 'p50', 'p99'],
    [
      ['without a flood', at(0.5)(quiet), at(0.99)(quiet)],
      ['with the flood', at(0.5)(flooded), at(0.99)(flooded)],
    ],
  )
  const ratio = median(flooded.map((times, i) => percentile(times, 0.99) / percentile(quiet[i]!, 0.99)))
  const sent = sum((flood) => flood.sent)
  console.log(`\np99 with the flood against without: ${ratio.toFixed(2)}× (${target(ratio, SLOWER, '×')})`)
  console.log(
    `flood: ${sent} sent (${sum((flood) => flood.missed)} left out) over ${sum((flood) => flood.opened)} connections, ${sum((flood) => flood.answered)} answered (${[...answers].map(([status, count]) => `${status}: ${count}`).join(', ')}), ${(((cpu.flood - cpu.quiet) / sent) * 1e6).toFixed(0)} µs of the gateway each; commands that Redis saw more than without: ${extra.join(', ')}`,
  )
  headline({
    question: `p99 of well signed requests with ${badly} badly signed a second, against without`,
    figure: ratio,
    unit: '×',
    goal: SLOWER,
  })
  headline({
    question: 'commands that Redis sees for a badly signed request',
    figure: Math.max(0, extra.reduce((all, commands) => all + commands, 0) / sent),
    unit: '',
    goal: COMMANDS,
  })
} finally {
  await world.stop()
}
