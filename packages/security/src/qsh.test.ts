import { createCanonicalRequest, createQueryStringHash, fromMethodAndUrl } from 'atlassian-jwt'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalRequest, queryStringHash } from './qsh.ts'

describe("Atlassian's canonical request", () => {
  // https://developer.atlassian.com/cloud/bitbucket/query-string-hash/
  it.each([
    ['get', '/?param=foo', 'GET&/&param=foo'],
    ['POST', '/user', 'POST&/user&'],
    ['GET', 'https://addon.example.com', 'GET&/&'],
    ['GET', 'https://addon.example.com/issue', 'GET&/issue&'],
    ['GET', 'https://addon.example.com/title&description', 'GET&/title%26description&'],
    ['GET', 'https://example.atlassian.net/rest/api/2/issue/', 'GET&/rest/api/2/issue&'],
    ['GET', '/?expand=names&jwt=ABC.DEF.GHI', 'GET&/&expand=names'],
    ['GET', '/?jwt=ABC.DEF.GHI', 'GET&/&'],
    ['GET', '/?a=b&', 'GET&/&a=b'],
    ['GET', '/?some+spaces+in+this+parameter=', 'GET&/&some%20spaces%20in%20this%20parameter='],
    ['GET', '/?1+%2B+1+equals+3=', 'GET&/&1%20%2B%201%20equals%203='],
    ['GET', '/?in+%7E3+days=', 'GET&/&in%20~3%20days='],
    ['GET', '/?query=connect*', 'GET&/&query=connect%2A'],
    ['GET', '/?director=%e5%ae%ae%e5%b4%8e%20%e9%a7%bf', 'GET&/&director=%E5%AE%AE%E5%B4%8E%20%E9%A7%BF'],
    ['GET', '/?a10=1&a1=2&b1=3&b10=4', 'GET&/&a1=2&a10=1&b1=3&b10=4'],
    ['GET', '/?A=A&a=a&b=b&B=B', 'GET&/&A=A&B=B&a=a&b=b'],
    ['GET', '/?ids=-1&ids=1&ids=10&ids=2&ids=20', 'GET&/&ids=-1,1,10,2,20'],
    ['GET', '/?ids=.1&ids=.2&ids=%3A1&ids=%3A2', 'GET&/&ids=.1,.2,%3A1,%3A2'],
    ['GET', '/?ids=10%2C2%2C20%2C1', 'GET&/&ids=10%2C2%2C20%2C1'],
    ['GET', '/?c=&c=+&c=%2520&c=%2B', 'GET&/&c=,%20,%2520,%2B'],
    ['GET', '/?a=1%2C2%2C3&a=4%2C5%2C6&b=a%2Cb%2Cc', 'GET&/&a=1%2C2%2C3,4%2C5%2C6&b=a%2Cb%2Cc'],
  ])('of %s %s is as the page has it', (method, url, canonical) => {
    expect(canonicalRequest(method, url)).toBe(canonical)
  })

  it('of the example for Connect apps is as that page has it', () => {
    // https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/
    const url =
      'http://localhost:2990/path/to/service?zee_last=param&repeated=parameter 1&first=param&repeated=parameter 2'
    expect(canonicalRequest('GET', url)).toBe(
      'GET&/path/to/service&first=param&repeated=parameter%201,parameter%202&zee_last=param',
    )
  })

  it('hashes as the pages say', () => {
    // The first two from the page on the hash, the third from that for Connect apps.
    expect(queryStringHash('GET', '/test?param=value')).toBe(
      'be16910858a41fd19ea5c1b4e9decca9a784d1024cb00b2158defe2f29dc86dd',
    )
    expect(queryStringHash('POST', '/rest/api/2/issue')).toBe(
      '43dd1779e33c34fae00c308d62e5dd153a32147d1bcb5d40b3936457fda0ece4',
    )
    const url =
      '/hello-world?lic=none&tz=Australia%2FSydney&cp=%2Fjira&user_key=&loc=en-US&user_id=&jwt=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjEzODY4OTkxMzEsImlzcyI6ImppcmE6MTU0ODk1OTUiLCJxc2giOiI4MDYzZmY0Y2ExZTQxZGY3YmM5MGM4YWI2ZDBmNjIwN2Q0OTFjZjZkYWQ3YzY2ZWE3OTdiNDYxNGI3MTkyMmU5IiwiaWF0IjoxMzg2ODk4OTUxfQ.uKqU9dTB6gKwG6jQCuXYAiMNdfNRw98Hw_IWuA5MaMo&xdm_e=http%3A%2F%2Fstorm%3A2990&xdm_c=channel-servlet-hello-world&xdm_p=1'
    expect(queryStringHash('GET', url)).toBe(
      '8063ff4ca1e41df7bc90c8ab6d0f6207d491cf6dad7c66ea797b4614b71922e9',
    )
    expect(queryStringHash('GET', '')).toBe(
      'c88caad15a1c1a900b8ac08aa9686f4e8184539bea1deda36e2f649430df3239',
    )
  })

  it('leaves out the base path of the app, and nothing that merely begins like it', () => {
    expect(canonicalRequest('POST', '/base/path?a=1', '/base')).toBe('POST&/path&a=1')
    expect(canonicalRequest('POST', '/base', '/base')).toBe('POST&/&')
    expect(canonicalRequest('POST', '/basement/path', '/base')).toBe('POST&/basement/path&')
  })

  it("agrees with Atlassian's own library, for any query", () => {
    // Their keys are sorted before they are encoded, so names here are such that it makes no difference.
    const name = fc.stringMatching(/^[A-Za-z0-9 ._*-]{1,6}$/)
    // Node's old URL parser, which theirs uses, encodes apostrophes in a path; the gateway's paths have none.
    const paths = fc.webPath().filter((path) => !path.includes("'"))
    const pairs = fc.array(fc.tuple(name, fc.string({ unit: 'grapheme', maxLength: 6 })), { maxLength: 6 })
    fc.assert(
      fc.property(paths, pairs, (path, parameters) => {
        const target = `/${path.replace(/^\/+/, '').split(/[?#]/, 1)[0]}`
        const url = `${target}?${new URLSearchParams(parameters)}`
        const theirs = fromMethodAndUrl('POST', url)
        expect(canonicalRequest('POST', url)).toBe(createCanonicalRequest(theirs))
        expect(queryStringHash('POST', url)).toBe(createQueryStringHash(theirs))
      }),
    )
  })

  it('does not exist for what is not percent-encoded', () => {
    for (const url of ['/?a=%', '/?%zz=1', '/?a=%ff', '/?a=\ud800']) {
      expect(() => queryStringHash('GET', url)).toThrow(URIError)
    }
  })
})
