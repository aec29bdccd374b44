/**
 * What a field and a section of the schema are: a zod schema that reads what a person wrote (YAML value,
 * environment variable, flag) into what the program uses, and carries in its `.meta()` everything that
 * documentation, error messages and redaction need. The kinds of field are in fields.ts.
 */
import { z } from 'zod'

export type FieldKind =
  | 'boolean'
  | 'integer'
  | 'number'
  | 'duration'
  | 'size'
  | 'text'
  | 'choice'
  | 'list'
  | 'url'
  | 'secret'

/** What the schema says about a field. */
export interface FieldMeta {
  readonly kind: FieldKind
  readonly meaning: string
  /** Unit of the value inside the program, e.g. `ms`; '' where there is none. */
  readonly unit: string
  /** What may stand here, as the end of the sentence "allowed: …". */
  readonly allowed: string
  /** The same in short, for tables; '' where the kind says it all. */
  readonly range: string
  /** The default as people write it. */
  readonly default: string
  /** Environment variables that set it; the first one that is set counts. */
  readonly env: readonly string[]
  /** True when null, or an unset `${NAME}`, stands for "not set". */
  readonly nullable: boolean
  /** Never printed: neither in messages nor by `redactedConfig`. */
  readonly secret: boolean
  /** An empty variable counts as not set; where that would open a door it is refused instead. */
  readonly empty: 'unset' | 'refused'
  /** Allowed words, for suggestions. */
  readonly words: readonly string[]
}

declare module 'zod' {
  interface GlobalMeta {
    field?: FieldMeta
  }
}

/** Why a value cannot be read; '' when `allowed` says it all. */
export class Unreadable {
  readonly why: string
  constructor(why = '') {
    this.why = why
  }
}

export interface Common {
  readonly meaning: string
  readonly env?: string | readonly string[]
  /** How the default reads, where it is worked out and not written. */
  readonly defaultText?: string
}
/** `Value`, with null where the default is null. */
export type Maybe<Value, Fallback> = null extends Fallback ? Value | null : Value
export type Field<Value> = z.ZodPrefault<z.ZodPipe<z.ZodUnknown, z.ZodTransform<Value, unknown>>>

interface Plan<Value> extends Common {
  readonly kind: FieldKind
  readonly unit?: string
  readonly allowed: string
  readonly range?: string
  readonly fallback: unknown
  /** Null is a value although the default is another. */
  readonly orNull?: boolean
  readonly secret?: boolean
  readonly empty?: 'unset' | 'refused'
  readonly words?: readonly string[]
  /** Reads anything but null and undefined. */
  read(found: unknown): Value | Unreadable
}

/** The schema of one field. */
export function field<Value>(plan: Plan<Value>): Field<Value> {
  const nullable = plan.fallback === null || plan.orNull === true
  const meta: FieldMeta = {
    kind: plan.kind,
    meaning: plan.meaning,
    unit: plan.unit ?? '',
    allowed: plan.allowed,
    range: plan.range ?? '',
    default: plan.defaultText ?? defaultText(plan.fallback),
    env: typeof plan.env === 'string' ? [plan.env] : (plan.env ?? []),
    nullable,
    secret: plan.secret ?? false,
    empty: plan.empty ?? 'unset',
    words: plan.words ?? [],
  }
  return z
    .unknown()
    .transform((found, context): Value => {
      // The cast is for callers whose `Value` has null in it exactly when the field is nullable.
      if (found === null && nullable) return null as Value
      const value = found === null ? new Unreadable() : plan.read(found)
      if (!(value instanceof Unreadable)) return value
      context.addIssue({ code: 'custom', params: { why: value.why } })
      return z.NEVER
    })
    .prefault(plan.fallback)
    .meta({ description: plan.meaning, field: meta })
}

function defaultText(fallback: unknown): string {
  if (fallback === null) return 'null'
  if (Array.isArray(fallback)) return fallback.length === 0 ? '[]' : fallback.join(', ')
  return String(fallback)
}

/** Keys that belong together. A key that is not in `shape` is refused. */
export function section<Shape extends z.core.$ZodLooseShape>(meaning: string, shape: Shape) {
  const object = z.strictObject(shape)
  // Every field has a default, so an empty section is a whole one; the types of a generic shape cannot say so.
  return object.prefault({} as z.core.input<typeof object>).meta({ description: meaning })
}
