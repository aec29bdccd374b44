/** What is wrong with a configuration, in words: where, what was found, what is allowed, what was probably meant. */
import type { z } from 'zod'
import { Fault } from '../faults.ts'
import { nearest } from './nearest.ts'
import { at, fieldPath, fieldsOf, type Outline, type Path, pathText } from './outline.ts'

/** Where a value comes from. */
export type Source =
  | { readonly from: 'flag' }
  | { readonly from: 'environment'; readonly variable: string }
  | { readonly from: 'file'; readonly file: string; readonly line: number | undefined }

/** One sentence or two; `where` is a path, a variable or a line. */
export interface Problem {
  readonly where: string
  readonly source?: Source | undefined
  readonly message: string
}

/** All problems as one fault, a line for each. */
export function configFault(problems: readonly Problem[], cause?: unknown): Fault {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  const lines = problems.map((problem) => `  - ${problemText(problem)}`)
  const message = [`The configuration has ${count}:`, ...lines].join('\n')
  return new Fault('CONFIG_INVALID', message, cause === undefined ? undefined : { cause })
}

function problemText({ where, source, message }: Problem): string {
  return `${where}${source ? ` (${sourceText(source)})` : ''}: ${message}`
}

export function sourceText(source: Source): string {
  if (source.from === 'flag') return 'flag'
  if (source.from === 'environment') return source.variable
  return source.line === undefined ? source.file : `${source.file}:${source.line}`
}

/** Most keys or words that a message lists. */
const LISTED = 12

/** The problems that zod found in `tree`, in the words of the schema. */
export function problemsOfIssue(
  issue: z.core.$ZodIssue,
  outline: Outline,
  valueAt: (path: Path) => unknown,
  sourceAt: (path: Path) => Source | undefined,
): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key]
      return { where: pathText(path), source: sourceAt(path), message: unknownKey(path, outline) }
    })
  }
  const path = fieldPath(outline, issue.path)
  const found = valueAt(path)
  const node = at(outline, path)
  const where = pathText(path)
  const source = sourceAt(path)
  if (node?.kind !== 'field') {
    const keys = node?.kind === 'section' ? [...node.entries.keys()] : []
    // The kind only: what stands where a section of secrets belongs may be a secret.
    const message = `found ${kindText(found)}; allowed: a section with the keys ${listed(keys)}`
    return [{ where, source, message }]
  }
  const { meta } = node
  const why: unknown = issue.code === 'custom' ? issue.params?.why : undefined
  const shown = meta.secret ? 'a value that is not shown' : foundText(found)
  const detail = typeof why === 'string' && why !== '' ? `, which ${why}` : ''
  const word = typeof found === 'string' && !meta.secret ? nearest(found, meta.words) : undefined
  const hint = word === undefined ? '' : `. Did you mean ${word}?`
  return [{ where, source, message: `found ${shown}${detail}; allowed: ${meta.allowed}${hint}` }]
}

function unknownKey(path: Path, outline: Outline): string {
  const key = String(path.at(-1))
  const parent = at(outline, path.slice(0, -1))
  const siblings = parent?.kind === 'section' ? [...parent.entries.keys()] : []
  const sibling = nearest(key, siblings)
  if (sibling !== undefined) {
    return `unknown key. Did you mean ${sibling}? Allowed here: ${listed(siblings)}`
  }
  const elsewhere = placesOf(key, outline)
  const hint = elsewhere.length === 0 ? '' : ` Did you mean ${elsewhere.slice(0, 3).join(' or ')}?`
  return `unknown key.${hint} Allowed here: ${listed(siblings)}`
}

/** Paths anywhere that end in just this key: what was written is right, only in the wrong place. */
function placesOf(key: string, outline: Outline): string[] {
  const places = new Set<string>()
  for (const [path] of fieldsOf(outline)) {
    const end = path.indexOf(key)
    if (end !== -1) places.add(path.slice(0, end + 1).join('.'))
  }
  return [...places]
}

function listed(keys: readonly string[]): string {
  const rest = keys.length - LISTED
  return rest > 0 ? `${keys.slice(0, LISTED).join(', ')} and ${rest} more` : keys.join(', ')
}

const SHOWN = 80

function foundText(found: unknown): string {
  if (typeof found === 'string') {
    const shown = withoutCredentials(found)
    const text = JSON.stringify(shown)
    return text.length > SHOWN ? `${text.slice(0, SHOWN)}… (${shown.length} characters)` : text
  }
  return typeof found === 'number' || typeof found === 'boolean' ? String(found) : kindText(found)
}

function kindText(found: unknown): string {
  if (found === null || found === undefined) return 'nothing (null)'
  if (Array.isArray(found)) return 'a list'
  if (typeof found === 'object') return 'a section'
  return typeof found === 'string' ? 'text' : `a ${typeof found}`
}

/** A URL with `***` in place of user and password. Other text with an @ is not shown at all. */
export function withoutCredentials(text: string): string {
  if (!text.includes('@')) return text
  const parsed = URL.parse(text)
  if (parsed === null) return '***'
  if (parsed.username !== '') parsed.username = '***'
  if (parsed.password !== '') parsed.password = '***'
  return parsed.href
}
