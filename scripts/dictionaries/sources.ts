/** Where the structure of each tool comes from, and putting a dictionary together from it. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Header } from '@weir/core/event'
import { createContentMaker } from '@weir/core/packing'
import { loadSamples } from '@weir/core/samples'
import { withEntropyTables } from '@weir/core/training/entropy'
import { ADAPTERS } from '../../packages/core/src/adapters/table.ts'
import { cover } from '../../packages/core/src/training/cover.ts'
import { foldedStructure } from './folded.ts'
import { blank, textOf, type Vocabulary } from './structure.ts'
import { alertmanagerVocabulary } from './vocabulary/alertmanager.ts'
import { githubVocabulary } from './vocabulary/github.ts'
import { gitlabVocabulary } from './vocabulary/gitlab.ts'
import { jiraVocabulary } from './vocabulary/jira.ts'

export interface Payload {
  /** The event's type: measurements never learn from payloads of the type they measure. */
  readonly type: string
  readonly json: unknown
}

export interface Source {
  readonly tool: string
  readonly vocabulary: Vocabulary
  readonly payloads: readonly Payload[]
  /** What is counted for its entropy tables, and what it is measured on. */
  readonly events: readonly Event[]
  /** Size limit of the dictionary, bytes. */
  readonly size: number
}

/** An event as its sender writes it: with headers, without white space. */
export interface Event {
  readonly type: string
  readonly headers: readonly Header[]
  readonly body: Buffer
}

function githubEvents(payloads: readonly Payload[]): Event[] {
  return payloads.map(({ type, json }, i) => {
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

/** The samples that come with Weir. */
function sampleEvents(tool: string, { escapesHtml }: Vocabulary): Event[] {
  const samples = loadSamples(new URL('../../examples/events/', import.meta.url))
  return samples
    .filter((sample) => sample.tool === tool)
    .map((sample) => ({
      type: typeOf(JSON.parse(sample.body.toString()), sample.name),
      headers: Object.entries(sample.headers),
      body: Buffer.from(compact(sample.body, escapesHtml)),
    }))
}

/** GitLab's published samples have white space that GitLab does not send. */
function compact(body: Buffer, escapesHtml: boolean): string {
  const json = JSON.stringify(JSON.parse(body.toString()))
  return escapesHtml ? json.replace(/[&<>]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`) : json
}

/** Tuned on GitHub's payloads: docs/dictionaries.md has the table. */
const WINDOW = 512
const GRAM = 8

/** The type of an event as its payload or, failing that, its file's name says. */
export function typeOf(json: unknown, fileName: string): string {
  const { object_kind, event_name } = json as { object_kind?: string; event_name?: string }
  return object_kind ?? event_name ?? fileName
}

/** All payloads of @octokit/webhooks-examples. */
export function githubPayloads(): Payload[] {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-examples')
  const events: { name: string; examples: unknown[] }[] = JSON.parse(readFileSync(path, 'utf8'))
  return events.flatMap(({ name, examples }) => examples.map((json) => ({ type: name, json })))
}

/** The committed structure of a tool whose samples are not a dependency: one blanked payload a line. */
function committedStructure(tool: string): Payload[] {
  const file = structureFile(tool)
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      const { type, json } = JSON.parse(line)
      if (typeof type !== 'string') throw new Error(`${file.pathname}:${i + 1}: no type`)
      return { type, json }
    })
}

export const structureFile = (tool: string): URL =>
  new URL(`../../packages/core/dictionaries/structure/${tool}.jsonl`, import.meta.url)

export const dictionaryFile = (tool: string): URL =>
  new URL(`../../packages/core/dictionaries/${tool}.dict`, import.meta.url)

const KIB = 1024

/** Of tools whose structure is committed. Throws an Error that lists them for another name. */
export function vocabularyOf(tool: string): Vocabulary {
  const vocabulary = COMMITTED.get(tool)?.vocabulary
  if (vocabulary === undefined)
    throw new Error(`no structure is kept of '${tool}', only of ${[...COMMITTED.keys()].join(', ')}`)
  return vocabulary
}

const COMMITTED: ReadonlyMap<string, { readonly vocabulary: Vocabulary; readonly size: number }> = new Map([
  ['gitlab', { vocabulary: gitlabVocabulary, size: 32 * KIB }],
  ['jira', { vocabulary: jiraVocabulary, size: 16 * KIB }],
  ['alertmanager', { vocabulary: alertmanagerVocabulary, size: 8 * KIB }],
])

export function sources(): Source[] {
  const payloads = githubPayloads()
  return [
    {
      tool: 'github',
      vocabulary: githubVocabulary(),
      payloads,
      events: githubEvents(payloads),
      size: 48 * KIB,
    },
    ...[...COMMITTED].map(([tool, { vocabulary, size }]) => ({
      tool,
      vocabulary,
      payloads: committedStructure(tool),
      events: sampleEvents(tool, vocabulary),
      size,
    })),
  ]
}

/**
 * The dictionary of these payloads: entropy tables, chosen structure, then what was written by hand, then the header lines.
 */
export function buildDictionary(source: Source): Buffer {
  const contentOf = createContentMaker()
  const samples = source.events.map(({ headers, body }) =>
    Buffer.from(contentOf(source.tool, headers, body).bytes),
  )
  return withEntropyTables(structureOf(source), samples)
}

/** What the dictionary repeats. */
export function structureOf({ tool, vocabulary, payloads, size }: Source): Buffer {
  const tail = vocabulary.extras.join('') + vocabulary.headers.join('')
  const names = ADAPTERS.get(tool)?.recurringNames
  const texts = payloads.map(({ json }) =>
    names === undefined
      ? textOf(blank(json, vocabulary), vocabulary.escapesHtml)
      : foldedStructure(json, names, vocabulary),
  )
  return Buffer.from(cover(texts, { size: size - tail.length, window: WINDOW, gram: GRAM }) + tail)
}
