/**
 * The corpus of hostile requests: what is written by hand below, spelled out into whole requests and kept as data in
 * corpus.jsonl, one a line, so that a change of this file cannot silently change what is sent.
 *
 *   node tests/hostile/corpus.ts          write corpus.jsonl
 *
 * Signatures in it are real ones, made with SECRET, so that each request is wrong in the one way that it is meant to be.
 */
import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { signGeneric } from '@weir/security/generic'
import { signGithub } from '@weir/security/github'
import { sign } from '@weir/security/schemes'

export interface HostileRequest {
  readonly what: string
  /** Its bytes, one character each. */
  readonly raw: string
  /** Statuses that it may be answered with; 0 = the connection may just be closed. */
  readonly answers: readonly number[]
}

export const CORPUS = new URL('corpus.jsonl', import.meta.url)
const SECRET = Buffer.from('a secret for tests')
const BODY = '{"action":"opened","number":42,"repository":{"full_name":"acme/site"}}'

type Headers = readonly (readonly [name: string, value: string])[]

interface Spelling {
  readonly method?: string
  readonly path?: string
  readonly body?: string
  /** false = no Content-Length. */
  readonly length?: boolean
}

/** A request as it goes over the wire. */
function raw(
  headers: Headers,
  { method = 'POST', path = '/webhooks/github', body = BODY, length = true }: Spelling = {},
) {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const size = length ? `Content-Length: ${body.length}\r\n` : ''
  return `${method} ${path} HTTP/1.1\r\nHost: weir.example\r\n${lines}${size}Connection: close\r\n\r\n${body}`
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const right = (body = BODY): string => signGithub(SECRET, bytes(body))
const hex = right().slice('sha256='.length)
let deliveries = 0
/** What GitHub sends, with this signature. */
const github = (signature: string | undefined, ...more: Headers): Headers => [
  ['Content-Type', 'application/json'],
  ['X-GitHub-Event', 'push'],
  ['X-GitHub-Delivery', `hostile-${++deliveries}`],
  ...(signature === undefined ? [] : [['X-Hub-Signature-256', signature] as const]),
  ...more,
]

function* signatures(): Generator<HostileRequest> {
  const values: Readonly<Record<string, string>> = {
    empty: '',
    'only its prefix': 'sha256=',
    'without its prefix': hex,
    'of another prefix': `sha512=${hex}`,
    'with the prefix in capitals': `SHA256=${hex}`,
    'with a space behind the prefix': `sha256= ${hex}`,
    'with a space inside': `sha256=${hex.slice(0, 32)} ${hex.slice(32)}`,
    'in quotes': `"sha256=${hex}"`,
    'one digit short': `sha256=${hex.slice(1)}`,
    'one byte short': `sha256=${hex.slice(2)}`,
    'one digit long': `sha256=${hex}0`,
    'twice as long': `sha256=${hex}${hex}`,
    'of zeros': `sha256=${'0'.repeat(64)}`,
    'of no hex digits': `sha256=${'z'.repeat(64)}`,
    'with one letter that is none': `sha256=${hex.slice(0, 63)}g`,
    'in base64': `sha256=${Buffer.from(hex, 'hex').toString('base64')}`,
    'with a Cyrillic s': Buffer.from(`ѕha256=${hex}`).toString('latin1'),
    'with full-width digits': Buffer.from(`sha256=${hex.replaceAll('0', '０')}`).toString('latin1'),
    'with a soft hyphen': `sha256=\xad${hex}`,
    'with 0x': `sha256=0x${hex.slice(2)}`,
    'a list of right and wrong': `sha256=${hex}, sha256=${'0'.repeat(64)}`,
    'a list of wrong and right': `sha256=${'0'.repeat(64)}, sha256=${hex}`,
    'separated by semicolons': `sha256=${hex};`,
    'of SHA-1 in its place': `sha1=${hex.slice(0, 40)}`,
    reversed: `sha256=${[...hex].reverse().join('')}`,
    'of another secret': signGithub(Buffer.from('another secret'), bytes(BODY)),
    'of a longer secret': signGithub(Buffer.from('a secret for tests '), bytes(BODY)),
    'of another body': right('{}'),
    'of no body': right(''),
    'a template': '{{signature}}',
    'an expression': '${jndi:ldap://x}',
    undefined: 'undefined',
    null: 'null',
    true: 'true',
    'very long': `sha256=${'a'.repeat(8_000)}`,
  }
  for (const [what, value] of Object.entries(values)) {
    yield { what: `a signature ${what}`, raw: raw(github(value)), answers: [401] }
  }
  for (let at = 0; at < 64; at += 8) {
    const other = (Number.parseInt(hex[at] as string, 16) ^ 1).toString(16)
    const value = `sha256=${hex.slice(0, at)}${other}${hex.slice(at + 1)}`
    yield { what: `a signature with one bit changed in digit ${at}`, raw: raw(github(value)), answers: [401] }
  }
  yield { what: 'no signature', raw: raw(github(undefined)), answers: [401] }
  const elsewhere: readonly (readonly [string, string])[] = [
    ['X-Hub-Signature', `sha1=${hex.slice(0, 40)}`],
    ['X-Hub-Signature', `sha256=${hex}`],
    ['X_Hub_Signature_256', `sha256=${hex}`],
    ['X-Hub-Signature-256-', `sha256=${hex}`],
    ['Authorization', `sha256=${hex}`],
    ['Cookie', `X-Hub-Signature-256=sha256=${hex}`],
    ['Trailer', 'X-Hub-Signature-256'],
  ]
  for (const [name, value] of elsewhere) {
    yield { what: `the signature in ${name}`, raw: raw(github(undefined, [name, value])), answers: [401] }
  }
  yield {
    what: 'the signature in the query',
    raw: raw(github(undefined), { path: `/webhooks/github?x-hub-signature-256=sha256=${hex}` }),
    answers: [401],
  }
  for (const [what, first, second] of [
    ['right, then wrong', right(), 'sha256=00'],
    ['wrong, then right', 'sha256=00', right()],
    ['right twice', right(), right()],
    ['right, then empty', right(), ''],
  ] as const) {
    yield {
      what: `two signatures: ${what}`,
      raw: raw(github(first, ['X-Hub-Signature-256', second])),
      answers: [401],
    }
    yield {
      what: `two signatures in other letters: ${what}`,
      raw: raw(github(first, ['x-hub-SIGNATURE-256', second])),
      answers: [401],
    }
  }
}

function* bodies(): Generator<HostileRequest> {
  const signature = right()
  for (let at = 0; at < BODY.length; at += 3) {
    const changed = `${BODY.slice(0, at)}${String.fromCharCode(BODY.charCodeAt(at) ^ 1)}${BODY.slice(at + 1)}`
    yield {
      what: `a body with one bit changed at ${at}`,
      raw: raw(github(signature), { body: changed }),
      answers: [401],
    }
  }
  const changes: Readonly<Record<string, string>> = {
    'written anew with spaces': JSON.stringify(JSON.parse(BODY), null, 1),
    'with its members in another order':
      '{"number":42,"action":"opened","repository":{"full_name":"acme/site"}}',
    'with an escape': BODY.replace('opened', '\\u006fpened'),
    'with a newline behind it': `${BODY}\n`,
    'with a byte order mark': `\xef\xbb\xbf${BODY}`,
    'with a zero behind it': `${BODY}\0`,
    'with its last byte missing': BODY.slice(0, -1),
    twice: BODY + BODY,
    'as a form': `payload=${encodeURIComponent(BODY)}`,
    packed: gzipSync(BODY).toString('latin1'),
    'in UTF-16': Buffer.from(BODY, 'utf16le').toString('latin1'),
    'of nothing': '',
    'with a member more': BODY.replace('{', '{"admin":true,'),
    'with another number': BODY.replace('42', '43'),
    'in capitals': BODY.toUpperCase(),
  }
  for (const [what, body] of Object.entries(changes)) {
    yield { what: `a signed body ${what}`, raw: raw(github(signature), { body }), answers: [401] }
  }
}

function* framing(): Generator<HostileRequest> {
  const signed = github(right())
  const lines = signed.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const size = BODY.length
  const chunked = `${size.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`
  const lengths: Readonly<Record<string, string>> = {
    'both lengths': `Content-Length: ${size}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    'both lengths, the other way round': `Transfer-Encoding: chunked\r\nContent-Length: ${size}\r\n\r\n${chunked}`,
    'two lengths that differ': `Content-Length: ${size}\r\nContent-Length: ${size + 1}\r\n\r\n${BODY}`,
    'two lengths that are the same': `Content-Length: ${size}\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'a list of lengths': `Content-Length: ${size}, ${size}\r\n\r\n${BODY}`,
    'a negative length': `Content-Length: -1\r\n\r\n${BODY}`,
    'a length with a sign': `Content-Length: +${size}\r\n\r\n${BODY}`,
    'a length in hex': `Content-Length: 0x${size.toString(16)}\r\n\r\n${BODY}`,
    'a length with a fraction': `Content-Length: ${size}.0\r\n\r\n${BODY}`,
    'a length of words': `Content-Length: many\r\n\r\n${BODY}`,
    'a length beyond all numbers': `Content-Length: ${'9'.repeat(30)}\r\n\r\n${BODY}`,
    'an unknown coding': `Transfer-Encoding: xchunked\r\n\r\n${chunked}`,
    'chunked and something else': `Transfer-Encoding: chunked, identity\r\n\r\n${chunked}`,
    'two codings': `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${chunked}`,
    'a coding behind a tab': `Transfer-Encoding:\tchunked\x0b\r\n\r\n${chunked}`,
    'a chunk size that is none': 'Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n',
    'a chunk size beyond all numbers': `Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(20)}\r\n{}\r\n0\r\n\r\n`,
    'a chunk that is longer than it says': `Transfer-Encoding: chunked\r\n\r\n1\r\n${BODY}\r\n0\r\n\r\n`,
    'a folded header': `X-A: b\r\n c\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'a space before the colon': `X-A : b\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'a header without a colon': `X-A\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'a header without a name': `: b\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'a header with a zero': `X-A: b\0c\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'a carriage return in a header': `X-A: b\rc\r\nContent-Length: ${size}\r\n\r\n${BODY}`,
    'line feeds alone': `X-A: b\nContent-Length: ${size}\n\n${BODY}`,
  }
  for (const [what, rest] of Object.entries(lengths)) {
    yield {
      what: `a request with ${what}`,
      raw: `POST /webhooks/github HTTP/1.1\r\nHost: weir.example\r\nConnection: close\r\n${lines}${rest}`,
      answers: [400, 408, 413, 501],
    }
  }
  const starts: Readonly<Record<string, string>> = {
    'of HTTP/0.9': 'POST /webhooks/github\r\n\r\n',
    'of HTTP/3.0': 'POST /webhooks/github HTTP/3.0\r\n\r\n',
    'of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'of no protocol': 'POST /webhooks/github FTP/1.1\r\n\r\n',
    'of TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'of a method that is none': 'P@ST /webhooks/github HTTP/1.1\r\n\r\n',
    'of a method in small letters': 'post /webhooks/github HTTP/1.1\r\n\r\n',
    'with a path of spaces': 'POST /webhooks/git hub HTTP/1.1\r\n\r\n',
    'with an empty line first': '\r\n\r\n\r\nGET HTTP/1.1\r\n\r\n',
    'of zeros': '\0'.repeat(64),
    'of a very long path': `POST /webhooks/${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
    'of very long headers': `POST /webhooks/github HTTP/1.1\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`,
    'of very many headers': `POST /webhooks/github HTTP/1.1\r\n${'X-A: b\r\n'.repeat(3_000)}\r\n`,
  }
  for (const [what, text] of Object.entries(starts)) {
    yield { what: `a beginning ${what}`, raw: text, answers: [0, 400, 404, 405, 431] }
  }
  yield {
    what: 'a request without Host',
    raw: raw(signed).replace('Host: weir.example\r\n', ''),
    answers: [400],
  }
  yield {
    what: 'a second request hidden in the body',
    raw: raw([['Content-Type', 'application/json']], { body: raw(github(right())) }),
    answers: [401],
  }
}

function* paths(): Generator<HostileRequest> {
  const hostile = [
    '/webhooks/../webhooks/github/acme',
    '/webhooks/%67ithub',
    '/webhooks/GITHUB',
    '/webhooks/github%00',
    '/webhooks/github%0d%0aX-A:%20b',
    '/webhooks/github;x=y',
    '/webhooks//github',
    '//webhooks/github',
    '/webhooks/github/acme/extra',
    '/webhooks/github/..',
    '/webhooks/github/%2e%2e',
    '/webhooks/github/..%2fadmin',
    '/webhooks/github/acme%2fother',
    '/webhooks/github/{webhook-events}',
    '/webhooks/github/webhook-events:{0}',
    '/webhooks/github/a:b',
    '/webhooks/github/*',
    '/webhooks/github/a b'.replace(' ', '%20'),
    '/webhooks/github/ACME',
    '/webhooks/github/-acme',
    '/webhooks/github/_acme',
    '/webhooks/github/acme.',
    '/webhooks/github/\xc3\xa4cme',
    '/webhooks/github/%c3%a4cme',
    '/webhooks/github/%F0%9F%92%A9',
    '/webhooks/github/a%0ab',
    '/webhooks/github/a%09b',
    '/webhooks/github/__proto__',
    '/webhooks/github/toString()',
    `/webhooks/github/${'a'.repeat(64)}`,
    `/webhooks/github/${'a'.repeat(4_000)}`,
    '/webhooks/__proto__',
    '/webhooks/constructor/acme',
    '/webhooks/hasOwnProperty',
    '/webhooks/null',
    '/webhooks/unknown',
    '/webhooks/*',
    '/webhook/{x}',
    '/webhook/..',
    '/admin',
    '/.env',
    '/events/evt_AAAAAAAAAAAAAAAAAAAAAA',
    'http://other.example/webhooks/nobody',
    '*',
  ]
  for (const path of hostile) {
    yield { what: `the path ${path.slice(0, 60)}`, raw: raw(github(right()), { path }), answers: [400, 404] }
  }
  for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']) {
    yield { what: `the method ${method}`, raw: raw(github(right()), { method }), answers: [400, 405] }
  }
}

function* contents(): Generator<HostileRequest> {
  const typed = (type: string, ...more: Headers): Headers => [
    ['Content-Type', type],
    ...github(right(), ...more).slice(1),
  ]
  const types = [
    'text/plain',
    'text/html',
    'application/xml',
    'application/jsonp',
    'application/json-patch+json',
    'application/json;application/xml'.replace(';', ','),
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    'application/x-www-form-urlencoded2',
    'application/',
    '/json',
    'json',
    '*/*',
    '""',
    'application/json\xa0',
    'applicatiоn/json'.replace('о', '\xd0\xbe'),
  ]
  for (const type of types) yield { what: `the type ${type}`, raw: raw(typed(type)), answers: [415] }
  yield { what: 'no type', raw: raw(github(right()).slice(1)), answers: [415] }
  yield {
    what: 'two types',
    raw: raw(github(right(), ['Content-Type', 'text/html'])),
    answers: [400],
  }
  for (const coding of [
    'gzip',
    'GZIP',
    'br',
    'deflate',
    'zstd',
    'compress',
    'gzip, gzip',
    'identity, gzip',
    'x-gzip',
    'chunked',
    '*',
  ]) {
    yield {
      what: `the coding ${coding}`,
      raw: raw(github(right(), ['Content-Encoding', coding])),
      answers: [415],
    }
  }
  const twice: Headers = [
    ['X-GitHub-Delivery', 'another'],
    ['X-GitHub-Event', 'issues'],
    ['X-GitHub-Hook-ID', '1'],
  ]
  for (const [name, value] of twice) {
    const more: Headers =
      name === 'X-GitHub-Hook-ID'
        ? [
            [name, '2'],
            [name, value],
          ]
        : [[name, value]]
    yield { what: `${name} twice`, raw: raw(github(right(), ...more)), answers: [400] }
  }
}

/** Requests that are what they say, from senders who try what the names in them can do. */
function* names(): Generator<HostileRequest> {
  const ids = [
    '{webhook-events}',
    'webhook-events:{0}:ledger',
    '../../etc/passwd',
    '*',
    '__proto__',
    '%0d%0aSET x y',
    '<script>alert(1)</script>',
    "' OR 1=1 --",
    '\xff\xfe',
    'a'.repeat(256),
    'a'.repeat(4_000),
    '${jndi:ldap://x}',
    '[object Object]',
    '\u0000'.replace('\u0000', '%00'),
    'KEYS[1]',
    "redis.call('FLUSHALL')",
  ]
  for (const id of ids) {
    const headers = github(right()).map(
      ([name, value]) => [name, name === 'X-GitHub-Delivery' ? id : value] as const,
    )
    yield { what: `the delivery id ${id.slice(0, 40)}`, raw: raw(headers), answers: [200, 202] }
  }
  for (let i = 0; i < 40; i++) {
    const event = i < 20 ? `made_up_${i}` : [`{x${i}}`, `"type${i}"`, `a b${i}`, 'x'.repeat(100 + i)][i % 4]
    const headers = github(right()).map(
      ([name, value]) => [name, name === 'X-GitHub-Event' ? `${event}` : value] as const,
    )
    yield { what: `the event type ${event?.slice(0, 40)}`, raw: raw(headers), answers: [202] }
  }
  const nasty = [
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    '['.repeat(50_000),
    `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
    '{"a":1e400,"b":-0,"c":123456789012345678901234567890}',
    '{"a":"\\ud800"}',
    '{"a":1,"a":2}',
    '\xff\xfe\x00\x80',
    'NaN',
    '{"a":',
    '\0'.repeat(100),
  ]
  for (const body of nasty) {
    yield {
      what: `the signed body ${JSON.stringify(body.slice(0, 30))}`,
      raw: raw(github(right(body)), { body }),
      answers: [202],
    }
  }
}

function* forwarded(): Generator<HostileRequest> {
  const claims: Headers = [
    ['X-Forwarded-For', '127.0.0.1'],
    ['X-Forwarded-For', '::1'],
    ['X-Forwarded-For', `${'10.0.0.1, '.repeat(500)}127.0.0.1`],
    ['X-Real-IP', '127.0.0.1'],
    ['Forwarded', 'for=127.0.0.1'],
    ['X-Forwarded-Host', 'localhost'],
    ['X-Original-URL', '/health'],
    ['X-HTTP-Method-Override', 'GET'],
    ['X-Client-IP', '127.0.0.1'],
    ['Via', '1.1 localhost'],
  ]
  for (const claim of claims) {
    yield {
      what: `unsigned, with ${claim[0]}: ${claim[1].slice(0, 30)}`,
      raw: raw(github(undefined, claim)),
      answers: [401],
    }
  }
}

function* generic(): Generator<HostileRequest> {
  const signed = (timestamp: string, signature: string, ...more: Headers): Headers => [
    ['Content-Type', 'application/json'],
    ['X-Webhook-Event', 'made.up'],
    ['X-Webhook-Timestamp', timestamp],
    ['X-Webhook-Signature', signature],
    ...more,
  ]
  const path = '/webhooks/generic'
  const past = 1_700_000_000
  const at = (seconds: number) => signed(String(seconds), signGeneric(SECRET, seconds, bytes(BODY)))
  const times: Readonly<Record<string, Headers>> = {
    'of years ago': at(past),
    'of 1970': at(0),
    'of the year 5138': at(99_999_999_999),
  }
  for (const [what, headers] of Object.entries(times)) {
    yield { what: `a timestamp ${what}`, raw: raw(headers, { path }), answers: [401] }
  }
  const wrong = [
    '',
    '-1',
    '1.7e9',
    '1700000000.5',
    '0x6553f100',
    ' 17',
    '１７',
    '1700000000000',
    '9'.repeat(40),
    'now',
    'NaN',
    '01700000000',
    '1700000000,1700000001',
    '1_700_000_000',
  ]
  for (const timestamp of wrong) {
    const latin1 = Buffer.from(timestamp).toString('latin1')
    yield {
      what: `the timestamp ${JSON.stringify(timestamp)}`,
      raw: raw(signed(latin1, signGeneric(SECRET, past, bytes(BODY))), { path }),
      answers: [401],
    }
  }
  yield {
    what: 'two timestamps',
    raw: raw(signed('1', 'sha256=00', ['X-Webhook-Timestamp', '2']), { path }),
    answers: [401],
  }
  yield {
    what: 'a signature of the body without the timestamp',
    raw: raw(signed(String(past), right()), { path }),
    answers: [401],
  }
}

/** The other senders: each credential wrong in every way that has nothing to do with what it is. */
function* schemes(): Generator<HostileRequest> {
  const tools = [
    'gitlab',
    'jira',
    'bitbucket',
    'stripe',
    'slack',
    'shopify',
    'pagerduty',
    'alertmanager',
    'standard',
  ] as const
  const past = { timestampSeconds: 1_700_000_000, deliveryId: 'd-1' }
  for (const tool of tools) {
    const path = `/webhooks/${tool}`
    const secret = Buffer.from(secretOf(tool))
    const rightful = Object.entries(sign(tool, secret, bytes(BODY), past))
    const strange = Object.entries(sign(tool, Buffer.from(secretOf(tool, 'other')), bytes(BODY), past))
    const request = (headers: Headers, body = BODY) =>
      raw([['Content-Type', 'application/json'], ...headers], { path, body })
    const expected = { answers: [401] }
    yield { what: `${tool}: no credentials`, raw: request([]), ...expected }
    yield { what: `${tool}: of another secret`, raw: request(strange), ...expected }
    if (tool === 'stripe' || tool === 'slack' || tool === 'standard') {
      yield { what: `${tool}: rightful, of years ago`, raw: request(rightful), ...expected }
    }
    if (tool !== 'gitlab' && tool !== 'alertmanager') {
      yield { what: `${tool}: of another body`, raw: request(rightful, `${BODY} `), ...expected }
    }
    for (const [name, value] of rightful) {
      const others = rightful.filter(([other]) => other !== name)
      const changes: Readonly<Record<string, string>> = {
        empty: '',
        cut: value.slice(0, -1),
        'one longer': `${value}A`,
        'with a space inside': `${value.slice(0, 3)} ${value.slice(3)}`,
        'in capitals': value.toUpperCase() === value ? `${value}x` : value.toUpperCase(),
        'in quotes': `"${value}"`,
        'of zeros': '0'.repeat(value.length),
        'that is a word': 'undefined',
        'twice in one': `${value},${value.slice(0, -2)}00`,
        'a thousand times': `${'v1=00,'.repeat(1_000)}v1=00`,
        'with a letter of another alphabet': Buffer.from(`${value.slice(0, 4)}а${value.slice(5)}`).toString(
          'latin1',
        ),
      }
      for (const [what, changed] of Object.entries(changes)) {
        // PagerDuty's header is a list of which one has to hold.
        if (changed === value || (tool === 'pagerduty' && what === 'twice in one')) continue
        yield { what: `${tool}: ${name} ${what}`, raw: request([...others, [name, changed]]), ...expected }
      }
      yield {
        what: `${tool}: ${name} twice`,
        raw: request([...others, [name, value], [name, 'x']]),
        ...expected,
      }
    }
  }
}

/** The secret that the gateway under test has for a tool. */
export function secretOf(tool: string, which = 'secret'): string {
  const text = `a-${which}-for-tests`
  return tool === 'standard' ? `whsec_${Buffer.from(text.padEnd(32, '.')).toString('base64')}` : text
}

export function hostileRequests(): HostileRequest[] {
  deliveries = 0
  return [signatures, bodies, framing, paths, contents, names, forwarded, generic, schemes].flatMap(
    (part) => [...part()],
  )
}

export const linesOf = (requests: readonly HostileRequest[]): string =>
  requests.map((request) => `${JSON.stringify(request)}\n`).join('')

if (import.meta.main) {
  const requests = hostileRequests()
  writeFileSync(CORPUS, linesOf(requests))
  console.log(`${requests.length} requests`)
}
