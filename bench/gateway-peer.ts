/**
 * A gateway to compare with, in a process of its own: `bare` (node:http, HMAC, one dedupe+XADD script) or `bullmq`
 * (Fastify, HMAC, queue.add with the delivery id as job id). Prints `{"port":N}` when it listens.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Queue } from 'bullmq'
import { fastify } from 'fastify'
import { Redis } from 'ioredis'

/** Longer than it takes until it is this one's turn again, ms; as long as Weir's. */
const KEEP_ALIVE_MS = 65_000

const [kind, url, secret] = process.argv.slice(2) as [string, string, string]

function genuine(body: Buffer, signature: string | undefined): boolean {
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`)
  const given = Buffer.from(signature ?? '')
  return given.length === expected.length && timingSafeEqual(given, expected)
}

function bare(): void {
  const redis = new Redis(url, { protocol: 2 })
  redis.defineCommand('accept', {
    numberOfKeys: 2,
    lua: `if redis.call('SET', KEYS[1], '1', 'NX', 'PX', 300000) then return redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'type', ARGV[2], 'body', ARGV[3]) end return false`,
  })
  const accept = (
    redis as unknown as Record<'accept', (...args: (string | Buffer)[]) => Promise<string | null>>
  ).accept.bind(redis)
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      if (!genuine(body, request.headers['x-hub-signature-256'] as string))
        return response.writeHead(401).end()
      const id = request.headers['x-github-delivery'] as string
      const entry = await accept(`d:${id}`, 'bare', id, request.headers['x-github-event'] as string, body)
      response.writeHead(entry === null ? 200 : 202, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ status: entry === null ? 'duplicate' : 'accepted', event_id: id }))
    })
  })
  server.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })),
  )
}

async function bullmq(): Promise<void> {
  const queue = new Queue('webhooks', { connection: new Redis(url, { maxRetriesPerRequest: null }) })
  const app = fastify({ keepAliveTimeout: KEEP_ALIVE_MS })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  app.post('/webhooks/github', async (request, reply) => {
    const body = request.body as Buffer
    if (!genuine(body, request.headers['x-hub-signature-256'] as string)) return reply.code(401).send()
    const id = request.headers['x-github-delivery'] as string
    const type = request.headers['x-github-event'] as string
    await queue.add(type, { type, body: body.toString() }, { jobId: id })
    return reply.code(202).send({ status: 'accepted', event_id: id })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  console.log(JSON.stringify({ port: (app.server.address() as AddressInfo).port }))
}

await { bare, bullmq }[kind]!()

// An exit of its own, so that a profile is written.
process.once('SIGTERM', () => process.exit(0))
