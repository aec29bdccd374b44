/** The `openai` package, bent to be a plain way to one endpoint: it tries once, logs nothing, and reads no environment. */
import { Fault, messageOf } from '@weir/core/faults'
import { APIConnectionError, APIError, OpenAI } from 'openai'
import { refusalOf } from './openai-refusal.ts'
import { type RetryOptions, within, withRetries } from './retry.ts'
import { Unavailable } from './unavailable.ts'

export interface OpenAiSettings extends RetryOptions {
  /** undefined = OpenAI's own. */
  readonly baseUrl: string | undefined
  /** undefined for a service that wants none. */
  readonly apiKey: string | undefined
  /** One attempt, until its whole answer is there, ms. */
  readonly timeoutMs: number
}

export interface OpenAiClient {
  /**
   * Asks, and asks again where that may help.
   * Throws Fault AI_UNAVAILABLE, AI_REFUSED, AI_INPUT_REFUSED, AI_ANSWER_INVALID, or the signal's reason.
   */
  ask<T>(
    model: string,
    request: (api: OpenAI, options: { readonly signal: AbortSignal }) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>
}

const OPENAI = 'https://api.openai.com/v1'
/** The package wants a key, and a service that wants none ignores this. */
const NO_KEY = 'none'
/** Longest that a timer holds: how long an attempt may take is counted by the injected clock. */
const NEVER_MS = 2 ** 31 - 1

export function createOpenAiClient(settings: OpenAiSettings): OpenAiClient {
  const { apiKey, timeoutMs, clock } = settings
  const baseURL = settings.baseUrl ?? OPENAI
  // What is not given here, the package would take from the environment.
  const api = new OpenAI({
    apiKey: apiKey ?? NO_KEY,
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    baseURL,
    maxRetries: 0,
    timeout: NEVER_MS,
    logLevel: 'off',
    // A redirect would carry texts to a place that nobody configured.
    fetchOptions: { redirect: 'manual' },
  })
  const { host } = new URL(baseURL)
  return {
    ask(model, request, signal) {
      const attempt = async () => {
        try {
          return await within(timeoutMs, clock, (ending) => request(api, { signal: ending }), signal)
        } catch (error) {
          signal?.throwIfAborted()
          throw faultOf(error, host, model, clock.now())
        }
      }
      return withRetries(settings, attempt, signal)
    },
  }
}

function faultOf(error: unknown, host: string, model: string, now: number): unknown {
  if (error instanceof Unavailable) return new Unavailable(`${host}: ${error.message}`, { cause: error })
  if (error instanceof APIConnectionError) {
    const { cause } = error
    const deepest = cause instanceof Error && cause.cause instanceof Error ? cause.cause : (cause ?? error)
    return new Unavailable(`${host} cannot be reached: ${messageOf(deepest)}`, { cause: error })
  }
  if (error instanceof APIError) return refusalOf(error, host, model, now)
  if (error instanceof SyntaxError) {
    return new Fault('AI_ANSWER_INVALID', `${host} answered something that calls itself JSON and is not`)
  }
  // fetch says so when an answer breaks off in the middle.
  if (error instanceof TypeError) return new Unavailable(`${host}: ${error.message}`, { cause: error })
  return error
}
