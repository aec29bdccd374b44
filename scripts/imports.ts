/**
 * Who may import whom, and who may look at the process: the floors of the house, checked on the syntax tree.
 * `checkImports` is what `pnpm check` runs; docs/architecture.md says why the floors are as they are.
 *
 * (TypeScript 7 offers no syntax tree to the usual tools; oxc's parser reads the same sources.)
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'

/** A room: one directory of the tree whose files share one row of rules. */
interface Room {
  /** Directory from the root; `*` stands for one name. */
  readonly path: string
  /** Rooms its files may import from, besides their own. */
  readonly imports: readonly string[]
  /** May it import npm packages, or is it to stand on node: alone? */
  readonly packages: 'any' | 'none'
  /** Files (pattern on the path within the room) that may read argv, env and signals. */
  readonly process: RegExp
}

const NOWHERE = /^\b$/
const EVERYWHERE = /^/

/** The rule table. A file outside of all rooms is not checked. */
const ROOMS: readonly Room[] = [
  { path: 'packages/core', imports: [], packages: 'any', process: NOWHERE },
  { path: 'packages/security', imports: [], packages: 'none', process: NOWHERE },
  { path: 'packages/context-lifecycle', imports: ['packages/core'], packages: 'any', process: NOWHERE },
  { path: 'packages/ai', imports: ['packages/core'], packages: 'any', process: NOWHERE },
  {
    path: 'apps/*',
    imports: ['packages/core', 'packages/context-lifecycle', 'packages/ai', 'packages/security'],
    packages: 'any',
    process: /^src\/main\.ts$/,
  },
  { path: 'scripts', imports: ['packages/*', 'apps/*', 'tests'], packages: 'any', process: EVERYWHERE },
  { path: 'examples', imports: ['packages/core'], packages: 'any', process: NOWHERE },
  {
    path: 'tests',
    imports: ['packages/*', 'apps/*', 'scripts', 'examples'],
    packages: 'any',
    process: EVERYWHERE,
  },
  {
    path: 'faults',
    imports: ['packages/*', 'scripts', 'tests', 'bench'],
    packages: 'any',
    process: EVERYWHERE,
  },
  {
    path: 'bench',
    imports: ['packages/*', 'apps/*', 'scripts', 'tests', 'examples'],
    packages: 'any',
    process: EVERYWHERE,
  },
]

/** A test may use more than the source beside it: the test support, the scripts, any npm package, the process. */
const TEST_FILE = /\.test\.ts$/
const TEST_IMPORTS = ['tests', 'scripts', 'examples', 'packages/security']

/** What of `process` belongs to main.ts. */
const PROCESS_MEMBERS = new Set(['argv', 'env', 'exit', 'on', 'once', 'stdin'])
const SOURCE_FILE = /\.(?:ts|mts|mjs|js)$/
const SKIPPED_DIRECTORIES = new Set(['node_modules', 'dist', 'coverage', 'testdata', 'samples'])

export interface Violation {
  /** Path from the root, and line. */
  readonly where: string
  readonly what: string
}

/** Checks every source file of the rooms under `root`; violations in the order of files and lines, then cycles. */
export function checkImports(root: string): Violation[] {
  const violations: Violation[] = []
  const graph = new Map<string, string[]>()
  for (const file of sourceFiles(root)) {
    const room = roomOf(file)
    if (!room) continue
    const source = readFileSync(join(root, file), 'utf8')
    const { references, processUses, errors } = readSource(file, source)
    const report = (offset: number, what: string) =>
      violations.push({ where: `${file}:${source.slice(0, offset).split('\n').length}`, what })
    for (const error of errors) report(0, error)
    const targets: string[] = []
    for (const { specifier, offset } of references) {
      const problem = judge(file, room, specifier)
      if (problem) report(offset, problem)
      const target = fileOf(file, specifier)
      if (target) targets.push(target)
    }
    graph.set(file, targets)
    if (!TEST_FILE.test(file) && !room.process.test(posix.relative(directoryOf(room, file), file))) {
      for (const { name, offset } of processUses) {
        report(offset, `uses ${name}: only a main.ts reads argv, env and signals; take it as an argument`)
      }
    }
  }
  return [...violations, ...cyclesOf(graph)]
}

/** What is wrong with `file` (of `room`) importing `specifier`; undefined when nothing is. */
function judge(file: string, room: Room, specifier: string): string | undefined {
  const isTest = TEST_FILE.test(file)
  const target = fileOf(file, specifier)
  if (target === undefined) {
    if (specifier.startsWith('node:') || room.packages === 'any' || isTest) return undefined
    return `imports ${specifier}: ${room.path} stands on node: alone`
  }
  if (TEST_FILE.test(target)) return `imports ${specifier}: nothing imports a test`
  const home = directoryOf(room, file)
  if (target.startsWith(`${home}/`)) return undefined
  const other = roomOf(target)
  if (!other)
    return isTest || room.process === EVERYWHERE ? undefined : `imports ${specifier}: that is in no room`
  const allowed = isTest ? [...room.imports, ...TEST_IMPORTS] : room.imports
  const otherHome = directoryOf(other, target)
  if (allowed.some((pattern) => matches(pattern, otherHome))) return undefined
  const may = room.imports.length === 0 ? 'no other room' : room.imports.join(', ')
  return `imports ${specifier}: ${home} may import from ${may}`
}

/** The file in this repository that an import means; undefined for node: modules and npm packages. */
function fileOf(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return posix.normalize(posix.join(posix.dirname(from), specifier))
  const [scope, name, ...rest] = specifier.split('/')
  if (scope !== '@weir' || name === undefined) return undefined
  const home = roomOf(`packages/${name}/`) ? `packages/${name}` : `apps/${name}`
  return `${home}/src/${rest.join('/')}.ts`
}

function roomOf(file: string): Room | undefined {
  return ROOMS.find((room) => directoryOf(room, file) !== '')
}

/** The directory of `room` that holds `file`: `apps/ingest` for `apps/*`; '' when it does not hold it. */
function directoryOf(room: Room, file: string): string {
  const directory = file.split('/').slice(0, room.path.split('/').length).join('/')
  return directory !== file && matches(room.path, directory) ? directory : ''
}

function matches(pattern: string, directory: string): boolean {
  return pattern.endsWith('/*')
    ? directory.startsWith(pattern.slice(0, -1)) && directory.split('/').length === pattern.split('/').length
    : pattern === directory
}

interface SourceFacts {
  /** Every import, export-from, import() of a literal, and import type. */
  readonly references: readonly { readonly specifier: string; readonly offset: number }[]
  readonly processUses: readonly { readonly name: string; readonly offset: number }[]
  readonly errors: readonly string[]
}

function readSource(file: string, source: string): SourceFacts {
  const references: { specifier: string; offset: number }[] = []
  const processUses: { name: string; offset: number }[] = []
  const refer = (specifier: string, offset: number) => {
    references.push({ specifier, offset })
    if (specifier === 'node:process') processUses.push({ name: specifier, offset })
  }
  const { program, errors } = parseSync(file, source)
  new Visitor({
    ImportDeclaration: (node) => refer(node.source.value, node.start),
    ExportAllDeclaration: (node) => refer(node.source.value, node.start),
    ExportNamedDeclaration: (node) => {
      if (node.source) refer(node.source.value, node.start)
    },
    ImportExpression: (node) => {
      if (node.source.type === 'Literal' && typeof node.source.value === 'string')
        refer(node.source.value, node.start)
    },
    TSImportType: (node) => refer(node.source.value, node.start),
    MemberExpression: (node) => {
      if (node.object.type !== 'Identifier' || node.object.name !== 'process') return
      const { property } = node
      const name =
        property.type === 'Identifier' ? property.name : property.type === 'Literal' ? property.value : ''
      if (PROCESS_MEMBERS.has(String(name))) processUses.push({ name: `process.${name}`, offset: node.start })
    },
  }).visit(program)
  return { references, processUses, errors: errors.map((error) => `cannot be parsed: ${error.message}`) }
}

/** Cycles of the import graph, type imports included: one violation for each knot of files, with a way round it. */
function cyclesOf(graph: ReadonlyMap<string, readonly string[]>): Violation[] {
  const violations: Violation[] = []
  const state = new Map<string, 'open' | 'done'>()
  const path: string[] = []
  const visit = (file: string): void => {
    state.set(file, 'open')
    path.push(file)
    for (const target of graph.get(file) ?? []) {
      if (state.get(target) === 'open') {
        const cycle = [...path.slice(path.indexOf(target)), target]
        violations.push({ where: target, what: `imports itself in a circle: ${cycle.join(' → ')}` })
      } else if (!state.has(target)) visit(target)
    }
    path.pop()
    state.set(file, 'done')
  }
  for (const file of graph.keys()) if (!state.has(file)) visit(file)
  return violations
}

/** Source files under the rooms, as paths from the root with `/`, sorted. */
function sourceFiles(root: string): string[] {
  const found: string[] = []
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (entry.isDirectory() && !SKIPPED_DIRECTORIES.has(entry.name) && !entry.name.startsWith('.'))
        walk(path)
      else if (entry.isFile() && SOURCE_FILE.test(entry.name))
        found.push(relative(root, path).split(sep).join('/'))
    }
  }
  const top = new Set(ROOMS.map((room) => room.path.split('/')[0] ?? ''))
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (entry.isDirectory() && top.has(entry.name)) walk(join(root, entry.name))
  }
  return found.sort()
}
