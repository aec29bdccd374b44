/**
 * What docs/upgrading.md promises of going back: what a newer version left behind is waited with, told, and lost by nobody. The older
 * version is the one that is here; the newer one is what it might have written.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { readLedger } from '@weir/core/stream/ledger'
import { wakeParked } from '@weir/core/stream/parked'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeSegmentHeader } from '../../apps/ingest/src/spool/format.ts'
import { startApps } from '../support/apps.ts'
import { SECRET } from '../support/gateway.ts'
import { type TestPipeline, usePipeline } from '../support/pipeline.ts'
import { useRedis } from '../support/redis.ts'
import { useProcesses } from '../support/use-processes.ts'

const redis = useRedis({ appendfsync: 'no', openConnections: 'allowed' })
const open = usePipeline(redis)
const processes = useProcesses()
const PATIENT = { timeout: 20_000 }
/** A packing that this version does not know. */
const NEWER = 'brotli'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-rollback-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** Accepts an event, and then one with another id of which a field says what only a newer version knows. */
async function writtenByNewer(
  { link, keys, accept }: TestPipeline,
  [field, value]: readonly [string, string],
): Promise<void> {
  const { streamId } = await accept()
  const [[, fields]] = (await link.call('XRANGE', keys.stream, streamId, streamId)) as [[Buffer, Buffer[]]]
  const placeOf = (wanted: string) =>
    1 + fields.findIndex((name, at) => at % 2 === 0 && String(name) === wanted)
  fields[placeOf(field)] = Buffer.from(value)
  const id = placeOf('id')
  fields[id] = Buffer.from(String(fields[id]).replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A')))
  await link.call('XADD', keys.stream, '*', ...fields)
}

describe('after going back', () => {
  it('events that the newer version packed wait, use up no attempt, and hold up no other; the newer version takes them up', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    for (let n = 0; n < 3; n++) await writtenByNewer(pipeline, ['enc', NEWER])
    for (let n = 0; n < 2; n++) await writtenByNewer(pipeline, ['v', '2'])
    await startApps(processes, { directory, env: { REDIS_URL: redis.url }, components: ['consumer'] })
    const ledger = async () => (await readLedger(link, keys)).ledger
    await expect
      .poll(ledger, PATIENT)
      .toMatchObject({ accepted: 10, settled: 5, parked: 5, dead: 0, unaccounted: 0 })
    const states = (await link.call('HVALS', keys.parkedState)) as Buffer[]
    expect(states.map((state) => JSON.parse(String(state)) as object)).toEqual(
      Array.from({ length: 5 }, () => expect.objectContaining({ reason: 'newer', n: 0 })),
    )

    // To a consumer of the newer version they are like the others; here that is one which knows what they really are.
    await link.call(
      'EVAL',
      `for _, sid in ipairs(redis.call('HKEYS', KEYS[1])) do
        local fields = cmsgpack.unpack(redis.call('HGET', KEYS[1], sid))
        for i = 1, #fields, 2 do
          if fields[i] == 'v' then fields[i + 1] = '1' end
          if fields[i] == 'enc' then fields[i + 1] = ARGV[1] end
        end
        redis.call('HSET', KEYS[1], sid, cmsgpack.pack(fields))
      end`,
      1,
      keys.parkedRecords,
      'folded',
    )
    await wakeParked(link, keys, 'newer')
    await expect.poll(ledger, PATIENT).toMatchObject({ settled: 10, parked: 0, dead: 0, unaccounted: 0 })
  })

  it('a spool that the newer version wrote in another format is refused, with what to do, and left as it is', async () => {
    const spool = join(directory, 'spool')
    mkdirSync(spool)
    const segment = join(spool, 'spool-00000000000000000001.log')
    const newer = encodeSegmentHeader({ header: 1, payload: 2 })
    newer.writeUInt32LE(2, 8)
    newer.writeUInt32LE(crc32(newer.subarray(0, 20)), 20)
    const written = Buffer.concat([newer, Buffer.from('in a way that nobody here can read')])
    writeFileSync(segment, written)
    const gateway = processes.start('apps/ingest/src/main.ts', {
      cwd: directory,
      env: { REDIS_URL: redis.url, WEIR_DATA_DIR: directory, PORT: '0', GITHUB_WEBHOOK_SECRET: SECRET },
    })
    expect((await gateway.done).code).not.toBe(0)
    expect(gateway.output()).toMatch(/format 2/)
    expect(gateway.output()).toMatch(/newer|version/)
    expect(readFileSync(segment)).toEqual(written)
  })
})
