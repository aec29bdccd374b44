/**
 * An installation as it runs in earnest, below a steady load: Redis with Sentinels and two replicas that confirm every event, gateways
 * behind something that spreads requests over those that are ready, consumers. Configuration is the default. A sender and a handler keep
 * records of their own.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { expect } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import { deliveriesOf } from '../../scripts/load/deliveries.ts'
import { sendAll } from '../../scripts/load/sender.ts'
import { SECRET } from '../support/gateway.ts'
import { root, type TestProcess } from '../support/process.ts'
import type { SentinelTopology } from '../support/sentinel.ts'
import type { TestProcesses } from '../support/use-processes.ts'
import { monotonicMs } from './monotonic.ts'

/** Deliveries a second. */
export const RATE = 500
/** More than any test sends. */
const UNTIL_STOPPED = RATE * 600
/** The second that is judged ended so long ago: what is slower than the objective shows by then, ms. */
const JUDGED_AFTER_MS = 1_500
const SECOND_MS = 1_000

const CONFIG = {
  webhook: {
    redis: { durability: 'replica', replicas: 2 },
    ingest: { host: '127.0.0.1' },
    consumer: { ops_port: 0, handlers: join(root, 'tests/recovery/handler.ts') },
  },
}

export interface Installation {
  readonly gateways: readonly Gateway[]
  readonly consumers: readonly TestProcess[]
  /** Events that were answered 202. */
  readonly accepted: ReadonlySet<string>
  readonly refused: ReadonlyMap<string, number>
  /** Times from due to handled of the deliveries of a second that just passed, ms; Infinity for those that are not handled yet. */
  latest(): readonly number[]
  /** From now on nothing that was due before is judged. */
  judgeFromNow(): void
  /** Event id → how often it was handled. */
  handled(): ReadonlyMap<string, number>
  /** Takes it out of service, stops it as an orchestrator does, and puts a new one in its place. */
  replaceGateway(gateway: Gateway): Promise<void>
  replaceConsumer(consumer: TestProcess): Promise<void>
  /** The load ends; resolves when everything that was sent is answered. */
  quiet(): Promise<void>
}

export interface Gateway {
  readonly process: TestProcess
  readonly port: number
  /** Its spool stays when it is replaced, as the volume of a StatefulSet does. */
  readonly dataDirectory: string
  /** Numbers of the deliveries that it has not answered yet. */
  readonly underWay: Set<number>
}

export async function withInstallation(
  processes: TestProcesses,
  sentinel: SentinelTopology,
  counts: { readonly gateways: number; readonly consumers: number },
  test: (installation: Installation) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-recovery-'))
  const recordFile = join(directory, 'handled')
  const configFile = join(directory, 'config.yaml')
  writeFileSync(recordFile, '')
  writeFileSync(configFile, JSON.stringify(CONFIG))
  const env = {
    CONFIG_FILE: configFile,
    REDIS_SENTINEL_ENABLED: 'true',
    REDIS_ADDRESSES: sentinel.addresses.join(','),
    REDIS_MASTER_NAME: sentinel.masterName,
    GITHUB_WEBHOOK_SECRET: SECRET,
    OPS_TOKEN: 'a-token-for-tests',
    RECORD_FILE: recordFile,
  }
  const gateways: Gateway[] = []
  const consumers: TestProcess[] = []

  const startGateway = async (dataDirectory: string) => {
    const port = await freePort()
    const process = processes.start('apps/ingest/src/main.ts', {
      env: { ...env, PORT: String(port), WEIR_DATA_DIR: dataDirectory },
    })
    await process.waitForHttp(`http://127.0.0.1:${port}/ready`, {
      accept: (status, body) => status === 200 && body.includes('"redis":"ok"'),
    })
    gateways.push({ process, port, dataDirectory, underWay: new Set() })
  }
  const startConsumer = async () => {
    const process = processes.start('apps/consumer/src/main.ts', {
      env: { ...env, WEIR_DATA_DIR: join(directory, 'consumer') },
    })
    await process.waitForLine(/"msg":"listening"/)
    consumers.push(process)
  }

  let judgedFrom = 0
  const dueAt = new Map<string, number>()
  const refused = new Map<string, number>()
  const askedOf = new Map<number, Gateway>()
  const stopping = new AbortController()
  let sending: Promise<number> | undefined
  const startLoad = () => {
    const samples = new URL('../../examples/events/', import.meta.url)
    sending = sendAll({
      url(n) {
        const gateway = gateways[n % gateways.length] as Gateway
        gateway.underWay.add(n)
        askedOf.set(n, gateway)
        return `http://127.0.0.1:${gateway.port}/webhooks/github`
      },
      rate: RATE,
      count: UNTIL_STOPPED,
      maxConnections: 200,
      delivery: deliveriesOf('github', samples, SECRET, Date.now),
      clock: systemClock,
      signal: stopping.signal,
      onAnswer({ n, status, eventId, detail, ms }) {
        askedOf.get(n)?.underWay.delete(n)
        askedOf.delete(n)
        if (status === 202 && eventId !== undefined) dueAt.set(eventId, monotonicMs() - ms)
        else {
          const what = `${status} ${detail ?? ''}`
          refused.set(what, (refused.get(what) ?? 0) + 1)
        }
      },
    })
  }

  const records = () =>
    readFileSync(recordFile, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const [id, at] = line.split(' ')
        return id && at ? [[id, Number(at)] as const] : []
      })
  const installation: Installation = {
    gateways,
    consumers,
    get accepted() {
      return new Set(dueAt.keys())
    },
    refused,
    judgeFromNow() {
      judgedFrom = monotonicMs()
    },
    latest() {
      const end = monotonicMs() - JUDGED_AFTER_MS
      const first = new Map<string, number>()
      for (const [id, at] of records()) if (!first.has(id)) first.set(id, at)
      return [...dueAt].flatMap(([id, due]) =>
        due >= Math.max(end - SECOND_MS, judgedFrom) && due < end
          ? [(first.get(id) ?? Number.POSITIVE_INFINITY) - due]
          : [],
      )
    },
    handled() {
      const counts = new Map<string, number>()
      for (const [id] of records()) counts.set(id, (counts.get(id) ?? 0) + 1)
      return counts
    },
    async replaceGateway(gateway) {
      gateways.splice(gateways.indexOf(gateway), 1)
      await expect.poll(() => gateway.underWay.size).toBe(0)
      await gateway.process.kill('SIGTERM')
      await startGateway(gateway.dataDirectory)
    },
    async replaceConsumer(consumer) {
      consumers.splice(consumers.indexOf(consumer), 1)
      await consumer.kill('SIGTERM')
      await startConsumer()
    },
    async quiet() {
      stopping.abort()
      await sending
    },
  }
  try {
    for (let n = 0; n < counts.gateways; n++) await startGateway(join(directory, `gateway-${n}`))
    for (let n = 0; n < counts.consumers; n++) await startConsumer()
    startLoad()
    await test(installation)
  } finally {
    await installation.quiet()
    await Promise.all(
      [...gateways.map(({ process }) => process), ...consumers].map((each) => each.kill('SIGKILL')),
    )
    rmSync(directory, { recursive: true, force: true })
  }
}
