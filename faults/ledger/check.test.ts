/** The checker decides from files; here they are made by hand, so that it is known what is wrong. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkLedger, isSound } from './check.ts'
import { ATTEMPTS_FILE, DEAD_LETTERS_FILE, EFFECTS_DIRECTORY } from './files.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-ledger-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

/** The files of a run: lines without what says what they are, and the keys of effects. */
interface Files {
  readonly attempts: readonly string[]
  readonly runs?: readonly string[]
  readonly effects?: readonly string[]
  readonly letters?: readonly string[]
}

async function check({ attempts, runs = [], effects = [], letters = [] }: Files) {
  const lines = (all: readonly string[]) => all.map((line) => `${line}\n`).join('')
  rmSync(join(directory, EFFECTS_DIRECTORY), { recursive: true, force: true })
  mkdirSync(join(directory, EFFECTS_DIRECTORY, '00'), { recursive: true })
  writeFileSync(join(directory, ATTEMPTS_FILE), lines(attempts))
  writeFileSync(join(directory, 'runs-1.log'), lines(runs))
  writeFileSync(join(directory, DEAD_LETTERS_FILE), lines(letters))
  for (const key of effects) writeFileSync(join(directory, EFFECTS_DIRECTORY, '00', key), '')
  return checkLedger(directory)
}

const NOTHING_WRONG = { lost: [], doubled: [], altered: [], unasked: [], condemned: [] }
const ACCEPTED = ['S 0 aa', 'A 0 202 evt_0']
const RUN = 'R evt_0 0 aa evt_0:h'

describe('the checker', () => {
  it('finds nothing wrong with one effect for what was accepted, however often it was sent and run', async () => {
    const attempts = ['S 0 aa', 'A 0 0 -', 'S 0 aa', 'A 0 503 -', ...ACCEPTED, 'S 1 bb', 'A 1 200 evt_1']
    const verdict = await check({
      attempts,
      runs: [RUN, RUN, 'R evt_1 1 bb evt_1:h'],
      effects: ['evt_0:h', 'evt_1:h'],
    })
    expect(verdict).toEqual({
      ...NOTHING_WRONG,
      deliveries: 2,
      attempts: 4,
      accepted: 2,
      unknown: 0,
      effects: 2,
      deadLetters: 0,
      runs: 3,
    })
    expect(isSound(verdict)).toBe(true)
  })

  it('takes a dead letter for the end of poison, also of one whose acceptance nobody heard of', async () => {
    const verdict = await check({
      attempts: [...ACCEPTED, 'P 0', 'P 1', 'S 1 bb', 'A 1 0 -'],
      runs: [RUN, 'R evt_1 1 bb evt_1:h'],
      letters: ['D evt_0', 'D evt_1'],
    })
    expect(verdict).toMatchObject({ ...NOTHING_WRONG, deadLetters: 2, unknown: 1 })
  })

  it.each<readonly [string, Files, object]>([
    ['neither effect nor letter is a loss', { attempts: ACCEPTED, runs: [RUN] }, { lost: ['0'] }],
    [
      'two effects under two keys are double',
      { attempts: ACCEPTED, runs: [RUN, 'R evt_9 0 aa evt_9:h'], effects: ['evt_0:h', 'evt_9:h'] },
      { doubled: ['0'] },
    ],
    [
      'an effect and a letter are double',
      { attempts: ['P 0', ...ACCEPTED], runs: [RUN], effects: ['evt_0:h'], letters: ['D evt_0'] },
      { doubled: ['0'] },
    ],
    [
      'other bytes are told',
      { attempts: ACCEPTED, runs: ['R evt_0 0 ab evt_0:h'], effects: ['evt_0:h'] },
      { altered: ['0'] },
    ],
    [
      'an effect of what was refused was not asked for',
      { attempts: ['S 0 aa', 'A 0 401 -'], runs: [RUN], effects: ['evt_0:h'] },
      { unasked: ['0'] },
    ],
    [
      'an effect of what nobody sent was not asked for',
      { attempts: [], runs: ['R evt_7 7 aa evt_7:h'], effects: ['evt_7:h'] },
      { unasked: ['7'] },
    ],
    [
      'an effect without a run was not asked for',
      { attempts: ACCEPTED, runs: [RUN], effects: ['evt_0:h', 'evt_8:h'] },
      { unasked: ['evt_8:h'] },
    ],
    [
      'a letter of what is not poison is told',
      { attempts: ACCEPTED, runs: [RUN], letters: ['D evt_0'] },
      { condemned: ['0'] },
    ],
  ])('%s', async (_, files, findings) => {
    const verdict = await check(files)
    expect(verdict).toMatchObject({ ...NOTHING_WRONG, ...findings })
    expect(isSound(verdict)).toBe(false)
  })

  it('does not take for a loss what was never accepted', async () => {
    const verdict = await check({ attempts: ['S 0 aa', 'A 0 503 -', 'S 1 aa', 'S 2 aa', 'A 2 429 -'] })
    expect(verdict).toMatchObject({ ...NOTHING_WRONG, accepted: 0, unknown: 2 })
  })

  it.each([
    ['S 0', /attempts\.log:1 is no line of such a file: S 0/],
    ['A 0 202 evt_0', /delivery 0 was answered, but never sent/],
    ['S 0 aa\nS 0 bb', /delivery 0 was sent with two bodies/],
  ])('names the line that it cannot read: %j', async (line, message) => {
    await expect(check({ attempts: [line] })).rejects.toThrow(message)
  })

  it('finds exactly the deliveries whose end was taken away, doubled or changed', async () => {
    const fates = fc.array(fc.constantFrom('well', 'lost', 'doubled', 'altered'), {
      minLength: 1,
      maxLength: 40,
    })
    await fc.assert(
      fc.asyncProperty(fates, async (all) => {
        const of = (fate: string) => all.flatMap((each, n) => (each === fate ? [String(n)] : []))
        const numbers = all.map((_, n) => n)
        const doubled = of('doubled')
        const verdict = await check({
          attempts: numbers.flatMap((n) => [`S ${n} aa`, `A ${n} 202 evt_${n}`]),
          runs: [
            ...all.map((fate, n) => `R evt_${n} ${n} ${fate === 'altered' ? 'ab' : 'aa'} evt_${n}:h`),
            ...doubled.map((n) => `R other_${n} ${n} aa other_${n}:h`),
          ],
          effects: [
            ...all.flatMap((fate, n) => (fate === 'lost' ? [] : [`evt_${n}:h`])),
            ...doubled.map((n) => `other_${n}:h`),
          ],
        })
        expect(verdict).toMatchObject({ ...NOTHING_WRONG, lost: of('lost'), doubled, altered: of('altered') })
      }),
      { numRuns: 30 },
    )
  })
})
