import { describe, expect, it } from 'vitest'
import { useProcesses } from '../tests/support/use-processes.ts'
import { launchersOf } from './launchers.ts'

const WATCHER = `
import { watchLaunchers } from ${JSON.stringify(new URL('./launchers.ts', import.meta.url).href)}
watchLaunchers(() => { console.log('launchers are gone'); process.exit(0) })
setInterval(() => 0, 1000)
console.log('watching')
`

/** Runs the watcher below a process that calls itself npm, with a shell between, as npx does. */
const LAUNCHER = `
process.title = 'npm exec pnpm@12 start'
const { spawn } = require('node:child_process')
spawn('sh', ['-c', '"$NODE" --input-type=module -e "$WATCHER"; true'], { stdio: 'inherit' })
`

describe('the launchers of a process', () => {
  /** Names from the parent upwards, as processes 10, 11, 12, … */
  const launchers = (...names: string[]) =>
    launchersOf(10, (pid) => {
      const name = names[pid - 10]
      return name === undefined ? undefined : { name, parent: pid === 9 + names.length ? 1 : pid + 1 }
    })

  it('reach up to the outermost package manager, shells between included', () => {
    expect(launchers('sh', 'pnpm', 'sh', 'npm exec pnpm@1', 'bash', 'sshd')).toEqual([10, 11, 12, 13])
    expect(launchers('sh', 'pnpm', 'zsh')).toEqual([10, 11])
  })

  it('are none without a package manager: a shell may end and leave its programs running', () => {
    expect(launchers('bash', 'sshd', 'systemd')).toEqual([])
    expect(launchers()).toEqual([])
  })
})

describe.runIf(process.platform === 'linux')('the watch over launchers', () => {
  const processes = useProcesses()

  it('notices that the package manager was killed', async () => {
    const launcher = processes.run(process.execPath, {
      args: ['-e', LAUNCHER],
      env: { NODE: process.execPath, WATCHER },
    })
    await launcher.waitForLine(/^watching$/)
    const gone = launcher.waitForLine(/^launchers are gone$/)
    await launcher.kill('SIGKILL')
    expect((await gone).input).toBe('launchers are gone')
  })
})
