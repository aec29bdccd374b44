/**
 * How senders prove where a request comes from, one scheme for each: the way to verify it, and the way to sign as the
 * sender would (for `webhook-cli send`, the demo and tests).
 */
import { alertmanagerAuthorization, createAlertmanagerVerifier } from './alertmanager.ts'
import { createBitbucketVerifier, HUB_SIGNATURE_HEADER, signBitbucket } from './bitbucket.ts'
import {
  createGenericVerifier,
  GENERIC_SIGNATURE_HEADER,
  GENERIC_TIMESTAMP_HEADER,
  signGeneric,
} from './generic.ts'
import { createGithubVerifier, GITHUB_SIGNATURE_HEADER, signGithub } from './github.ts'
import { createGitlabVerifier, GITLAB_TOKEN_HEADER, signGitlab } from './gitlab.ts'
import { createJiraVerifier } from './jira.ts'
import { createPagerDutyVerifier, PAGERDUTY_SIGNATURE_HEADER, signPagerDuty } from './pagerduty.ts'
import { createShopifyVerifier, SHOPIFY_SIGNATURE_HEADER, signShopify } from './shopify.ts'
import { createSlackVerifier, SLACK_SIGNATURE_HEADER, SLACK_TIMESTAMP_HEADER, signSlack } from './slack.ts'
import { createStandardVerifier, STANDARD_SIGNATURE_HEADER, signStandard } from './standard.ts'
import { createStripeVerifier, STRIPE_SIGNATURE_HEADER, signStripe } from './stripe.ts'
import { AUTHORIZATION_HEADER, type Verifier } from './verifier.ts'

export type SchemeName =
  | 'github'
  | 'gitlab'
  | 'jira'
  | 'bitbucket'
  | 'stripe'
  | 'slack'
  | 'shopify'
  | 'pagerduty'
  | 'alertmanager'
  | 'standard'
  | 'generic'

interface GenericHeaderNames {
  /** Of generic and alertmanager; lower case. */
  readonly signatureHeader?: string | undefined
  /** Of generic and alertmanager; lower case. */
  readonly timestampHeader?: string | undefined
}

export interface SchemeOptions extends GenericHeaderNames {
  /** How old a signed time may be, ms; for the schemes that sign one. */
  readonly toleranceMs: number
  /** Jira: the client keys of the sites whose Connect tokens are believed; none = any that knows the secret. */
  readonly issuers?: readonly string[]
  /** Jira: path of the Connect app's base URL, which its tokens do not sign. */
  readonly basePath?: string
}

export interface SignOptions extends GenericHeaderNames {
  /** When it is signed, unix seconds; for the schemes that sign a time. */
  readonly timestampSeconds: number
  /** For the schemes that sign one. */
  readonly deliveryId: string
}

interface Scheme {
  createVerifier(secrets: readonly Uint8Array[], options: SchemeOptions): Verifier
  sign(secret: Uint8Array, rawBody: Uint8Array, options: SignOptions): Record<string, string>
}

const SCHEMES: Readonly<Record<SchemeName, Scheme>> = {
  github: {
    createVerifier: createGithubVerifier,
    sign: (secret, body) => ({ [GITHUB_SIGNATURE_HEADER]: signGithub(secret, body) }),
  },
  gitlab: {
    createVerifier: (secrets, { toleranceMs }) => createGitlabVerifier(secrets, toleranceMs),
    sign: (secret, body, { deliveryId, timestampSeconds }) =>
      signGitlab(secret, deliveryId, timestampSeconds, body),
  },
  jira: {
    createVerifier: (secrets, options) => createJiraVerifier({ ...options, secrets }),
    // A webhook that an administrator made; it signs as Bitbucket does.
    sign: (secret, body) => ({ [HUB_SIGNATURE_HEADER]: signBitbucket(secret, body) }),
  },
  bitbucket: {
    createVerifier: createBitbucketVerifier,
    sign: (secret, body) => ({ [HUB_SIGNATURE_HEADER]: signBitbucket(secret, body) }),
  },
  stripe: {
    createVerifier: (secrets, { toleranceMs }) => createStripeVerifier(secrets, toleranceMs),
    sign: (secret, body, { timestampSeconds }) => ({
      [STRIPE_SIGNATURE_HEADER]: signStripe(secret, timestampSeconds, body),
    }),
  },
  slack: {
    createVerifier: (secrets, { toleranceMs }) => createSlackVerifier(secrets, toleranceMs),
    sign: (secret, body, { timestampSeconds }) => ({
      [SLACK_TIMESTAMP_HEADER]: String(timestampSeconds),
      [SLACK_SIGNATURE_HEADER]: signSlack(secret, timestampSeconds, body),
    }),
  },
  shopify: {
    createVerifier: createShopifyVerifier,
    sign: (secret, body) => ({ [SHOPIFY_SIGNATURE_HEADER]: signShopify(secret, body) }),
  },
  pagerduty: {
    createVerifier: createPagerDutyVerifier,
    sign: (secret, body) => ({ [PAGERDUTY_SIGNATURE_HEADER]: signPagerDuty(secret, body) }),
  },
  alertmanager: {
    createVerifier: (secrets, options) =>
      createAlertmanagerVerifier({ ...headerNames(options), toleranceMs: options.toleranceMs, secrets }),
    sign: (secret) => ({ [AUTHORIZATION_HEADER]: alertmanagerAuthorization(secret) }),
  },
  standard: {
    createVerifier: (secrets, { toleranceMs }) => createStandardVerifier(secrets, toleranceMs),
    sign: (secret, body, { deliveryId, timestampSeconds }) =>
      signStandard(secret, deliveryId, timestampSeconds, body),
  },
  generic: {
    createVerifier: (secrets, options) =>
      createGenericVerifier({ ...headerNames(options), toleranceMs: options.toleranceMs, secrets }),
    sign(secret, body, { timestampSeconds, ...options }) {
      const { signatureHeader, timestampHeader } = headerNames(options)
      return {
        [timestampHeader]: String(timestampSeconds),
        [signatureHeader]: signGeneric(secret, timestampSeconds, body),
      }
    },
  },
}

function headerNames({
  signatureHeader = GENERIC_SIGNATURE_HEADER,
  timestampHeader = GENERIC_TIMESTAMP_HEADER,
}: GenericHeaderNames) {
  return { signatureHeader, timestampHeader }
}

/**
 * The verifier of a scheme; several secrets while one is being rotated. Throws a TypeError, whose sentence says what to
 * do, for a secret that the scheme cannot use.
 */
export function createVerifier(
  scheme: SchemeName,
  secrets: readonly Uint8Array[],
  options: SchemeOptions,
): Verifier {
  return SCHEMES[scheme].createVerifier(secrets, options)
}

/**
 * The headers with which this sender would send these bytes, names in lower case. Throws a TypeError for a secret that
 * the scheme cannot use.
 */
export function sign(
  scheme: SchemeName,
  secret: Uint8Array,
  rawBody: Uint8Array,
  options: SignOptions,
): Record<string, string> {
  return SCHEMES[scheme].sign(secret, rawBody, options)
}

/**
 * Headers that hold a secret, or let who reads them send a request again: never kept with an event, never logged.
 * Lower case. Generic senders may be configured to sign in another one.
 */
export const CREDENTIAL_HEADERS: readonly string[] = [
  AUTHORIZATION_HEADER,
  'proxy-authorization',
  'cookie',
  GITLAB_TOKEN_HEADER,
  HUB_SIGNATURE_HEADER,
  GITHUB_SIGNATURE_HEADER,
  STRIPE_SIGNATURE_HEADER,
  SLACK_SIGNATURE_HEADER,
  SHOPIFY_SIGNATURE_HEADER,
  PAGERDUTY_SIGNATURE_HEADER,
  STANDARD_SIGNATURE_HEADER,
  GENERIC_SIGNATURE_HEADER,
]
