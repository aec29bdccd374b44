/** The scripts run in the shells that they are for; zsh and fish where they are installed. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { run } from '../cli.test-support.ts'
import { TREE } from '../tree.ts'

const directory = mkdtempSync(join(tmpdir(), 'weir-completion-'))
afterAll(() => rmSync(directory, { recursive: true }))
writeFileSync(join(directory, 'one.yaml'), '')
const scriptOf = async (shell: string): Promise<string> => {
  const { code, out } = await run(['completion', shell])
  expect(code).toBe(0)
  const file = join(directory, `script.${shell}`)
  writeFileSync(file, out)
  return file
}
const there = (shell: string) => spawnSync(shell, ['--version']).status === 0

/** A shell in a terminal of its own. Each text is typed after the one before had its effect. */
function openTerminal(shell: string) {
  const child = spawn('script', ['-qec', shell, '/dev/null'], {
    cwd: directory,
    env: { PATH: process.env.PATH, HOME: directory, TERM: 'dumb' },
  })
  let shown = ''
  child.stdout.on('data', (data: Buffer) => {
    shown += data.toString()
  })
  const ended = once(child, 'close')
  return {
    async type(text: string, until: RegExp) {
      shown = ''
      child.stdin.write(text)
      await expect.poll(() => shown).toMatch(until)
    },
    async end() {
      child.kill()
      await ended
    },
  }
}

/** What is typed, with the cursor at its end → what is offered. */
const CASES: readonly (readonly [string, readonly string[]])[] = [
  ['d', ['doctor', 'dlq', 'dict']],
  ['dlq ', ['list', 'show', 'replay', 'purge']],
  ['dlq --json re', ['replay']],
  ['--config x.yaml dlq re', ['replay']],
  ['dlq list --tool git', ['github', 'gitlab']],
  ['dlq list --reason pois', ['poison']],
  ['force-transition --tier ', ['hot', 'warm', 'cold']],
  ['events find --state p', ['pending', 'parked']],
  ['doctor --skip c', ['config', 'cold', 'certificates']],
  ['completion ', ['bash', 'zsh', 'fish']],
  ['dlq replay --r', ['--reason', '--rate', '--redis-url']],
  ['lag --tool ', []],
  ['dlq list --tenant ', []],
  ['audit verify --file on', ['one.yaml']],
  ['config check on', ['one.yaml']],
]

describe('bash', () => {
  const offered = (file: string, typed: string): string[] => {
    const words = ['webhook-cli', ...typed.split(' ')]
    const program = [
      `source '${file}'`,
      `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
      `COMP_CWORD=${words.length - 1}`,
      '_webhook_cli',
      'printf "%s\\n" "${COMPREPLY[@]}"',
      'complete -p webhook-cli >&2',
    ].join('\n')
    const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', program], {
      cwd: directory,
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'complete -F _webhook_cli webhook-cli\n' })
    return stdout.split('\n').filter((line) => line !== '')
  }

  it('completes commands, options, values and files', async () => {
    const file = await scriptOf('bash')
    for (const [typed, words] of CASES) expect(offered(file, typed).sort(), typed).toEqual([...words].sort())
    expect(offered(file, '').sort()).toEqual(TREE.map(({ name }) => name).sort())
  })

  it.skipIf(!there('script'))('completes where Tab is pressed, also after =', async () => {
    const file = await scriptOf('bash')
    const shell = openTerminal('bash --norc --noprofile -i')
    await shell.type(`PS1='re''ady> '; source '${file}'\n`, /ready> $/)
    await shell.type('webhook-cli dlq list --tool=githu\t', /--tool=github $/)
    await shell.type('--jso\t', /--json $/)
    await shell.end()
  })
})

describe.skipIf(!there('zsh') || !there('script'))('zsh', () => {
  it('completes where Tab is pressed', async () => {
    const file = await scriptOf('zsh')
    expect(spawnSync('zsh', ['-n', file])).toMatchObject({ status: 0 })
    const shell = openTerminal('zsh -f -i')
    const load = `autoload -Uz compinit; compinit -u -d '${directory}/dump'; source '${file}'`
    await shell.type(`unsetopt zle_bracketed_paste; ${load}; PS1='re''ady> '\n`, /ready> /)
    // ^U clears the line for the next one.
    for (const [typed, whole] of [
      ['webhook-cli claim-p', /claim-pending/],
      ['webhook-cli dlq list --tool githu', /--tool github/],
      ['webhook-cli dlq list --tool=githu', /--tool=github/],
      ['webhook-cli --json force-transition --ti', /--tier/],
      ['webhook-cli doctor --skip pipe', /--skip pipeline/],
      ['webhook-cli completion fi', /completion fish/],
    ] as const)
      await shell.type(`\u0015${typed}\t`, whole)
    await shell.end()
  })
})

describe.skipIf(!there('fish'))('fish', () => {
  it('completes commands, options, values and files', async () => {
    const file = await scriptOf('fish')
    for (const [typed, words] of CASES) {
      const program = `source '${file}'; complete -C 'webhook-cli ${typed}'`
      const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', program], {
        cwd: directory,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, HOME: directory },
      })
      expect(stderr).toBe('')
      const offered = stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0]]))
      expect(offered.sort(), typed).toEqual([...words].sort())
    }
  })
})
