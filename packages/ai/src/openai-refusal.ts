/**
 * What a status that is no success means. The provider's own sentence is not passed on: it may quote the key or the text
 * that was sent, and both would end in a log. Its code is, where it is one word.
 */
import { Fault } from '@weir/core/faults'
import type { APIError } from 'openai'
import { Unavailable } from './unavailable.ts'

/** It may be otherwise a moment later. */
const PASSING = new Set([408, 409, 429])
/** What was sent cannot be read. */
const UNREADABLE = new Set([400, 413, 422])
const WORD = /^[\w.-]{1,60}$/

/** Who was asked what. */
export interface Asked {
  readonly host: string
  readonly model: string
  /** ms, for Retry-After with a date */
  readonly now: number
}

/** Fault AI_UNAVAILABLE, AI_INPUT_REFUSED or AI_REFUSED. */
export function refusalOf(error: APIError, { host, model, now }: Asked): Fault {
  const status = error.status ?? 0
  const code = [error.code, error.type].find((word) => typeof word === 'string' && WORD.test(word))
  const answered = `${host} answered ${status}${code === undefined ? '' : ` (${code})`}`
  if (error.code === 'insufficient_quota' || status === 402)
    return new Fault('AI_REFUSED', `${answered}: the account has no credit left`)
  if (PASSING.has(status) || status >= 500) {
    const retryAfterMs = retryAfter(error.headers, now)
    return new Unavailable(answered, retryAfterMs === undefined ? {} : { retryAfterMs })
  }
  if (status === 401)
    return new Fault('AI_REFUSED', `${answered}: it does not know the key; check OPENAI_API_KEY`)
  if (status === 403) return new Fault('AI_REFUSED', `${answered}: the key may not use the model ${model}`)
  if (status === 404)
    return new Fault('AI_REFUSED', `${answered}: there is no model ${model}, or webhook.ai.base_url is wrong`)
  if (UNREADABLE.has(status) && !isAboutSettings(error))
    return new Fault('AI_INPUT_REFUSED', `${answered}: the model ${model} does not take this text`)
  const what = error.param === 'dimensions' ? 'webhook.ai.embedding.dimensions' : `the model ${model}`
  return new Fault('AI_REFUSED', `${answered}: check ${what} and webhook.ai.base_url`)
}

/** Every request would be refused so, whatever is in it. */
function isAboutSettings({ param, code }: APIError): boolean {
  return param === 'model' || param === 'dimensions' || /model|unsupported|unknown_parameter/.test(code ?? '')
}

/** ms; undefined where nothing (readable) is said. */
function retryAfter(headers: Headers | undefined, now: number): number | undefined {
  const ms = headers?.get('retry-after-ms')
  if (ms && /^\d{1,12}(\.\d+)?$/.test(ms)) return Number(ms)
  const after = headers?.get('retry-after')
  if (!after) return undefined
  if (/^\d{1,9}(\.\d+)?$/.test(after)) return Number(after) * 1000
  const date = Date.parse(after)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
