/**
 * What a context costs Redis: memory and CPU for each event that is put into one, in the clear and encrypted. The examples in
 * turn; every twenty events are of another repository, so that a context has about six.
 *
 *     pnpm bench:contexts [--events 20000] [--rounds 3] [--quick]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ADAPTERS } from '@weir/core/adapters/table'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { deriveEventId, locatorOf } from '@weir/core/event'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { createPacker } from '@weir/core/packing'
import { decodeRecord, type EventRecord, encodeRecord } from '@weir/core/record'
import { connectRedis } from '@weir/core/redis/link'
import { sealBody } from '@weir/core/sealing'
import { startRedis } from '../scripts/private-redis.ts'
import { benchContexts } from './contexts-place.ts'
import { benchKeyring } from './keyring.ts'
import { githubPayloads } from './payloads.ts'
import { headline, machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const count = Number(values.events ?? (values.quick ? 1000 : 20_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const EVENTS_PER_REPOSITORY = 20
/** Appended at once, as a consumer with so many workers does. */
const TOGETHER = 100

const directory = mkdtempSync(join(tmpdir(), 'weir-bench-'))
const keyring = await benchKeyring(directory)
const packer = createPacker(createDictionarySet(loadBundledDictionaries()), 3)
const github = ADAPTERS.get('github')!
const examples = githubPayloads()

/** The n-th event, as a consumer has it. */
function eventOf(n: number, encrypts: boolean): { event: HandlerEvent; record: EventRecord } {
  const { type, body: original } = examples[n % examples.length]!
  const payload = JSON.parse(original.toString())
  if (payload.repository) payload.repository.full_name = `acme/r${Math.floor(n / EVENTS_PER_REPOSITORY)}`
  const body = Buffer.from(JSON.stringify(payload))
  const [tenant, tool] = ['default', 'github']
  const locator = locatorOf(tenant, tool, { kind: 'delivery-id', value: String(n) })
  const headers = [['content-type', 'application/json']] as const
  const receivedAt = 1_700_000_000_000 + n
  const whole = {
    id: deriveEventId(locator),
    tenant,
    tool,
    type,
    receivedAt,
    locator,
    derived: true,
    headers,
    body,
    traceparent: '',
  }
  const plain = packer.pack(tool, headers, body)
  const fields = encodeRecord(whole, encrypts ? sealBody(keyring, whole, plain) : plain)
  const record = decodeRecord(fields.map((field) => Buffer.from(field as string)))
  const event: HandlerEvent = {
    id: whole.id,
    tenant,
    tool,
    type,
    receivedAt,
    attempt: 1,
    name: github.eventName(type, payload),
    headers: new Map(headers),
    body,
    payload,
    subject: github.subject(type, payload),
  }
  return { event, record }
}

const server = await startRedis({ appendfsync: 'no' })
const link = connectRedis({
  url: server.url,
  commandTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
  reconnectMaxDelayMs: 500,
  name: 'bench',
})
await link.ready()
const infoOf = async (section: string) => String(await link.call('INFO', section))
const numberIn = (info: string, name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
const usedMemory = async () => numberIn(await infoOf('memory'), 'used_memory')
const usedCpu = async () => {
  const info = await infoOf('cpu')
  return (numberIn(info, 'used_cpu_user') + numberIn(info, 'used_cpu_sys')) * 1e6
}

const { place } = benchContexts(link)
const found = new Map(
  [false, true].map((encrypts) => [encrypts, { memory: [], cpu: [], contexts: 0 } as Found]),
)
interface Found {
  readonly memory: number[]
  readonly cpu: number[]
  contexts: number
}
for (let round = 0; round < rounds; round++) {
  for (const [encrypts, into] of found) {
    await link.call('FLUSHALL')
    const { contexts } = benchContexts(link, { keyring, encrypts })
    const [memory, cpu] = [await usedMemory(), await usedCpu()]
    for (let n = 0; n < count; n += TOGETHER) {
      const events = Array.from({ length: Math.min(TOGETHER, count - n) }, (_, i) => eventOf(n + i, encrypts))
      await Promise.all(events.map(({ event, record }) => contexts.append(event, record)))
    }
    into.cpu.push(((await usedCpu()) - cpu) / count)
    into.memory.push(((await usedMemory()) - memory) / count)
    into.contexts = Number(await link.call('ZCARD', place.keys.active))
  }
}
const version = /redis_version:(\S+)/.exec(await infoOf('server'))?.[1] ?? 'unknown'
await link.close()
await server.stop()
await keyring.stop()
rmSync(directory, { recursive: true })

console.log(
  `${machine({ Redis: version })} · ${count} events in ${found.get(false)?.contexts} contexts, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'Contexts, for each event in Redis',
  ['', 'bytes', 'CPU µs'],
  [...found].map(([encrypts, { memory, cpu }]) => [
    encrypts ? 'encrypted' : 'in the clear',
    spread(memory, 0),
    spread(cpu),
  ]),
)
const { memory, cpu } = found.get(false)!
headline({ question: 'Redis memory that a context takes for each event', figure: median(memory), unit: 'B' })
headline({ question: 'Redis CPU that a context takes for each event', figure: median(cpu), unit: 'µs' })
