/** The schema as a tree of sections and fields, for everything that must know a path before values are parsed. */
import { z } from 'zod'
import type { FieldMeta } from './field.ts'

export type Outline =
  | { readonly kind: 'section'; readonly meaning: string; readonly entries: ReadonlyMap<string, Outline> }
  | { readonly kind: 'field'; readonly meta: FieldMeta }

export type Path = readonly PropertyKey[]

/** The outline of a schema made with field.ts. Throws a `TypeError` for anything else. */
export function outlineOf(schema: z.core.$ZodType, meaning = ''): Outline {
  const meta = z.globalRegistry.get(schema)
  if (meta?.field) return { kind: 'field', meta: meta.field }
  const said = meta?.description ?? meaning
  if (schema instanceof z.ZodPrefault) return outlineOf(schema.def.innerType, said)
  if (schema instanceof z.ZodPipe) return outlineOf(schema.def.in, said)
  if (schema instanceof z.ZodObject) {
    const shape: Record<string, z.core.$ZodType> = schema.def.shape
    const entries = Object.entries(shape).map(([key, part]) => [key, outlineOf(part)] as const)
    return { kind: 'section', meaning: said, entries: new Map(entries) }
  }
  throw new TypeError(`a part of the configuration schema is made without field.ts: ${meaning}`)
}

/** The section or field at a path, undefined when there is none. */
export function at(outline: Outline, path: Path): Outline | undefined {
  let node: Outline | undefined = outline
  for (const key of path) {
    node = node?.kind === 'section' ? node.entries.get(String(key)) : undefined
  }
  return node
}

/** The path of the field that a path leads to or into (`addresses[1]` is inside `addresses`), or the path itself. */
export function fieldPath(outline: Outline, path: Path): Path {
  const length = path.findIndex((_, index) => at(outline, path.slice(0, index + 1))?.kind === 'field')
  return length === -1 ? path : path.slice(0, length + 1)
}

/** Every field with its path, in the order of the schema. */
export function fieldsOf(outline: Outline, path: readonly string[] = []): [readonly string[], FieldMeta][] {
  if (outline.kind === 'field') return [[path, outline.meta]]
  return [...outline.entries].flatMap(([key, entry]) => fieldsOf(entry, [...path, key]))
}

/** `webhook.redis.addresses[1]` */
export function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, '')
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value at a path of a tree, undefined when there is none. */
export function valueIn(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => {
    if (Array.isArray(value)) return value[Number(key)]
    return isRecord(value) && Object.hasOwn(value, key) ? value[String(key)] : undefined
  }, tree)
}
