/**
 * Cold storage in S3, or whatever speaks its protocol.
 *
 *   operation = attempt ──passing failure──▶ pause ──▶ attempt ──▶ … at most `attempts` of them
 *               attempt ──answer, or a refusal──▶ the end
 *   attempt   = request + answer + the whole transfer of the body, within `attemptTimeoutMs`
 *   pause     = random below base · 2ⁿ (at least half of that when the server is busy), never shorter than its Retry-After;
 *               when that is longer than the longest pause, the caller is told now and comes back by itself
 *
 * The retries of the SDK are switched off (`maxAttempts: 1`): they end with the headers of an answer, so a body that breaks
 * off or stops half-way would be the caller's trouble, and they know neither our clock nor our random numbers.
 *
 * What arrives is what was sent: a put carries its MD5 and, in its signature, its SHA-256, which the server compares. The
 * SDK's own checksums (CRC32 in a trailer) are left off where they are not required: servers older than 2025 refuse them.
 */
import { createHash } from 'node:crypto'
import { addAbortSignal, type Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { Clock } from '@weir/core/clock'
import { Fault } from '@weir/core/faults'
import { byName, type ColdObject, type ColdStore, checkBeginning, checkName, isName } from './cold-store.ts'
import { withDeadline } from './deadline.ts'
import { type Asked, isMissing, judge, NotS3 } from './s3-faults.ts'

export interface S3Settings {
  /** null = AWS. */
  readonly endpoint: string | null
  readonly bucket: string
  readonly region: string
  /** null = what the SDK finds: environment, files, role of the pod or the machine. */
  readonly credentials: S3Credentials | null
  /** Longest time of one attempt with the transfer of the body, ms. */
  readonly attemptTimeoutMs: number
  /** Attempts of one operation, the first included. */
  readonly attempts: number
  /** Ceiling of the first pause, ms; doubles with each. */
  readonly retryBaseMs: number
  /** Longest pause, ms. */
  readonly retryMaxMs: number
  /** Most connections at the same time. */
  readonly connections: number
  /** Objects in one answer to a list; the server's own most is 1,000. Default 1,000. */
  readonly pageSize?: number
}

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** null: the key is not a temporary one. */
  readonly sessionToken: string | null
}

export interface S3StoreDeps {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
}

/** What the server answers at once at most. */
const PAGE = 1000

interface Page {
  readonly objects: ColdObject[]
  /** Where the next page goes on; undefined = this is the last one. */
  readonly next: string | undefined
}

/** Connects when it is first asked for something. */
export function createS3Store(settings: S3Settings, { clock, random }: S3StoreDeps): ColdStore {
  const { bucket, region, endpoint, credentials, connections, pageSize = PAGE } = settings
  const sockets = { keepAlive: true, maxSockets: connections }
  const client = new S3Client({
    region,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // One more round trip for each larger object, to spare a refused one its transfer; and not every server knows it.
    expectContinueHeader: false,
    requestHandler: { httpAgent: sockets, httpsAgent: sockets },
    // A bucket in the host's name needs DNS and certificates for it, which others than AWS rarely have.
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === null ? {} : { credentials: sdkCredentials(credentials) }),
  })
  const shown = endpoint === null ? `AWS in ${region}` : withoutUser(endpoint)
  const closing = new AbortController()

  /** One operation with all its attempts. */
  const operate = async <T>(
    what: string,
    signal: AbortSignal | undefined,
    attempt: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const asked: Asked = { what, bucket, region, endpoint: shown }
    const outer = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
    const late = () => new Error(`no whole answer within ${settings.attemptTimeoutMs} ms`)
    for (let failed = 1; ; failed++) {
      try {
        return await withDeadline(clock, settings.attemptTimeoutMs, late, outer, attempt)
      } catch (error) {
        outer.throwIfAborted()
        const { fault, again, busy, waitMs } = judge(error, asked, clock.now())
        if (!again || failed >= settings.attempts || waitMs > settings.retryMaxMs) throw fault
        const ceiling = Math.min(settings.retryMaxMs, settings.retryBaseMs * 2 ** Math.min(failed - 1, 30))
        const pause = busy ? ceiling / 2 + (random() * ceiling) / 2 : random() * ceiling
        await clock.wait(Math.max(waitMs, pause), outer)
        outer.throwIfAborted()
      }
    }
  }

  const getPage = async (
    prefix: string,
    after: string,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Page> => {
    const answer = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        MaxKeys: pageSize,
        // Other people's names may have characters that XML does not.
        EncodingType: 'url',
        ...(token === undefined ? { StartAfter: after } : { ContinuationToken: token }),
      }),
      { abortSignal: signal },
    )
    const { Contents = [], IsTruncated, NextContinuationToken, EncodingType } = answer
    // Any page of HTML reads as an answer without objects, and nothing would be found to be everything.
    if (IsTruncated === undefined || (IsTruncated && !NextContinuationToken))
      throw new NotS3('the answer is no list of objects')
    const objects = Contents.map(({ Key = '', Size = 0 }) => ({
      name: EncodingType === 'url' ? decoded(Key) : Key,
      bytes: Size,
    }))
    return { objects, next: IsTruncated ? NextContinuationToken : undefined }
  }

  return {
    place: `s3://${bucket}`,
    async put(name, bytes, signal) {
      checkName(name)
      const md5 = createHash('md5').update(bytes).digest('base64')
      await operate(`put ${name}`, signal, (abortSignal) =>
        client.send(
          new PutObjectCommand({
            Bucket: bucket,
            Key: name,
            Body: bytes,
            ContentLength: bytes.length,
            ContentMD5: md5,
            ContentType: 'application/octet-stream',
          }),
          { abortSignal },
        ),
      )
    },
    async get(name, signal) {
      checkName(name)
      return operate(`get ${name}`, signal, async (abortSignal) => {
        try {
          const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: name }), {
            abortSignal,
          })
          return await wholeBody(answer, abortSignal)
        } catch (error) {
          if (isMissing(error)) return undefined
          throw error
        }
      })
    },
    async delete(name, signal) {
      checkName(name)
      await operate(`delete ${name}`, signal, async (abortSignal) => {
        try {
          await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: name }), { abortSignal })
        } catch (error) {
          if (!isMissing(error)) throw error
        }
      })
    },
    async *list(prefix, after = '', signal) {
      checkBeginning(prefix)
      checkBeginning(after)
      let last = after
      let token: string | undefined
      do {
        const { objects, next } = await operate(`list ${prefix}`, signal, (abortSignal) =>
          getPage(prefix, after, token, abortSignal),
        )
        for (const object of objects) {
          signal?.throwIfAborted()
          if (!isName(object.name)) continue
          // Whoever goes on after the last name would miss what comes out of order, and never know.
          if (byName(object.name, last) <= 0)
            throw new Fault(
              'COLD_REFUSED',
              `cold storage: list ${prefix}, bucket ${bucket} at ${shown}: ${object.name} came after ${last}; use a server that lists objects in the order of their names`,
            )
          last = object.name
          yield object
        }
        token = next
      } while (token !== undefined)
    },
    close() {
      if (closing.signal.aborted) return
      closing.abort(new Fault('COLD_UNAVAILABLE', `cold storage: the connection to s3://${bucket} is closed`))
      client.destroy()
    },
  }
}

/** Every byte that the answer promised. Throws when there are fewer. */
async function wholeBody(answer: GetObjectCommandOutput, signal: AbortSignal): Promise<Buffer> {
  const body = addAbortSignal(signal, answer.Body as Readable & { headers?: Record<string, unknown> })
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  // Neither a length nor chunks: the end of the connection would pass for the end of the object.
  const promised = answer.ContentLength ?? (body.headers?.['transfer-encoding'] ? bytes.length : undefined)
  if (bytes.length !== promised)
    throw new Error(`${bytes.length} bytes of the object came, of ${promised ?? 'an unknown number'}`)
  return bytes
}

function sdkCredentials({ accessKeyId, secretAccessKey, sessionToken }: S3Credentials) {
  return { accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }) }
}

/** A URL may carry a user and a password, which belong into no message. */
function withoutUser(endpoint: string): string {
  const { origin, pathname } = new URL(endpoint)
  return `${origin}${pathname.replace(/\/$/, '')}`
}

function decoded(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return key
  }
}
