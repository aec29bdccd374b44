/**
 * What encryption costs an event: to seal its frame and to open it again, with the key of its tenant in memory, on the
 * frames of the GitHub examples. Beside it, what packing and unpacking the same events cost without.
 *
 *     pnpm bench:sealing [--rounds 15] [--quick]
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { deriveEventId, type Header, locatorOf } from '@weir/core/event'
import { createPacker, createUnpacker } from '@weir/core/packing'
import { openBody, sealBody } from '@weir/core/sealing'
import { benchKeyring } from './keyring.ts'
import { githubPayloads } from './payloads.ts'
import { headline, machine, median, printTable } from './table.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false } },
})
const rounds = Number(values.rounds ?? (values.quick ? 3 : 15))
/** Passes over all examples of one turn. */
const PASSES = values.quick ? 2 : 20
/** What encryption may add to an event, µs. */
const GOAL = { atMost: 13 }

const directory = mkdtempSync(join(tmpdir(), 'weir-bench-'))
const keyring = await benchKeyring(directory)
const dictionaries = createDictionarySet(loadBundledDictionaries())
const packer = createPacker(dictionaries, 3)
const unpacker = createUnpacker(dictionaries, { opener: keyring })
const headers: readonly Header[] = [['content-type', 'application/json']]

const events = githubPayloads().map(({ type, body }, n) => {
  const tenant = 'default'
  const tool = 'github'
  const locator = locatorOf(tenant, tool, { kind: 'delivery-id', value: String(n) })
  const event = { id: deriveEventId(locator), tenant, tool, type, receivedAt: 1_700_000_000_000 }
  const packed = packer.pack(tool, headers, body)
  return {
    body,
    packed,
    event,
    plain: { ...event, ...packed },
    sealed: { ...event, ...sealBody(keyring, event, packed) },
  }
})
const mean = (of: (each: (typeof events)[number]) => number) =>
  events.reduce((sum, each) => sum + of(each), 0) / events.length

const WORK: Readonly<Record<string, (each: (typeof events)[number]) => unknown>> = {
  pack: ({ body }) => packer.pack('github', headers, body),
  seal: ({ event, packed }) => sealBody(keyring, event, packed),
  open: ({ sealed }) => openBody(keyring, sealed),
  unpack: ({ plain }) => unpacker.unpack(plain),
  'open and unpack': ({ sealed }) => unpacker.unpack(sealed),
}

/** CPU of all threads of this process, µs per event, by what was done. */
const spent = new Map(Object.keys(WORK).map((name) => [name, [] as number[]]))
for (let round = -1; round < rounds; round++) {
  for (const [name, work] of Object.entries(WORK)) {
    const before = process.cpuUsage()
    for (let pass = 0; pass < PASSES; pass++) for (const each of events) work(each)
    const { user, system } = process.cpuUsage(before)
    // The first round is for the compiler.
    if (round >= 0) spent.get(name)?.push((user + system) / PASSES / events.length)
  }
}
await keyring.stop()
rmSync(directory, { recursive: true })

console.log(
  `${machine({})} · ${events.length} GitHub examples, body ${mean(({ body }) => body.length).toFixed(0)} B, frame ${mean(({ packed }) => packed.packed.length).toFixed(0)} B, encrypted ${mean(({ sealed }) => sealed.packed.length).toFixed(0)} B on average · ${rounds} rounds, interleaved; median (least–most)`,
)
printTable(
  'Encryption, CPU per event',
  ['', 'µs'],
  [...spent].map(([name, found]) => {
    const sorted = found.sort((a, b) => a - b)
    const at = (share: number) => sorted[Math.round((sorted.length - 1) * share)]!.toFixed(1)
    return [name, `${at(0.5)} (${at(0)}–${at(1)})`]
  }),
)
const question = 'what encryption adds to an event, by itself'
headline({ question, figure: median(spent.get('seal')!), unit: 'µs', goal: GOAL })
