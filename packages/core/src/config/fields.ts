/**
 * The kinds of field that the schema is made of. Text is accepted wherever its meaning is plain, because values
 * from the environment are always text.
 */
import { isIP } from 'node:net'
import { NAME_PATTERN } from '../event.ts'
import { formatDuration, parseDuration } from './duration.ts'
import { type Common, type Field, field, type Maybe, Unreadable } from './field.ts'
import { parseSize } from './size.ts'

const BOOLEANS = new Map<unknown, boolean>([
  [true, true],
  ['true', true],
  ['yes', true],
  ['on', true],
  ['1', true],
  [false, false],
  ['false', false],
  ['no', false],
  ['off', false],
  ['0', false],
])

export function boolean(options: Common & { default: boolean }): Field<boolean> {
  return field({
    ...options,
    kind: 'boolean',
    allowed: 'true or false',
    words: ['true', 'false'],
    fallback: options.default,
    read: (found) =>
      BOOLEANS.get(typeof found === 'string' ? found.toLowerCase() : found) ?? new Unreadable(),
  })
}

interface Range {
  readonly min?: number
  readonly max?: number
}

function readNumber(found: unknown, pattern: RegExp): number | undefined {
  if (typeof found === 'number') return Number.isFinite(found) ? found : undefined
  return typeof found === 'string' && pattern.test(found) ? Number(found) : undefined
}

function readInteger(found: unknown, min: number, max: number): number | Unreadable {
  const value = readNumber(found, /^-?\d{1,16}$/)
  if (value === undefined || !Number.isSafeInteger(value) || value < min || value > max)
    return new Unreadable()
  return value
}

function rangeText(what: string, { min = 0, max }: Range): string {
  if (what === '') return max === undefined ? `${min} or more` : `${min} to ${max}`
  return max === undefined ? `${what}, at least ${min}` : `${what} from ${min} to ${max}`
}

/** A whole number, at least 0 where nothing else is said. `off: true` allows null, written null or off. */
export function integer<const Fallback extends number | null>(
  options: Common & Range & { default: Fallback; unit?: string; off?: false },
): Field<Maybe<number, Fallback>>
export function integer(
  options: Common & Range & { default: number | null; unit?: string; off: true },
): Field<number | null>
export function integer(
  options: Common & Range & { default: number | null; unit?: string; off?: boolean },
): Field<number | null> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options
  return field<number | null>({
    ...options,
    kind: 'integer',
    allowed: rangeText('a whole number', options) + (options.off ? ', or off' : ''),
    range: rangeText('', options) + (options.off ? ', off' : ''),
    fallback: options.default,
    orNull: options.off ?? false,
    words: options.off ? ['off'] : [],
    read: (found) => (options.off && found === 'off' ? null : readInteger(found, min, max)),
  })
}

/** A whole number, or `auto` for `perCore` times the number of processor cores. */
export function integerOrAuto(
  options: Common & { default: number; min: number; max: number; perCore: number; cores: number },
): Field<number> {
  const { min, max, perCore, cores } = options
  return field({
    ...options,
    kind: 'integer',
    allowed: `${rangeText('a whole number', options)}, or auto (${perCore} per processor core)`,
    range: `${rangeText('', options)}, auto (${perCore} per processor core)`,
    fallback: options.default,
    words: ['auto'],
    read: (found) =>
      found === 'auto' ? Math.min(max, Math.max(min, perCore * cores)) : readInteger(found, min, max),
  })
}

export function number<const Fallback extends number | null>(
  options: Common & { default: Fallback; min: number; max: number; unit?: string },
): Field<Maybe<number, Fallback>> {
  return field<number | null>({
    ...options,
    kind: 'number',
    allowed: rangeText('a number', options),
    range: rangeText('', options),
    fallback: options.default,
    read: (found) => {
      const value = readNumber(found, /^-?\d{1,15}(?:\.\d{1,15})?$/)
      return value === undefined || value < options.min || value > options.max ? new Unreadable() : value
    },
  }) as Field<Maybe<number, Fallback>>
}

/** Longest duration that a timer can hold is 2^31 - 1 ms (24.8 days); beyond that Node fires at once. */
const LONGEST_TIMER = '24d'

/** Milliseconds, written with a unit. `max` is `24d` where nothing else is said, as most end up in a timer. */
export function duration<const Fallback extends string | null>(
  options: Common & { default: Fallback; min?: string; max?: string },
): Field<Maybe<number, Fallback>> {
  const { min = '1ms', max = LONGEST_TIMER } = options
  const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0]
  const range = `${formatDuration(least)} to ${max}`
  return field<number | null>({
    ...options,
    kind: 'duration',
    unit: 'ms',
    allowed: `a duration from ${range}, such as 500ms, 90s, 5m, 168h or 30d`,
    range,
    fallback: options.default,
    read: (found) => {
      if (typeof found === 'number' && found !== 0) return unitMissing(String(found))
      if (typeof found !== 'number' && typeof found !== 'string') return new Unreadable()
      const text = String(found)
      if (/^\d+$/.test(text) && Number(text) !== 0) return unitMissing(text)
      const value = parseDuration(text)
      return value === undefined || value < least || value > most ? new Unreadable() : value
    },
  }) as Field<Maybe<number, Fallback>>
}

function unitMissing(text: string): Unreadable {
  return new Unreadable(`has no unit (is it ${text}ms or ${text}s?)`)
}

/** Bytes. */
export function size(options: Common & { default: string; min: string; max: string }): Field<number> {
  const [least, most] = [parseSize(options.min) ?? 0, parseSize(options.max) ?? 0]
  return field({
    ...options,
    kind: 'size',
    unit: 'bytes',
    allowed: `a size from ${options.min} to ${options.max}, such as 10485760, 10MB or 1GiB`,
    range: `${options.min} to ${options.max}`,
    fallback: options.default,
    read: (found) => {
      const value =
        typeof found === 'number' ? found : typeof found === 'string' ? parseSize(found) : undefined
      if (value === undefined || !Number.isSafeInteger(value) || value < least || value > most)
        return new Unreadable()
      return value
    },
  })
}

interface TextOptions<Fallback> extends Common {
  readonly default: Fallback
  /** Matches what is allowed; anything that is not empty where it is missing. */
  readonly pattern?: RegExp
  readonly allowed?: string
  /** Header names and the like are one text in any case. */
  readonly lowerCase?: true
}

export function text<const Fallback extends string | null>(
  options: TextOptions<Fallback>,
): Field<Maybe<string, Fallback>> {
  const pattern = options.pattern ?? /\S/
  return field<string | null>({
    ...options,
    kind: 'text',
    allowed: options.allowed ?? 'text that is not empty',
    range: options.allowed ?? '',
    fallback: options.default,
    read: (found) => {
      if (typeof found === 'number' || typeof found === 'boolean') return needsQuotes()
      if (typeof found !== 'string' || !pattern.test(found)) return new Unreadable()
      return options.lowerCase ? found.toLowerCase() : found
    },
  }) as Field<Maybe<string, Fallback>>
}

function needsQuotes(): Unreadable {
  return new Unreadable('is not text (put it in quotes)')
}

/** An HTTP header's name (RFC 9110, 5.6.2); lower case inside, as Node has them. */
export function headerName(options: Common & { default: string }): Field<string> {
  const allowed = 'the name of an HTTP header, such as X-Webhook-Id'
  return text({ ...options, allowed, pattern: /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, lowerCase: true })
}

/** The name of a Redis stream or group. Braces would change the hash slot of everything beside it. */
export function redisName(options: Common & { default: string }): Field<string> {
  const allowed = 'up to 128 letters, digits and . _ : -, beginning with a letter or digit'
  return text({ ...options, allowed, pattern: /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/ })
}

/** One word of a few. Case does not matter. */
export function choice<const Word extends string>(
  options: Common & { default: NoInfer<Word>; words: readonly Word[] },
): Field<Word> {
  return field<Word>({
    ...options,
    kind: 'choice',
    allowed: oneOf(options.words),
    range: options.words.join(', '),
    fallback: options.default,
    read: (found) =>
      options.words.find((word) => typeof found === 'string' && word === found.toLowerCase()) ??
      new Unreadable(),
  })
}

export function oneOf(words: readonly string[]): string {
  if (words.length < 2) return `only ${words.join('')}`
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** A list; from one text the parts between commas, as environment variables have them. */
export function list(
  options: Common & { accepts: (item: string) => boolean; item: string },
): Field<string[]> {
  return field({
    ...options,
    kind: 'list',
    allowed: `a list of ${options.item}`,
    range: options.item,
    fallback: [],
    read: (found) => {
      const items: unknown = typeof found === 'string' ? found.split(',').map((item) => item.trim()) : found
      if (!Array.isArray(items)) return new Unreadable()
      const wrong = items.findIndex((item) => typeof item !== 'string' || !options.accepts(item))
      if (wrong !== -1) return new Unreadable(`has a wrong item (the ${ordinal(wrong + 1)})`)
      return items as string[]
    },
  })
}

/** Addresses and networks in CIDR notation, of both families. */
export function networks(options: Common): Field<string[]> {
  const item = 'addresses and networks, such as 192.0.2.1, 140.82.112.0/20 or 2a0a:a440::/29'
  return list({ ...options, item, accepts: isNetwork })
}

function isNetwork(item: string): boolean {
  const [address = '', bits, ...more] = item.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0 || address.includes('%')) return false
  return (
    bits === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  )
}

function ordinal(count: number): string {
  return `${count}${['th', 'st', 'nd', 'rd'][count] ?? 'th'}`
}

/** A URL with one of these schemes (`redis:`). User and password inside it are never printed. */
export function url<const Fallback extends string | null>(
  options: Common & { default: Fallback; schemes: readonly string[]; example: string },
): Field<Maybe<string, Fallback>> {
  const beginnings = oneOf(options.schemes.map((scheme) => `${scheme}//`))
  return field<string | null>({
    ...options,
    kind: 'url',
    allowed: `a URL that begins with ${beginnings}, such as ${options.example}`,
    range: `${beginnings}, such as ${options.example}`,
    fallback: options.default,
    read: (found) => {
      const parsed = typeof found === 'string' ? URL.parse(found) : null
      return parsed !== null && options.schemes.includes(parsed.protocol) && parsed.hostname !== ''
        ? (found as string)
        : new Unreadable()
    },
  }) as Field<Maybe<string, Fallback>>
}

interface SecretOptions extends Common {
  readonly minLength?: number
  readonly pattern?: RegExp
  readonly allowed?: string
  /** `refused` where an empty secret would open a door; `unset` for credentials that others check. */
  readonly empty?: 'unset' | 'refused'
}

function readSecret(found: unknown, options: SecretOptions): string | Unreadable {
  if (typeof found === 'number' || typeof found === 'boolean') return needsQuotes()
  if (typeof found !== 'string') return new Unreadable()
  if (found.trim() === '') return new Unreadable('is empty')
  const { minLength = 1, pattern = /./s } = options
  return found.length < minLength || !pattern.test(found) ? new Unreadable() : found
}

/** A secret, null when there is none. */
export function secret(options: SecretOptions): Field<string | null> {
  return field<string | null>({
    ...options,
    kind: 'secret',
    secret: true,
    empty: options.empty ?? 'refused',
    allowed: options.allowed ?? 'text that is not empty',
    range: options.allowed ?? '',
    fallback: null,
    read: (found) => readSecret(found, options),
  })
}

/** Secrets by tenant and tool: `{ acme: { github: … } }`, each one or a list. */
export function tenantSecrets<const Tool extends string>(
  options: Common & { tools: readonly Tool[] },
): Field<Readonly<Record<string, Partial<Record<Tool, string[]>>>> | null> {
  const { tools } = options
  return field<Readonly<Record<string, Partial<Record<Tool, string[]>>>> | null>({
    ...options,
    kind: 'secret',
    secret: true,
    allowed: 'secrets by tenant and tool, such as { acme: { github: a secret, or a list } }',
    range: 'by tenant and tool',
    fallback: null,
    read: (found) => {
      const tenants = membersOf(found)
      if (tenants === undefined) return new Unreadable()
      const read: Record<string, Partial<Record<Tool, string[]>>> = Object.create(null)
      for (const [tenant, theirs] of tenants) {
        if (!NAME_PATTERN.test(tenant)) return new Unreadable('has a key that is no name of a tenant')
        const secretsOf = membersOf(theirs)
        if (secretsOf === undefined) return new Unreadable(`has no tools for ${tenant}`)
        const own: Partial<Record<Tool, string[]>> = {}
        for (const [name, value] of secretsOf) {
          const tool = tools.find((each) => each === name)
          if (tool === undefined) return new Unreadable(`has something that is no tool for ${tenant}`)
          const values = readSecrets(value, options)
          if (values instanceof Unreadable)
            return new Unreadable(`${values.why || 'is wrong'} for ${tenant}, ${tool}`)
          own[tool] = values
        }
        read[tenant] = own
      }
      return read
    },
  })
}

function membersOf(found: unknown): [string, unknown][] | undefined {
  return typeof found === 'object' && found !== null && !Array.isArray(found)
    ? Object.entries(found)
    : undefined
}

function readSecrets(found: unknown, options: SecretOptions): string[] | Unreadable {
  // Never split at commas: a secret may have one.
  const read = (Array.isArray(found) ? found : [found]).map((item) => readSecret(item, options))
  if (read.length === 0) return new Unreadable('is an empty list')
  const values = read.filter((item) => typeof item === 'string')
  return read.find((item) => item instanceof Unreadable) ?? values
}

/** One secret, or a list of them while they are being rotated: any of them counts. Null when there is none. */
export function secrets(
  options: Common & Pick<SecretOptions, 'minLength' | 'empty'>,
): Field<string[] | null> {
  const least = options.minLength === undefined ? '' : ` of at least ${options.minLength} characters`
  return field<string[] | null>({
    ...options,
    kind: 'secret',
    secret: true,
    empty: options.empty ?? 'refused',
    allowed: `text${least} that is not empty, or a list of such texts while a secret is being rotated`,
    range: 'one, or a list',
    fallback: null,
    read: (found) => readSecrets(found, options),
  })
}
