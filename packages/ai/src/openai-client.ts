/**
 * The `openai` package, bent to be a plain way to one endpoint: it tries once, logs nothing, and takes nothing from the
 * environment but OPENAI_CUSTOM_HEADERS, which it cannot be kept from. It is loaded when it is first needed: that takes 0.2 s
 * and 35 MB, which a process that asks nobody should not pay.
 */
import { Fault, messageOf } from '@weir/core/faults'
import type { OpenAI } from 'openai'
import { type Asked, refusalOf } from './openai-refusal.ts'
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

type Sdk = typeof import('openai')

interface Loaded {
  readonly sdk: Sdk
  readonly api: OpenAI
}

export function createOpenAiClient(settings: OpenAiSettings): OpenAiClient {
  const { apiKey, timeoutMs, clock } = settings
  const baseURL = settings.baseUrl ?? OPENAI
  let loading: Promise<Loaded> | undefined
  const load = async (): Promise<Loaded> => {
    const sdk = await import('openai')
    // What is not given here, the package would take from the environment.
    const api = new sdk.OpenAI({
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
    return { api, sdk }
  }
  const { host } = new URL(baseURL)
  return {
    async ask(model, request, signal) {
      loading ??= load()
      const { api, sdk } = await loading
      const attempt = async () => {
        try {
          return await within(timeoutMs, clock, (ending) => request(api, { signal: ending }), signal)
        } catch (error) {
          signal?.throwIfAborted()
          throw faultOf(sdk, error, { host, model, now: clock.now() })
        }
      }
      return withRetries(settings, attempt, signal)
    },
  }
}

function faultOf(sdk: Sdk, error: unknown, asked: Asked): unknown {
  const { host } = asked
  if (error instanceof Unavailable) return new Unavailable(`${host}: ${error.message}`, { cause: error })
  if (error instanceof sdk.APIConnectionError) {
    const { cause } = error
    const deepest = cause instanceof Error && cause.cause instanceof Error ? cause.cause : (cause ?? error)
    return new Unavailable(`${host} cannot be reached: ${messageOf(deepest)}`, { cause: error })
  }
  if (error instanceof sdk.APIError) return refusalOf(error, asked)
  if (error instanceof SyntaxError) {
    return new Fault('AI_ANSWER_INVALID', `${host} answered something that calls itself JSON and is not`)
  }
  // fetch says so when an answer breaks off in the middle.
  if (error instanceof TypeError) return new Unavailable(`${host}: ${error.message}`, { cause: error })
  return error
}
