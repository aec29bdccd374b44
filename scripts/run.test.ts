import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useProcesses } from '../tests/support/use-processes.ts'

const launcher = readFileSync(new URL('./run.mjs', import.meta.url), 'utf8')

/** A small repository with the launcher in it, the native module built. */
let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weir-run-'))
  write('scripts/run.mjs', launcher)
  write('packages/core/package.json', '{}')
  write('packages/core/node_modules/zstd-napi/package.json', '{}')
  write('packages/core/node_modules/zstd-napi/build/Release/binding.node', '')
})
afterEach(() => rmSync(root, { recursive: true }))

function write(file: string, text: string): string {
  const path = join(root, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

const ECHO = `console.log(JSON.stringify({ argv: process.argv.slice(1), major: process.versions.node.split('.')[0] }))
process.exitCode = 7`

describe('the launcher', () => {
  const processes = useProcesses()
  const run = (...args: string[]) =>
    processes.run(process.execPath, { args: [join(root, 'scripts/run.mjs'), ...args], cwd: tmpdir() })

  it('runs a script in its own process, with its arguments and its exit code', async () => {
    const script = write('scripts/echo.mjs', ECHO)
    const started = run('scripts/echo.mjs', '--json', 'two words')
    expect(await started.exit).toEqual({ code: 7, signal: null })
    expect(JSON.parse(started.output())).toMatchObject({ argv: [script, '--json', 'two words'] })
  })

  it('builds the native module when it is missing, and says so when that fails', async () => {
    const binding = join(root, 'packages/core/node_modules/zstd-napi/build/Release/binding.node')
    rmSync(binding)
    write('scripts/echo.mjs', ECHO)
    write('scripts/build-native.mjs', 'console.log("building"); process.exit(3)')
    const failing = run('scripts/echo.mjs')
    expect(await failing.exit).toEqual({ code: 3, signal: null })
    write('scripts/build-native.mjs', 'console.log("building")')
    const building = run('scripts/echo.mjs')
    expect(await building.exit).toEqual({ code: 7, signal: null })
    expect(building.output()).toMatch(/^building\n{"argv"/)
  })

  it('says what to do when nothing is installed', async () => {
    rmSync(join(root, 'packages/core/node_modules'), { recursive: true })
    const started = run('scripts/echo.mjs')
    expect(await started.exit).toEqual({ code: 1, signal: null })
    expect(started.output()).toMatch(
      /^weir: dependencies are missing \(.*\)\. Run: npx --yes pnpm@12 install\n$/,
    )
  })

  describe('on an old Node', () => {
    beforeEach(() => {
      // Old compared with what it asks for.
      write('scripts/run.mjs', launcher.replace('NODE_MAJOR = 24', 'NODE_MAJOR = 999'))
    })
    const pin = (source: string) =>
      chmodSync(write('node_modules/node/bin/node', `#!/bin/sh\n${source}\n`), 0o755)

    it('runs the pinned one, first on PATH too', async () => {
      pin('echo "$2 $3 $(command -v node)"; exit 9')
      const started = run('scripts/echo.mjs', 'argument')
      expect(await started.exit).toEqual({ code: 9, signal: null })
      expect(started.output()).toBe(`scripts/echo.mjs argument ${join(root, 'node_modules/node/bin/node')}\n`)
    })

    it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
      'passes %s on, and how the pinned one ends',
      async (signal) => {
        pin(`trap 'echo got it; exit 5' ${signal.slice(3)}; echo up; while :; do sleep 0.05; done`)
        const started = run('scripts/echo.mjs')
        await started.waitForLine(/^up$/)
        expect(await started.kill(signal)).toEqual({ code: 5, signal: null })
        expect(started.output()).toContain('got it')
      },
    )

    it('ends as a shell says when a signal ended the pinned one', async () => {
      pin('kill -KILL $$')
      expect(await run('scripts/echo.mjs').exit).toEqual({ code: 137, signal: null })
    })

    it('does not call itself for ever when the pinned one is old as well', async () => {
      mkdirSync(join(root, 'node_modules/node/bin'), { recursive: true })
      symlinkSync(process.execPath, join(root, 'node_modules/node/bin/node'))
      const started = run('scripts/echo.mjs')
      expect(await started.exit).toEqual({ code: 1, signal: null })
      expect(started.output()).toMatch(
        /^weir: the Node in node_modules is .* Run: npx --yes pnpm@12 install\n$/,
      )
    })

    it('says what to do when there is no pinned one', async () => {
      const started = run('scripts/echo.mjs')
      expect(await started.exit).toEqual({ code: 1, signal: null })
      expect(started.output()).toContain('Run: npx --yes pnpm@12 install')
    })
  })
})
