/**
 * How well dictionaries pack. "Held out" is the honest figure: the payload's own event type had no part in making
 * the dictionary (types are dealt out into two halves; each half is packed with what the other taught).
 */
import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import type { Header } from '@weir/core/event'
import { createPacker } from '@weir/core/packing'
import { buildDictionary, type Event, type Source } from './sources.ts'

export interface Measured {
  readonly tool: string
  readonly what: 'no dictionary' | 'held out' | 'as shipped'
  readonly level: number
  readonly events: number
  /** Bytes of all bodies. */
  readonly raw: number
  /** Bytes of all frames of the bodies alone: what the ratio is about. */
  readonly packed: number
  /** Bytes of all frames as they are stored, with the kept headers. */
  readonly stored: number
  /** Time to pack one event with its headers. */
  readonly microseconds: number
}

export function measure(source: Source, level: number): Measured[] {
  const { events } = source
  const types = [...new Set(source.payloads.map((payload) => payload.type))]
  const halfOf = (type: string) => {
    const at = types.indexOf(type)
    if (at < 0) throw new Error(`no structure of ${source.tool} event type '${type}' was harvested`)
    return at % 2
  }
  const without = (half: number): Source => ({
    ...source,
    payloads: source.payloads.filter(({ type }) => halfOf(type) !== half),
    events: events.filter(({ type }) => halfOf(type) !== half),
  })
  const halves = [buildDictionary(without(0)), buildDictionary(without(1))]
  const shipped = buildDictionary(source)
  return [
    { ...pack(source.tool, 'no dictionary', level, events, () => undefined) },
    { ...pack(source.tool, 'held out', level, events, (event) => halves[halfOf(event.type)]) },
    { ...pack(source.tool, 'as shipped', level, events, () => shipped) },
  ]
}

/** Rounds over all events before any counts, and then; the fastest round counts, other programs slow some down. */
const WARM_UP_ROUNDS = 10
const TIMED_ROUNDS = 20

function pack(
  tool: string,
  what: Measured['what'],
  level: number,
  events: readonly Event[],
  dictionaryFor: (event: Event) => Buffer | undefined,
): Measured {
  const packers = new Map<Buffer | undefined, ReturnType<typeof createPacker>>()
  const jobs = events.map((event) => {
    const bytes = dictionaryFor(event)
    let packer = packers.get(bytes)
    if (packer === undefined) {
      const byTool = new Map(bytes === undefined ? [] : [[tool, dictionaryOf(bytes)]])
      packer = createPacker(createDictionarySet(byTool), level)
      packers.set(bytes, packer)
    }
    return { event, packer }
  })
  const size = (headers: (event: Event) => readonly Header[]) =>
    jobs.reduce(
      (sum, { event, packer }) => sum + packer.pack(tool, headers(event), event.body).packed.length,
      0,
    )
  const packed = size(() => [])
  const stored = size((event) => event.headers)
  let fastest = Number.POSITIVE_INFINITY
  for (let round = 0; round < WARM_UP_ROUNDS + TIMED_ROUNDS; round++) {
    const started = performance.now()
    for (const { event, packer } of jobs) packer.pack(tool, event.headers, event.body)
    if (round >= WARM_UP_ROUNDS) fastest = Math.min(fastest, performance.now() - started)
  }
  return {
    tool,
    what,
    level,
    events: events.length,
    raw: events.reduce((sum, event) => sum + event.body.length, 0),
    packed,
    stored,
    microseconds: (fastest * 1000) / events.length,
  }
}

/** The figures as the Markdown table of docs/dictionaries.md. */
export function tableOf(rows: readonly Measured[]): string {
  const lines = rows.map((row) =>
    [
      row.tool,
      row.events,
      Math.round(row.raw / row.events),
      row.level,
      row.what,
      `${(row.raw / row.packed).toFixed(1)}×`,
      Math.round(row.stored / row.events),
      row.microseconds.toFixed(1),
    ].join(' | '),
  )
  return [
    '| Tool | Events | Mean body, bytes | Level | Dictionary | Ratio | Stored with headers, bytes | µs an event |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n')
}
