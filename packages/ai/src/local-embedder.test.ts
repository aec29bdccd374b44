import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLocalEmbedder, embedLocally, LOCAL_DIMENSIONS } from './local-embedder.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 400, size: 'max' })
const lengthOf = (vector: Float32Array) => Math.hypot(...vector)

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0)
}

/** Subjects as a team has them in one week, among which a search must find the right one. */
const SUBJECTS: Readonly<Record<string, string>> = {
  login:
    'acme/site#42 Fix login with Safari. Passwords with umlauts were rejected by the sign-in form. merged by alice',
  invoice:
    'PROJ-101 Invoices show the wrong VAT for customers in Switzerland. Rounding of totals in BillingCalculator',
  disk: 'DiskWillFillIn4Hours node-7: filesystem /var/lib/docker is 92% full, firing, critical',
  latency: 'HighRequestLatency api-gateway: p99 above 2 s for 10 minutes, firing, warning',
  upgrade:
    'acme/site#57 Bump lodash from 4.17.20 to 4.17.21. dependabot opened a pull request, checks passed',
  search:
    'acme/site#61 Full-text search ignores accents and plural forms; tokenizer rewritten, carol approved',
  flaky: 'acme/api#12 Flaky test in OrderServiceTest.shouldRetryPayment: timeout waiting for the mock server',
  deploy:
    'Deployment of payments-service 2.8.1 to production failed: readiness probe returned 503, rolled back',
  stripe: 'charge.dispute.created: customer disputes a payment of 49 EUR, evidence is due on Friday',
  refund: 'charge.refunded: order 8812 was refunded in full after the parcel was lost',
  oncall:
    'Incident: database primary failed over, replication lag 40 s, acknowledged by bob, postmortem requested',
  memory: 'acme/api#88 Memory leak in WebSocket handler: connections were never removed from the registry',
  docs: 'acme/docs#5 Describe how to rotate the encryption keys of a tenant without downtime',
  mobile: 'MOB-77 App crashes on Android 14 when the camera permission is denied',
  gdpr: 'PROJ-230 Erase personal data of a customer on request (GDPR), export as CSV first',
  ci: 'Workflow build-and-push failed on main: docker registry answered 429 Too Many Requests',
  slack: 'Slack channel #release: dave announced the freeze for the autumn release',
  cert: 'CertificateExpiresSoon: TLS certificate of shop.example.com expires in 6 days',
  queue: 'ConsumerLag: 12,000 messages are waiting in webhook-events, consumers are slow since the release',
  rbac: 'acme/api#93 Role based access: only admins may delete projects; audit log for permission changes',
}

const QUERIES: readonly (readonly [string, string])[] = [
  ['login fails in safari', 'login'],
  ['wrong tax on invoice swiss', 'invoice'],
  ['billing calculator rounding', 'invoice'],
  ['disk full on node-7', 'disk'],
  ['which host runs out of filesystem space', 'disk'],
  ['gateway p99 latency', 'latency'],
  ['lodash upgrade', 'upgrade'],
  ['search with accents', 'search'],
  ['order service test timeouts', 'flaky'],
  ['production deploy rolled back', 'deploy'],
  ['payments-service', 'deploy'],
  ['customer disputed payment', 'stripe'],
  ['refund of order 8812', 'refund'],
  ['database failover replication', 'oncall'],
  ['leaking memory websockets', 'memory'],
  ['rotating encryption key', 'docs'],
  ['android camera crash', 'mobile'],
  ['delete personal data of customers', 'gdpr'],
  ['docker registry rate limited 429', 'ci'],
  ['release freeze', 'slack'],
  ['tls certificate expiring', 'cert'],
  ['messages waiting consumer slow', 'queue'],
  ['permission changes audit', 'rbac'],
  ['acme/site#61', 'search'],
  ['PROJ-230', 'gdpr'],
  ['acme/api#88', 'memory'],
]

describe('the local embedder', () => {
  it('finds the subject that a query means', () => {
    const subjects = Object.entries(SUBJECTS).map(([name, said]) => ({ name, vector: embedLocally(said) }))
    const missed = QUERIES.filter(([query, meant]) => {
      const asked = embedLocally(query)
      const [best] = subjects.toSorted((a, b) => cosine(b.vector, asked) - cosine(a.vector, asked))
      return best?.name !== meant
    })
    expect(missed).toEqual([])
  })

  it('sees what is alike in other forms of a word, in parts of identifiers and in slips', () => {
    const near = (a: string, b: string) => cosine(embedLocally(a), embedLocally(b))
    expect(near('failing deployments', 'deployment failed')).toBeGreaterThan(0.5)
    expect(near('parseWebhookBody', 'parse webhook body')).toBeGreaterThan(0.5)
    expect(near('src/auth/LoginForm.tsx', 'login form')).toBeGreaterThan(0.3)
    expect(near('authentication', 'authentification')).toBeGreaterThan(near('authentication', 'automation'))
    expect(near('the of and with', 'kubernetes')).toBeLessThan(0.3)
  })

  it('has a vector of length 1 for every text that says something, and zeros for the others', async () => {
    const { embed, dimensions } = createLocalEmbedder()
    expect(dimensions).toBe(LOCAL_DIMENSIONS)
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 5 }), async (texts) => {
        const { vectors, tokens } = await embed(texts)
        expect(tokens).toBe(0)
        expect(vectors).toHaveLength(texts.length)
        for (const [at, vector] of vectors.entries()) {
          expect(vector).toHaveLength(LOCAL_DIMENSIONS)
          expect(vector.every(Number.isFinite)).toBe(true)
          if (/[\p{L}\p{N}]/u.test(texts[at]!.normalize('NFKC'))) expect(lengthOf(vector)).toBeCloseTo(1, 5)
        }
      }),
    )
    for (const nothing of ['', '   \n', '…!?']) expect(lengthOf(embedLocally(nothing))).toBe(0)
  })

  it('gives a text the same vector, whatever stands beside it', async () => {
    const { embed } = createLocalEmbedder(64)
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 6 }), async (texts) => {
        const { vectors } = await embed(texts)
        const { vectors: reversed } = await embed(texts.toReversed())
        expect(reversed.toReversed()).toEqual(vectors)
        expect(embedLocally(texts[0]!, 64)).toEqual(vectors[0])
      }),
    )
  })

  it('has as many dimensions as it is told', async () => {
    const { vectors } = await createLocalEmbedder(1536).embed(['login'])
    expect(vectors[0]).toHaveLength(1536)
    expect(lengthOf(vectors[0]!)).toBeCloseTo(1, 5)
  })
})
