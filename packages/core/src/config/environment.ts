/** What the environment variables say. */
import { distance } from 'fastest-levenshtein'
import type { FieldMeta } from './field.ts'
import { oneOf } from './fields.ts'
import { type Environment, variable } from './interpolate.ts'
import { fieldsOf, type Outline } from './outline.ts'
import type { Problem } from './problems.ts'

/** Variables that are no fields of the configuration, with what they do. */
export const OTHER_VARIABLES = {
  CONFIG_FILE: 'Path of the configuration file, where no flag names one. It must exist.',
  NODE_ENV: '`production` = run by the rules of production (below).',
  WEIR_ENV: '`production` = the same; or `development`, `test`.',
  RUN_E2E_TESTS: 'Read by the tests only: run those that need a running deployment.',
} as const

const WEIR_ENVS = ['production', 'development', 'test']

/** True when NODE_ENV or WEIR_ENV says production. */
export function isProduction(environment: Environment): boolean {
  return ['NODE_ENV', 'WEIR_ENV'].some((name) => variable(environment, name) === 'production')
}

export interface EnvironmentReading {
  readonly settings: readonly {
    readonly path: readonly string[]
    readonly variable: string
    readonly value: string
  }[]
  readonly problems: readonly (Problem & { readonly path?: readonly string[] })[]
}

/** The fields that variables set, and the variables that are wrong whatever field they belong to. */
export function readEnvironment(environment: Environment, outline: Outline): EnvironmentReading {
  const settings: { path: readonly string[]; variable: string; value: string }[] = []
  const problems: (Problem & { path?: readonly string[] })[] = []
  for (const [path, meta] of fieldsOf(outline)) {
    for (const name of meta.env) {
      const value = variable(environment, name)
      if (value === undefined) continue
      if (value.trim() !== '') {
        settings.push({ path, variable: name, value })
        break
      }
      if (meta.empty === 'refused') {
        problems.push({ path, where: path.join('.'), message: `${name} is empty: ${whyNotEmpty(meta)}` })
        break
      }
    }
  }
  const weirEnv = variable(environment, 'WEIR_ENV')
  if (weirEnv && !WEIR_ENVS.includes(weirEnv)) {
    const message = `found ${JSON.stringify(weirEnv)}; allowed: ${oneOf(WEIR_ENVS)}`
    problems.push({ where: 'WEIR_ENV', message })
  }
  return { settings, problems }
}

/** Why an empty value of this field is refused, and what to do. */
function whyNotEmpty(meta: FieldMeta): string {
  const [name] = meta.env
  return `an empty secret protects nothing. Give it a value${name ? `, or unset ${name}` : ', or leave it out'}`
}

/** Sentences about variables that look as if they were meant for Weir. */
export function strayVariables(environment: Environment, outline: Outline): string[] {
  const known = [...fieldsOf(outline).flatMap(([, meta]) => meta.env), ...Object.keys(OTHER_VARIABLES)]
  const notices: string[] = []
  for (const name of Object.keys(environment).sort()) {
    if (!variable(environment, name) || known.includes(name)) continue
    const meant = known.find((candidate) => looksLike(name, candidate))
    if (meant !== undefined) {
      notices.push(`${name}: not a variable of Weir, and ignored. Did you mean ${meant}?`)
    } else if (/^[A-Z0-9_]+_WEBHOOK_SECRET$/.test(name)) {
      notices.push(`${name}: ignored, as there is no such tool in this version`)
    }
  }
  return notices
}

/** Letters that may be wrong in a name of a variable: the longer it is, the less likely is a namesake. */
function looksLike(name: string, candidate: string): boolean {
  const most = candidate.length >= 12 ? 2 : candidate.length >= 6 ? 1 : 0
  return distance(name, candidate) <= most
}
