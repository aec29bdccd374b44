/**
 * The way of one webhook, in the order in which each step protects the next:
 *
 *   declared length ▸ signature headers ▸ flood guard ▸ body ▸ signature, time ▸ content ▸ identity ▸ pack ▸ encrypt ▸
 *   admission ▸ answer
 *
 * Nothing is looked up for a request before its signature holds: neither limits nor duplicates may tell a stranger
 * anything, or be used up by one.
 */

import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { AdapterRequest } from '@weir/core/adapters/adapter'
import { peek, text } from '@weir/core/adapters/peek'
import type { Clock } from '@weir/core/clock'
import {
  deriveEventId,
  type Header,
  locatorOf,
  mintEventId,
  type OccurrenceKey,
  type WebhookEvent,
} from '@weir/core/event'
import { isFault, messageOf } from '@weir/core/faults'
import type { Sealing } from '@weir/core/keyring/keyring'
import type { Packer } from '@weir/core/packing'
import { encodeRecord } from '@weir/core/record'
import { sealBody } from '@weir/core/sealing'
import type { Admission } from '@weir/core/stream/admit'
import type { RateLimit } from '@weir/core/stream/limits'
import type { Logger } from 'pino'
import type { Admissions } from './admission.ts'
import { type BodyLimits, bodyProblem, readBody } from './body.ts'
import { contentProblem, jsonOf } from './content.ts'
import {
  answerAccepted,
  answerChallenge,
  answerDuplicate,
  correlationId,
  type Exchange,
  refuse,
} from './exchange.ts'
import { type FloodGuard, floodProblem } from './flood-guard.ts'
import { keptHeaders, type RequestHeaders, readHeaders } from './headers.ts'
import { limitedProblem } from './limits.ts'
import type { GatewayMetrics, Outcome } from './metrics.ts'
import { networkOf } from './peer.ts'
import { type Problem, problem } from './problem.ts'
import type { RefusedRequest } from './refusal-notes.ts'
import type { ReplaySuspects } from './replay-suspects.ts'
import { endRequest, type RequestTraces } from './request-trace.ts'
import type { Sender } from './sender.ts'
import { examine, type Untrusted, verify } from './trust.ts'
import { createEndOfReading, theOthers } from './turn.ts'

export interface ReceiverOptions {
  readonly body: BodyLimits
  /** Deepest nesting of a JSON body that is read here. */
  readonly maxJsonDepth: number
  readonly limits: (sender: Sender, tenant: string, address: string | undefined) => readonly RateLimit[]
  readonly floodGuard: FloodGuard
  /** What a refused flood is told to wait, ms. */
  readonly floodBlockMs: number
  readonly admissions: Admissions
  /** The packer for an event with this locator, as of now. */
  packerOf(locator: Buffer): Packer
  /** Undefined = payloads are not encrypted. */
  readonly sealing: Sealing | undefined
  /** Where the request comes from: the peer, or what a trusted proxy says. */
  addressOf(request: IncomingMessage): string | undefined
  /** Undefined = bodies that come again under another id are not looked for. */
  readonly suspects: (Pick<ReplaySuspects, 'isSuspect'> & { readonly refuse: boolean }) | undefined
  readonly traceOf: RequestTraces
  /** For the audit trail: a request that was not believed. */
  refused(request: RefusedRequest): void
  readonly clock: Clock
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

/** Receives one webhook and answers it. Rejects only on a defect. */
export type Receiver = (exchange: Exchange, sender: Sender, tenant: string) => Promise<void>

/** Pause before the next suspect is told as a warning, or the next tenant without a key, ms. */
const TELL_AGAIN_MS = 10_000
/** Marks an event for its handlers; senders cannot set it. */
const REPLAY_SUSPECT: Header = ['x-weir-replay-suspect', '1']
/** When to come again after a 503, s. */
const UNAVAILABLE_RETRY_S = 5
/** An alert name as a label value; longer ones are no names. */
const MAX_ALERT_NAME = 128

export function createReceiver(options: ReceiverOptions): Receiver {
  const { admissions, floodGuard, sealing, clock, metrics, log } = options
  const { maxBytes } = options.body
  const endOfReading = createEndOfReading()
  const reading = { maxBytes, maxDepth: options.maxJsonDepth }
  let suspectToldAt = Number.NEGATIVE_INFINITY
  let keylessToldAt = Number.NEGATIVE_INFINITY

  return async function receive(exchange, sender, tenant) {
    const { request, response } = exchange
    const { tool, adapter } = sender
    const headers = readHeaders(request, sender.keeps)
    const declared = Number(headers.byName['content-length'] ?? -1)
    const early = earlyProblem(exchange, headers, declared)
    if (early !== undefined) return end(exchange, sender, tenant, 'refused', early, 0)
    const address = options.addressOf(request)
    if (sender.allowed?.has(address) === false) {
      metrics.count('webhook_auth_failures_total', tool, 'address')
      options.refused({ tool, tenant, reason: 'address', network: networkOf(address) })
      return end(exchange, sender, tenant, 'refused', problem('ADDRESS_NOT_ALLOWED'), 0)
    }
    const trust = sender.trustFor(tenant)
    const claim = examine(trust, request, headers, address)
    const network = networkOf(address)
    if (!claim.ok) return untrusted(exchange, sender, tenant, claim, network, 0)
    if (claim.signed !== undefined && !floodGuard.begin(network)) {
      metrics.count('webhook_flood_refused_total', tool)
      options.refused({ tool, tenant, reason: 'flood', network })
      const flood = floodProblem(options.floodBlockMs, adapter.limitedStatus)
      return end(exchange, sender, tenant, 'refused', flood, 0, 'debug')
    }
    if (headers.repeated !== undefined) {
      const again = problem(
        'HEADER_REPEATED',
        `The header ${headers.repeated} came more than once; send it once.`,
      )
      return end(exchange, sender, tenant, 'refused', again, 0)
    }

    if (exchange.expectsContinue) response.writeContinue()
    const body = await readBody(exchange, declared, options.body)
    if (typeof body === 'string') {
      const failed = bodyProblem(body, options.body)
      if (failed !== undefined) return end(exchange, sender, tenant, 'refused', failed, 0)
      metrics.received(exchange.path, 'aborted')
      metrics.outcome(tool, 'aborted')
      return
    }
    await endOfReading()
    const receivedAt = clock.now()
    const bodyAt = clock.monotonic()
    const span = options.traceOf(exchange, headers)
    metrics.stage('body', bodyAt - exchange.startedAt, span)

    const believed = verify(trust, claim, body, receivedAt)
    if (!believed.ok) return untrusted(exchange, sender, tenant, believed, network, body.length)
    if (claim.signed !== undefined) floodGuard.believed(network)
    const verifiedAt = clock.monotonic()
    metrics.stage('verify', verifiedAt - bodyAt, span)
    // Not before: a stranger's request has no trace that anybody sees.
    if (span !== undefined) {
      exchange.span = span
      span.step('body', exchange.startedAt, bodyAt)
      span.step('verify', bodyAt, verifiedAt)
    }

    await theOthers
    const packingAt = clock.monotonic()
    const wrong = contentProblem(sender, headers)
    if (wrong !== undefined) return end(exchange, sender, tenant, 'refused', wrong, body.length)
    let json: unknown
    if (adapter.readsBody) {
      const read = await jsonOf(sender, headers, body, reading)
      if (!read.ok) return end(exchange, sender, tenant, 'refused', read.problem, body.length)
      json = read.json
      const challenge = adapter.challenge?.(json)
      if (challenge !== undefined) {
        answerChallenge(metrics, exchange, challenge)
        endRequest(exchange, 200, { 'weir.tool': tool, 'weir.tenant': tenant, 'weir.outcome': 'challenge' })
        return
      }
    }

    const described: AdapterRequest = { headers: headers.byName, body, json }
    const key: OccurrenceKey = adapter.occurrence(described) ?? { kind: 'hash', value: hash('sha256', body) }
    const locator = locatorOf(tenant, tool, key)
    const derived = sender.derivesIds && key.kind === 'delivery-id'
    const kept = keptHeaders(headers, sender.keeps, exchange.requestId)
    const signature = claim.signed && sender.bodySignature(headers)
    if (signature !== undefined && options.suspects?.isSuspect(signature, locator)) {
      const { refuse } = options.suspects
      metrics.count('webhook_replay_suspects_total', tool)
      options.refused({
        tool,
        tenant,
        reason: 'replay_suspect',
        network,
        outcome: refuse ? 'refused' : 'flagged',
      })
      tellSuspect(exchange, tool, tenant)
      if (refuse) return end(exchange, sender, tenant, 'refused', problem('REPLAY_SUSPECTED'), body.length)
      kept.push(REPLAY_SUSPECT)
    }
    const event: WebhookEvent = {
      id: derived ? deriveEventId(locator) : mintEventId(receivedAt),
      tenant,
      tool,
      type: adapter.type(described),
      receivedAt,
      locator,
      derived,
      headers: kept,
      body,
      traceparent: span?.traceparent ?? '',
    }
    if (sealing?.ready(tenant) === false) {
      const keyless = await prepareKey(sealing, tenant)
      if (keyless !== undefined) return end(exchange, sender, tenant, 'unavailable', keyless, body.length)
    }
    const plain = options.packerOf(locator).pack(tool, kept, body, tenant)
    const packed = sealing === undefined ? plain : sealBody(sealing, event, plain)
    const packedAt = clock.monotonic()
    metrics.stage('pack', packedAt - packingAt, span)
    span?.step('pack', packingAt, packedAt)
    metrics.count('webhook_ingest_body_bytes_total', tool, '', body.length)
    metrics.count('webhook_ingest_packed_bytes_total', tool, '', packed.packed.length)
    if (tool === 'alertmanager') countAlertNames(json)

    const admission: Admission = {
      id: event.id,
      tool,
      locator,
      derived,
      fields: encodeRecord(event, packed),
      repeat: false,
      limits: options.limits(sender, tenant, address),
    }
    const verdict = await admissions.admit(admission, sender.spools)
    const admittedAt = clock.monotonic()
    metrics.stage('admit', admittedAt - packedAt, span)
    if (span !== undefined) {
      const admit = span.child('admit', packedAt)
      if (verdict.kind === 'spooled') admit.step('spool', admittedAt - verdict.ms, admittedAt)
      admit.end(undefined, admittedAt)
      span.set({ 'weir.type': event.type, 'http.request.body.size': body.length })
    }

    switch (verdict.kind) {
      case 'accepted':
      case 'spooled':
        answerAccepted(metrics, exchange, event.id)
        metrics.stage('total', admittedAt - exchange.startedAt, span)
        metrics.outcome(tool, verdict.kind)
        if (span !== undefined) endEvent(exchange, 202, tool, tenant, verdict.kind, event.id)
        if (log.isLevelEnabled('debug') || verdict.kind === 'spooled') {
          const { id, type } = event
          const ms = admittedAt - exchange.startedAt
          const line = {
            event: 'webhook',
            outcome: verdict.kind,
            id,
            request_id: exchange.requestId ?? id,
            trace_id: span?.traceId,
            tool,
            tenant,
            type,
            bytes: body.length,
            packed: packed.packed.length,
            ms,
          }
          if (verdict.kind === 'spooled') log.info(line, 'spooled')
          else log.debug(line, 'accepted')
        }
        return
      case 'duplicate':
        answerDuplicate(metrics, exchange, verdict.firstId)
        metrics.outcome(tool, 'duplicate')
        if (span !== undefined) endEvent(exchange, 200, tool, tenant, 'duplicate', verdict.firstId)
        log.info(
          {
            event: 'webhook',
            outcome: 'duplicate',
            id: verdict.firstId,
            request_id: correlationId(exchange),
            trace_id: span?.traceId,
            tool,
            tenant,
            bytes: body.length,
          },
          'duplicate',
        )
        return
      case 'limited': {
        const limited = limitedProblem(verdict.limit, verdict.retryAfterMs, adapter.limitedStatus)
        return end(exchange, sender, tenant, 'limited', limited, body.length)
      }
      case 'unavailable':
        return end(exchange, sender, tenant, 'unavailable', unavailable(verdict.why), body.length)
    }
  }

  /** Why a tenant has no key to encrypt with; undefined when it has one now. */
  async function prepareKey(keys: Sealing, tenant: string): Promise<Problem | undefined> {
    try {
      await keys.prepare(tenant)
      return undefined
    } catch (error) {
      const code = isFault(error) ? error.code : 'UNEXPECTED'
      metrics.count('webhook_faults_total', code)
      const now = clock.monotonic()
      if (now - keylessToldAt >= TELL_AGAIN_MS) {
        keylessToldAt = now
        log.error({ event: 'keyring', code, tenant, reason: messageOf(error) }, 'a tenant has no key')
      }
      return unavailable('it cannot be encrypted')
    }
  }

  /** Some senders repeat a body all the time: the counter has each, the log one now and then. */
  function tellSuspect(exchange: Exchange, tool: string, tenant: string): void {
    const now = clock.monotonic()
    const level = now - suspectToldAt < TELL_AGAIN_MS ? 'debug' : 'warn'
    if (level === 'warn') suspectToldAt = now
    if (!log.isLevelEnabled(level)) return
    const request_id = correlationId(exchange)
    const trace_id = exchange.span?.traceId
    log[level](
      { event: 'replay_suspect', request_id, trace_id, tool, tenant },
      'a body came again under another delivery id',
    )
  }

  function earlyProblem(
    { request }: Exchange,
    { byName }: RequestHeaders,
    declared: number,
  ): Problem | undefined {
    if (request.httpVersionMajor !== 1) {
      return problem('MALFORMED_REQUEST', 'Send the request as HTTP/1.1.')
    }
    if (byName.host === undefined && request.httpVersionMinor === 1) {
      return problem('MALFORMED_REQUEST', 'Send a Host header; HTTP/1.1 needs one.')
    }
    return declared > maxBytes ? bodyProblem('too-large', options.body) : undefined
  }

  function untrusted(
    exchange: Exchange,
    sender: Sender,
    tenant: string,
    why: Untrusted,
    network: string,
    bytes: number,
  ): void {
    metrics.count('webhook_auth_failures_total', sender.tool, why.reason)
    options.refused({ tool: sender.tool, tenant, reason: why.reason, network })
    if (why.signatureWrong) metrics.count('webhook_signature_failures_total', sender.tool)
    const flood = floodGuard.failed(network, bytes)
    end(exchange, sender, tenant, 'refused', why.problem, bytes, flood ? 'debug' : 'info')
  }

  /** The one place where a webhook is turned away: answered, counted and told. */
  function end(
    exchange: Exchange,
    { tool }: Sender,
    tenant: string,
    outcome: Outcome,
    why: Problem,
    bytes: number,
    level: 'info' | 'debug' = 'info',
  ): void {
    refuse(metrics, exchange, why)
    metrics.outcome(tool, outcome)
    const { code, status } = why
    const ms = clock.monotonic() - exchange.startedAt
    const request_id = correlationId(exchange)
    const trace_id = exchange.span?.traceId
    log[level](
      { event: 'webhook', outcome, code, status, request_id, trace_id, tool, tenant, bytes, ms },
      'refused',
    )
    endRequest(exchange, status, {
      'weir.tool': tool,
      'weir.tenant': tenant,
      'weir.outcome': outcome,
      'weir.code': code,
    })
  }

  /** Ends the trace of a request whose event is in the pipeline. */
  function endEvent(
    exchange: Exchange,
    status: number,
    tool: string,
    tenant: string,
    outcome: Outcome,
    id: string,
  ): void {
    endRequest(exchange, status, {
      'weir.tool': tool,
      'weir.tenant': tenant,
      'weir.outcome': outcome,
      'weir.event_id': id,
      'weir.request_id': exchange.requestId ?? id,
    })
  }

  function countAlertNames(json: unknown): void {
    const alerts = peek(json, 'alerts')
    if (!Array.isArray(alerts)) return
    const names = new Set(alerts.map((alert) => text(alert, 'labels', 'alertname') ?? 'unknown'))
    for (const name of names) metrics.alertName(name.slice(0, MAX_ALERT_NAME))
  }
}

function unavailable(why: string): Problem {
  const detail = `The event cannot be kept safely now (${why}); send it again after ${UNAVAILABLE_RETRY_S} s.`
  return problem('UNAVAILABLE', detail, ['Retry-After', String(UNAVAILABLE_RETRY_S)])
}
