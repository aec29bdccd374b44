import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { interpolate } from './interpolate.ts'

const ENV = { HOST: 'redis', PORT: '6379', EMPTY: '', TRICKY: '${HOST} $& "\n: {}' }
const textOf = (text: string) => interpolate(text, ENV, 4)

describe('interpolation', () => {
  it.each([
    ['plain', 'plain'],
    ['${HOST}', 'redis'],
    ['redis://${HOST}:${PORT}/0', 'redis://redis:6379/0'],
    ['${HOST}${PORT}', 'redis6379'],
    ['${MISSING:-fallback}', 'fallback'],
    ['${HOST:-fallback}', 'redis'],
    // As in a shell, empty is as good as unset for a default.
    ['${EMPTY:-fallback}', 'fallback'],
    ['${EMPTY}', ''],
    ['a${MISSING:-}b', 'ab'],
    ['${MISSING:-redis://h:1/0?x=-y}', 'redis://h:1/0?x=-y'],
    ['$${HOST}', '${HOST}'],
    ['$$${HOST}', '$${HOST}'],
    ['${HOST}$${HOST}', 'redis${HOST}'],
    ['$HOST costs 5$', '$HOST costs 5$'],
    // What comes from the environment is never looked at again.
    ['${TRICKY}', ENV.TRICKY],
    ['${CORES * 3}', '12'],
    ['${CORES*1}', '4'],
  ])('of %j is %j', (text, value) => {
    expect(textOf(text)).toEqual({ kind: 'text', value })
  })

  it.each(['${MISSING}', '${MISSING:-}', '${constructor}', '${__proto__}'])(
    'of %j says it is unset',
    (text) => {
      expect(textOf(text)).toMatchObject({ kind: 'unset' })
    },
  )

  it.each([
    ['a${MISSING}', 'MISSING'],
    ['${HOST', 'without a closing }'],
    ['${}', 'neither ${NAME} nor'],
    ['${1A}', 'neither ${NAME} nor'],
    ['${A-b}', 'neither ${NAME} nor'],
    ['${A:?b}', 'neither ${NAME} nor'],
    ['${CORES + 3}', 'neither ${NAME} nor'],
    ['${A B}', 'neither ${NAME} nor'],
  ])('of %j is a problem that says %j', (text, part) => {
    const result = textOf(text)
    expect(result.kind).toBe('problem')
    expect(result.kind === 'problem' && result.message).toContain(part)
  })

  it('never tells a default, which may be a secret', () => {
    expect(JSON.stringify(textOf('${A B:-hunter2}'))).not.toContain('hunter2')
  })

  it('hands any value of a variable through unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        expect(interpolate('<${V}>', { V: value }, 1)).toEqual({ kind: 'text', value: `<${value}>` })
      }),
    )
  })

  it('answers something for any text', () => {
    const text = fc
      .array(fc.constantFrom('$', '{', '}', ':-', 'HOST', 'MISSING', ' ', '*'))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, (found) => {
        const result = textOf(found)
        return result.kind !== 'text' || found.includes('$') || result.value === found
      }),
    )
  })
})
