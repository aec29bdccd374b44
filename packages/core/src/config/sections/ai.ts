import { section } from '../field.ts'
import { boolean, choice, duration, integer, number, secret, size, text, url } from '../fields.ts'

/** Highest price that a field takes: far above every real one, in any currency. */
const DEAREST = 1_000_000

function price(what: string) {
  return number({
    meaning: `Price of a million ${what}, in the currency that you count in; null = unknown, and its cost is not counted.`,
    default: null,
    min: 0,
    max: DEAREST,
  })
}

/** `webhook.ai`: embeddings, summaries and prewarming. */
export function aiSection() {
  return section('Embeddings, summaries and prewarming of contexts.', {
    enabled: boolean({
      meaning:
        'Enrich contexts with summaries and embeddings. By default both are made by what is built in, without network and key.',
      default: true,
    }),
    enrichment: section('When contexts are enriched, off the way of events.', {
      quiet: duration({
        meaning: 'A context is found by its new words when nothing has happened to it for so long.',
        default: '2s',
        max: '1h',
      }),
      max_delay: duration({
        meaning: 'And at the latest after so long.',
        default: '10s',
        max: '1d',
      }),
      provider_quiet: duration({
        meaning:
          'A provider that costs something is asked for summary and embedding when nothing has happened to a context for so long.',
        default: '60s',
        max: '1d',
      }),
      provider_max_delay: duration({
        meaning: '…and at the latest after so long.',
        default: '10m',
        max: '30d',
      }),
      provider_interval: duration({
        meaning: 'Pause between two looks for such contexts: what is found together shares requests.',
        default: '30s',
        min: '100ms',
        max: '1h',
      }),
      concurrency: integer({
        meaning: 'Contexts that one curator enriches at the same time.',
        unit: 'contexts',
        default: 32,
        min: 1,
        max: 1000,
      }),
      max_events: integer({
        meaning: 'Newest events of a context that are looked at.',
        unit: 'events',
        default: 500,
        min: 1,
        max: 100_000,
      }),
    }),
    openai_api_key: secret({
      meaning: 'Key for OpenAI, or for a service that speaks its API.',
      empty: 'unset',
      env: 'OPENAI_API_KEY',
    }),
    base_url: url({
      meaning: 'Where the API of the provider `openai` is; null = at OpenAI. Texts and the key go there.',
      default: null,
      schemes: ['https:', 'http:'],
      example: 'https://api.openai.com/v1',
      env: 'AI_BASE_URL',
    }),
    request_timeout: duration({
      meaning: 'How long one try of a request to the provider may take, until its whole answer is there.',
      default: '30s',
      min: '10ms',
      max: '1h',
    }),
    attempts: integer({
      meaning:
        'Tries of one request, the first one included; 408, 409, 429, 5xx and broken connections are tried again.',
      default: 3,
      min: 1,
      max: 20,
    }),
    retry_base_delay: duration({
      meaning:
        'Longest pause before the second try; it doubles with every further one, and a random part of it is taken.',
      default: '500ms',
    }),
    retry_max_delay: duration({
      meaning:
        'Longest pause between tries. Where Retry-After asks for more, the enrichment is given up for now, and waits that long.',
      default: '20s',
      max: '1h',
    }),
    breaker: section('After failures in a row the provider is left alone for a while.', {
      failure_threshold: integer({
        meaning: 'Requests in a row, each with all its tries, that must fail.',
        unit: 'requests',
        default: 5,
        min: 1,
        max: 10_000,
      }),
      open_duration: duration({
        meaning: 'How long nothing is asked then; after it one request is let through as a probe.',
        default: '60s',
        max: '1d',
      }),
    }),
    daily_token_budget: integer({
      meaning:
        'Tokens that the enrichment of one tenant may cost on one day (UTC, by the clock of Redis); null = no limit. The provider `local` costs none.',
      unit: 'tokens',
      default: null,
      min: 1,
      off: true,
    }),
    embedding: section('Embeddings, for search by meaning.', {
      provider: choice({
        meaning: 'Who computes them: `local` needs no key and no network.',
        words: ['local', 'openai'],
        default: 'local',
        env: 'AI_EMBEDDING_PROVIDER',
      }),
      model: text({
        meaning: 'Model of the provider `openai`; `local` has only one.',
        default: 'text-embedding-3-small',
        env: 'AI_EMBEDDING_MODEL',
      }),
      dimensions: integer({
        meaning: 'Length of a vector; null = 256 of `local`, of OpenAI as long as the model has them.',
        default: null,
        min: 8,
        max: 16_384,
      }),
      batch_size: integer({
        meaning: 'Most texts in one request.',
        unit: 'texts',
        default: 100,
        min: 1,
        max: 2048,
      }),
      batch_window: duration({
        meaning: 'How long a text waits at most for others to join it in a request.',
        default: '20ms',
        min: '0',
        max: '10s',
      }),
      concurrent_batches: integer({
        meaning: 'Most requests for embeddings under way at once, of one process.',
        unit: 'requests',
        default: 4,
        min: 1,
        max: 1_000,
      }),
      max_waiting: integer({
        meaning: 'Most texts that wait for an embedding in one process; those beyond come again later.',
        unit: 'texts',
        default: 5_000,
        min: 1,
        max: 1_000_000,
      }),
      cache_duration: duration({
        meaning: 'How long an embedding is kept for the same text; 0 = not at all.',
        default: '24h',
        min: '0',
        max: '3650d',
      }),
      near_identical_threshold: number({
        meaning:
          'Texts of a tenant that are at least this similar share an embedding (1 − edit distance / length, of the texts in lower case); 1 = only the same ones.',
        default: 0.97,
        min: 0.5,
        max: 1,
      }),
      near_identical_texts: integer({
        meaning:
          'Recent texts of a tenant that a new one is compared with at most, kept in memory; 0 = none.',
        unit: 'texts',
        default: 200,
        min: 0,
        max: 10_000,
      }),
      price_per_million_tokens: price('tokens'),
    }),
    summarization: section('Rolling summaries.', {
      model: text({
        meaning: 'Model of the provider; null = the extractive summariser that is built in.',
        default: null,
        env: 'AI_SUMMARIZATION_MODEL',
      }),
      min_events: integer({
        meaning:
          'A model is asked when at least so many events are new; fewer are added to the summary by what is built in.',
        unit: 'events',
        default: 8,
        min: 1,
        max: 100_000,
      }),
      max_chunk_size: integer({
        meaning: 'Longest piece that is summarised at once; four characters count as one token.',
        unit: 'tokens',
        default: 4000,
        min: 100,
        max: 1_000_000,
      }),
      cache_duration: duration({
        meaning: 'How long a summary is kept for the same text; 0 = not at all.',
        default: '168h',
        min: '0',
        max: '3650d',
      }),
      price_per_million_input_tokens: price('tokens that are read'),
      price_per_million_output_tokens: price('tokens that are written'),
    }),
    prewarming: section('Contexts are made hot before they are asked for.', {
      enabled: boolean({
        meaning:
          'Learn from accesses which contexts are read next, and make them hot. It needs no provider and does not depend on `ai.enabled`, only on `context_lifecycle.enabled`; off = accesses are not noted either.',
        default: true,
      }),
      max_predictions: integer({
        meaning: 'Most contexts predicted at once.',
        default: 10,
        max: 10_000,
      }),
      confidence_threshold: number({
        meaning: 'Least confidence for doing it: the share of such predictions that should come true.',
        default: 0.7,
        min: 0,
        max: 1,
      }),
      lookback_window: duration({
        meaning:
          'How far back an access is looked at for what is read next, and for how long a prediction may come true.',
        default: '15m',
        min: '1m',
        max: '30d',
      }),
      history_window: duration({
        meaning:
          'How long accesses are remembered to learn habits from: what follows what, what is read together, and at which time of the day.',
        default: '14d',
        min: '1m',
        max: '90d',
      }),
      memory_limit: size({
        meaning:
          'The most content, unpacked, of contexts that were made hot and not read yet; a prediction that did not come true gives it back.',
        default: '64MB',
        min: '64KB',
        max: '64GB',
      }),
    }),
  })
}
