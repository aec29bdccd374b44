/**
 * Takes secrets out of texts that people will read: messages of errors, which often quote the request that failed, before
 * they reach logs, traces and dead letters.
 *
 * Three nets, the surest first: the secrets that this process knows; values of fields that are called like secrets; and what
 * has the form of a well-known kind of token. A text that gets through unchanged is not proven to hold none.
 */

export interface RedactorOptions {
  /** Secrets that this process knows: wherever one stands, it goes. Those shorter than eight characters are left out. */
  readonly secrets: readonly string[]
  /** Names of fields whose values are secret, in JSON, headers, forms and URLs; in any case, `-` and `_` alike. */
  readonly fields: readonly string[]
}

export type Redactor = (text: string) => string

export const REDACTED = '[redacted]'

/** Names that are secret wherever they appear. */
const SECRET_FIELDS: readonly string[] = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'password',
  'passwd',
  'secret',
  'client_secret',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'api_key',
  'apikey',
  'private_key',
  'x-api-key',
  'x-gitlab-token',
]

/** Shorter ones would make common words disappear. */
const LEAST_SECRET = 8
/** Longer texts are cut: no message needs them, and the patterns below must not be given megabytes. */
const MOST_CHARACTERS = 20_000

/** Forms of tokens that their makers document, so that they can be found by scanners. */
const TOKENS = new RegExp(
  [
    'gh[pousr]_[A-Za-z0-9]{20,255}', // GitHub
    'github_pat_[A-Za-z0-9_]{20,255}',
    'glpat-[A-Za-z0-9_-]{16,255}', // GitLab
    'xox[abeoprs]-[A-Za-z0-9-]{10,255}', // Slack
    '(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,255}', // Stripe
    'wh(?:sec|pk|sk)_[A-Za-z0-9+/=]{16,255}', // Standard Webhooks
    'shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{16,64}', // Shopify
    'A(?:KIA|SIA)[A-Z0-9]{16}', // AWS
    'sk-[A-Za-z0-9_-]{20,255}', // OpenAI
    'eyJ[A-Za-z0-9_-]{8,4096}\\.[A-Za-z0-9_-]{8,4096}\\.[A-Za-z0-9_-]{0,4096}', // JSON Web Tokens
    '-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[A-Za-z0-9+/=\\s]{0,8192}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?',
  ].join('|'),
  'g',
)
/** `://user:password@` */
const URL_CREDENTIALS = /(:\/\/)[^\s/@:]{0,256}:[^\s/@]{1,512}@/g
/** `Bearer abc`, `Basic abc`, `JWT abc`: with or without the header's name. */
const SCHEMES = /\b(Bearer|Basic|JWT|Token)\s+[A-Za-z0-9._~+/=-]{8,8192}/gi

export function createRedactor({ secrets, fields }: RedactorOptions): Redactor {
  // Longest first: one may be the beginning of another.
  const known = [...new Set(secrets)]
    .filter((secret) => secret.length >= LEAST_SECRET)
    .sort((a, b) => b.length - a.length)
  const names = [...new Set([...SECRET_FIELDS, ...fields])].map((name) =>
    escaped(name).replace(/[-_]/g, '[-_]'),
  )
  // "name": "value" · name=value · name: value, up to where the value ends.
  const field = new RegExp(
    `(["']?(?<![A-Za-z0-9])(?:${names.join('|')})["']?\\s{0,8}[:=]\\s{0,8})("(?:[^"\\\\]|\\\\.){0,4096}"|'[^']{0,4096}'|[^\\s,;&"'{}\\[\\]]{1,4096})`,
    'gi',
  )
  return (text) => {
    let told = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text
    for (const secret of known) told = told.replaceAll(secret, REDACTED)
    return told
      .replace(TOKENS, REDACTED)
      .replace(URL_CREDENTIALS, `$1${REDACTED}@`)
      .replace(SCHEMES, `$1 ${REDACTED}`)
      .replace(field, (_, name: string, value: string) => {
        const quote = value[0] === '"' || value[0] === "'" ? value[0] : ''
        return `${name}${quote}${REDACTED}${quote}`
      })
  }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
