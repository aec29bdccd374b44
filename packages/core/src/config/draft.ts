import type { ConfigFile } from './file.ts'
import { type Environment, interpolate, unsetMessage } from './interpolate.ts'
import { at, isRecord, type Outline, type Path, pathText, valueIn } from './outline.ts'
import type { Problem, Source } from './problems.ts'

interface DraftOptions {
  readonly outline: Outline
  readonly env: Environment
  readonly cores: number
  readonly file: ConfigFile
  /** Name of the file in messages. */
  readonly fileName: string
}

/** A value that counts as if its key were not there. */
const UNSET = Symbol('unset')

/** Keys that reach into what every object inherits. No configuration has one. */
const REFUSED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** Deepest nesting of a file. The schema has five levels; aliases can make a tree without end. */
const MAX_DEPTH = 16

/**
 * The values before the schema reads them: one tree, filled layer upon layer, that remembers where each value
 * came from and which could not be read.
 */
export class Draft {
  readonly sources = new Map<string, Source>()
  problems: readonly Problem[] = []
  tree: unknown = {}
  readonly #unread = new Set<string>()
  readonly #options: DraftOptions

  constructor(options: DraftOptions) {
    this.#options = options
  }

  /** The lowest layer, with its expressions replaced. */
  addFile(tree: unknown): void {
    const read = this.#readFile(tree, [])
    this.tree = read === UNSET ? {} : read
  }

  /** Sets one field. What stands in its way is left, as it is a problem that the schema reports. */
  set(path: readonly string[], value: unknown, source: Source): void {
    let parent: unknown = this.tree
    for (const key of path.slice(0, -1)) {
      if (!isRecord(parent)) return
      parent[key] ??= {}
      parent = parent[key]
    }
    const key = path.at(-1)
    if (!isRecord(parent) || key === undefined) return
    parent[key] = value
    const where = path.join('.')
    this.sources.set(where, source)
    // What a lower layer said about this field no longer matters, be it right or wrong.
    this.problems = this.problems.filter((problem) => !isWithin(problem.where, where))
    for (const unread of this.#unread) if (isWithin(unread, where)) this.#unread.delete(unread)
  }

  /** Sets what a flag says: one field, or each of a section's. */
  setFlag(dotted: string, value: unknown): void {
    if (value === undefined) return
    const path = dotted.split('.')
    if (path.some((key) => key === '' || REFUSED_KEYS.has(key))) {
      const message = 'is not a path of the configuration'
      this.#report({ where: dotted, source: { from: 'flag' }, message })
    } else if (isRecord(value) && at(this.#options.outline, path)?.kind === 'section') {
      for (const [key, part] of Object.entries(value)) this.setFlag(`${dotted}.${key}`, part)
    } else {
      this.set(path, value, { from: 'flag' })
    }
  }

  /** Takes a value out, because it could not be read. */
  remove(path: Path): void {
    this.markUnread(path)
    const parent = this.valueAt(path.slice(0, -1))
    const key = path.at(-1)
    if (key === undefined) this.tree = {}
    else if (isRecord(parent)) delete parent[String(key)]
  }

  markUnread(path: Path): void {
    this.#unread.add(pathText(path))
  }

  /** True when the value at the path, or around it, or in it, could not be read. */
  isUnread(path: string): boolean {
    return [...this.#unread].some(
      (unread) => unread === '' || isWithin(path, unread) || isWithin(unread, path),
    )
  }

  isSet(path: string): boolean {
    return [...this.sources.keys()].some((set) => isWithin(set, path))
  }

  readonly valueAt = (path: Path): unknown => valueIn(this.tree, path)

  readonly sourceAt = (path: Path): Source | undefined => {
    const known = this.sources.get(pathText(path))
    if (known !== undefined) return known
    const line = this.#options.file.lineOf(path)
    if (line !== undefined) return this.#fileSource(line)
    const inside = [...this.sources.entries()].find(([set]) => isWithin(set, pathText(path)))
    return inside?.[1]
  }

  #fileSource(line: number | undefined): Source {
    return { from: 'file', file: this.#options.fileName, line }
  }

  #readFile(value: unknown, path: Path): unknown {
    if (path.length > MAX_DEPTH) {
      this.#fileProblem(path.slice(0, 4), `is nested more than ${MAX_DEPTH} levels deep`)
      return UNSET
    }
    if (isRecord(value)) return this.#readSection(value, path)
    const node = at(this.#options.outline, path)
    // A section of which every line is a comment.
    if (value === null && node?.kind === 'section') return {}
    const read = Array.isArray(value) ? this.#readList(value, path) : this.#readScalar(value, path)
    const isItem = typeof path.at(-1) === 'number'
    if (read !== UNSET && !isItem) {
      this.sources.set(pathText(path), this.#fileSource(this.#options.file.lineOf(path)))
    }
    return read
  }

  #readSection(value: Record<string, unknown>, path: Path): Record<string, unknown> {
    const section: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(value)) {
      const itemPath = [...path, key]
      if (REFUSED_KEYS.has(key)) {
        this.#fileProblem(itemPath, 'this key is never allowed')
        continue
      }
      const read = this.#readFile(item, itemPath)
      if (read !== UNSET) section[key] = read
    }
    return section
  }

  #readList(items: readonly unknown[], path: Path): unknown {
    const read = items.map((item, index) => this.#readFile(item, [...path, index]))
    return read.includes(UNSET) ? UNSET : read
  }

  #readScalar(value: unknown, path: Path): unknown {
    if (typeof value !== 'string') return value
    const { outline, env, cores } = this.#options
    const result = interpolate(value, env, cores)
    const node = at(outline, path)
    const meta = node?.kind === 'field' && node.meta.nullable ? node.meta : undefined
    if (result.kind === 'text') {
      const emptied = result.value === '' && value !== ''
      return emptied && meta?.empty === 'unset' ? UNSET : result.value
    }
    if (result.kind === 'unset' && meta !== undefined) return UNSET
    this.#fileProblem(path, result.kind === 'unset' ? unsetMessage(result.name) : result.message)
    return UNSET
  }

  #fileProblem(path: Path, message: string): void {
    this.markUnread(path)
    const source = this.#fileSource(this.#options.file.lineOf(path))
    this.#report({ where: pathText(path), source, message })
  }

  #report(problem: Problem): void {
    this.problems = [...this.problems, problem]
  }
}

/** `webhook.redis.addresses[1]` is within `webhook.redis`, and everything is within itself. */
function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`)
}
