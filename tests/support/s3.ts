/**
 * Real S3 servers for tests.
 *
 * - `withS3(async (server) => …)`: a fresh server for one test.
 * - `const server = useS3()` (use-s3.ts): one server for all tests of a file; a bucket for each test is cheap.
 * - `otherS3`: one that runs already and that WEIR_S3_ENDPOINT names, or undefined.
 *
 * The one that is started is s3rver, in a process of its own whose output is shown only when it does not start. It is old:
 * it lists in pages only with a cipher that Node's OpenSSL has to be asked for; it lists by directory, so names out of order
 * and, with an `a` beside an `a.b`, not all of them; it writes an object in place, so a reader may see half of it; and it ends
 * when a directory goes under an object that is being put. Neither it nor moto looks at signatures and checksums.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describeExit, spawnTied } from '../../scripts/tied-child.ts'

export interface S3Server {
  readonly endpoint: string
  readonly port: number
  /** A new, empty bucket; its name. */
  makeBucket(): Promise<string>
}

/** What the test servers believe, s3rver nothing else. */
export const S3_CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', sessionToken: null }

const require = createRequire(import.meta.url)

/** Neither server wants a signature for this. */
async function makeBucket(endpoint: string): Promise<string> {
  const bucket = `weir-${randomBytes(8).toString('hex')}`
  const answer = await fetch(`${endpoint}/${bucket}`, { method: 'PUT' })
  if (!answer.ok) throw new Error(`no bucket at ${endpoint}: ${answer.status} ${await answer.text()}`)
  await answer.arrayBuffer()
  return bucket
}

function serverAt(endpoint: string): S3Server {
  return { endpoint, port: Number(new URL(endpoint).port), makeBucket: () => makeBucket(endpoint) }
}

/** Starts s3rver and resolves when it listens. */
export async function startS3(): Promise<S3Server & { stop(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-s3-'))
  const program = require.resolve('s3rver/bin/s3rver.js')
  const node = ['--openssl-legacy-provider', '--no-deprecation']
  const options = ['-d', directory, '-a', '127.0.0.1', '-p', '0', '--silent']
  const child = spawnTied(process.execPath, [...node, program, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    deathSignal: 'SIGKILL',
  })
  const stop = async () => {
    child.process.kill('SIGKILL')
    await child.exit
    await rm(directory, { recursive: true, force: true })
  }
  const { stdout, stderr } = child.process
  if (stdout === null || stderr === null) throw new Error('s3rver was started without pipes')
  let said = ''
  const { promise: listening, resolve } = Promise.withResolvers<string>()
  for (const stream of [stdout, stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      said += `${line}\n`
      const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(line) ?? []
      if (port !== undefined) resolve(port)
    })
  }
  const ended = Promise.all([child.exit, once(stdout, 'close'), once(stderr, 'close')])
  const port = await Promise.race([listening, ended.then(([exit]) => exit)])
  if (typeof port === 'string') return { ...serverAt(`http://127.0.0.1:${port}`), stop }
  await stop()
  throw new Error(`s3rver ended (${describeExit(port)}) before it listened:\n${said}`)
}

/** Runs `use` with a fresh server; ends it, whatever happens. */
export async function withS3<T>(use: (server: S3Server) => Promise<T>): Promise<T> {
  const server = await startS3()
  try {
    return await use(server)
  } finally {
    await server.stop()
  }
}

/** Another S3 server, independent of s3rver, which somebody has started (.ci/run starts moto where it can). */
export const otherS3: S3Server | undefined = process.env.WEIR_S3_ENDPOINT
  ? serverAt(process.env.WEIR_S3_ENDPOINT)
  : undefined
