import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { keptHeaders, readHeaders, sole, traceparentOf } from './headers.ts'

/** As Node parses them: repeated ones joined, content-type kept once. */
function request(...rawHeaders: string[]): IncomingMessage {
  const headers: Record<string, string> = {}
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    const value = rawHeaders[i + 1] as string
    if (headers[name] === undefined) headers[name] = value
    else if (name !== 'content-type') headers[name] += `, ${value}`
  }
  return { headers, rawHeaders } as unknown as IncomingMessage
}

const KEEPS = ['content-type', 'user-agent', 'x-id']

describe('readHeaders', () => {
  it('takes headers that came once as they are', () => {
    const headers = readHeaders(request('X-Id', 'a', 'Content-Type', 'text/plain'), KEEPS)
    expect(sole(headers, 'x-id')).toBe('a')
    expect(sole(headers, 'x-other')).toBeUndefined()
    expect(headers.repeated).toBeUndefined()
  })

  it('sees a repeated header for what it is, and says which one names the event', () => {
    const headers = readHeaders(request('X-Id', 'a', 'x-id', 'b', 'Via', '1', 'Via', '2'), KEEPS)
    expect(headers.byName['x-id']).toEqual(['a', 'b'])
    expect(headers.byName.via).toEqual(['1', '2'])
    expect(sole(headers, 'x-id')).toBeUndefined()
    expect(headers.repeated).toBe('x-id')
    expect(readHeaders(request('Via', '1', 'Via', '2'), KEEPS).repeated).toBeUndefined()
  })

  it('also one that Node keeps only once', () => {
    expect(readHeaders(request('Content-Type', 'a', 'Content-Type', 'b'), KEEPS).repeated).toBe(
      'content-type',
    )
  })

  it('does not mind the user agent twice, and keeps the first', () => {
    const headers = readHeaders(request('User-Agent', 'a', 'User-Agent', 'b'), KEEPS)
    expect(headers.repeated).toBeUndefined()
    expect(keptHeaders(headers, KEEPS, undefined)).toEqual([['user-agent', 'a']])
  })

  it('takes a header named __proto__ for a header', () => {
    const headers = readHeaders(request('__proto__', 'a', '__proto__', 'b'), KEEPS)
    expect(Object.getPrototypeOf(headers.byName)).toBe(null)
  })
})

describe('keptHeaders', () => {
  it('keeps what is to be kept, in one order', () => {
    const headers = readHeaders(request('X-Id', 'a', 'X-Other', 'o', 'Content-Type', 'c'), KEEPS)
    expect(keptHeaders(headers, KEEPS, undefined)).toEqual([
      ['content-type', 'c'],
      ['x-id', 'a'],
    ])
  })
})

describe('traceparentOf', () => {
  const of = (value: string) => traceparentOf(readHeaders(request('traceparent', value), KEEPS))
  const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

  it('takes what the W3C defines', () => {
    expect(of(good)).toBe(good)
  })

  it.each([
    ['of another version', good.replace('00-', '01-')],
    ['with a trace of zeros', good.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32))],
    ['with a parent of zeros', good.replace('b7ad6b7169203331', '0'.repeat(16))],
    ['in upper case', good.toUpperCase()],
    ['with more behind it', `${good}-x`],
    ['that is something else', 'x'],
  ])('drops one %s', (_, value) => {
    expect(of(value)).toBe('')
  })
})
