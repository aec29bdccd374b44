import { loadConfig } from '@weir/core/config/load'
import type { Sealing } from '@weir/core/keyring/keyring'
import { createRedactor } from '@weir/security/redact'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type ManualClock, manualClock, rejection, useLink } from '../../../tests/support/ai.ts'
import { useKeyrings } from '../../../tests/support/keyring.ts'
import {
  chat,
  embeddings,
  STUB_DIMENSIONS,
  silence,
  status,
  stubTokens,
  stubVector,
} from '../../../tests/support/openai.ts'
import { useOpenAi } from '../../../tests/support/use-openai.ts'
import { configuredEnrichment } from './configured.ts'
import type { Embedding } from './embed-texts.ts'
import type { Enrichment } from './enrichment.ts'
import { embedLocally } from './local-embedder.ts'
import type { Observation } from './observation.ts'
import { estimateTokens } from './tokens.ts'
import { toUnit } from './vector.ts'

const openai = useOpenAi()
const world = useLink()
const keyrings = useKeyrings()
const KEY = 'sk-test-0123456789abcdefghijkl'
/** Pauses and windows pass at once; time-outs are longer and do not, unless the test moves the clock. */
const PASSES = 10_000

const OPENAI = {
  // One event is enough to ask the model.
  'webhook.ai.summarization.min_events': 1,
  'webhook.ai.openai_api_key': KEY,
  'webhook.ai.embedding.provider': 'openai',
  'webhook.ai.embedding.model': 'stub-embedding',
  'webhook.ai.embedding.dimensions': STUB_DIMENSIONS,
  'webhook.ai.summarization.model': 'stub-chat',
}

interface Opened {
  readonly enrichment: Enrichment
  readonly seen: Observation[]
  readonly clock: ManualClock
}

const redact = createRedactor({ secrets: ['hunter2hunter2'], fields: ['ssn'] })

async function open(
  flags: Record<string, unknown> = {},
  { keyring, clock = manualClock(PASSES) }: { readonly keyring?: Sealing; readonly clock?: ManualClock } = {},
): Promise<Opened> {
  const ai = { 'webhook.ai.enabled': true, 'webhook.ai.base_url': openai.url, ...flags }
  const { config } = await loadConfig({ env: {}, cores: 1, flags: ai })
  const seen: Observation[] = []
  const enrichment = configuredEnrichment(config, {
    link: world.link,
    prefix: '{webhook-events}:ai:',
    keyring,
    redact,
    clock,
    random: () => 0.5,
    observe: (observation) => void seen.push(observation),
  })
  if (enrichment === undefined) throw new TypeError('it is not enabled')
  onTestFinished(() => enrichment.stop())
  return { enrichment, seen, clock }
}

const openAi = (flags: Record<string, unknown> = {}, more = {}) => open({ ...OPENAI, ...flags }, more)

async function embedded(
  enrichment: Enrichment,
  tenant: string,
  ...texts: string[]
): Promise<readonly Embedding[]> {
  const outcome = await enrichment.embed(tenant, texts)
  if (outcome.kind !== 'done') throw new TypeError(`it was ${outcome.kind}`)
  return outcome.embeddings
}

const sources = (found: readonly Embedding[]) => found.map(({ source }) => source)
const unit = (text: string) => toUnit(Float32Array.from(stubVector(text)))
const requestsOf = (seen: readonly Observation[]) => seen.filter((one) => one.kind === 'request')

describe('without a provider', () => {
  it('there is no enrichment while it is not enabled', async () => {
    const { config } = await loadConfig({ env: {}, cores: 1, flags: { 'webhook.ai.enabled': false } })
    const deps = { link: world.link, prefix: '', keyring: undefined, redact, clock: manualClock() }
    expect(
      configuredEnrichment(config, { ...deps, random: () => 0, observe: () => undefined }),
    ).toBeUndefined()
  })

  it('embeddings and summaries are made here: nothing leaves, and nothing is kept', async () => {
    const { enrichment, seen } = await open({ 'webhook.ai.daily_token_budget': 1 })
    expect(enrichment.embedder).toMatchObject({ provider: 'local', dimensions: 256 })
    const [login, nothing] = await embedded(enrichment, 'acme', 'Fix login', '')
    expect(login).toEqual({ vector: embedLocally('Fix login'), source: 'provider' })
    expect(nothing).toEqual({ vector: new Float32Array(256), source: 'nothing' })
    const request = { subject: 's', previous: 'bob opened: A', entries: ['alice merged: A'] }
    expect(await enrichment.summarise('acme', request)).toEqual({
      kind: 'done',
      text: 'bob opened: A\nalice merged: A',
      source: 'provider',
    })
    expect(openai.requests).toHaveLength(0)
    expect(await world.link.call('DBSIZE')).toBe(0)
    expect(requestsOf(seen)).toMatchObject([
      { purpose: 'embedding', provider: 'local', outcome: 'ok', inputTokens: 0, cost: 0 },
      { purpose: 'summary', provider: 'local', outcome: 'ok' },
    ])
  })

  it('secrets are taken out all the same', async () => {
    const { enrichment } = await open()
    const [one, other] = await embedded(
      enrichment,
      'acme',
      'token: ghp_aaaaaaaaaaaaaaaaaaaaaaaa',
      'token: ghp_bbbbbbbbbbbbbbbbbbbbbbbb',
    )
    expect(one?.vector).toEqual(other?.vector)
    const { text } = (await enrichment.summarise('acme', {
      subject: 's',
      previous: undefined,
      entries: ['alice wrote: ask bob@example.com with password=hunter2hunter2'],
    })) as { text: string }
    expect(text).not.toMatch(/bob@|hunter2/)
  })

  it('vectors are as long as configured', async () => {
    const { enrichment } = await open({ 'webhook.ai.embedding.dimensions': 1536 })
    expect((await embedded(enrichment, 'acme', 'login'))[0]?.vector).toHaveLength(1536)
  })
})

describe('an embedding', () => {
  it('is made once for the same text of a tenant, and then found', async () => {
    const { enrichment, seen } = await openAi()
    const texts = ['Fix login', 'Wrong invoice', 'Fix  login ']
    const first = await embedded(enrichment, 'acme', ...texts)
    expect(first.map(({ vector }) => vector)).toEqual(['Fix login', 'Wrong invoice', 'Fix login'].map(unit))
    expect(openai.texts).toEqual(['Fix login', 'Wrong invoice'])
    const again = await embedded(enrichment, 'acme', ...texts)
    expect(sources(again)).toEqual(['cache', 'cache', 'cache'])
    for (const [at, { vector }] of again.entries()) {
      const cosine = vector.reduce((sum, value, index) => sum + value * first[at]!.vector[index]!, 0)
      expect(cosine).toBeGreaterThan(0.999)
    }
    expect(openai.requests).toHaveLength(1)
    expect(sources(await embedded(enrichment, 'globex', 'Fix login'))).toEqual(['provider'])
    expect(seen.filter((one) => one.kind === 'lookup')).toEqual([
      { kind: 'lookup', purpose: 'embedding', found: 'miss', count: 2 },
      { kind: 'lookup', purpose: 'embedding', found: 'hit', count: 2 },
      { kind: 'lookup', purpose: 'embedding', found: 'miss', count: 1 },
    ])
  })

  it('is found by another process, also where events are encrypted', async () => {
    const flags = {
      'webhook.security.encryption_enabled': true,
      'webhook.security.encryption_master_key': 'x'.repeat(40),
      'webhook.ai.embedding.near_identical_texts': 0,
    }
    const one = await openAi(flags, { keyring: keyrings.open() })
    const other = await openAi(flags, { keyring: keyrings.open() })
    await embedded(one.enrichment, 'acme', 'Fix login')
    expect(sources(await embedded(other.enrichment, 'acme', 'Fix login'))).toEqual(['cache'])
    // Who has no keyring keeps and finds nothing.
    const keyless = await openAi(flags)
    expect(sources(await embedded(keyless.enrichment, 'acme', 'Fix login', 'New text'))).toEqual([
      'provider',
      'provider',
    ])
    expect(sources(await embedded(keyless.enrichment, 'acme', 'New text'))).toEqual(['provider'])
  })

  it('is another one for another model', async () => {
    await embedded((await openAi()).enrichment, 'acme', 'Fix login')
    const { enrichment } = await openAi({ 'webhook.ai.embedding.model': 'other' })
    expect(sources(await embedded(enrichment, 'acme', 'Fix login'))).toEqual(['provider'])
  })

  it('is shared by a text that is almost the same', async () => {
    const { enrichment, seen } = await openAi({ 'webhook.ai.embedding.near_identical_threshold': 0.95 })
    const alert = 'Disk of node-7 will be full in 4 hours: /var/lib is at 92 %'
    const later = alert.replace('92', '93')
    const [first] = await embedded(enrichment, 'acme', alert)
    expect(await embedded(enrichment, 'acme', later)).toEqual([{ vector: first?.vector, source: 'similar' }])
    expect(sources(await embedded(enrichment, 'acme', later))).toEqual(['cache'])
    expect(sources(await embedded(enrichment, 'globex', later))).toEqual(['provider'])
    expect(openai.texts).toEqual([alert, later])
    expect(seen).toContainEqual({ kind: 'lookup', purpose: 'embedding', found: 'similar', count: 1 })
  })

  it('of a text that says nothing asks nobody', async () => {
    const { enrichment } = await openAi()
    expect(await embedded(enrichment, 'acme', ' \n')).toEqual([
      { vector: new Float32Array(STUB_DIMENSIONS), source: 'nothing' },
    ])
    expect(openai.requests).toHaveLength(0)
  })

  it('comes in one batch with those of others, whose vectors stay theirs', async () => {
    const clock = manualClock(9_999)
    const flags = {
      'webhook.ai.embedding.batch_size': 100,
      'webhook.ai.embedding.batch_window': '10s',
      'webhook.ai.request_timeout': '1h',
    }
    const { enrichment } = await openAi(flags, { clock })
    const callers = Array.from({ length: 50 }, (_, at) => [`${at} first`, `${at} second`])
    const all = await Promise.all(
      callers.map((texts, at) => embedded(enrichment, at % 2 === 0 ? 'acme' : 'globex', ...texts)),
    )
    expect(openai.requests.map(({ body }) => body.input?.length)).toEqual([100])
    for (const [at, found] of all.entries()) {
      expect(found.map(({ vector }) => vector)).toEqual(callers[at]!.map(unit))
    }
  })

  it('that is refused fails its caller alone', async () => {
    const flags = { 'webhook.ai.embedding.batch_size': 4, 'webhook.ai.embedding.batch_window': '10s' }
    openai.always((response, request) =>
      (request.body.input?.includes('too long') ? status(400) : embeddings())(response, request),
    )
    const { enrichment } = await openAi(flags, { clock: manualClock(9_999) })
    const texts = ['one', 'two', 'too long', 'four']
    const all = await Promise.allSettled(texts.map((text) => embedded(enrichment, 'acme', text)))
    expect(all.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect(all[2]).toMatchObject({ reason: { code: 'AI_INPUT_REFUSED' } })
  })

  it('is kept although another text of the same call failed', async () => {
    openai.always((response, request) =>
      (request.body.input?.includes('bad') ? status(400) : embeddings())(response, request),
    )
    const { enrichment } = await openAi()
    const error = await rejection(enrichment.embed('acme', ['good', 'bad']))
    expect(error).toMatchObject({ code: 'AI_INPUT_REFUSED' })
    expect(sources(await embedded(enrichment, 'acme', 'good'))).toEqual(['cache'])
  })
})

describe('what leaves', () => {
  it('is redacted before: texts, entries, subjects and the summary so far', async () => {
    const { enrichment } = await openAi()
    const secrets = [
      'ghp_0123456789abcdefghijABCDEFGHIJ',
      'hunter2hunter2',
      'alice@example.com',
      'Bearer abcdefgh12345678',
      '078-05-1120',
    ]
    const told = `token ghp_0123456789abcdefghijABCDEFGHIJ, hunter2hunter2, mail alice@example.com, Authorization: Bearer abcdefgh12345678, ssn: 078-05-1120`
    await embedded(enrichment, 'acme', told)
    await enrichment.summarise('acme', { subject: told, previous: told, entries: [told, 'merged'] })
    expect(openai.requests).toHaveLength(2)
    for (const { text } of openai.requests) {
      expect(text).toContain('[redacted]')
      for (const secret of secrets) expect(text).not.toContain(secret)
    }
  })

  it('goes with the key to the configured place and nowhere else', async () => {
    const { enrichment } = await openAi()
    await embedded(enrichment, 'acme', 'Fix login')
    expect(openai.requests[0]?.headers.authorization).toBe(`Bearer ${KEY}`)
    expect(openai.requests[0]?.headers['openai-organization']).toBeUndefined()
  })
})

describe('the budget', () => {
  it('of a tenant and day ends what asks a provider, and says when it begins anew', async () => {
    const { enrichment, seen } = await openAi({ 'webhook.ai.daily_token_budget': 5 })
    await embedded(enrichment, 'acme', 'x'.repeat(20))
    const over = await enrichment.embed('acme', ['y'])
    expect(over).toMatchObject({ kind: 'over-budget' })
    expect(over.kind === 'over-budget' && over.resetsInMs).toBeGreaterThan(0)
    expect(sources(await embedded(enrichment, 'acme', 'x'.repeat(20)))).toEqual(['cache'])
    expect(sources(await embedded(enrichment, 'globex', 'y'))).toEqual(['provider'])
    expect(seen).toContainEqual({ kind: 'over-budget', purpose: 'embedding' })
    expect(openai.requests).toHaveLength(2)
  })

  it('counts what the provider counted, and gives back what a failure reserved', async () => {
    const { enrichment } = await openAi({ 'webhook.ai.daily_token_budget': 10, 'webhook.ai.attempts': 1 })
    openai.next(status(503))
    expect(await enrichment.embed('acme', ['x'.repeat(40)])).toMatchObject({ kind: 'unavailable' })
    expect(sources(await embedded(enrichment, 'acme', 'x'.repeat(40)))).toEqual(['provider'])
  })

  it('is kept to by calls that run at once', async () => {
    const { enrichment } = await openAi({ 'webhook.ai.daily_token_budget': 10 })
    const calls = Array.from({ length: 30 }, (_, at) =>
      enrichment.embed('acme', [`text${at % 10}${at}`.slice(0, 8)]),
    )
    const outcomes = await Promise.all(calls)
    expect(outcomes.some(({ kind }) => kind === 'done')).toBe(true)
    expect(stubTokens(openai.texts)).toBeLessThanOrEqual(10)
  })

  it('tells costs where prices are known', async () => {
    const { enrichment, seen } = await openAi({ 'webhook.ai.embedding.price_per_million_tokens': '0.02' })
    await embedded(enrichment, 'acme', 'x'.repeat(400))
    await enrichment.summarise('acme', { subject: 's', previous: undefined, entries: ['merged'] })
    const [embedding, summary] = requestsOf(seen)
    expect(embedding).toMatchObject({ purpose: 'embedding', inputTokens: 100, cost: 100 * 0.02e-6 })
    expect(summary).toMatchObject({
      purpose: 'summary',
      model: 'stub-chat',
      outputTokens: 20,
      cost: undefined,
    })
  })
})

describe('a provider that is down', () => {
  it('makes enrichment unavailable; after failures in a row it is left alone, then tried again', async () => {
    const { enrichment, seen, clock } = await openAi({
      'webhook.ai.attempts': 2,
      'webhook.ai.breaker.failure_threshold': 2,
    })
    openai.always(status(503))
    for (const text of ['a', 'b'])
      expect(await enrichment.embed('acme', [text])).toMatchObject({ kind: 'unavailable', retryInMs: 20_000 })
    expect(openai.requests).toHaveLength(4)
    expect(enrichment.breaker.view.state).toBe('open')
    const refused = await enrichment.summarise('acme', { subject: 's', previous: undefined, entries: ['x'] })
    expect(refused).toMatchObject({ kind: 'unavailable' })
    expect(refused.kind === 'unavailable' && refused.retryInMs).toBeGreaterThan(50_000)
    expect(openai.requests).toHaveLength(4)
    openai.always(embeddings())
    await clock.advance(60_000)
    expect(sources(await embedded(enrichment, 'acme', 'a'))).toEqual(['provider'])
    expect(enrichment.breaker.view.state).toBe('closed')
    const states = seen.filter((one) => one.kind === 'breaker').map(({ view }) => view.state)
    expect(states).toEqual(['open', 'half-open', 'closed'])
    expect(requestsOf(seen).map(({ outcome }) => outcome)).toEqual(['AI_UNAVAILABLE', 'AI_UNAVAILABLE', 'ok'])
  })

  it('is asked again when it said', async () => {
    const { enrichment } = await openAi()
    openai.always(status(429, { 'retry-after': '90' }))
    expect(await enrichment.embed('acme', ['a'])).toMatchObject({ kind: 'unavailable', retryInMs: 90_000 })
    expect(openai.requests).toHaveLength(1)
  })

  it('that refuses the key is a fault, and is left alone too', async () => {
    const { enrichment } = await openAi({ 'webhook.ai.breaker.failure_threshold': 1 })
    openai.always(status(401))
    expect(await rejection(enrichment.embed('acme', ['a']))).toMatchObject({ code: 'AI_REFUSED' })
    expect(await enrichment.embed('acme', ['a'])).toMatchObject({ kind: 'unavailable' })
    expect(openai.requests).toHaveLength(1)
  })

  it('does not keep its callers: they leave, and so does who stops', async () => {
    const { enrichment } = await openAi()
    openai.always(silence)
    const leaving = new AbortController()
    const left = rejection(enrichment.embed('acme', ['a'], leaving.signal))
    await openai.came(1)
    leaving.abort(new Error('left'))
    expect((await left).message).toBe('left')
    const stopped = enrichment.embed('acme', ['b'])
    await openai.came(2)
    enrichment.stop()
    expect(await stopped).toMatchObject({ kind: 'unavailable' })
  })
})

describe('a Redis that is away', () => {
  it('costs what would have been found, and stops nothing that has no limit', async () => {
    const { enrichment, seen } = await openAi()
    const gone = new Promise<void>((resolve) => void world.link.onDisconnect(resolve))
    await world.redis.server.kill('SIGKILL')
    await gone
    expect(sources(await embedded(enrichment, 'acme', 'a'))).toEqual(['provider'])
    const degraded = seen.filter((one) => one.kind === 'degraded').map(({ error }) => error.code)
    expect(degraded).toEqual(['REDIS_UNAVAILABLE', 'REDIS_UNAVAILABLE', 'REDIS_UNAVAILABLE'])
    const limited = await openAi({ 'webhook.ai.daily_token_budget': 10 })
    const error = await rejection(limited.enrichment.embed('acme', ['a']))
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })
})

describe('a summary', () => {
  const REQUEST = {
    subject: 'acme/site#42',
    previous: 'Alice opened it.',
    entries: ['bob merged it', 'ci failed'],
  }

  it('is made of what was told before and what is new, and is found when asked for again', async () => {
    openai.next(chat('It was merged, and CI failed.'))
    const { enrichment } = await openAi()
    const done = { kind: 'done', text: 'It was merged, and CI failed.' }
    expect(await enrichment.summarise('acme', REQUEST)).toEqual({ ...done, source: 'provider' })
    expect(await enrichment.summarise('acme', REQUEST)).toEqual({ ...done, source: 'cache' })
    expect(openai.requests).toHaveLength(1)
    await enrichment.summarise('acme', { ...REQUEST, entries: [...REQUEST.entries, 'ci passed'] })
    await enrichment.summarise('globex', REQUEST)
    expect(openai.requests).toHaveLength(3)
  })

  it('is not asked of a model for a few events: these are added by what is built in', async () => {
    const { enrichment } = await openAi({ 'webhook.ai.summarization.min_events': 3 })
    const before = openai.requests.length
    const request = { subject: 's', previous: 'It began.', entries: ['alice opened', 'bob merged'] }
    expect(await enrichment.summarise('acme', request)).toMatchObject({ kind: 'done', source: 'local' })
    expect(openai.requests).toHaveLength(before)
    await enrichment.summarise('acme', { ...request, entries: ['one', 'two', 'three'] })
    expect(openai.requests).toHaveLength(before + 1)
  })

  it('of nothing new is what was told before', async () => {
    const { enrichment } = await openAi()
    const text = 'Alice opened it.'
    expect(await enrichment.summarise('acme', { ...REQUEST, entries: [' '] })).toEqual({
      kind: 'done',
      text,
      source: 'nothing',
    })
    expect(openai.requests).toHaveLength(0)
  })

  const dataOf = (content: string) => content.split('\n').slice(1, -1)

  it('of more than a chunk is one of its chunks’ summaries, and no request is larger than a chunk', async () => {
    const entries = fc.array(
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 900, size: 'max' }),
      {
        minLength: 1,
        maxLength: 12,
      },
    )
    const { enrichment } = await openAi({ 'webhook.ai.summarization.max_chunk_size': 100 })
    let answers = 0
    openai.always((response, request) => {
      answers += 1
      chat(`Part ${answers} ${'word '.repeat(150)}`)(response, request)
    })
    await fc.assert(
      fc.asyncProperty(entries, async (told) => {
        const before = openai.requests.length
        const outcome = await enrichment.summarise('acme', { ...REQUEST, entries: told })
        if (outcome.kind !== 'done') throw new TypeError(outcome.kind)
        for (const { body } of openai.requests.slice(before)) {
          const data = dataOf(body.messages?.at(-1)?.content ?? '').map((line) => line.replace(/^- /, ''))
          const words = data.filter((line) => !/^(Summary so far|New events)/.test(line))
          // `Subject: ` and rounding are all that comes on top.
          expect(words.reduce((sum, line) => sum + estimateTokens(line), 0)).toBeLessThanOrEqual(100 + 3)
        }
      }),
      { numRuns: 15 },
    )
    expect(openai.requests.length).toBeGreaterThan(15 * 3)
  })

  it('that broke off goes on where it stopped', async () => {
    const { enrichment } = await openAi({
      'webhook.ai.summarization.max_chunk_size': 100,
      'webhook.ai.attempts': 1,
    })
    const request = { ...REQUEST, entries: ['a'.repeat(300), 'b'.repeat(300), 'c'.repeat(300)] }
    openai.next(chat('A.'), chat('B.'), status(503))
    expect(await enrichment.summarise('acme', request)).toMatchObject({ kind: 'unavailable' })
    openai.next(chat('C.'), chat('All.'))
    expect(await enrichment.summarise('acme', request)).toEqual({
      kind: 'done',
      text: 'All.',
      source: 'provider',
    })
    expect(openai.requests).toHaveLength(5)
    const last = dataOf(openai.requests.at(-1)?.body.messages?.at(-1)?.content ?? '')
    expect(last.slice(-3)).toEqual(['- A.', '- B.', '- C.'])
  })

  it('is within the budget, with all that a model may write', async () => {
    const { enrichment } = await openAi({ 'webhook.ai.daily_token_budget': 1_000 })
    expect(await enrichment.summarise('acme', REQUEST)).toMatchObject({ kind: 'over-budget' })
    expect(openai.requests).toHaveLength(0)
  })
})
