/** Options that several commands share, and how their values are read. Wrong values are usage errors. */
import { parseDuration } from '@weir/core/config/duration'
import { nearest } from '@weir/core/config/nearest'
import { TOOLS } from '@weir/core/config/tools'
import { NAME_PATTERN } from '@weir/core/event'
import { Argument, InvalidArgumentError, Option } from 'commander'

/** An option with values that completion offers; there may be others. */
export class OfferingOption extends Option {
  readonly values: readonly string[]

  constructor(flags: string, meaning: string, values: readonly string[]) {
    super(flags, meaning)
    this.values = values
  }
}

/** An option with these values and no others: what is none of them is refused with the nearest. */
export class BoundedOption extends OfferingOption {
  /** @param times `many`: it may be repeated, and its value is the list of them */
  constructor(
    flags: string,
    meaning: string,
    what: string,
    values: readonly string[],
    times: 'once' | 'many' = 'once',
  ) {
    super(flags, meaning, values)
    this.argParser<string | readonly string[]>((text, before) => {
      if (!values.includes(text)) throw new InvalidArgumentError(noSuch(what, text, values))
      return times === 'many' ? [...(before ?? []), text] : text
    })
  }
}

/** The same for an argument. */
export function boundedArgument(
  name: string,
  meaning: string,
  what: string,
  values: readonly string[],
): Argument {
  return new Argument(name, meaning).choices(values).argParser((text: string) => {
    if (!values.includes(text)) throw new InvalidArgumentError(noSuch(what, text, values))
    return text
  })
}

function noSuch(what: string, text: string, values: readonly string[]): string {
  const meant = nearest(text, values)
  const hint = meant === undefined ? `There are ${values.join(', ')}.` : `Did you mean ${meant}?`
  return `There is no such ${what}. ${hint}`
}

/** Its value is the path of a file: completion offers those. */
export function isFileOption({ flags }: Option): boolean {
  return /<(?:file|pem|export)>/.test(flags)
}

/** One of the tools. */
export function toolFlag(meaning: string): Option {
  return new BoundedOption('--tool <tool>', meaning, 'tool', TOOLS)
}

/** An option that takes a duration; its default is shown as people write it. */
export function durationFlag(flags: string, meaning: string, fallback: string): Option {
  return new Option(flags, meaning).argParser(durationOption).default(durationOption(fallback), fallback)
}

/** ms of `5m`, `90s`, … */
function durationOption(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined)
    throw new InvalidArgumentError('Write a duration with its unit, such as 500ms, 30s, 5m or 2h.')
  return ms
}

/** A whole number from `min`. */
export function integerOption(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,16}$/.test(text) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
      throw new InvalidArgumentError(`Write a whole number ${range}.`)
    }
    return value
  }
}

/** A number above 0. */
export function rateOption(text: string): number {
  const value = Number(text)
  if (!/^\d{1,9}(?:\.\d{1,6})?$/.test(text) || value <= 0)
    throw new InvalidArgumentError('Write a number above 0.')
  return value
}

/** A tool or tenant. */
export function nameOption(text: string): string {
  if (!NAME_PATTERN.test(text)) {
    throw new InvalidArgumentError(
      'Names have 1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit.',
    )
  }
  return text
}

/** A point in time: RFC 3339, or how long ago. */
export interface Moment {
  /** ms since the epoch, by a clock that reads `now`. */
  at(now: number): number
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?$/i

export function momentOption(text: string): Moment {
  const ago = parseDuration(text)
  if (ago !== undefined) return { at: (now) => now - ago }
  const time = RFC_3339.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) {
    throw new InvalidArgumentError('Write a time such as 2026-01-31T09:30:00Z, or how long ago, such as 2h.')
  }
  return { at: () => time }
}
