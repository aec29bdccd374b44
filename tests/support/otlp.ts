/**
 * A collector on loopback that takes traces by OTLP, over HTTP or gRPC, and reads the protobuf by itself: what a test sees is what
 * stood on the wire, not what the exporters meant.
 *
 *   const collector = await startCollector()           // or startGrpcCollector()
 *   await collector.waitFor((spans) => spans.some(({ name }) => name === 'POST /webhooks/:tool'))
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { expect } from 'vitest'

export interface ReceivedSpan {
  readonly name: string
  /** OTLP's number: 1 internal, 2 server, 5 consumer. */
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  /** '' for the root. */
  readonly parentId: string
  /** Epoch ns. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: { readonly code: number; readonly message: string }
  /** The process that it came from. */
  readonly resource: Readonly<Record<string, string | number | boolean>>
}

export interface Collector {
  /** As `observability.tracing.endpoint` has it. */
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** Of every request; gRPC's metadata. */
  readonly headers: readonly IncomingHttpHeaders[]
  readonly paths: readonly string[]
  /** Resolves when what came satisfies the condition. */
  waitFor(condition: (spans: readonly ReceivedSpan[]) => boolean, timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

export interface CollectorOptions {
  readonly port?: number
  /** In place of an answer that all is well. */
  readonly answer?: (response: ServerResponse) => void
}

const WAIT_MS = 30_000

/** OTLP over HTTP with protobuf. */
export async function startCollector({ port = 0, answer }: CollectorOptions = {}): Promise<Collector> {
  const inbox = createInbox()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      inbox.headers.push(request.headers)
      inbox.paths.push(request.url ?? '')
      if (answer !== undefined) return answer(response)
      inbox.spans.push(...spansOf(Buffer.concat(chunks)))
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    ...inbox,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

/** OTLP over gRPC. */
export async function startGrpcCollector(): Promise<Collector> {
  const inbox = createInbox()
  const server = new Server()
  const asIs = (bytes: Buffer) => bytes
  server.addService(
    {
      Export: {
        path: EXPORT,
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
    {
      Export(
        call: { readonly request: Buffer; readonly metadata: { getMap(): Record<string, string | Buffer> } },
        done: (error: null, answer: Buffer) => void,
      ) {
        inbox.headers.push(
          Object.fromEntries(
            Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]),
          ),
        )
        inbox.paths.push(EXPORT)
        inbox.spans.push(...spansOf(call.request))
        done(null, Buffer.alloc(0))
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  return {
    ...inbox,
    url: `http://127.0.0.1:${port}`,
    async close() {
      server.forceShutdown()
    },
  }
}

function createInbox() {
  const spans: ReceivedSpan[] = []
  const headers: IncomingHttpHeaders[] = []
  const paths: string[] = []
  return {
    spans,
    headers,
    paths,
    async waitFor(condition: (spans: readonly ReceivedSpan[]) => boolean, timeoutMs = WAIT_MS) {
      const seen = () =>
        condition(spans) ? 'all of it' : spans.map(({ name, resource }) => `${resource['weir.app']}: ${name}`)
      await expect.poll(seen, { timeout: timeoutMs, interval: 20 }).toBe('all of it')
    },
  }
}

/** A field of a protobuf message: its number, and its bytes or number. */
type Field = readonly [number: number, value: Buffer | bigint]

/** Throws for what is no protobuf. */
function* fieldsOf(message: Buffer): Generator<Field> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < message.length) {
    const tag = Number(varint())
    const number = tag >> 3
    switch (tag & 7) {
      case 0:
        yield [number, varint()]
        break
      case 1:
        yield [number, message.readBigUInt64LE(at)]
        at += 8
        break
      case 2: {
        const length = Number(varint())
        if (at + length > message.length) throw new Error('a protobuf message ends too early')
        yield [number, message.subarray(at, at + length)]
        at += length
        break
      }
      case 5:
        yield [number, BigInt(message.readUInt32LE(at))]
        at += 4
        break
      default:
        throw new Error(`protobuf wire type ${tag & 7}`)
    }
  }
}

function all(message: Buffer, number: number): Buffer[] {
  return [...fieldsOf(message)].flatMap(([found, value]) =>
    found === number && Buffer.isBuffer(value) ? [value] : [],
  )
}

function bytes(message: Buffer, number: number): Buffer {
  return all(message, number)[0] ?? Buffer.alloc(0)
}

function integer(message: Buffer, number: number): bigint {
  const found = [...fieldsOf(message)].find(([at]) => at === number)?.[1]
  return typeof found === 'bigint' ? found : 0n
}

/** ExportTraceServiceRequest, of opentelemetry/proto/collector/trace/v1. */
export function spansOf(request: Buffer): ReceivedSpan[] {
  return all(request, 1).flatMap((resourceSpans) => {
    const resource = attributesOf(all(bytes(resourceSpans, 1), 1))
    return all(resourceSpans, 2)
      .flatMap((scopeSpans) => all(scopeSpans, 2))
      .map((span) => ({
        traceId: bytes(span, 1).toString('hex'),
        spanId: bytes(span, 2).toString('hex'),
        parentId: bytes(span, 4).toString('hex'),
        name: bytes(span, 5).toString(),
        kind: Number(integer(span, 6)),
        start: integer(span, 7),
        end: integer(span, 8),
        attributes: attributesOf(all(span, 9)),
        links: all(span, 13).map((link) => ({
          traceId: bytes(link, 1).toString('hex'),
          spanId: bytes(link, 2).toString('hex'),
        })),
        status: {
          code: Number(integer(bytes(span, 15), 3)),
          message: bytes(bytes(span, 15), 2).toString(),
        },
        resource,
      }))
  })
}

function attributesOf(pairs: readonly Buffer[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [[number, value] = [0, 0n]] = [...fieldsOf(bytes(pair, 2))]
      const plain = (): string | number | boolean => {
        if (Buffer.isBuffer(value)) return value.toString()
        if (number === 2) return value === 1n
        if (number === 3) return Number(BigInt.asIntN(64, value))
        const double = Buffer.alloc(8)
        double.writeBigUInt64LE(value)
        return double.readDoubleLE()
      }
      return [bytes(pair, 1).toString(), plain()]
    }),
  )
}
