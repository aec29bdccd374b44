/** The schema as a list, and a configuration without its secrets. */
import type { FieldKind } from './field.ts'
import { fieldsOf, isRecord, outlineOf, valueIn } from './outline.ts'
import { withoutCredentials } from './problems.ts'
import { type Config, configSchema } from './schema.ts'

/** What the schema says about one field. */
export interface ConfigField {
  /** Dotted path, e.g. `webhook.consumer.num_workers`. */
  readonly path: string
  readonly type: FieldKind
  /** Unit inside the program, '' where there is none. */
  readonly unit: string
  /** The default as people write it. */
  readonly default: string
  readonly meaning: string
  /** What may stand there. */
  readonly allowed: string
  /** The same in short, '' where the type says it all. */
  readonly range: string
  /** Environment variables that set it; the first one that is set counts. */
  readonly env: readonly string[]
  readonly secret: boolean
}

/** The outline for whoever has no particular machine in mind. */
export function describedOutline() {
  return outlineOf(configSchema({ cores: 1, production: false }))
}

/** Every field of the configuration, in the order of the schema. */
export function describeConfig(): ConfigField[] {
  return fieldsOf(describedOutline()).map(([path, meta]) => ({
    path: path.join('.'),
    type: meta.kind,
    unit: meta.unit,
    default: meta.default,
    meaning: meta.meaning,
    allowed: meta.allowed,
    range: meta.range,
    env: meta.env,
    secret: meta.secret,
  }))
}

const HIDDEN = '***'

/** A copy to print: secrets, and users and passwords inside URLs, are `***`. */
/** Every secret that the configuration holds, so that it can be taken out of messages. */
export function secretsIn(config: Config): string[] {
  const found: string[] = []
  const collect = (value: unknown): void => {
    if (typeof value === 'string') found.push(value)
    else if (typeof value === 'object' && value !== null)
      for (const each of Object.values(value)) collect(each)
  }
  for (const [path, meta] of fieldsOf(describedOutline())) {
    const value = valueIn(config, path)
    if (meta.secret) collect(value)
    else if (meta.kind === 'url' && typeof value === 'string') {
      const password = URL.parse(value)?.password ?? ''
      if (password !== '') found.push(password, decodeURIComponent(password))
    }
  }
  return found
}

export function redactedConfig(config: Config): Config {
  const copy = structuredClone(config)
  for (const [path, meta] of fieldsOf(describedOutline())) {
    const parent = valueIn(copy, path.slice(0, -1))
    const key = path.at(-1)
    if (!isRecord(parent) || key === undefined) continue
    const value = parent[key]
    if (meta.secret && Array.isArray(value)) parent[key] = value.map(() => HIDDEN)
    else if (meta.secret && value !== null) parent[key] = HIDDEN
    else if (meta.kind === 'url' && typeof value === 'string') parent[key] = withoutCredentials(value)
  }
  return copy
}
