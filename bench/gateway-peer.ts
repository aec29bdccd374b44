/**
 * A gateway to compare with, in a process of its own; each but the first as its documentation recommends. Prints `{"port":N}`
 * when it listens.
 *
 *   bare      node:http, HMAC, one dedupe+XADD script
 *   fastify   Fastify, HMAC, a plain XADD: no dedupe, no limit
 *   bullmq    Fastify, HMAC, queue.add with the delivery id as job id
 *   express   Express, HMAC, and Redis one command after the other: INCR and EXPIRE for the limit, SET NX EX for dedupe, LPUSH
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Queue } from 'bullmq'
import express from 'express'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { Redis } from 'ioredis'
import { itemOf, QUEUE, SEEN_SECONDS, seenKey } from './naive-queue.ts'

/** Longer than it takes until it is this one's turn again, ms; as long as Weir's. */
const KEEP_ALIVE_MS = 65_000
/** Requests of an address in a second; out of reach. */
const NAIVE_LIMIT = 1_000_000
/** What GitHub sends at most. */
const MAX_BODY = '25mb'

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

/** Fastify serialises faster what it knows the schema of, and says so. */
const ANSWER = {
  type: 'object',
  properties: { status: { type: 'string' }, event_id: { type: 'string' } },
} as const

/** A Fastify server that has the bytes of a body, which the signature is of, and does this with what is genuine. */
async function withFastify(
  accept: (id: string, type: string, body: Buffer, reply: FastifyReply) => Promise<FastifyReply>,
): Promise<void> {
  const app: FastifyInstance = fastify({ keepAliveTimeout: KEEP_ALIVE_MS })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  app.post(
    '/webhooks/github',
    { schema: { response: { 202: ANSWER } } },
    async (request: FastifyRequest, reply) => {
      const body = request.body as Buffer
      if (!genuine(body, request.headers['x-hub-signature-256'] as string)) return reply.code(401).send()
      const id = request.headers['x-github-delivery'] as string
      return accept(id, request.headers['x-github-event'] as string, body, reply)
    },
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  console.log(JSON.stringify({ port: (app.server.address() as AddressInfo).port }))
}

async function plainFastify(): Promise<void> {
  const redis = new Redis(url)
  await withFastify(async (id, type, body, reply) => {
    await redis.xadd('webhooks', '*', 'id', id, 'type', type, 'body', body)
    return reply.code(202).send({ status: 'accepted', event_id: id })
  })
}

async function bullmq(): Promise<void> {
  const queue = new Queue('webhooks', { connection: new Redis(url, { maxRetriesPerRequest: null }) })
  await withFastify(async (id, type, body, reply) => {
    await queue.add(type, { type, body: body.toString() }, { jobId: id })
    return reply.code(202).send({ status: 'accepted', event_id: id })
  })
}

function naiveExpress(): void {
  const redis = new Redis(url)
  const app = express()
  app.disable('x-powered-by')
  app.post(
    '/webhooks/github',
    express.raw({ type: 'application/json', limit: MAX_BODY }),
    async (request, response) => {
      const body = request.body as Buffer
      if (!genuine(body, request.get('x-hub-signature-256'))) return void response.sendStatus(401)
      const counter = `rate:${request.ip}:${Math.floor(Date.now() / 1000)}`
      const count = await redis.incr(counter)
      if (count === 1) await redis.expire(counter, 1)
      if (count > NAIVE_LIMIT) return void response.sendStatus(429)
      const id = request.get('x-github-delivery') ?? ''
      if ((await redis.set(seenKey(id), '1', 'EX', SEEN_SECONDS, 'NX')) === null)
        return void response.json({ status: 'duplicate', event_id: id })
      await redis.lpush(QUEUE, itemOf(id, request.get('x-github-event') ?? '', body))
      response.status(202).json({ status: 'accepted', event_id: id })
    },
  )
  const server = app.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })),
  )
  server.keepAliveTimeout = KEEP_ALIVE_MS
}

await { bare, fastify: plainFastify, bullmq, express: naiveExpress }[kind]!()

// An exit of its own, so that a profile is written.
process.once('SIGTERM', () => process.exit(0))
