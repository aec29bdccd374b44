import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ageText, cut, manyLines, oneLine, painter, pairs, sizeText, tableOf, widthOf } from './text.ts'

const plain = { paint: painter(false) }

describe('tables', () => {
  const columns = [
    { head: 'name', cell: (row: { name: string; count: number | null }) => row.name },
    {
      head: 'count',
      cell: (row: { name: string; count: number | null }) => row.count,
      align: 'right' as const,
    },
  ]

  it('align their columns, also for wide and combining characters', () => {
    const rows = [
      { name: 'plain', count: 1 },
      { name: '漢字', count: 22 },
      { name: 'é', count: null },
    ]
    expect(tableOf(columns, rows, plain)).toBe('NAME   COUNT\nplain      1\n漢字      22\né          -\n')
  })

  it('are cut to the terminal, and nowhere else', () => {
    const rows = [{ name: 'a very long name indeed', count: 5 }]
    expect(tableOf(columns, rows, { ...plain, columns: 12 })).toBe('NAME\na very long…\n')
    expect(tableOf(columns, rows, plain)).toContain('a very long name indeed')
  })

  it('colour cells without moving them', () => {
    const coloured = { paint: painter(true) }
    const [, row] = tableOf(
      [{ ...columns[0]!, paint: () => 'red' as const }, columns[1]!],
      [{ name: 'x', count: 1 }],
      coloured,
    ).split('\n')
    expect(row).toBe('\u001b[31mx   \u001b[39m      1')
  })

  it('never pass on what a terminal would obey', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const text = tableOf(columns, [{ name, count: 0 }], plain)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
        expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
        expect(text.split('\n')).toHaveLength(3)
      }),
    )
  })
})

describe('text', () => {
  it('becomes one line, or keeps its lines', () => {
    expect(oneLine('a\r\n  b\tc\u001b[0m')).toBe('a b c�[0m')
    expect(manyLines('a\r\nb\tc\u0007')).toBe('a\nb\tc�')
  })

  it('is cut to columns, with a sign', () => {
    expect(cut('short', 5)).toBe('short')
    expect(cut('longer', 5)).toBe('long…')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, columns) => {
        expect(widthOf(cut(text, columns))).toBeLessThanOrEqual(columns)
      }),
    )
  })

  it('leaves pairs without a value out', () => {
    const entries = [
      ['a', 1],
      ['long name', 'x'],
      ['b', null],
      ['c', ''],
      ['d', undefined],
      ['e', 0],
    ] as const
    expect(pairs(entries, plain)).toBe('a          1\nlong name  x\ne          0\n')
  })
})

describe('numbers at a glance', () => {
  it.each([
    [0, '0ms'],
    [999, '999ms'],
    [1_500, '1.5s'],
    [59_940, '59.9s'],
    [60_000, '1m'],
    [250_000, '4m 10s'],
    [7_500_000, '2h 5m'],
    [273_600_000, '3d 4h'],
    [null, '-'],
  ])('%j ms is %s', (ms, text) => expect(ageText(ms)).toBe(text))

  it.each([
    [812, '812 B'],
    [9_934, '9.7 KiB'],
    [64 << 20, '64.0 MiB'],
    [null, '-'],
  ])('%j bytes are %s', (bytes, text) => expect(sizeText(bytes)).toBe(text))
})
