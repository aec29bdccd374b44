/**
 * Atlassian's query string hash: what binds a Connect token to one method, path and query. SHA-256 over the canonical
 * request, `METHOD&path&query`.
 * https://developer.atlassian.com/cloud/bitbucket/query-string-hash/
 * https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/#creating-a-query-string-hash
 *
 * Where the pages contradict each other, this does as Atlassian's own libraries do: a parameter without a value is
 * written with its `=`, the commas between repeated values are not encoded, and those values are in the order that they
 * have before they are encoded.
 */
import { hash } from 'node:crypto'

/** In hex. Throws a URIError when the query is not percent-encoded UTF-8. */
export function queryStringHash(method: string, url: string, basePath = ''): string {
  return hash('sha256', canonicalRequest(method, url, basePath))
}

/**
 * @param url path and query, or a whole URL, percent-encoded
 * @param basePath path of the app's base URL, which is not part of what is signed; '' for none
 */
export function canonicalRequest(method: string, url: string, basePath = ''): string {
  const [target = ''] = url.replace(ORIGIN, '').split('#', 1)
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark + 1)
  return `${method.toUpperCase()}&${canonicalPath(path, basePath)}&${canonicalQuery(query)}`
}

const ORIGIN = /^https?:\/\/[^/?#]*/i

function canonicalPath(path: string, basePath: string): string {
  const own = path === basePath || path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : path
  // An `&` left as it is would let a path pass for a path with a query.
  const escaped = own.replaceAll('&', '%26').replace(/\/$/, '')
  return escaped.startsWith('/') ? escaped : `/${escaped}`
}

/** Sorted by the encoded names; repeated ones joined by commas, sorted by their plain values; without `jwt`. */
function canonicalQuery(query: string): string {
  const values = new Map<string, string[]>()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = encoded(decoded(equals < 0 ? pair : pair.slice(0, equals)))
    if (name === 'jwt') continue
    const value = equals < 0 ? '' : decoded(pair.slice(equals + 1))
    const before = values.get(name)
    if (before === undefined) values.set(name, [value])
    else before.push(value)
  }
  return [...values]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, list]) => `${name}=${list.sort().map(encoded).join(',')}`)
    .join('&')
}

function decoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/** As OAuth 1.0 does it: everything but letters, digits and `-._~`, in upper case. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
