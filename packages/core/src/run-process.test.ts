/** Each case in a process of its own: signals and exit codes are what this is about. */
import { describe, expect, it } from 'vitest'
import { useProcesses } from '../../../tests/support/use-processes.ts'

describe('a process of Weir', () => {
  const processes = useProcesses()
  const run = (source: string) => {
    const module = new URL('run-process.ts', import.meta.url).href
    const faults = new URL('faults.ts', import.meta.url).href
    const program = `import { runProcess } from '${module}'; import { Fault } from '${faults}'; ${source}`
    return processes.run(process.execPath, { args: ['--input-type=module', '--eval', program] })
  }

  it.each(['SIGTERM', 'SIGINT'] as const)('runs its stop at %s and ends with exit code 0', async (signal) => {
    const one = run(`
      runProcess(process, async (stopAtSignal) => {
        stopAtSignal(async (signal) => console.log('stopping at', signal))
      })
      setInterval(() => {}, 1000)
      console.log('ready')`)
    await one.waitForLine(/ready/)
    await one.kill(signal)
    expect(await one.done).toEqual({ code: 0, signal: null })
    expect(one.output()).toBe(`ready\nstopping at ${signal}\n`)
  })

  it('stops once, however many signals come', async () => {
    const one = run(`
      let release
      runProcess(process, async (stopAtSignal) => {
        stopAtSignal(async () => { console.log('stopping'); await new Promise((resolve) => { release = resolve }) })
      })
      process.on('SIGINT', () => { console.log('second'); release() })
      setInterval(() => {}, 1000)
      console.log('ready')`)
    await one.waitForLine(/ready/)
    void one.kill('SIGTERM')
    await one.waitForLine(/stopping/)
    await one.kill('SIGINT')
    expect(await one.done).toEqual({ code: 0, signal: null })
    expect(one.output()).toBe('ready\nstopping\nsecond\n')
  })

  it('tells a stop that fails, with exit code 1', async () => {
    const one = run(`
      runProcess(process, async (stopAtSignal) => {
        stopAtSignal(async () => { throw new Fault('CONFIG_INVALID', 'what to do') })
      })
      setInterval(() => {}, 1000)
      console.log('ready')`)
    await one.waitForLine(/ready/)
    await one.kill()
    expect(await one.done).toEqual({ code: 1, signal: null })
    expect(one.output()).toBe('ready\nwhat to do\n')
  })

  it('finishes its stop when the start fails of it', async () => {
    const one = run(`
      runProcess(process, async (stopAtSignal) => {
        let breakStart
        const start = new Promise((_, reject) => { breakStart = reject })
        stopAtSignal(async () => {
          breakStart(new Error('closed'))
          await new Promise((resolve) => setImmediate(resolve))
          console.log('stopped')
        })
        setInterval(() => {}, 1000)
        console.log('ready')
        await start
      })`)
    await one.waitForLine(/ready/)
    await one.kill()
    expect(await one.done).toEqual({ code: 0, signal: null })
    expect(one.output()).toBe('ready\nstopped\n')
  })

  it('tells a start that fails: a fault in its sentence, anything else with where it was thrown', async () => {
    const fault = run(`runProcess(process, async () => { throw new Fault('CONFIG_INVALID', 'what to do') })`)
    expect(await fault.done).toEqual({ code: 1, signal: null })
    expect(fault.output()).toBe('what to do\n')
    const defect = run(`runProcess(process, async () => { throw new TypeError('a defect') })`)
    expect(await defect.done).toEqual({ code: 1, signal: null })
    expect(defect.output()).toMatch(/^TypeError: a defect\n\s+at /)
  })
})
