/**
 * The records that the pipeline holds, for whoever looks for events by what is known of them: entries of the streams and dead
 * letters newest first, parked ones in no order. Page by page; looking changes nothing, and what moves meanwhile may be
 * seen twice. All throw Fault REDIS_UNAVAILABLE.
 */
import type { Partition } from '../partition.ts'
import { decodeRecord, type EventRecord } from '../record.ts'
import type { RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { streamIdMillis } from '../stream/stream-id.ts'

export interface RecordPage {
  readonly records: readonly EventRecord[]
  /** Looked at, with those whose record cannot be read. */
  readonly looked: number
  /** Time of the oldest one of the page, ms; undefined where the place has no order. */
  readonly backTo: number | undefined
}

/** Records read at once: a page of the largest bodies is then still some MB. */
const PAGE = 200

/** @param since only entries of this time or later, ms */
export async function* entriesBackwards(
  { link }: Pick<Partition, 'link'>,
  stream: string,
  since: number | undefined,
): AsyncGenerator<RecordPage> {
  const start = since === undefined ? '-' : String(Math.max(0, Math.floor(since)))
  let end = '+'
  for (;;) {
    const entries = (await link.call('XREVRANGE', stream, end, start, 'COUNT', PAGE)) as RedisReply[][]
    const last = entries.at(-1)
    if (last === undefined) return
    yield {
      records: entries.flatMap(([, fields]) => readable(fields)),
      looked: entries.length,
      backTo: streamIdMillis(String(last[0])),
    }
    if (entries.length < PAGE) return
    end = `(${String(last[0])}`
  }
}

/*
 * KEYS  1 parked records
 * ARGV  1 cursor, 2 about how many
 * Reply {next cursor, fields, …}
 */
const SCAN_PARKED = defineScript(
  'scan-parked',
  `
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local reply = {page[1]}
for i = 2, #page[2], 2 do
  local readable, fields = pcall(cmsgpack.unpack, page[2][i])
  reply[#reply + 1] = readable and type(fields) == 'table' and fields or {}
end
return reply
`,
)

export async function* parkedEvents({ link, keys }: Partition): AsyncGenerator<RecordPage> {
  let cursor = '0'
  do {
    const reply = (await link.run(SCAN_PARKED, [keys.parkedRecords], [cursor, PAGE])) as RedisReply[]
    const [next, ...found] = reply
    yield { records: found.flatMap(readable), looked: found.length, backTo: undefined }
    cursor = String(next)
  } while (cursor !== '0')
}

function readable(fields: RedisReply | undefined): EventRecord[] {
  try {
    return [decodeRecord((fields ?? []) as Buffer[])]
  } catch {
    return [] // `dlq show` and the consumer's log tell of those
  }
}
