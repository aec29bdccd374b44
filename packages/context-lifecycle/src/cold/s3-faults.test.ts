/** What goes wrong between us and S3: a server that answers what the test says, over the network. */
import { createHash } from 'node:crypto'
import { type Fault, isFault } from '@weir/core/faults'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { freePort } from '../../../../scripts/free-port.ts'
import { objectsOf } from './cold-objects.test-support.ts'
import type { ColdStore } from './cold-store.ts'
import { createS3Store, type S3Settings } from './s3-store.ts'
import {
  attemptClock,
  early,
  error,
  ok,
  page,
  type Reply,
  silence,
  useScriptedS3,
  xml,
} from './scripted-s3.test-support.ts'

const ATTEMPT_MS = 77_777
const SECRET = 'a-secret-that-nobody-may-see'
const BYTES = Buffer.from('what happened around one subject')

const server = useScriptedS3()
let time: ReturnType<typeof attemptClock>
let store: ColdStore
let opened: ColdStore[] = []

const open = (changes: Partial<S3Settings> = {}): ColdStore => {
  const settings: S3Settings = {
    endpoint: server.endpoint,
    bucket: 'attic',
    region: 'eu-central-1',
    credentials: { accessKeyId: 'AKIDME', secretAccessKey: SECRET, sessionToken: null },
    attemptTimeoutMs: ATTEMPT_MS,
    attempts: 3,
    retryBaseMs: 100,
    retryMaxMs: 5_000,
    connections: 4,
    ...changes,
  }
  const one = createS3Store(settings, { clock: time.clock, random: () => 0.5 })
  opened.push(one)
  return one
}
beforeEach(() => {
  time = attemptClock(ATTEMPT_MS)
  store = open()
})
afterEach(() => {
  for (const one of opened) one.close()
  opened = []
  expect(time.running, 'time-outs that still run').toBe(0)
})

const everything: [string, () => Promise<unknown>][] = [
  ['put', () => store.put('a/b', BYTES)],
  ['get', () => store.get('a/b')],
  ['delete', () => store.delete('a/b')],
  ['list', () => objectsOf(store.list('a/'))],
]

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isFault(thrown)) throw new Error('it is no fault', { cause: thrown })
  expect(`${thrown.message} ${JSON.stringify(thrown)}`).not.toContain(SECRET)
  return thrown
}

/** The headers and the first bytes of an object of which more was promised. */
const half: Reply = (response) => {
  response.writeHead(200, { 'content-length': BYTES.length }).write(BYTES.subarray(0, 9))
}

describe('a server that cannot now', () => {
  it('is asked again, after longer and longer pauses', async () => {
    server.script(error(500, 'InternalError'), error(503, 'SlowDown'), ok(BYTES))
    expect(await store.get('a/b')).toEqual(BYTES)
    // Half of 100 ms; of the second, 200 ms, at least half, as the server is busy.
    expect(time.pauses).toEqual([50, 150])
  })

  it.each(everything)('%s: is unavailable when it does not get better', async (what, operation) => {
    server.script(error(500, 'InternalError'))
    const fault = await faultOf(operation())
    expect(fault.code).toBe('COLD_UNAVAILABLE')
    expect(fault.message).toMatch(
      new RegExp(`^cold storage: ${what} a/b?, bucket attic at ${server.endpoint}: 500 InternalError`),
    )
    expect(server.heard).toHaveLength(3)
    expect(time.pauses).toEqual([50, 100])
  })

  it('is not asked again before the time that it names', async () => {
    server.script(error(503, 'SlowDown', { 'retry-after': '2' }), ok(BYTES))
    expect(await store.get('a/b')).toEqual(BYTES)
    expect(time.pauses).toEqual([2000])
  })

  it('may name that time as a date', async () => {
    const date = new Date(time.clock.now() + 3000).toUTCString()
    server.script(error(429, 'TooManyRequests', { 'retry-after': date }), ok(BYTES))
    expect(await store.get('a/b')).toEqual(BYTES)
    expect(time.pauses).toEqual([3000])
  })

  it('is left to the caller when that is longer than the longest pause', async () => {
    server.script(error(503, 'SlowDown', { 'retry-after': '3600' }))
    expect((await faultOf(store.get('a/b'))).code).toBe('COLD_UNAVAILABLE')
    expect(server.heard).toHaveLength(1)
  })

  it.each(everything)('%s: refuses the connection', async (_, operation) => {
    const endpoint = `http://127.0.0.1:${await freePort()}`
    store = open({ endpoint })
    const fault = await faultOf(operation())
    expect(fault).toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: expect.stringContaining(`bucket attic at ${endpoint}: ECONNREFUSED`),
    })
    expect(time.pauses).toEqual([50, 100])
  })
})

describe('a server that never answers', () => {
  it.each(everything)('%s: costs the time of each attempt, and is unavailable', async (_, operation) => {
    server.script(silence)
    const outcome = faultOf(operation())
    for (let attempt = 1; attempt <= 3; attempt++) {
      await server.answered(attempt)
      time.expire()
    }
    expect(await outcome).toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: expect.stringContaining(`no whole answer within ${ATTEMPT_MS} ms`),
    })
    expect(server.heard).toHaveLength(3)
  })

  it('after half of an object: the time covers its transfer, and it is asked for again', async () => {
    server.script(half, ok(BYTES))
    const found = store.get('a/b')
    await server.answered(1)
    time.expire()
    expect(await found).toEqual(BYTES)
  })
})

describe('a connection that breaks', () => {
  const broken: Reply = (response, request) => {
    half(response, request)
    setImmediate(() => response.destroy())
  }

  it('in the middle of an object: it is asked for again', async () => {
    server.script(broken, broken, ok(BYTES))
    expect(await store.get('a/b')).toEqual(BYTES)
  })

  it('in the middle of an object each time: what came is never taken for the object', async () => {
    server.script(broken)
    expect((await faultOf(store.get('a/b'))).code).toBe('COLD_UNAVAILABLE')
    expect(server.heard).toHaveLength(3)
  })

  it('after an object whose length nobody said: it may be half of it', async () => {
    const unknown: Reply = (response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${BYTES.subarray(0, 9)}`)
    }
    server.script(unknown)
    expect(await faultOf(store.get('a/b'))).toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: expect.stringContaining('9 bytes of the object came, of an unknown number'),
    })
  })

  it('before the end of an object in chunks; whole chunks are an object', async () => {
    const chunked = (whole: boolean): Reply => {
      return (response) => {
        response.writeHead(200).write(BYTES)
        if (whole) response.end()
        else setImmediate(() => response.destroy())
      }
    }
    server.script(chunked(false), chunked(true))
    expect(await store.get('a/b')).toEqual(BYTES)
    expect(server.heard).toHaveLength(2)
  })

  it('in the middle of a put: all of it is sent again', async () => {
    const large = Buffer.alloc(5_000_000, 'x')
    const reset = early((response) => response.socket?.resetAndDestroy())
    server.script(reset, reset, ok())
    await store.put('a/b', large)
    expect(server.heard).toHaveLength(3)
    expect(server.heard[2]?.body.equals(large)).toBe(true)
  })
})

describe('a put', () => {
  it('carries checksums, for the server to compare', async () => {
    server.script(ok())
    await store.put('a/b', BYTES)
    const [{ method, path, headers, body }] = server.heard as [(typeof server.heard)[0]]
    expect([method, path.replace(/\?.*/, ''), body]).toEqual(['PUT', '/attic/a/b', BYTES])
    expect(headers).toMatchObject({
      'content-length': String(BYTES.length),
      'content-md5': createHash('md5').update(BYTES).digest('base64'),
      'x-amz-content-sha256': createHash('sha256').update(BYTES).digest('hex'),
    })
    expect(headers.authorization).toMatch(/SignedHeaders=[^,]*content-md5;[^,]*x-amz-content-sha256/)
    // Servers older than the SDK's own checksums refuse them.
    expect(Object.keys(headers).filter((name) => /checksum|trailer|expect/.test(name))).toEqual([])
  })

  it.each(['BadDigest', 'XAmzContentSHA256Mismatch', 'IncompleteBody', 'RequestTimeout'])(
    'whose bytes suffered on the way (%s) is sent again',
    async (code) => {
      server.script(error(400, code), ok())
      await store.put('a/b', BYTES)
      expect(server.heard).toHaveLength(2)
    },
  )
})

describe('a server that refuses', () => {
  it.each([
    [403, 'AccessDenied', /allow this user or role s3:ListBucket on the bucket attic/],
    [403, 'InvalidAccessKeyId', /check the access key/],
    [403, 'SignatureDoesNotMatch', /check the access key and its secret \(AWS_ACCESS_KEY_ID/],
    [400, 'ExpiredToken', /AWS_SESSION_TOKEN/],
    [404, 'NoSuchBucket', /there is no bucket attic at http:.*; make it, or correct S3_BUCKET/],
    [301, 'PermanentRedirect', /not in eu-central-1, or not at http:.*; correct S3_REGION/],
    [400, 'AuthorizationHeaderMalformed', /correct S3_REGION/],
    [403, 'InvalidObjectState', /archived/],
    [400, 'EntityTooLarge', /said EntityTooLarge/],
  ])('%i %s: says what to do, at once', async (status, code, advice) => {
    server.script(error(status, code))
    for (const [, operation] of everything) {
      const fault = await faultOf(operation())
      expect(fault.code).toBe('COLD_REFUSED')
      expect(fault.message).toContain(`bucket attic at ${server.endpoint}: refused (${status} ${code}); `)
      expect(fault.message).toMatch(advice)
    }
    expect(server.heard).toHaveLength(everything.length)
  })

  it('because the bucket is elsewhere: says where, when the server does', async () => {
    server.script(error(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' }))
    const { message } = await faultOf(store.get('a/b'))
    expect(message).toContain('the bucket is in eu-west-1, not in eu-central-1; correct S3_REGION')
  })

  it('never shows what is secret in the endpoint', async () => {
    server.script(error(403, 'AccessDenied'))
    store = open({ endpoint: server.endpoint.replace('//', `//me:${SECRET}@`) })
    expect((await faultOf(store.get('a/b'))).message).toContain(`at ${server.endpoint}: `)
  })

  it('because of the time: is asked again with its own, once', async () => {
    const ahead = new Date(Date.now() + 7_200_000)
    const skewed = error(403, 'RequestTimeTooSkewed', { date: ahead.toUTCString() })
    server.script(skewed, ok(BYTES))
    expect(await store.get('a/b')).toEqual(BYTES)
    const [first, second] = server.heard.map(({ headers }) =>
      Number(String(headers['x-amz-date']).slice(9, 11)),
    )
    expect((second! - first! + 24) % 24).toBeGreaterThanOrEqual(1)
  })

  it('because of the time, again and again: somebody has to correct the clock', async () => {
    const ahead = new Date(Date.now() + 7_200_000)
    server.script(error(403, 'RequestTimeTooSkewed', { date: ahead.toUTCString() }))
    expect(await faultOf(store.get('a/b'))).toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringContaining('the clock of this machine is wrong'),
    })
  })
})

describe('without an access key in the configuration', () => {
  beforeEach(() => {
    for (const [name, value] of [
      ['AWS_EC2_METADATA_DISABLED', 'true'],
      ['AWS_SHARED_CREDENTIALS_FILE', '/nonexistent'],
      ['AWS_CONFIG_FILE', '/nonexistent'],
      ['AWS_ACCESS_KEY_ID', undefined],
      ['AWS_SECRET_ACCESS_KEY', undefined],
      ['AWS_SESSION_TOKEN', undefined],
      ['AWS_PROFILE', undefined],
    ] as const) {
      vi.stubEnv(name, value)
    }
    store = open({ credentials: null })
  })
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  it('takes what the machine has', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDOFTHEPOD')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', SECRET)
    vi.stubEnv('AWS_SESSION_TOKEN', 'for-an-hour')
    server.script(ok(BYTES))
    expect(await store.get('a/b')).toEqual(BYTES)
    expect(server.heard[0]?.headers.authorization).toContain('Credential=AKIDOFTHEPOD/')
    expect(server.heard[0]?.headers['x-amz-security-token']).toBe('for-an-hour')
  })

  it('and none on the machine: somebody has to give it one', async () => {
    expect(await faultOf(store.get('a/b'))).toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringMatching(
        /refused \(CredentialsProviderError\); check the access key.*or the role/,
      ),
    })
    expect(server.heard).toEqual([])
  })
})

it('sends the session token of a temporary key', async () => {
  server.script(ok(BYTES))
  const credentials = { accessKeyId: 'ASIAME', secretAccessKey: SECRET, sessionToken: 'for-an-hour' }
  await open({ credentials }).get('a/b')
  expect(server.heard[0]?.headers['x-amz-security-token']).toBe('for-an-hour')
})

describe('a server that is no S3', () => {
  const html = (status: number): Reply => {
    return xml(status, '<html><body>Welcome</body></html>', { 'content-type': 'text/html' })
  }

  it.each(everything)('%s: its 404 is no missing object', async (_, operation) => {
    server.script(html(404))
    expect(await faultOf(operation())).toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringContaining('is not S3; correct S3_ENDPOINT'),
    })
  })

  it('its page is no empty list', async () => {
    server.script(html(200))
    expect(await faultOf(objectsOf(store.list('')))).toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringContaining('is not S3; correct S3_ENDPOINT'),
    })
  })
})

describe('a list', () => {
  const names = async (work = store.list('a/')) => (await objectsOf(work)).map(({ name }) => name)

  it('asks again for the page that failed, and for no other', async () => {
    server.script(page(['a/1', 'a/2'], 'T1'), error(503, 'SlowDown'), page(['a/3'], 'T2'), page(['a/4']))
    expect(await names()).toEqual(['a/1', 'a/2', 'a/3', 'a/4'])
    const tokens = server.heard.map(({ path }) => new URL(path, server.endpoint).searchParams)
    expect(tokens.map((query) => query.get('continuation-token'))).toEqual([null, 'T1', 'T1', 'T2'])
  })

  it('goes on after an empty page', async () => {
    server.script(page([], 'T1'), page(['a/1']))
    expect(await names()).toEqual(['a/1'])
  })

  it('passes over what is not ours', async () => {
    const encoded = '<EncodingType>url</EncodingType>'
    server.script(page(['a/%00', 'a/1', 'a/2%20', 'a/3%2F', 'a/%2E%2E/4', 'a/%7E5'], '', encoded))
    expect(await names()).toEqual(['a/1'])
    server.script(page(['a/1', 'a/2 3', 'a/%41']))
    expect(await names()).toEqual(['a/1'])
  })

  it('reads names that were encoded', async () => {
    server.script(page(['a%2Fb%3Dc'], '', '<EncodingType>url</EncodingType>'))
    expect(await names()).toEqual(['a/b=c'])
  })

  it('is refused out of order, as whoever goes on after a name would miss some', async () => {
    server.script(page(['a/2', 'a/1']))
    expect(await faultOf(names())).toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringContaining('a/1 came after a/2; use a server that lists'),
    })
    server.script(page(['a/1'])) // does not know StartAfter
    expect((await faultOf(names(store.list('a/', 'a/1')))).code).toBe('COLD_REFUSED')
  })

  it('that says there is more, and not where, is none', async () => {
    server.script(xml(200, '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'))
    expect((await faultOf(names())).code).toBe('COLD_REFUSED')
  })
})

describe('an operation that is aborted', () => {
  const reason = new Error('no longer wanted')

  it('ends at once, whatever the server does, and is not tried again', async () => {
    server.script(half)
    const controller = new AbortController()
    const found = store.get('a/b', controller.signal)
    await server.answered(1)
    controller.abort(reason)
    await expect(found).rejects.toBe(reason)
    expect(server.heard).toHaveLength(1)
  })

  it('ends in a pause', async () => {
    const controller = new AbortController()
    time.clock.wait = new Proxy(time.clock.wait, {
      apply(wait, self, args: Parameters<typeof time.clock.wait>) {
        if (args[0] !== ATTEMPT_MS) controller.abort(reason)
        return Reflect.apply(wait, self, args)
      },
    })
    server.script(error(500, 'InternalError'))
    await expect(store.put('a/b', BYTES, controller.signal)).rejects.toBe(reason)
    expect(server.heard).toHaveLength(1)
  })

  it('because the store is closed, as every later one, is unavailable', async () => {
    server.script(silence)
    const found = faultOf(store.get('a/b'))
    await server.answered(1)
    store.close()
    store.close()
    expect(await found).toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: 'cold storage: the connection to s3://attic is closed',
    })
    expect((await faultOf(store.get('a/b'))).code).toBe('COLD_UNAVAILABLE')
    expect(server.heard).toHaveLength(1)
  })
})
