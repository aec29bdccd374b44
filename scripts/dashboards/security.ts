/** Who is turned away and why, and does what keeps secrets still do so? */
import type { DashboardSpec, Rows } from './frame.ts'
import { figure, graph, note, states, YES_NO } from './panels.ts'

const TOOL = '{tool=~"$tool"}'
const rate = (metric: string, by: string, where = '') =>
  `sum by (${by}) (rate(${metric}${where}[$__rate_interval]))`

const rows: Rows = {
  'Turned away': [
    graph({
      title: 'Wrong signatures',
      help: 'Signature there and wrong. From one day to the next: a secret was changed on one side only. With few accepted: somebody tries.',
      unit: 'reqps',
      queries: { '{{tool}}': rate('webhook_signature_failures_total', 'tool', TOOL) },
      limit: 0.1,
      alerts: ['SignatureFailures'],
    }),
    graph({
      title: 'Missing or wrong credentials',
      help: 'By reason. docs/signatures.md says what each tool has to send.',
      unit: 'reqps',
      queries: { '{{tool}} {{reason}}': rate('webhook_auth_failures_total', 'tool, reason', TOOL) },
    }),
    graph({
      title: 'Share of requests turned away',
      help: 'By tool. All of a tool: its secret is wrong here or there. None accepted and many refused: not a sender of yours.',
      unit: 'percentunit',
      queries: {
        '{{tool}}': `${rate('webhook_events_received_total', 'tool', '{tool=~"$tool",outcome="refused"}')} / ${rate('webhook_events_received_total', 'tool', TOOL)}`,
      },
    }),
    graph({
      title: 'Floods of bad signatures',
      help: 'Requests refused unverified. Refuse these addresses before the gateway, or mend the secret if they are the sender’s own.',
      unit: 'reqps',
      queries: { '{{tool}}': rate('webhook_flood_refused_total', 'tool', TOOL) },
      alerts: ['SignatureFlood'],
    }),
    graph({
      title: 'Addresses held off',
      help: 'Verified at a limited rate, because too many of their requests were badly signed. All tools.',
      unit: 'short',
      queries: { '{{instance}}': 'webhook_flood_addresses' },
      limit: 1,
      alerts: ['SignatureFlood'],
    }),
    graph({
      title: 'Answers with 4xx',
      help: 'By route pattern and status: 401 credentials, 403 address, 413 too large, 415 content type, 429 limits.',
      unit: 'reqps',
      queries: {
        '{{path}} {{status}}': rate('webhooks_received_total', 'path, status', '{status=~"4.."}'),
      },
    }),
    graph({
      title: 'Suspected replays',
      help: 'Bodies that came before under another delivery id. Senders do that too: look before setting replay_suspects: refuse.',
      unit: 'cps',
      queries: { '{{tool}}': rate('webhook_replay_suspects_total', 'tool', TOOL) },
    }),
  ],
  Audit: [
    figure({
      title: 'Damage to the audit trail',
      help: 'Entries that are missing, in an hour: webhook-cli audit verify names the place, the gateways’ logs the reason.',
      unit: 'short',
      queries: { damage: 'sum(increase(webhook_audit_damage_total[1h]))' },
      limit: 1,
      alerts: ['AuditTrailDamaged'],
    }),
    graph({
      title: 'Entries that wait for Redis',
      help: 'A few are usual. Growing: Redis does not take them; beyond 10,000 new ones are dropped, with their count.',
      unit: 'short',
      queries: { '{{instance}}': 'webhook_audit_waiting_entries' },
    }),
  ],
  Limits: [
    graph({
      title: 'Refused by a limit',
      help: 'ip and tenant: RATE_LIMIT_RPM. tool and global: per_tool_rate_limits and global_rate_limit, events a second.',
      unit: 'cps',
      queries: { '{{limit_type}}': rate('webhook_rate_limit_exceeded_total', 'limit_type') },
    }),
    graph({
      title: 'Allowed, and counted alone',
      help: 'Counted alone: Redis could not be asked, each gateway lets the whole limit pass.',
      unit: 'cps',
      queries: {
        allowed: 'sum(rate(webhook_rate_limit_allowed_total[$__rate_interval]))',
        'counted alone': 'sum(rate(webhook_rate_limit_redis_errors_total[$__rate_interval]))',
        'leases {{result}}': rate('webhook_rate_limit_leases_total', 'result'),
      },
    }),
    states({
      title: 'Limits can be asked',
      help: 'No: that gateway counts alone. Find out why it does not reach Redis.',
      unit: 'none',
      queries: { '{{instance}}': 'webhook_rate_limit_redis_connected' },
      states: YES_NO,
      alerts: ['RateLimiterWithoutRedis'],
    }),
  ],
  'Keys and certificates': [
    graph({
      title: 'Certificates: time until they expire',
      help: 'Under 14 days: renew (scripts/generate-redis-certs.sh, or whoever issued it) and replace the file; Weir needs no restart.',
      unit: 's',
      queries: { '{{file}}': 'min by (file) (webhook_certificate_expiry_timestamp_seconds) - time()' },
      alerts: ['CertificateExpiresSoon', 'CertificateExpiresNow'],
    }),
    graph({
      title: 'Age of the keyring in the gateways',
      help: 'Read every 10 s. Older than 5 min: rotated keys are not used, destroyed ones not forgotten. No line: no encryption.',
      unit: 's',
      queries: { '{{instance}}': 'webhook_keyring_age_seconds' },
      limit: 300,
      alerts: ['KeyringStale'],
    }),
    figure({
      title: 'Tenants in the keyring',
      help: 'At webhook.security.keyring_max_tenants events of further tenants get 503. How many there are, not which: tenants are no label.',
      unit: 'short',
      queries: { tenants: 'max(webhook_keyring_tenants)' },
    }),
    figure({
      title: 'Waiting for a key',
      help: 'Attempts in the last hour that could not read an event. Compare ENCRYPTION_MASTER_KEY of gateways and consumers.',
      unit: 'short',
      queries: { waiting: 'sum(increase(webhook_key_missing_total[1h]))' },
      limit: 1,
      alerts: ['KeyMissing'],
    }),
  ],
  'Faults and alerts received': [
    graph({
      title: 'Faults of the gateways',
      help: 'By code; docs/errors.md says what each is and what to do.',
      unit: 'cps',
      queries: { '{{code}}': rate('webhook_faults_total', 'code') },
    }),
    graph({
      title: 'Refused by the spool',
      help: 'full: webhook.ingest.spool.max_bytes. io: the disk. These senders got 503.',
      unit: 'cps',
      queries: { '{{reason}}': rate('webhook_spool_refused_total', 'reason') },
      alerts: ['SpoolNotAccepting', 'AvailabilityBudgetBurnFast'],
    }),
    graph({
      title: 'Alerts received from Alertmanager',
      help: 'By name, "other" after the first hundred names. Those of Weir itself come here as well.',
      unit: 'cps',
      queries: { '{{alertname}}': rate('webhooks_by_alertname_total', 'alertname') },
    }),
  ],
  Tenants: [
    note(
      'One tenant',
      'Tenants are no label: there are as many as senders name, and each would be a series of every metric.',
      [
        '**No metric has the tenant as a label**: whoever can sign for a tool can name tenants, and each would multiply every series. What',
        'was done and refused for one tenant, the audit trail and the commands tell (tenant: `${tenant}`, chosen at the top):',
        '',
        '```sh',
        'webhook-cli keys status --tenant ${tenant}',
        'webhook-cli dlq list --tenant ${tenant}',
        '```',
      ].join('\n'),
    ),
  ],
}

export const security: DashboardSpec = {
  uid: 'weir-webhook-security',
  title: 'Webhook security',
  help: 'Who is turned away and why, and does what keeps secrets still do so?',
  tenant: true,
  rows,
}
