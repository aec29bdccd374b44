import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stemOf, wordsOf } from './words.ts'

const stems = (text: string) => wordsOf(text).map(({ stem }) => stem)

describe('the words of a text', () => {
  it.each([
    ['Fixes the broken logins', ['fix', 'the', 'broken', 'login']],
    ['parseWebhookBody', ['parsewebhookbody', 'pars', 'webhook', 'body']],
    ['MAX_RETRY_COUNT', ['max_retry_count', 'max', 'retry', 'count']],
    ['src/auth/LoginForm.tsx', ['src/auth/loginform.tsx', 'src', 'auth', 'login', 'form', 'tsx']],
    ['acme/site#42', ['acme/site#42', 'acm', 'sit', '42']],
    ['PROJ-123: HTTPServer', ['proj-123', 'proj', '123', 'httpserver', 'http', 'serv']],
    ["it's don't", ['it', 'don']],
    ['Größe größer 数据库', ['größe', 'größer', '数据库']],
    ['', []],
    ['… — !', []],
  ])('%s', (text, words) => expect(stems(text)).toEqual(words))

  it.each([
    ['failed', 'failing', 'fails', 'fail'],
    ['stopped', 'stopping', 'stops', 'stop'],
    ['deployment', 'deployed', 'deploying', 'deploy'],
    ['retries', 'retry'],
    ['crashes', 'crashed', 'crash'],
  ])('have one stem: %s, %s …', (...forms) => {
    expect(new Set(forms.map(stemOf)).size).toBe(1)
  })

  it('tells common words and identifiers from the others', () => {
    expect(wordsOf('the login of PROJ-1')).toEqual([
      { stem: 'the', common: true, exact: false },
      { stem: 'login', common: false, exact: false },
      { stem: 'of', common: true, exact: false },
      { stem: 'proj-1', common: false, exact: true },
      { stem: 'proj', common: false, exact: true },
      { stem: '1', common: false, exact: true },
    ])
  })

  it('are never empty, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        for (const stem of stems(text)) expect(stem).not.toBe('')
      }),
    )
  })
})
