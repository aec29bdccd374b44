import { readFileSync } from 'node:fs'
import type { Command, Option } from 'commander'
import { describe, expect, it } from 'vitest'
import { run } from './cli.test-support.ts'
import { EXEMPLIFIED, examplesOf } from './examples.ts'
import { createProgram } from './program.ts'

const docs = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')

const silent = { out: () => undefined, err: () => undefined, columns: undefined, colour: false } as never
const whole = await createProgram({ io: silent, finish: () => undefined }).whole()

/** Every command that does something, by its full name. */
function leaves(): Map<string, Command> {
  const program = whole
  const found = new Map<string, Command>()
  const walk = (command: Command, name: string) => {
    if (command.commands.length === 0) found.set(name, command)
    for (const child of command.commands) walk(child, `${name} ${child.name()}`)
  }
  walk(program, program.name())
  return found
}

/** The command that takes a command line, which is not run. */
async function parsed(line: string): Promise<string | undefined> {
  const program = await createProgram({ io: silent, finish: () => undefined }).whole()
  let taken: string | undefined
  const stopBefore = (command: Command, path: string) => {
    if (command.commands.length === 0)
      command.action(() => {
        taken = path
      })
    for (const child of command.commands) stopBefore(child, `${path} ${child.name()}`.trim())
  }
  stopBefore(program, '')
  await program.parseAsync(line.split(' '), { from: 'user' })
  return taken
}

/** The page's sections: heading → text. */
function sections(): Map<string, string> {
  return new Map(
    docs
      .split(/^## /m)
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part]),
  )
}

/** The section of a command, '' where there is none. */
function sectionOf(name: string): string {
  const isIts = (heading: string) => heading === `\`${name}\`` || heading.startsWith(`\`${name} `)
  return [...sections()].find(([heading]) => isIts(heading))?.[1] ?? ''
}

/** The options that a section's tables name. */
function documentedOptions(section: string): string[] {
  return [...section.matchAll(/^\| ((?:`-[^`]+`(?:, )?)+) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].map(([, flags]) => flags!),
  )
}

const GLOBAL = ['--json', '--config <file>', '--redis-url <url>', '--debug']
const flagsOf = (options: readonly Option[]) =>
  options.map(({ flags }) => flags).filter((flags) => !GLOBAL.includes(flags))

describe('docs/cli.md', () => {
  it('describes every command with its arguments, and no other', () => {
    const described = [...sections().keys()]
      .filter((heading) => heading.startsWith('`webhook-cli'))
      .map((heading) => heading.slice(1, -1))
    const commands = [...leaves()].map(([name, command]) =>
      [
        name,
        ...command.registeredArguments.map((argument) => {
          const dots = argument.variadic ? '...' : ''
          return argument.required ? `<${argument.name()}${dots}>` : `[${argument.name()}${dots}]`
        }),
      ].join(' '),
    )
    expect(described.sort()).toEqual(commands.sort())
  })

  it('describes every option of every command, and no other', () => {
    for (const [name, command] of leaves())
      expect(documentedOptions(sectionOf(name)), name).toEqual(flagsOf(command.options))
  })

  it('shows for every command what it answers, with command lines that it takes', async () => {
    for (const [name] of leaves()) {
      const lines = [...sectionOf(name).matchAll(/^\$ webhook-cli (.+)$/gm)].map(([, line]) => line!)
      const own = lines.filter((line) => `webhook-cli ${line} `.startsWith(`${name} `))
      expect(own.length, name).toBeGreaterThan(0)
      for (const line of own)
        expect(await parsed(line.replace(' < /dev/null', '')), line).toBe(name.replace('webhook-cli ', ''))
    }
  })

  it('describes the options that every command takes', () => {
    expect(documentedOptions(sections().get('Every command') ?? '')).toEqual([...GLOBAL, '-h, --help'])
    for (const [name, command] of leaves()) {
      expect(
        command.options.map(({ flags }) => flags),
        name,
      ).toEqual(expect.arrayContaining(GLOBAL))
    }
  })
})

describe('examples', () => {
  it('are there for every command, and for no other', () => {
    const names = [...leaves().keys()].map((name) => name.replace('webhook-cli ', ''))
    expect([...EXEMPLIFIED].sort()).toEqual(names.sort())
  })

  it('are command lines that their command takes', async () => {
    for (const [name] of leaves()) {
      const path = name.replace('webhook-cli ', '')
      expect(examplesOf(path).length, path).toBeGreaterThan(0)
      for (const line of examplesOf(path)) {
        expect(line.startsWith(path), line).toBe(true)
        expect(await parsed(line), line).toBe(path)
      }
    }
  })

  it('are in the help of their command', async () => {
    for (const [name] of leaves()) {
      const path = name.replace('webhook-cli ', '')
      const { out } = await run([...path.split(' '), '--help'])
      for (const line of examplesOf(path)) expect(out).toContain(`webhook-cli ${line}`)
    }
  })
})

describe('usage', () => {
  it('shows the version', async () => {
    expect(await run(['--version'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      err: '',
    })
  })

  it('shows help when asked, for the program and each command', async () => {
    expect(await run(['--help'])).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('claim-pending'),
    })
    for (const [name] of leaves()) {
      const { code, out, err } = await run([...name.split(' ').slice(1), '--help'])
      expect({ name, code, err }).toEqual({ name, code: 0, err: '' })
      expect(out).toContain(`Usage: ${name}`)
    }
  })

  it.each([
    [['stats'], 'unknown command', 'status'],
    [['status', '--wach'], 'unknown option', '--watch'],
    [['dlq', 'lst'], 'unknown command', 'list'],
    [['reset-circuit-breaker', '--tool', 'githb'], 'no such tool', 'github'],
    [['send', '--tool', 'girhub'], 'no such tool', 'github'],
  ])('%j is told what was probably meant', async (args, complaint, meant) => {
    const { code, out, err } = await run(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(complaint)
    expect(err).toMatch(new RegExp(`Did you mean ${meant}\\?`))
  })

  it.each([
    [[]],
    [['dlq']],
    [['events', 'get']],
    [['events', 'get', 'evt_x']],
    [['reset-circuit-breaker']],
    [['claim-pending', '--idle-time', '5']],
    [['dlq', 'list', '--count', '0']],
    [['dlq', 'list', '--since', 'yesterday']],
    [['dlq', 'list', '--after', '-']],
    [['dlq', 'list', '--tenant', 'a/b']],
    [['dlq', 'replay']],
    [['dlq', 'replay', '1-0', '--tool', 'github']],
    [['dlq', 'replay', '--all', '--rate', '0']],
    [['dlq', 'purge']],
    [['send', '--header', 'no-colon']],
    [['send', '--url', 'ftp://x', '--secret', 's']],
    [['send', '--file', '/nowhere', '--event', 'push', '--secret', 's']],
    [['send', '--sample', 'nothing', '--secret', 's']],
    [['status', 'too', 'many']],
  ])('%j is wrong usage: 2, and a word of advice', async (args) => {
    const { code, out, err } = await run(args, { env: { REDIS_URL: 'redis://127.0.0.1:1' } })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/\w{3}/)
    expect(err).not.toMatch(/\n\s+at /) // no stack
  })

  it('says what to send where no event of a tool is bundled', async () => {
    const { code, err } = await run(['send', '--tool', 'stripe', '--secret', 's'])
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining('send one of your own with --file'),
    })
  })

  it('says where it looked when Redis cannot be reached', async () => {
    const { code, out, err } = await run(['status'], {
      env: { REDIS_URL: 'redis://user:secret@127.0.0.1:1' },
    })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('redis://user:***@127.0.0.1:1')
    expect(err).toContain('ECONNREFUSED')
    expect(err).not.toContain('secret')
  })

  it('names every problem of a wrong configuration', async () => {
    const { code, err } = await run(['status'], {
      env: { REDIS_URL: 'redis://127.0.0.1:1', OPS_PORT: 'x', PORT: '-1' },
    })
    expect(code).toBe(2)
    expect(err).toContain('webhook.ops.port')
    expect(err).toContain('webhook.ingest.port')
  })
})
