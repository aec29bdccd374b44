/** Every scheme in every form that it has, with a sender for each. */
import { createPublicKey, hash } from 'node:crypto'
import { signConnect } from './connect-jwt.ts'
import { createVerifier, type SchemeName, sign } from './schemes.ts'
import { signingKey } from './standard-keys.ts'
import { NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

const URL_OF_HOOK = '/webhooks/tool/tenant?a=1'
/** What a token of Connect is bound to; to the others it is all the same. */
export const SENT = { url: URL_OF_HOOK }

export interface Form {
  readonly name: string
  readonly scheme: SchemeName
  /** A secret out of any bytes: what the sender has. */
  readonly secretOf: (bytes: Uint8Array) => Buffer
  /** What the receiver is told of it. */
  readonly told: (secret: Buffer) => Buffer
  readonly sign: (secret: Buffer, body: Buffer) => Record<string, string>
  readonly coversBody: boolean
  readonly timed: boolean
}

const text = (bytes: Uint8Array): Buffer => Buffer.from(Buffer.from(bytes).toString('base64url'))
const signAs =
  (scheme: SchemeName): Form['sign'] =>
  (secret, body) =>
    sign(scheme, secret, body, { timestampSeconds: NOW_S, deliveryId: 'delivery-1' })

function form(scheme: SchemeName, given: Partial<Form> = {}): Form {
  const timed = ['stripe', 'slack', 'standard', 'generic'].includes(scheme)
  return {
    name: scheme,
    scheme,
    secretOf: text,
    told: (secret) => secret,
    sign: signAs(scheme),
    coversBody: true,
    timed,
    ...given,
  }
}

export const sharedKey = (bytes: Uint8Array): Buffer =>
  Buffer.from(`whsec_${Buffer.from(bytes).toString('base64')}`)

const privateKey = (bytes: Uint8Array): Buffer => Buffer.from(`whsk_${hash('sha256', bytes, 'base64')}`)
const publicKeyOf = (secret: Buffer): Buffer => {
  const { x = '' } = createPublicKey(signingKey(secret)).export({ format: 'jwk' })
  return Buffer.from(`whpk_${Buffer.from(x, 'base64url').toString('base64')}`)
}

export const FORMS: readonly Form[] = [
  form('github'),
  form('gitlab', { coversBody: false }),
  form('gitlab', { name: 'gitlab, signing token', secretOf: sharedKey, timed: true }),
  form('jira'),
  form('jira', {
    name: 'jira, Connect',
    sign: (secret) => ({
      authorization: signConnect(secret, {
        issuer: 'jira:1',
        method: 'POST',
        url: URL_OF_HOOK,
        issuedAt: NOW_S,
      }),
    }),
    coversBody: false,
    timed: true,
  }),
  form('bitbucket'),
  form('stripe'),
  form('slack'),
  form('shopify'),
  form('pagerduty'),
  form('alertmanager', { name: 'alertmanager, bearer', coversBody: false }),
  form('alertmanager', {
    name: 'alertmanager, basic',
    secretOf: (bytes) => Buffer.from(`user:${text(bytes)}`),
    coversBody: false,
  }),
  form('alertmanager', { name: 'alertmanager, signed', sign: signAs('generic'), timed: true }),
  form('standard', { secretOf: sharedKey }),
  form('standard', { name: 'standard, ed25519', secretOf: privateKey, told: publicKeyOf }),
  form('generic'),
]

export const verifierOf = ({ scheme, told }: Form, ...secrets: Buffer[]) =>
  createVerifier(scheme, secrets.map(told), { toleranceMs: TOLERANCE_MS })
