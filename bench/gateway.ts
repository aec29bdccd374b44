/**
 * CPU that a gateway spends on one accepted event: a bare node:http server with HMAC and one dedupe+XADD script, Weir with
 * everything on, Fastify with BullMQ's add. Also the CPU that Redis spends, by its own count. Interleaved rounds, medians.
 *
 *     pnpm bench:gateway [--events 20000] [--rounds 3] [--connections 32]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { deliveries } from './payloads.ts'
import { machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
  },
})
const events = Number(values.events)
const rounds = Number(values.rounds)
const connections = Number(values.connections)
const kinds = (['bare', 'weir', 'bullmq'] as const).filter(
  (kind) => values.only === undefined || values.only === kind,
)
const secret = 'benchmark-secret'
const LABEL = { bare: 'bare node:http + script', weir: 'Weir', bullmq: 'Fastify + BullMQ add' }

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

function startServer(kind: (typeof kinds)[number], url: string, data: string): ChildProcess {
  const stdio = ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit']
  if (kind !== 'weir') return spawn(process.execPath, [here('gateway-peer.ts'), kind, url, secret], { stdio })
  // The default limits stay on (they cost what they cost), but out of reach.
  const limits =
    'webhook: { security: { global_rate_limit: 1000000, per_tool_rate_limits: { github: 1000000 } } }'
  writeFileSync(join(data, 'config.yaml'), limits)
  return spawn(process.execPath, [...process.execArgv, here('../apps/ingest/src/main.ts')], {
    stdio,
    cwd: data,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      REDIS_URL: url,
      WEIR_DATA_DIR: data,
      GITHUB_WEBHOOK_SECRET: secret,
    },
  })
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    // Read to the end: a full pipe would stop the server.
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { port } = JSON.parse(line) as { port?: number }
      if (port !== undefined) resolve(port)
    })
    child.once('exit', () => reject(new Error('the server ended before it listened')))
  })
}

/** User and system CPU of a process so far, seconds (Linux: 100 ticks a second). */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function send(port: number, prefix: string, count: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const source = deliveries(count, prefix)
  const one = (id: string, type: string, body: Buffer) =>
    new Promise<void>((resolve, reject) => {
      const sent = request(
        {
          agent,
          port,
          host: '127.0.0.1',
          method: 'POST',
          path: '/webhooks/github',
          headers: {
            'content-type': 'application/json',
            'content-length': body.length,
            'x-github-event': type,
            'x-github-delivery': id,
            'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
          },
        },
        (response) => {
          if (response.statusCode !== 202) reject(new Error(`answered ${response.statusCode} for ${id}`))
          response.resume().on('end', resolve)
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (const { id, type, body } of source) await one(id, type, body)
    }),
  )
  agent.destroy()
}

const server = await startRedis({ appendfsync: 'no' })
const control = new Redis(server.url)
const redisCpu = async () => {
  const info = await control.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1])
  return seconds('used_cpu_user') + seconds('used_cpu_sys')
}
const cost: Record<string, number[]> = { bare: [], weir: [], bullmq: [] }
const redisCost: Record<string, number[]> = { bare: [], weir: [], bullmq: [] }
for (let round = 0; round < rounds; round++) {
  for (const kind of kinds) {
    await control.flushall()
    const data = mkdtempSync(join(tmpdir(), 'weir-bench-'))
    const child = startServer(kind, server.url, data)
    const orphan = () => child.kill('SIGKILL')
    process.once('exit', orphan)
    const port = await portOf(child)
    await send(port, `warm-${round}`, Math.min(3000, events))
    const before = cpuOf(child.pid!)
    const redisBefore = await redisCpu()
    await send(port, `run-${round}`, events)
    cost[kind]!.push(((cpuOf(child.pid!) - before) / events) * 1e6)
    redisCost[kind]!.push((((await redisCpu()) - redisBefore) / events) * 1e6)
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
    process.off('exit', orphan)
    rmSync(data, { recursive: true, force: true })
  }
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await server.stop()

console.log(
  `${machine({ Redis: version })} · ${events} GitHub example events over ${connections} connections, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'Gateway, per accepted event',
  ['gateway', 'CPU µs', 'vs bare', 'Redis CPU µs'],
  kinds.map((kind) => [
    LABEL[kind],
    spread(cost[kind]!),
    kinds.includes('bare') ? `${(median(cost[kind]!) / median(cost.bare!)).toFixed(2)}×` : '',
    spread(redisCost[kind]!),
  ]),
)
