import { describe, expect, it } from 'vitest'
import type { TestProcess } from '../../../../tests/support/process.ts'
import { useProcesses } from '../../../../tests/support/use-processes.ts'
import { drain, withSpoolWorld } from './spool-bracket.ts'

const processes = useProcesses()

/** Runs a program that has opened the directory as `spool`; it prints `open` by then. */
function withSpool(directory: string, program: string): TestProcess {
  const url = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href)
  const source = `
    import { writeSync } from 'node:fs'
    import { systemClock } from ${url('../../../../packages/core/src/clock.ts')}
    import { openSpool } from ${url('./spool.ts')}
    const spool = await openSpool({
      directory: ${JSON.stringify(directory)}, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes: 20_000,
      clock: systemClock, onFault: (fault) => { throw fault },
    })
    writeSync(1, 'open\\n')
    ${program}`
  return processes.run(process.execPath, { args: ['--input-type=module', '--eval', source] })
}

describe('a process killed with SIGKILL', () => {
  const ROUNDS = 5
  const APPENDERS = 16

  it('while it appends has lost nothing that it acknowledged', () =>
    withSpoolWorld(async (world) => {
      const acknowledged: string[] = []
      const drained: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const child = withSpool(
          world.directory,
          `let n = 0
          async function appender() {
            for (;;) {
              const id = '${round}-' + n++
              await spool.append(Buffer.from(id + ' '.repeat(n % 700)))
              writeSync(1, 'ack ' + id + ';\\n')
            }
          }
          for (let i = 0; i < ${APPENDERS}; i++) appender()`,
        )
        // A different moment each round.
        await child.waitForLine(new RegExp(`^ack ${round}-${100 + round * 173};`))
        await child.kill('SIGKILL')
        for (const [, id] of child.output().matchAll(/ack ([\d-]+);/g)) acknowledged.push(id!)

        const spool = await world.open()
        // Drained in part, so that the next round starts from a cursor in the middle.
        const batch = await spool.next(60)
        drained.push(...batch!.records.map((record) => String(record).trimEnd()))
        await batch!.release(batch!.records.length)
        await spool.close()
      }
      const rest = await drain(await world.open(), 500)
      drained.push(...rest.map((text) => text.trimEnd()))

      expect(world.faults).toEqual([])
      expect(new Set(drained).size).toBe(drained.length)
      const missing = acknowledged.filter((id) => !new Set(drained).has(id))
      expect(missing).toEqual([])
      // Beyond the acknowledged only what was under way: at most one record per appender and round.
      expect(drained.length - acknowledged.length).toBeLessThanOrEqual(ROUNDS * APPENDERS)
      const order = drained.map((id) => id.split('-').map(Number) as [number, number])
      expect(order).toEqual(order.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]))
    }))

  it('while it drains repeats nothing whose release was acknowledged', () =>
    withSpoolWorld(async (world) => {
      const TOTAL = 3000
      const before = await world.open({ segmentBytes: 5000 })
      await Promise.all(Array.from({ length: TOTAL }, (_, n) => before.append(Buffer.from(String(n)))))
      await before.close()
      const child = withSpool(
        world.directory,
        `for (let batch = await spool.next(7); batch; batch = await spool.next(7)) {
          await batch.release(batch.records.length)
          writeSync(1, 'released ' + batch.records.at(-1) + ';\\n')
        }`,
      )
      await child.waitForLine(/^released (6|7|8)\d\d;/)
      await child.kill('SIGKILL')
      const released = [...child.output().matchAll(/released (\d+);/g)].map(([, n]) => Number(n))
      const last = released.at(-1)!
      const rest = (await drain(await world.open(), 1000)).map(Number)
      // One batch may have been released without a chance to say so.
      expect(rest[0]).toBeGreaterThan(last)
      expect(rest[0]).toBeLessThanOrEqual(last + 8)
      expect(rest).toEqual(Array.from({ length: TOTAL - rest[0]! }, (_, n) => rest[0]! + n))
    }))
})

describe('two processes', () => {
  it('never share a directory; it is free as soon as the holder is dead, however it died', () =>
    withSpoolWorld(async (world) => {
      const holder = withSpool(world.directory, 'setInterval(() => spool.records, 60_000)')
      await holder.waitForLine(/^open$/)
      await expect(world.open()).rejects.toMatchObject({ code: 'SPOOL_IO' })
      await holder.kill('SIGSTOP')
      await expect(world.open()).rejects.toMatchObject({ code: 'SPOOL_IO' })
      await holder.kill('SIGKILL')
      const spool = await world.open()
      const late = withSpool(world.directory, '')
      const exit = await late.exit
      expect(exit).not.toMatchObject({ code: 0 })
      expect(late.output()).toContain('another process uses the spool directory')
      expect(spool.accepting).toBe(true)
    }))

  it('started at the same moment: exactly one gets the directory', () =>
    withSpoolWorld(async (world) => {
      const rivals = Array.from({ length: 3 }, () =>
        withSpool(world.directory, 'setInterval(() => spool.records, 60_000)'),
      )
      await Promise.all(rivals.map((rival) => rival.waitForLine(/^open$|another process/)))
      expect(rivals.filter((rival) => /^open$/m.test(rival.output()))).toHaveLength(1)
      await Promise.all(rivals.map((rival) => rival.kill('SIGKILL')))
    }))
})
