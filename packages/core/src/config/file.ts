/** config.yaml as text into a plain tree, with the line of everything in it. */
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import { messageOf } from '../faults.ts'
import type { Path } from './outline.ts'
import type { Problem } from './problems.ts'

export interface ConfigFile {
  /** Mappings, lists, text, numbers, booleans and null, as written; `{}` for an empty file. */
  readonly tree: unknown
  readonly problems: readonly Problem[]
  /** False when the text is not YAML at all, so that nothing can be said about what it holds. */
  readonly readable: boolean
  /** Line of the key or item at a path, counted from 1; undefined when the file does not have it. */
  lineOf(path: Path): number | undefined
}

/**
 * Reads YAML 1.2 (https://yaml.org/spec/1.2.2/). Keys that stand twice, keys that are not text and unknown tags
 * are problems. Messages name the line and never quote the text around it: it may be a secret.
 */
export function readConfigFile(text: string, file: string): ConfigFile {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: true,
    logLevel: 'error',
  })
  const lineAt = (offset: number) => lines.linePos(offset).line
  const problems: Problem[] = [...document.errors, ...document.warnings].map((error) => ({
    where: `${file}:${lineAt(error.pos[0])}`,
    message: SYNTAX[error.code] ?? `is not YAML (${error.code.toLowerCase().replaceAll('_', ' ')})`,
  }))
  const lineOf = (path: Path): number | undefined => {
    const offset = offsetOf(document.contents, path)
    return offset === undefined ? undefined : lineAt(offset)
  }

  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) {
    return { tree: {}, problems, readable: false, lineOf }
  }
  try {
    return { tree: document.toJS() ?? {}, problems, readable: true, lineOf }
  } catch (error) {
    // An alias to nothing, or so many aliases that they look like an attack.
    return {
      tree: {},
      problems: [...problems, { where: file, message: messageOf(error) }],
      readable: false,
      lineOf,
    }
  }
}

const SYNTAX: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands here a second time; keep one of them',
  NON_STRING_KEY: 'this key is not text; put it in quotes',
  TAB_AS_INDENT: 'a tab begins this line; indent with spaces',
  BAD_INDENT: 'the indentation does not fit the lines above',
  MISSING_CHAR:
    'a sign is missing, such as a closing quote or bracket, or the colon after a key (inside [ ] and { } an expression ${NAME} needs quotes)',
  MULTIPLE_DOCS: 'a second document begins here (---); one file has one',
  TAG_RESOLVE_FAILED: 'the tag (!…) is not known; leave it out',
}

function offsetOf(contents: unknown, path: Path): number | undefined {
  let node: unknown = contents
  let offset: number | undefined
  for (const key of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        ({ key: name }) => isScalar(name) && String(name.value) === String(key),
      )
      if (pair === undefined) return undefined
      offset = (pair.key as Node).range?.[0]
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(key)]
      if (node === undefined) return undefined
      offset = (node as Node).range?.[0]
    } else {
      return undefined
    }
  }
  return offset
}
