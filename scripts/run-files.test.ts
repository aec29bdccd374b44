import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { birthOf, runFiles } from './run-files.ts'
import { spawnTied } from './tied-child.ts'

const directory = mkdtempSync(join(tmpdir(), 'weir-run-'))
afterAll(() => rmSync(directory, { recursive: true }))

const spawnSleeper = (script = 'setInterval(() => 0, 1000); console.log("up")') => {
  const child = spawnTied(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    deathSignal: 'SIGKILL',
  })
  const { pid } = child.process
  if (pid === undefined) throw new Error('not started')
  const up = new Promise((resolve) => child.process.stdout?.once('data', resolve))
  return { child, pid, up }
}

describe('run files', () => {
  it('name the birth of a process: the same for the same process, none for a dead one', async () => {
    const { child, pid } = spawnSleeper()
    const birth = birthOf(pid)
    expect(birth).toMatch(/\d/)
    expect(birthOf(pid)).toBe(birth)
    child.process.kill('SIGKILL')
    await child.exit
    expect(birthOf(pid)).toBeUndefined()
  })

  it('end a process that was left behind, and only that one', async () => {
    const files = runFiles(join(directory, 'left'))
    const { child, pid, up } = spawnSleeper()
    await up
    files.write('app', pid, 4711)
    expect(files.read('app')).toMatchObject({ pid, port: 4711 })
    expect(await files.endLeftover('app', 5000)).toBe(true)
    expect(await child.exit).toMatchObject({ signal: 'SIGTERM' })
    expect(await files.endLeftover('app', 5000)).toBe(false)
    expect(await files.endLeftover('never-noted', 5000)).toBe(false)
  })

  it('kill what does not listen to SIGTERM', async () => {
    const files = runFiles(join(directory, 'deaf'))
    const { child, pid, up } = spawnSleeper(
      'process.on("SIGTERM", () => 0); setInterval(() => 0, 1000); console.log("up")',
    )
    await up
    files.write('app', pid)
    expect(await files.endLeftover('app', 10)).toBe(true)
    expect(await child.exit).toMatchObject({ signal: 'SIGKILL' })
  })

  it('do not touch a later process that has the same id', async () => {
    const files = runFiles(join(directory, 'reused'))
    files.write('app', process.pid)
    writeFileSync(join(directory, 'reused/app.json'), JSON.stringify({ pid: process.pid, birth: 'long ago' }))
    expect(await files.endLeftover('app', 10)).toBe(false)
  })

  it('let one process hold a name, until it is dead', async () => {
    const files = runFiles(join(directory, 'claim'))
    const { child, pid } = spawnSleeper()
    expect(files.claim('start', pid)).toBeUndefined()
    expect(files.claim('start', process.pid)).toMatchObject({ pid })
    child.process.kill('SIGKILL')
    await child.exit
    expect(files.claim('start', process.pid)).toBeUndefined()
    expect(files.read('start')).toMatchObject({ pid: process.pid })
  })

  it('ignore a torn or foreign note', async () => {
    const files = runFiles(directory)
    for (const text of ['', '{"pid":12', '[]', '{"pid":1,"birth":"x"}', '{"pid":"7","birth":"x"}']) {
      writeFileSync(join(directory, 'torn.json'), text)
      expect(files.read('torn')).toBeUndefined()
      expect(await files.endLeftover('torn', 10)).toBe(false)
    }
    expect(files.claim('torn', process.pid)).toBeUndefined()
  })
})
