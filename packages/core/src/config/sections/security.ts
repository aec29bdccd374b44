import { section } from '../field.ts'
import {
  boolean,
  choice,
  duration,
  headerName,
  integer,
  list,
  secret,
  secrets,
  size,
  tenantSecrets,
  text,
  url,
} from '../fields.ts'
import { perTool, TOOLS, type Tool } from '../tools.ts'

/** Events per second that one tool may send; where none is named there is no limit of its own. */
const TOOL_LIMITS: Partial<Record<Tool, number>> = { github: 5000, jira: 2000 }

/** The variables that hold a tool's secret; the first one that is set counts. */
function secretVariables(tool: Tool): readonly string[] {
  const own = `${tool.toUpperCase()}_WEBHOOK_SECRET`
  return tool === 'generic' || tool === 'alertmanager' ? [own, 'HMAC_SECRET'] : [own]
}

/** `webhook.security`: who may send, how much, and what is kept secret. */
export function securitySection() {
  return section('Who may send, how much, and what is kept secret.', {
    enable_signature_verification: boolean({
      meaning: 'false = believe every request. Refused in production.',
      default: true,
      env: 'WEBHOOK_SIGNATURE_VERIFICATION',
    }),
    signature_header: headerName({
      meaning: 'Header with the signature of generic senders.',
      default: 'X-Webhook-Signature',
    }),
    timestamp_header: headerName({
      meaning: 'Header with the time of signing of generic senders, in seconds since 1970.',
      default: 'X-Webhook-Timestamp',
    }),
    timestamp_tolerance: duration({
      meaning:
        'How far the time that a request is signed with may be from ours, in both directions: for generic, gitlab, slack, standard and stripe.',
      default: '5m',
      min: '1s',
      max: '1d',
    }),
    signature_secrets: section(
      'Secrets that the requests of a tool are signed with. A tool without one refuses every request.',
      perTool((tool) =>
        secrets({
          meaning: `Secret of ${tool}, or a list of them while it is being rotated; null = none.`,
          env: secretVariables(tool),
        }),
      ),
    ),
    tenant_secrets: tenantSecrets({
      meaning:
        'Secrets of single tenants, by tenant and tool: `acme: { github: … }`. For a tenant that has one for a tool, no other counts.',
      tools: TOOLS,
    }),
    secrets_directory: text({
      meaning:
        'Directory with files of secrets, one secret a line: `<tool>` for all tenants, `<tenant>.<tool>` for one. Read again when they change.',
      default: null,
      env: 'WEBHOOK_SECRETS_DIRECTORY',
    }),
    secrets_refresh: duration({
      meaning: 'How often that directory is looked at.',
      default: '10s',
      min: '100ms',
    }),
    replay_suspects: choice({
      meaning:
        'What becomes of a body that comes again under another delivery id, of senders that sign neither the id nor a time (GitHub, Bitbucket, Jira, Shopify): `flag` = accepted, counted and marked; `refuse` = 409; `off` = not looked at. Each gateway knows what it saw itself.',
      words: ['flag', 'refuse', 'off'],
      default: 'flag',
    }),
    replay_memory: integer({
      meaning: 'How many of the last signatures a gateway remembers for that.',
      unit: 'signatures',
      default: 65_536,
      min: 1,
      max: 16_777_216,
    }),
    enable_rate_limiting: boolean({
      meaning: 'false = none of the limits below.',
      default: true,
      env: 'WEBHOOK_RATE_LIMITING',
    }),
    global_rate_limit: integer({
      meaning: 'Limit for all events together, over all gateways; 0 = no limit.',
      unit: 'events/s',
      default: 10_000,
      max: 10_000_000,
    }),
    per_tool_rate_limits: section(
      'Limits for the events of one tool, over all gateways.',
      perTool((tool) =>
        integer({
          meaning: `Limit for ${tool}; 0 = no limit of its own.`,
          unit: 'events/s',
          default: TOOL_LIMITS[tool] ?? 0,
          max: 10_000_000,
        }),
      ),
    ),
    rate_limit_rpm: integer({
      meaning:
        'Limit for each address, and for each tenant, over all gateways; 0 = no limit. Exact up to 128; of higher ones a little less may pass.',
      unit: 'events/min',
      default: 0,
      max: 600_000_000,
      env: 'RATE_LIMIT_RPM',
    }),
    max_payload_size: size({
      meaning: 'Largest body of a request, after decoding; larger ones get 413.',
      default: '10485760',
      min: '1KiB',
      max: '256MiB',
    }),
    redact_fields: list({
      meaning:
        'Names of fields whose values never reach logs, errors and dead letters, besides those that always are secret (password, token, authorization and the like).',
      item: 'names of fields, such as national_id',
      accepts: (item) => /^[A-Za-z0-9_.-]{1,64}$/.test(item),
    }),
    enable_audit_logging: boolean({
      meaning: 'Write an audit trail of what operators did, and of whom was not believed.',
      default: false,
      env: 'WEBHOOK_AUDIT_LOGGING',
    }),
    audit_retention: duration({
      meaning: 'How long entries of the audit trail are kept; older ones are removed up to a checkpoint.',
      default: '90d',
      min: '1h',
      max: '3650d',
    }),
    audit_checkpoint_every: integer({
      meaning: 'After how many entries a checkpoint of the audit trail is made.',
      unit: 'entries',
      default: 1000,
      min: 1,
      max: 1_000_000,
    }),
    audit_checkpoint_interval: duration({
      meaning: 'After what time one is made, if there was an entry since the last one.',
      default: '1h',
      min: '1s',
    }),
    audit_signing_key_file: text({
      meaning: 'PEM file with the Ed25519 private key that checkpoints are signed with.',
      default: null,
      env: 'WEBHOOK_AUDIT_SIGNING_KEY_FILE',
    }),
    encryption_enabled: boolean({
      meaning:
        'Encrypt payloads (AES-256-GCM, a key for each tenant) before they reach Redis or the spool. What is encrypted stays readable while the master key is set, also when this is false again.',
      default: false,
      env: 'WEBHOOK_ENCRYPTION_ENABLED',
    }),
    encryption_master_key: secret({
      meaning:
        'Key that the keys of the tenants are derived from, together with a salt of each in the keyring.',
      allowed: 'at least 32 characters, as random as `openssl rand -base64 48` makes them',
      minLength: 32,
      env: 'ENCRYPTION_MASTER_KEY',
    }),
    encryption_previous_master_keys: secrets({
      meaning:
        'Earlier master keys, as long as something is encrypted that depends on them; new keys do not.',
      minLength: 32,
      empty: 'unset',
      env: 'ENCRYPTION_PREVIOUS_MASTER_KEYS',
    }),
    keyring_directory: text({
      meaning:
        'Directory of the keyring, where every process of Weir sees it, and no backup of the events or of anything that is kept for long does; null = `keyring` in `webhook.data_dir`.',
      default: null,
      env: 'WEBHOOK_KEYRING_DIRECTORY',
    }),
    keyring_url: url({
      meaning:
        'A Redis server of its own for the keyring, in place of a directory: not the one that holds the events, whose backups would hold the keys too. With rediss:// the TLS files of `webhook.redis` are used.',
      default: null,
      schemes: ['redis:', 'rediss:'],
      example: 'rediss://keyring:6379/0',
      env: 'WEBHOOK_KEYRING_URL',
    }),
    keyring_refresh: duration({
      meaning:
        'How often the keyring is looked at: so long rotated keys take to be used, and destroyed ones to be forgotten.',
      default: '10s',
      min: '100ms',
      max: '1h',
    }),
    keyring_max_tenants: integer({
      meaning:
        'For how many tenants keys are made at most, because whoever can sign for a tool can name tenants; events of further ones get 503.',
      unit: 'tenants',
      default: 10_000,
      min: 1,
      max: 1_000_000,
    }),
  })
}
