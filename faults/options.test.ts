import { describe, expect, it } from 'vitest'
import { readFaultOptions, UsageError } from './options.ts'

const read = (...argv: string[]) => readFaultOptions(argv, ['a', 'b'], () => 'chance')

describe('the options of pnpm faults', () => {
  it('are one round of everything, by a seed of its own', () => {
    expect(read()).toEqual({
      seed: 'chance',
      durationMs: 0,
      concurrency: 64,
      only: undefined,
      keep: undefined,
      build: undefined,
      list: false,
    })
  })

  it('name a seed, a duration, a load, scenarios, a directory and a broken build', () => {
    const argv = [
      '--seed',
      '7',
      '--duration',
      '2m',
      '--concurrency',
      '8',
      '--only',
      'b,a',
      '--keep',
      'here',
      '--broken-build',
      'ack-first',
    ]
    expect(read(...argv)).toMatchObject({
      seed: '7',
      durationMs: 120_000,
      concurrency: 8,
      only: ['b', 'a'],
      keep: 'here',
      build: 'ack-first',
    })
  })

  it.each([
    [['--only', 'c'], '--only c: there is no such scenario; there are a, b'],
    [['--concurrency', '0'], '--concurrency 0: write a whole number from 1 to 1000'],
    [['--duration', 'long'], '--duration long: write a duration such as 30s or 5m'],
    [
      ['--broken-build', 'x'],
      '--broken-build x: there is no such build; there are ack-first, other-bytes, key-per-process, no-dedupe',
    ],
    [['--sed', '7'], /Unknown option '--sed'/],
  ])('say what to do about %j', (argv, message) => {
    expect(() => read(...argv)).toThrow(UsageError)
    expect(() => read(...argv)).toThrow(message)
  })
})
