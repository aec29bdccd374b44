import { describe, expect, it } from 'vitest'
import { readConfigFile } from './file.ts'

const read = (text: string) => readConfigFile(text, 'c.yaml')

describe('the text of a configuration', () => {
  it('becomes a tree in which every line is known', () => {
    const file = read('a: 1\n# x\nb:\n  - x\n  - y: [1,\n      2]\n')
    expect(file).toMatchObject({ readable: true, problems: [], tree: { a: 1, b: ['x', { y: [1, 2] }] } })
    expect(file.lineOf(['a'])).toBe(1)
    expect(file.lineOf(['b'])).toBe(3)
    expect(file.lineOf(['b', 1])).toBe(5)
    expect(file.lineOf(['b', 1, 'y', 1])).toBe(6)
    expect(file.lineOf(['b', 2])).toBeUndefined()
    expect(file.lineOf(['a', 'x'])).toBeUndefined()
    expect(file.lineOf(['z'])).toBeUndefined()
  })

  it.each(['', '\n', '# only a comment', '---', 'null', '\uFEFF'])('may be as good as empty: %j', (text) => {
    expect(read(text)).toMatchObject({ readable: true, problems: [], tree: {} })
  })

  it('may have Windows line ends, anchors and aliases', () => {
    expect(read('a: &x\r\n  b: 1\r\nc: *x\r\n').tree).toEqual({ a: { b: 1 }, c: { b: 1 } })
  })

  it('reads values by YAML 1.2: no is a word, 010 is ten', () => {
    expect(read('a: no\nb: 010\nc: 0o10\nd: 1_0\ne: 2001-01-01\nf: 0x1F').tree).toEqual({
      a: 'no',
      b: 10,
      c: 8,
      d: '1_0',
      e: '2001-01-01',
      f: 31,
    })
  })

  it.each([
    ['a: 1\nb: 2\na: 3\n', 'c.yaml:3', 'this key stands here a second time; keep one of them'],
    ['a:\n\tb: 1', 'c.yaml:2', 'a tab begins this line; indent with spaces'],
    ['a: "x', 'c.yaml:1', 'a sign is missing'],
    ['a: [${X}]', 'c.yaml:1', 'needs quotes'],
    ['a: 1\n---\nb: 1', 'c.yaml:2', 'a second document begins here'],
    ['1: a', 'c.yaml:1', ''],
    ['? [a]\n: b', 'c.yaml:1', 'this key is not text'],
    ['a: !secret x', 'c.yaml:1', 'the tag (!…) is not known; leave it out'],
    ['a: *nothing', 'c.yaml', ''],
    ['a: b: c', 'c.yaml:1', 'is not YAML'],
  ])('%j is a problem at %s: %s', (text, where, message) => {
    const { problems } = read(text)
    if (text === '1: a') return expect(problems).toEqual([])
    expect(problems.map((problem) => problem.where)).toContain(where)
    expect(problems.map((problem) => problem.message).join('\n')).toContain(message)
  })

  it('is not blown up by aliases', () => {
    const laughs = ['a0: &a0 [x, x]']
    for (let level = 1; level < 30; level++) {
      laughs.push(`a${level}: &a${level} [*a${level - 1}, *a${level - 1}]`)
    }
    expect(read(laughs.join('\n'))).toMatchObject({ readable: false, problems: [{ where: 'c.yaml' }] })
  })
})
