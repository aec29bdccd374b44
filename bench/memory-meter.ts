/** Redis' memory, measured by filling an empty server: what something takes is what `used_memory` grew by. */
import type { RedisArg, RedisLink } from '@weir/core/redis/link'
import { type Admission, createAdmitter } from '@weir/core/stream/admit'
import type { World } from './processes.ts'
import { fieldOf, inPipeline } from './records.ts'

/**
 * The dedupe window while filling, ms. Long enough that no fill crosses into the next one, short enough that the marks
 * (ms since its beginning) take as many bytes as those of a five-minute window.
 */
const WINDOW_MS = 7_200_000
const DEPTH = 500

export interface Part {
  readonly name: string
  readonly bytes: number
  readonly how: string
}

export interface Meter {
  readonly link: RedisLink
  readonly stream: string
  readonly evidenceShards: number
  /** Empties Redis, runs the fill, and tells by how many bytes the data grew. What it filled stays. */
  bytesOf(fill: () => Promise<unknown>): Promise<number>
  /** What the data has grown by since the last `bytesOf` began. */
  bytesNow(): Promise<number>
  admit(admission: Admission): Promise<unknown>
  /** The same, with evidence in so many hashes. */
  admitWith(evidenceShards: number): Meter['admit']
  /** Bytes per entry of a stream with these field lists. */
  streamOf(lists: readonly (readonly RedisArg[])[]): Promise<number>
  /** What a waiting event consists of, per event. */
  parts(records: readonly Admission[]): Promise<Part[]>
}

export function createMeter(world: World): Meter {
  const { link, keys, config } = world
  const evidenceShards = config.webhook.deduplication.evidence_shards
  const window = () => ({ duration: WINDOW_MS, maxSize: 1 })
  let empty = 0
  const admitWith: Meter['admitWith'] = (evidenceShards) => {
    const admitter = createAdmitter({ keys, window, evidenceShards, now: Date.now })
    return async (admission) => {
      const outcome = await admitter.admit(link, admission)
      if (outcome.kind !== 'accepted') throw new Error(`an event of the fill was ${outcome.kind}`)
    }
  }

  const meter: Meter = {
    link,
    stream: keys.stream,
    evidenceShards,
    async bytesOf(fill) {
      await link.call('FLUSHALL', 'SYNC')
      empty = await world.usedMemory()
      await fill()
      return meter.bytesNow()
    },
    bytesNow: async () => (await world.usedMemory()) - empty,
    admitWith,
    admit: admitWith(evidenceShards),
    async streamOf(lists) {
      const bytes = await meter.bytesOf(() =>
        inPipeline(lists, DEPTH, (fields) => link.call('XADD', keys.stream, '*', ...fields)),
      )
      return bytes / lists.length
    },
    async parts(records) {
      const count = records.length
      const sizes = { body: 0, others: 0 }
      for (const record of records) {
        const body = fieldOf(record, 'body').length
        sizes.body += body
        for (let i = 1; i < record.fields.length; i += 2) sizes.others += Buffer.byteLength(record.fields[i]!)
        sizes.others -= body
      }
      const bodyAlone = await meter.streamOf(records.map((record) => ['body', fieldOf(record, 'body')]))
      const stream = await meter.streamOf(records.map(({ fields }) => fields))
      const whole = (await meter.bytesOf(() => inPipeline(records, DEPTH, meter.admit))) / count
      const frame = sizes.body / count
      const values = sizes.others / count
      return [
        { name: 'packed frame: kept headers and body', bytes: frame, how: 'mean length' },
        {
          name: 'stream node, its index, allocator',
          bytes: bodyAlone - frame,
          how: 'XADD of that alone − its length',
        },
        { name: 'values of the other eight fields', bytes: values, how: 'mean length' },
        {
          name: 'their listpack headers, and more nodes',
          bytes: stream - bodyAlone - values,
          how: 'XADD of all fields − XADD of the body − their length',
        },
        { name: 'dedupe evidence', bytes: whole - stream, how: 'admission − XADD of all fields' },
      ]
    },
  }
  return meter
}
