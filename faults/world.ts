/**
 * An installation under load, in processes of its own: Redis, gateways, consumers (and a curator where a scenario wants one), a sender
 * and the handler that keep records of their own. Scenarios do things to it; in the end the records are checked by a program of its own.
 */
import { execFile, fork } from 'node:child_process'
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../scripts/free-port.ts'
import { randomFrom } from '../scripts/random.ts'
import { root, startProcess, type TestProcess } from '../tests/support/process.ts'
import { until } from '../tests/support/until.ts'
import type { LedgerVerdict } from './ledger/check.ts'
import { DEAD_LETTERS_FILE, EFFECTS_DIRECTORY, SHARDS } from './ledger/files.ts'
import type { Mix, SenderOrder, SenderWord } from './ledger/sender.ts'
import type { Place } from './places.ts'

const SECRET = 'secret-of-the-fault-harness'
const OPS_TOKEN = 'a-token-of-the-harness'
/** How long everything may take to come to rest when the load has ended, ms. */
const REST_MS = 180_000
/** How long so many events may take to be accepted while something is wrong, ms. */
const PROGRESS_MS = 60_000
const START_MS = 30_000

export interface Installed {
  readonly gateways: number
  readonly consumers: number
  readonly curator: boolean
  /** Consumers that end by themselves are started again, as an orchestrator does. */
  readonly supervised: boolean
  /** Settings below `webhook`, by section. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Variables of all processes; of the gateways alone. */
  readonly env: Readonly<Record<string, string>>
  readonly gatewayEnv: Readonly<Record<string, string>>
}

export interface Load {
  readonly concurrency: number
  readonly paceMs: number
  readonly mix: Mix
}

/** A process of Weir, with what it takes to start it again as it was. */
export interface App {
  readonly name: string
  process: TestProcess
  /** Starts it again, when it has ended. */
  start(): Promise<void>
}

/** What was done, for the table. */
export interface Deeds {
  kills: number
  failovers: number
}

export interface World<P extends Place = Place> {
  readonly place: P
  readonly gateways: readonly App[]
  readonly consumers: readonly App[]
  readonly curators: readonly App[]
  readonly deeds: Deeds
  /** Events accepted so far. */
  readonly accepted: number
  /** Longest time without an accepted event, ms. */
  readonly longestGapMs: number
  /** Ends it with SIGKILL; it stays away. */
  kill(app: App): Promise<void>
  /** Ends it as an orchestrator does, and starts it again. */
  replace(app: App): Promise<void>
  /** One of them, by chance: the same for the same seed. */
  oneOf<T>(things: readonly T[]): T
  /** Resolves when so many more events have been accepted. */
  untilAccepted(more: number): Promise<void>
  /** The numbers of `webhook-cli status`. */
  ledger(): Promise<Ledger>
}

interface Ledger {
  readonly accepted: number
  readonly unread: number
  readonly pending: number
  readonly parked: number
  readonly dead: number
  readonly spooled: number
  readonly unaccounted: number
}

/** Times in which everything notices, gives up and comes back soon enough. */
const QUICK: Installed['settings'] = {
  redis: { command_timeout: '500ms', connect_timeout: '500ms', reconnect_max_delay: '100ms' },
  ingest: {
    host: '127.0.0.1',
    admission_budget: '400ms',
    shutdown_timeout: '3s',
    spool: { drain_interval: '20ms' },
  },
  consumer: {
    num_workers: 16,
    block_timeout: '200ms',
    handler_timeout: '800ms',
    retry_base_delay: '20ms',
    retry_max_delay: '200ms',
    reclaim_idle: '1s',
    reclaim_interval: '100ms',
    heartbeat_interval: '200ms',
    dead_consumer_after: '3s',
    shutdown_timeout: '3s',
    ops_port: 0,
    handlers: join(root, 'faults/ledger/handler.ts'),
    breaker: { failure_threshold: 100_000 },
  },
  stream: { trim_interval: '100ms', keep_settled: '1s' },
  security: { enable_rate_limiting: false },
}

/** Starts everything, lets `happen` do what it does under load, waits until nothing moves any more, and has the records checked. */
export async function runWorld<P extends Place>(
  place: P,
  seed: string,
  directory: string,
  installed: Installed,
  load: Load,
  happen: (world: World<P>) => Promise<void>,
): Promise<{ verdict: LedgerVerdict; deeds: Deeds; longestGapMs: number; seconds: number }> {
  for (const shard of SHARDS) mkdirSync(join(directory, EFFECTS_DIRECTORY, shard), { recursive: true })
  const env = environmentOf(place, directory, installed)
  const apps: App[] = []
  const random = randomFrom(seed)
  const deeds: Deeds = { kills: 0, failovers: 0 }
  const began = performance.now()
  const over = new AbortController()

  const add = async (name: string, main: string, more: Readonly<Record<string, string>>, ready: Ready) => {
    const start = () => startProcess(process.execPath, { args: [join(root, main)], env: { ...env, ...more } })
    const app: App = {
      name,
      process: start(),
      async start() {
        app.process = start()
        await ready(app.process)
      },
    }
    apps.push(app)
    await ready(app.process)
    return app
  }
  let sender: Sender | undefined
  try {
    const ports: number[] = []
    const addGateway = async (n: number) => {
      const port = await freePort()
      ports.push(port)
      const own = {
        ...installed.gatewayEnv,
        PORT: String(port),
        WEIR_DATA_DIR: join(directory, `gateway-${n}`),
      }
      return add(`gateway ${n}`, 'apps/ingest/src/main.ts', own, async (started) => {
        await started.waitForHttp(`http://127.0.0.1:${port}/health`, { timeoutMs: START_MS })
      })
    }
    const listens: Ready = async (started) => {
      await started.waitForLine(/"msg":"listening"/, { timeoutMs: START_MS })
    }
    const numbered = (count: number) => Array.from({ length: count }, (_, n) => n)
    const consumersData = { WEIR_DATA_DIR: join(directory, 'consumer') }
    const gateways = await inTurn(numbered(installed.gateways), addGateway)
    const consumers = await inTurn(numbered(installed.consumers), (n) =>
      add(`consumer ${n}`, 'apps/consumer/src/main.ts', consumersData, listens),
    )
    const supervised = installed.supervised
      ? consumers.map((consumer) => supervise(consumer, deeds, over.signal))
      : []
    const curators = installed.curator
      ? [await add('curator', 'apps/curator/src/main.ts', consumersData, listens)]
      : []
    sender = startSender(directory, { kind: 'send', ports, seed, ...load })
    const sending = sender
    const world: World<P> = {
      place,
      gateways,
      consumers,
      curators,
      deeds,
      get accepted() {
        return sending.accepted
      },
      get longestGapMs() {
        return sending.longestGapMs
      },
      async kill(app) {
        deeds.kills++
        await app.process.kill('SIGKILL')
      },
      async replace(app) {
        await app.process.kill('SIGTERM')
        await app.start()
      },
      oneOf: (things) => things[Math.floor(random() * things.length)]!,
      untilAccepted(more) {
        const goal = sending.accepted + more
        return until(() => {
          if (sending.accepted < goal)
            throw new Error(`${sending.accepted} events accepted; ${goal} were to be`)
        }, PROGRESS_MS)
      },
      ledger: () => ledgerOf(env),
    }
    const happened = happen(world)
    await (supervised.length === 0 ? happened : Promise.race([happened, Promise.all(supervised)]))
    const { longestGapMs } = sending
    await sending.stop()
    await atRest(world, ports)
    await writeDeadLetters(directory, env)
    over.abort()
    await Promise.all(apps.map(({ process: running }) => running.kill('SIGKILL')))
    const verdict = await check(directory)
    return { verdict, deeds, longestGapMs, seconds: (performance.now() - began) / 1000 }
  } catch (error) {
    for (const { name, process: running } of apps)
      writeFileSync(join(directory, `${name}.log`), running.output())
    throw error
  } finally {
    over.abort()
    sender?.end()
    await Promise.all(apps.map(({ process: running }) => running.kill('SIGKILL')))
  }
}

/**
 * Starts it again whenever it was killed, which is counted, until all is over. Rejects when it ends in another way, or runs and does not
 * listen.
 */
async function supervise(app: App, deeds: Deeds, over: AbortSignal): Promise<void> {
  for (;;) {
    const { signal, code } = await app.process.exit
    if (over.aborted) return
    if (signal !== 'SIGKILL') throw new Error(`${app.name} ended by itself (${signal ?? code})`)
    deeds.kills++
    // It may be killed again before it listens: the next turn sees that.
    await Promise.race([app.start(), app.process.exit])
  }
}

type Ready = (started: TestProcess) => Promise<void>

async function inTurn<T>(numbers: readonly number[], make: (n: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  for (const n of numbers) made.push(await make(n))
  return made
}

function environmentOf(
  place: Place,
  directory: string,
  { settings, env }: Installed,
): Record<string, string> {
  const webhook: Record<string, Record<string, unknown>> = {}
  for (const each of [QUICK, { redis: place.settings }, settings])
    for (const [section, values] of Object.entries(each))
      webhook[section] = { ...webhook[section], ...values }
  const file = join(directory, 'config.yaml')
  writeFileSync(file, JSON.stringify({ webhook }))
  return {
    ...place.env,
    CONFIG_FILE: file,
    WEIR_DATA_DIR: join(directory, 'operator'),
    GITHUB_WEBHOOK_SECRET: SECRET,
    RECORD_DIRECTORY: directory,
    OPS_TOKEN,
    CONTEXTS_ENABLED: 'true',
    ...env,
  }
}

interface Sender {
  readonly accepted: number
  readonly longestGapMs: number
  /** No new delivery; resolves when all are brought to an end. */
  stop(): Promise<void>
  end(): void
}

function startSender(directory: string, order: SenderOrder): Sender {
  const child = fork(fileURLToPath(new URL('ledger/sender.ts', import.meta.url)), [directory, SECRET])
  const done = Promise.withResolvers<void>()
  // An end by itself is told to whoever waits in stop(); until then it must not count as unhandled.
  done.promise.catch(() => undefined)
  let accepted = 0
  let longestGapMs = 0
  child.on('message', (word: SenderWord) => {
    if (word.kind === 'done') done.resolve()
    else ({ accepted, longestGapMs } = word)
  })
  child.on('exit', (code, signal) => done.reject(new Error(`the sender ended by itself (${signal ?? code})`)))
  child.send(order)
  return {
    get accepted() {
      return accepted
    },
    get longestGapMs() {
      return longestGapMs
    },
    async stop() {
      child.send({ kind: 'stop' } satisfies SenderOrder)
      await done.promise
    },
    end: () => void child.kill('SIGKILL'),
  }
}

/** Nothing is on its way any more: not in the streams, not with a consumer, not in a spool. */
async function atRest(world: World, ports: readonly number[]): Promise<void> {
  await until(async () => {
    for (const port of ports) {
      const answer = await fetch(`http://127.0.0.1:${port}/stats`, {
        headers: { authorization: `Bearer ${OPS_TOKEN}` },
      })
      const { spool } = (await answer.json()) as { spool: { records: number } }
      if (spool.records > 0) throw new Error(`${spool.records} events are still in a spool`)
    }
    const { unread, pending, parked, spooled, unaccounted } = await world.ledger()
    if (unread + pending + parked + spooled > 0 || unaccounted !== 0)
      throw new Error(`not at rest: ${JSON.stringify({ unread, pending, parked, spooled, unaccounted })}`)
  }, REST_MS)
}

async function ledgerOf(env: Readonly<Record<string, string>>): Promise<Ledger> {
  const status = JSON.parse(await cli(env, 'status', '--json')) as { ledger: Ledger }
  return status.ledger
}

/** Dead letters as an operator sees them. */
async function writeDeadLetters(directory: string, env: Readonly<Record<string, string>>): Promise<void> {
  const page = JSON.parse(await cli(env, 'dlq', 'list', '--count', '100000000', '--json')) as {
    dead_letters: { event_id: string }[]
  }
  appendFileSync(
    join(directory, DEAD_LETTERS_FILE),
    page.dead_letters.map(({ event_id }) => `D ${event_id}\n`).join(''),
  )
}

async function cli(env: Readonly<Record<string, string>>, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(join(root, 'apps/cli/src/main.ts'), args, env)
  if (code !== 0)
    throw new Error(`webhook-cli ${args.join(' ')} failed (exit code ${code}):\n${stdout}${stderr}`)
  return stdout
}

/** By a program of its own, which knows the files alone. */
async function check(directory: string): Promise<LedgerVerdict> {
  const { stdout, stderr } = await run(join(root, 'faults/ledger/check.ts'), [directory], {})
  if (stdout === '') throw new Error(`the records cannot be read: ${stderr}`)
  return JSON.parse(stdout) as LedgerVerdict
}

/** A dead letter of half a kilobyte, a hundred thousand times. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024

function run(script: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const { PATH = '', HOME = '' } = process.env
  const options = { env: { PATH, HOME, ...env }, maxBuffer: MAX_OUTPUT_BYTES }
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) =>
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
        stdout,
        stderr,
      }),
    )
  })
}
