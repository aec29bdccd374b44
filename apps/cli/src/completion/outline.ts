/** What shells are told of the commands: made out of the commands themselves, so that nothing is offered that is not there. */
import type { Command } from 'commander'
import { isFileOption, OfferingOption } from '../options.ts'

/** What may follow an option. */
export type Values =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' }
  | { readonly kind: 'any' }

export interface OutlinedOption {
  /** `--tool`; `-h` is offered by nobody. */
  readonly name: string
  readonly summary: string
  /** undefined = it takes none. */
  readonly value: Values | undefined
}

export interface Outlined {
  /** `dlq list`; '' is the program. */
  readonly path: string
  readonly children: readonly { readonly name: string; readonly summary: string }[]
  /** What its argument may be, where that is a list. */
  readonly argument: Values | undefined
  readonly options: readonly OutlinedOption[]
}

/** @param program with all its commands completed */
export function outlineOf(program: Command): Outlined[] {
  const outlined: Outlined[] = []
  const walk = (command: Command, path: string): void => {
    const options = command.createHelp().visibleOptions(command)
    outlined.push({
      path,
      children: command.commands.map((child) => ({ name: child.name(), summary: child.summary() })),
      argument: argumentOf(command),
      options: options.flatMap((option) =>
        option.long === undefined || option.long === null
          ? []
          : [{ name: option.long, summary: option.description, value: valuesOf(option) }],
      ),
    })
    for (const child of command.commands) walk(child, path === '' ? child.name() : `${path} ${child.name()}`)
  }
  walk(program, '')
  return outlined
}

type Option = Command['options'][number]

function valuesOf(option: Option): Values | undefined {
  if (!option.required && !option.optional) return undefined
  const words = option instanceof OfferingOption ? option.values : option.argChoices
  if (words !== undefined) return { kind: 'words', words }
  return { kind: isFileOption(option) ? 'file' : 'any' }
}

function argumentOf(command: Command): Values | undefined {
  const [argument] = command.registeredArguments
  if (argument === undefined) return undefined
  if (argument.argChoices !== undefined) return { kind: 'words', words: argument.argChoices }
  return { kind: argument.name() === 'file' ? 'file' : 'any' }
}
