import { section } from '../field.ts'
import { boolean, choice, duration, headerName, integer, list, networks, size, text } from '../fields.ts'
import { perTool, type Tool } from '../tools.ts'

/** `webhook.ingest`: the gateway, where events come in. */
export function ingestSection() {
  return section('The gateway: where events come in.', {
    host: text({ meaning: 'Address to listen on.', default: '0.0.0.0' }),
    port: integer({ meaning: 'Port; 0 = any free one.', default: 8080, max: 65_535, env: 'PORT' }),
    headers_timeout: duration({
      meaning: 'How long a sender may take for the headers of a request.',
      default: '10s',
    }),
    body_timeout: duration({
      meaning: 'How long a sender may take for the body of a request.',
      default: '10s',
    }),
    max_json_depth: integer({
      meaning: 'Deepest nesting of a JSON body that the gateway reads.',
      unit: 'levels',
      default: 64,
      min: 1,
      max: 1000,
    }),
    max_connections: integer({
      meaning: 'Connections open at once; 0 = no limit.',
      default: 0,
      max: 1_000_000,
    }),
    admission_budget: duration({
      meaning:
        'How long one request may retry an admission whose outcome is unknown (time-out, lost connection) before the spool takes the event.',
      default: '1500ms',
    }),
    max_in_flight: integer({
      meaning: 'Requests waiting for their admission; further ones go to the spool, or get 503.',
      unit: 'requests',
      default: 2000,
      min: 1,
      max: 1_000_000,
    }),
    reoffer_window: duration({
      meaning:
        'How long the gateway remembers accepted events, to offer them again if Redis turns out to have lost them; 0 = off.',
      default: '5s',
      min: '0',
    }),
    reoffer_bytes: size({
      meaning: 'Memory for those events.',
      default: '16MB',
      min: '0',
      max: '1GiB',
    }),
    trusted_proxies: networks({
      meaning:
        'Proxies and load balancers in front of the gateway. What they say in X-Forwarded-For is the address of the sender; nobody else is believed.',
    }),
    shutdown_timeout: duration({
      meaning: 'How long stopping waits for open requests before it cuts them off.',
      default: '10s',
    }),
    lame_duck: duration({
      meaning:
        'How long, of that, connections that senders keep are still answered, which closes them, before idle ones are cut off.',
      default: '1s',
      min: '0s',
    }),
    flood_guard: floodGuardSection(),
    spool: spoolSection(),
  })
}

function floodGuardSection() {
  return section(
    'Floods of badly signed requests: what one address (of IPv6 one /64) may cost in vain. An address over the limit is not shut out, because good senders may share it; its requests are verified at a limited rate.',
    {
      failures: integer({
        meaning:
          'How many requests of one address may be badly signed within `period` before the address is limited; 0 = none ever is.',
        unit: 'requests',
        default: 100,
        max: 10_000,
      }),
      period: duration({ meaning: 'The period in which they are counted.', default: '10s', max: '1h' }),
      block: duration({
        meaning: 'How long an address stays limited after its last badly signed request.',
        default: '10s',
        max: '1h',
      }),
      verifications: integer({
        meaning:
          'Requests of a limited address that are verified; well-signed ones do not count, what is beyond is refused before its body is read.',
        unit: 'per second',
        default: 100,
        min: 1,
        max: 1_000_000,
      }),
      known_verifications: integer({
        meaning:
          'The same for an address that sent well-signed requests in the last day: behind it is a proxy or a load balancer.',
        unit: 'per second',
        default: 5000,
        min: 1,
        max: 1_000_000,
      }),
    },
  )
}

function spoolSection() {
  return section('The local journal that takes events while Redis cannot.', {
    enabled: boolean({
      meaning: 'false = answer 503 when Redis cannot take an event.',
      default: true,
    }),
    for: choice({
      meaning:
        'Whose events it takes: `all`, or `never-retrying` = only those of senders that do not try again by themselves (GitHub); the others get 503.',
      words: ['all', 'never-retrying'],
      default: 'all',
    }),
    directory: text({
      meaning: 'Where it is.',
      default: null,
      defaultText: '`spool` in `webhook.data_dir`',
    }),
    max_bytes: size({
      meaning: 'Size of the whole journal; when it is full, the gateway answers 503.',
      default: '1GiB',
      min: '1MiB',
      max: '1TiB',
    }),
    max_age: duration({
      meaning: 'When its oldest event is older than this, the gateway answers 503. Nothing is deleted.',
      default: '24h',
      max: '365d',
    }),
    segment_bytes: size({
      meaning: 'Size of one file of the journal; a file is deleted when all of it is in the stream.',
      default: '16MiB',
      min: '64KiB',
      max: '1GiB',
    }),
    drain_batch: integer({
      meaning: 'Events brought into the stream at once after an outage.',
      unit: 'events',
      default: 100,
      min: 1,
      max: 10_000,
    }),
    drain_interval: duration({
      meaning: 'Pause between two looks whether Redis is back.',
      default: '250ms',
    }),
  })
}

function toolFields(tool: Tool) {
  return {
    enabled: boolean({
      meaning: 'false = the route of this tool answers 404.',
      default: true,
    }),
    signature: choice({
      meaning:
        'How its requests prove where they come from: `auto` = by the scheme of the tool with its secret (without a secret every request gets 401); `none` = not at all, accepted from loopback only.',
      words: ['auto', 'none'],
      default: 'auto',
      env: `${tool.toUpperCase()}_WEBHOOK_SIGNATURE`,
    }),
    allow_from: networks({
      meaning:
        'Where its requests may come from; others get 403. Empty = from anywhere. scripts/refresh-address-ranges.ts makes the list of a vendor.',
    }),
    content_encodings: list({
      meaning: 'Content-Encodings its requests may have; others get 415.',
      item: 'encodings; the only one is gzip',
      accepts: (item) => item === 'gzip',
    }),
  }
}

/** `webhook.tools`: the senders. */
export function toolsSection() {
  return section('The tools that send events.', {
    ...perTool((tool) => section(`Events of ${tool}.`, toolFields(tool))),
    jira: section('Events of jira.', {
      ...toolFields('jira'),
      connect_issuers: list({
        meaning:
          'Client keys of the sites whose Connect tokens (JWT) are believed; empty = any that knows the secret.',
        item: 'client keys',
        accepts: (item) => /^[!-~]{1,256}$/.test(item),
      }),
      connect_base_path: text({
        meaning: 'Path of the base URL of the Connect app, which its tokens do not sign.',
        default: null,
      }),
    }),
    generic: section('Events of generic senders.', {
      ...toolFields('generic'),
      delivery_id_header: headerName({
        meaning: 'Header with an id of the delivery that stays the same when it is sent again.',
        default: 'X-Webhook-Id',
      }),
    }),
  })
}
