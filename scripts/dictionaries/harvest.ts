/** Reads sample payloads of a tool from directories and keeps their structure, one blanked payload a line. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { typeOf } from './sources.ts'
import { blank, type Vocabulary } from './structure.ts'

export interface Harvest {
  /** JSON lines for packages/core/dictionaries/structure/<tool>.jsonl. */
  readonly lines: string
  /** Member names that the vocabulary does not know, with the number of times seen: to be looked at, then added. */
  readonly unknown: ReadonlyMap<string, number>
}

/** Every `*.json` in the directories, sorted by name; what differs from an earlier one only in its values is left out. */
export function harvest(vocabulary: Vocabulary, directories: readonly string[]): Harvest {
  const unknown = new Map<string, number>()
  const seen = new Set<string>()
  const lines: string[] = []
  const files = directories.flatMap((directory) =>
    readdirSync(directory)
      .filter((file) => file.endsWith('.json'))
      .sort()
      .map((file) => ({ path: join(directory, file), name: file.slice(0, -'.json'.length) })),
  )
  for (const { path, name } of files) {
    const json: unknown = JSON.parse(readFileSync(path, 'utf8'))
    noteUnknown(json, vocabulary.keys, unknown)
    const structure = JSON.stringify(blank(json, vocabulary))
    if (seen.has(structure)) continue
    seen.add(structure)
    lines.push(`{"type":${JSON.stringify(typeOf(json, name))},"json":${structure}}\n`)
  }
  return { lines: lines.join(''), unknown }
}

function noteUnknown(value: unknown, keys: ReadonlySet<string>, unknown: Map<string, number>): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, member] of Object.entries(value)) {
    if (!Array.isArray(value) && !keys.has(key)) unknown.set(key, (unknown.get(key) ?? 0) + 1)
    noteUnknown(member, keys, unknown)
  }
}
