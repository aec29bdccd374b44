/**
 * How well dictionaries pack. "Held out" is the honest figure: the payload's own event type had no part in making
 * the dictionary (types are dealt out into two halves; each half is packed with what the other taught).
 */
import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import type { Header } from '@weir/core/event'
import { createPacker } from '@weir/core/packing'
import { loadSamples } from '@weir/core/samples'
import { buildDictionary, type Payload, type Source, typeOf } from './sources.ts'

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

interface Event {
  readonly type: string
  readonly headers: readonly Header[]
  readonly body: Buffer
}

/** Events as their sender writes them: with headers, without white space. */
function eventsOf(source: Source): Event[] {
  if (source.tool === 'github') {
    return source.payloads.map(({ type, json }, i) => {
      const delivery = `72d3162e-cc78-11e3-81ab-${String(i * 7919).padStart(12, '0')}`
      return {
        type,
        headers: [
          ['content-type', 'application/json'],
          ['user-agent', 'GitHub-Hookshot/044aadd'],
          ['x-github-delivery', delivery],
          ['x-github-event', type],
          ['x-github-hook-id', '292430182'],
        ],
        body: Buffer.from(JSON.stringify(json)),
      }
    })
  }
  const samples = loadSamples(new URL('../../examples/events/', import.meta.url))
  return samples
    .filter((sample) => sample.tool === source.tool)
    .map((sample) => ({
      type: typeOf(JSON.parse(sample.body.toString()), sample.name),
      headers: Object.entries(sample.headers),
      body: Buffer.from(compact(sample.body, source.vocabulary.escapesHtml)),
    }))
}

/** GitLab's published samples have white space that GitLab does not send. */
function compact(body: Buffer, escapesHtml: boolean): string {
  const json = JSON.stringify(JSON.parse(body.toString()))
  return escapesHtml ? json.replace(/[&<>]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`) : json
}

export function measure(source: Source, level: number): Measured[] {
  const events = eventsOf(source)
  const types = [...new Set(source.payloads.map((payload) => payload.type))]
  const halfOf = (type: string) => {
    const at = types.indexOf(type)
    if (at < 0) throw new Error(`no structure of ${source.tool} event type '${type}' was harvested`)
    return at % 2
  }
  const taughtBy = (half: number): Payload[] => source.payloads.filter(({ type }) => halfOf(type) !== half)
  const build = (payloads: readonly Payload[]) => buildDictionary(source.vocabulary, payloads, source.size)
  const halves = [build(taughtBy(0)), build(taughtBy(1))]
  const shipped = build(source.payloads)
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
