/** What would make a waiting event smaller, and what it would cost: measured one change at a time. */
import type { RedisArg } from '@weir/core/redis/link'
import type { Admission } from '@weir/core/stream/admit'
import type { Meter } from './memory-meter.ts'
import type { World } from './processes.ts'
import { createRecorder, DEFAULT_LEVEL, fieldOf, type GithubEvent } from './records.ts'

const LEVELS = [1, DEFAULT_LEVEL, 5, 6, 9]
const NODE_BYTES = [4096, 8192, 16_384, 32_768]
const TIMED_ROUNDS = 3

interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export async function explore(meter: Meter, world: World, events: readonly GithubEvent[]): Promise<Table[]> {
  const recorder = createRecorder()
  const records = events.map((event) => recorder(event))
  return [levels(events), await encodings(meter, records), await nodeSizes(meter, world, records)]
}

/** Mean frame and time to pack, by zstd level. */
function levels(events: readonly GithubEvent[]): Table {
  const rows = LEVELS.map((level) => {
    const recorder = createRecorder({ level })
    let frames = 0
    let fastest = Number.POSITIVE_INFINITY
    for (let round = 0; round < TIMED_ROUNDS; round++) {
      frames = 0
      const started = performance.now()
      for (const event of events) frames += fieldOf(recorder(event), 'body').length
      fastest = Math.min(fastest, performance.now() - started)
    }
    return { level, frame: frames / events.length, us: (fastest * 1000) / events.length }
  })
  const today = rows.find(({ level }) => level === DEFAULT_LEVEL)!
  return {
    title: 'zstd level, structural starter',
    head: ['level', 'frame, bytes', 'against today', 'µs to make a record'],
    rows: rows.map(({ level, frame, us }) => [
      String(level),
      frame.toFixed(0),
      signed(frame - today.frame),
      us.toFixed(1),
    ]),
  }
}

/** Bytes of a stream entry, by how the record is written down. */
async function encodings(meter: Meter, records: readonly Admission[]): Promise<Table> {
  const ways: Readonly<Record<string, (record: Admission) => readonly RedisArg[]>> = {
    'today: a field for each': ({ fields }) => fields,
    'id as 16 bytes, dictionary as 8': (record) =>
      replaced(record, {
        id: record.locator,
        dict: Buffer.from(String(fieldOf(record, 'dict')), 'hex'),
      }),
    'the same, and no empty or constant field': (record) => [
      'id',
      record.locator,
      'tenant',
      fieldOf(record, 'tenant'),
      'tool',
      fieldOf(record, 'tool'),
      'type',
      fieldOf(record, 'type'),
      'at',
      fieldOf(record, 'at'),
      'dict',
      Buffer.from(String(fieldOf(record, 'dict')), 'hex'),
      'body',
      fieldOf(record, 'body'),
    ],
    'two fields: a binary head, and the body': (record) => [
      'h',
      headOf(record),
      'b',
      fieldOf(record, 'body'),
    ],
    'one field: head and body together': (record) => [
      'r',
      Buffer.concat([headOf(record), Buffer.from(fieldOf(record, 'body'))]),
    ],
  }
  const rows: string[][] = []
  let today: number | undefined
  for (const [name, way] of Object.entries(ways)) {
    const bytes = await meter.streamOf(records.map(way))
    today ??= bytes
    rows.push([name, bytes.toFixed(1), signed(bytes - today)])
  }
  return {
    title: 'How the record is written down',
    head: ['record', 'stream bytes per event', 'against today'],
    rows,
  }
}

function replaced({ fields }: Admission, others: Readonly<Record<string, Buffer>>): RedisArg[] {
  return fields.map((field, i) => (i % 2 === 1 ? (others[String(fields[i - 1])] ?? field) : field))
}

/** Version, id, time, dictionary (4 bytes of its id), and tenant, tool and type behind their lengths. */
function headOf(record: Admission): Buffer {
  const at = Buffer.alloc(6)
  at.writeUIntBE(Number(fieldOf(record, 'at')), 0, 6)
  const names = ['tenant', 'tool', 'type'].map((name) => String(fieldOf(record, name)))
  return Buffer.concat([
    Buffer.from([1, ...names.map((name) => name.length)]),
    record.locator,
    at,
    Buffer.from(String(fieldOf(record, 'dict')).slice(0, 8), 'hex'),
    Buffer.from(names.join('')),
  ])
}

/** Bytes and Redis CPU of a stream entry, by the server's `stream-node-max-bytes`. */
async function nodeSizes(meter: Meter, world: World, records: readonly Admission[]): Promise<Table> {
  const lists = records.map(({ fields }) => fields)
  const rows: string[][] = []
  let today: number | undefined
  for (const bytes of NODE_BYTES) {
    await meter.link.call('CONFIG', 'SET', 'stream-node-max-bytes', bytes)
    const before = world.redisCpu()
    const each = await meter.streamOf(lists)
    const us = ((world.redisCpu() - before) / records.length) * 1e6
    today ??= each
    rows.push([String(bytes), each.toFixed(1), signed(each - today), us.toFixed(1)])
  }
  await meter.link.call('CONFIG', 'SET', 'stream-node-max-bytes', NODE_BYTES[0]!)
  return {
    title: 'stream-node-max-bytes of the server (its default is 4096)',
    head: ['bytes', 'stream bytes per event', 'against today', 'Redis CPU µs per XADD'],
    rows,
  }
}

function signed(bytes: number): string {
  return `${bytes > 0 ? '+' : ''}${bytes.toFixed(0)}`
}
