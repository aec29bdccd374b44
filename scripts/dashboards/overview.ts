/** Is all well, and if not, where? The objectives first, then the flow, then where events wait. */
import type { DashboardSpec, Rows } from './frame.ts'
import { BREAKER_STATES, figure, graph, note, states, YES_NO } from './panels.ts'
import { BACKLOG_EVENTS, badShare, budgetOf, LATENCY_SECONDS, OBJECTIVES, type Objective } from './slo.ts'

const { availability, errors, latency } = OBJECTIVES
const SLO_HELP = 'Over 30 days, from the recording rules in alerts/slo.yml; Prometheus has to keep that long.'

const budgetLeft = (objective: Objective) => `1 - ${badShare(objective)} / ${budgetOf(objective)}`

const rows: Rows = {
  'Objectives, over 30 days': [
    figure({
      title: 'Availability ≥ 99.9 %',
      help: `Share of the requests that could be taken and were. ${SLO_HELP} Below it, look at the answers with 5xx and at the spools.`,
      unit: 'percentunit',
      decimals: 3,
      queries: { availability: `1 - ${badShare(availability)}` },
      limit: availability.target,
      good: 'high',
      alerts: ['AvailabilityBudgetBurnFast', 'AvailabilityBudgetBurnSlow'],
    }),
    figure({
      title: 'Errors < 0.1 %',
      help: `Share of the events that ended as dead letters. ${SLO_HELP} Above it, see tools and reasons below and in webhook-cli dlq list.`,
      unit: 'percentunit',
      decimals: 3,
      queries: { errors: badShare(errors) },
      limit: budgetOf(errors),
      alerts: ['ErrorBudgetBurnFast', 'ErrorBudgetBurnSlow'],
    }),
    figure({
      title: 'Settled within 1 s ≥ 99 %',
      help: `Share of the events settled within a second of being accepted: p99 < 1 s. ${SLO_HELP} Below it, see webhook-performance.`,
      unit: 'percentunit',
      decimals: 2,
      queries: { latency: `1 - ${badShare(latency)}` },
      limit: latency.target,
      good: 'high',
      alerts: ['LatencyBudgetBurnFast', 'LatencyBudgetBurnSlow'],
    }),
    figure({
      title: 'p99 now < 1 s',
      help: 'From the stream entry to the acknowledgement, last five minutes. Above a second, see which stage takes it in webhook-performance.',
      unit: 's',
      queries: {
        p99: 'histogram_quantile(0.99, sum by (le) (rate(webhook_event_accepted_to_settled_seconds_bucket[5m])))',
      },
      limit: LATENCY_SECONDS,
      alerts: ['LatencyBudgetBurnFast'],
    }),
    figure({
      title: 'Backlog now < 1000',
      help: 'Events accepted and not settled. No data: Redis cannot tell (alert LagUnknown). Above it, see where they wait below.',
      unit: 'short',
      queries: { backlog: 'max(webhook_consumer_lag_messages)' },
      limit: BACKLOG_EVENTS,
      alerts: ['ConsumerLag', 'LagUnknown'],
    }),
    figure({
      title: 'Time with backlog < 1000',
      help: 'Share of the last 30 days in which the backlog was below 1000 events.',
      unit: 'percentunit',
      decimals: 2,
      queries: {
        share: `avg_over_time((max(webhook_consumer_lag_messages) < bool ${BACKLOG_EVENTS})[30d:5m])`,
      },
      limit: 0.999,
      good: 'high',
      alerts: ['ConsumerLag'],
    }),
    graph({
      title: 'Error budget left',
      help: 'Of what may go wrong in 30 days: 100 % at the start, 0 % when it is used up. Near zero, put reliability before features.',
      unit: 'percentunit',
      queries: {
        availability: budgetLeft(availability),
        errors: budgetLeft(errors),
        latency: budgetLeft(latency),
      },
      width: 12,
    }),
    graph({
      title: 'Burn rate over an hour',
      help: 'How many times faster than allowed the budget is used. 14.4 pages: 2 % of the month in an hour.',
      unit: 'short',
      queries: {
        availability: `weir:slo_error_ratio:1h{slo="availability"} / ${budgetOf(availability)}`,
        errors: `weir:slo_error_ratio:1h{slo="errors"} / ${budgetOf(errors)}`,
        latency: `weir:slo_error_ratio:1h{slo="latency"} / ${budgetOf(latency)}`,
      },
      limit: 14.4,
      width: 12,
      alerts: ['AvailabilityBudgetBurnFast', 'ErrorBudgetBurnFast', 'LatencyBudgetBurnFast'],
    }),
  ],
  Flow: [
    graph({
      title: 'Requests by outcome',
      help: 'What became of the requests to known tools. "spooled" means Redis does not take events; "unavailable" means nothing does.',
      unit: 'reqps',
      queries: {
        '{{outcome}}':
          'sum by (outcome) (rate(webhook_events_received_total{tool=~"$tool"}[$__rate_interval]))',
      },
    }),
    graph({
      title: 'Answers by status',
      help: 'HTTP answers of the gateways, of all tools (paths are route patterns). 5xx: see the spools. 401: see webhook-security.',
      unit: 'reqps',
      queries: { '{{status}}': 'sum by (status) (rate(webhooks_received_total[$__rate_interval]))' },
    }),
    graph({
      title: 'Events settled',
      help: 'Events that left the pipeline. Falls behind what is accepted: the backlog grows, add consumers.',
      unit: 'cps',
      queries: {
        '{{tool}} {{outcome}}':
          'sum by (tool, outcome) (rate(webhook_events_settled_total{tool=~"$tool"}[$__rate_interval]))',
      },
    }),
    graph({
      title: 'Events that failed',
      help: 'Events that ended as dead letters, by reason. Above 0.05/s: webhook-cli dlq list, mend, webhook-cli dlq replay.',
      unit: 'cps',
      queries: {
        '{{tool}} {{reason}}':
          'sum by (tool, reason) (rate(webhook_events_failed_total{tool=~"$tool"}[$__rate_interval]))',
      },
      limit: 0.05,
      alerts: ['HighErrorRate'],
    }),
    states({
      title: 'Breakers of the tools',
      help: 'Open: the events of that tool wait. Mend what its handlers call; webhook-cli reset-circuit-breaker tries at once.',
      unit: 'none',
      queries: { '{{tool_id}}': 'max by (tool_id) (webhook_circuit_breaker_state{tool_id=~"$tool"})' },
      states: BREAKER_STATES,
      alerts: ['CircuitBreakerOpen'],
    }),
    graph({
      title: 'Alerts that fire',
      help: 'Alerts of all severities. Each has an entry in the runbook under its name.',
      unit: 'short',
      queries: {
        '{{severity}} {{alertname}}': 'count by (severity, alertname) (ALERTS{alertstate="firing"})',
      },
    }),
  ],
  'Where events wait': [
    graph({
      title: 'Backlog and its parts',
      help: 'Unread: more consumers. Pending: look at handlers. Parked: breakers, retries. Spooled: Redis takes nothing.',
      unit: 'short',
      queries: {
        unread: 'max(webhook_unread_messages)',
        pending: 'max(webhook_pending_messages)',
        parked: 'max(webhook_parked_messages)',
        spooled: 'max(webhook_spooled_events)',
      },
      limit: BACKLOG_EVENTS,
      alerts: ['ConsumerLag', 'SpoolInUse'],
    }),
    graph({
      title: 'Age of the oldest event',
      help: 'An age that grows by a second a second means that something stands still: webhook-cli status names who holds what.',
      unit: 's',
      queries: {
        unread: 'max(webhook_oldest_unread_seconds)',
        pending: 'max(webhook_oldest_pending_seconds)',
        parked: 'max(webhook_oldest_parked_seconds)',
        spooled: 'max(webhook_spool_oldest_age_seconds)',
      },
      alerts: ['ConsumersStalled', 'EventStuck', 'ParkedTooLong', 'SpoolOld'],
    }),
    graph({
      title: 'Backlog by partition',
      help: 'One that is far above the others: its master is slow, or a few subjects send most events (webhook-cli partitions show).',
      unit: 'short',
      queries: { '{{partition}}': 'max by (partition) (webhook_partition_lag_messages)' },
    }),
    graph({
      title: 'Dead letters',
      help: 'Events that wait for a decision: webhook-cli dlq replay or webhook-cli dlq purge.',
      unit: 'short',
      queries: { 'dead letters': 'max(webhook_dead_letters)' },
      alerts: ['DeadLettersGrowing', 'DeadLettersWaiting'],
    }),
    graph({
      title: 'Dead letters by tool',
      help: 'Whose they are: webhook-cli dlq list --tool. Not shown while very many are counted anew.',
      unit: 'short',
      queries: { '{{tool}}': 'max by (tool) (webhook_dead_letters_by_tool{tool=~"$tool"}) > 0' },
    }),
    graph({
      title: 'Age of the oldest dead letter',
      help: 'Over a week old: nobody looks after them.',
      unit: 's',
      queries: { oldest: 'max(webhook_oldest_dead_letter_seconds)' },
      limit: 7 * 86_400,
      alerts: ['DeadLettersOld'],
    }),
    graph({
      title: 'Spools of the gateways',
      help: 'Accepted events on the disks of gateways. Not empty for long: find out why Redis does not take them.',
      unit: 'short',
      queries: { '{{instance}}': 'webhook_spool_records' },
      alerts: ['SpoolInUse', 'SpooledEventsStranded'],
    }),
  ],
  'Nothing is lost': [
    figure({
      title: 'Unaccounted events',
      help: 'Accepted events that are in no place. Anything but 0: webhook-cli audit ledger, now.',
      unit: 'short',
      queries: { unaccounted: 'max(abs(webhook_unaccounted_events))' },
      limit: 1,
      alerts: ['UnaccountedEvents'],
    }),
    figure({
      title: 'Loss witness',
      help: '1: Redis came back without events that it had acknowledged. webhook-cli audit ledger says which.',
      unit: 'short',
      queries: { lost: 'max(webhook_loss_witness)' },
      limit: 1,
      alerts: ['EventsLost'],
    }),
    figure({
      title: 'Losses noticed, 30 days',
      help: 'Times that a gateway saw Redis come back without events. They are offered again; the ledger says what is missing.',
      unit: 'short',
      decimals: 0,
      queries: { losses: 'sum(increase(webhook_loss_detected_total[30d]))' },
      limit: 1,
      alerts: ['EventsLost'],
    }),
    figure({
      title: 'Certificate that ends first',
      help: 'Time until it expires. Under 14 days: renew it.',
      unit: 's',
      queries: { left: 'min(webhook_certificate_expiry_timestamp_seconds) - time()' },
      limit: 14 * 86_400,
      good: 'high',
      alerts: ['CertificateExpiresSoon', 'CertificateExpiresNow'],
    }),
    states({
      title: 'Processes that answer',
      help: 'A scrape that fails: the process is down or hangs, or its metrics are closed to Prometheus.',
      unit: 'none',
      queries: { '{{job}} {{instance}}': 'up{job=~"(weir|webhook).*"}' },
      states: YES_NO,
      alerts: ['JobDown', 'TargetDown', 'TelemetryAbsent'],
    }),
  ],
  Tenants: [
    note(
      'One tenant',
      'Tenants are no label: there are as many as senders name, and each would be a series of every metric.',
      [
        '**No metric has the tenant as a label**: there are as many tenants as senders name, and each would multiply every series. What is',
        'about one tenant, the commands and the operations API answer (tenant: `${tenant}`, chosen at the top):',
        '',
        '```sh',
        'webhook-cli dlq list --tenant ${tenant}',
        'webhook-cli context list --tenant ${tenant}',
        'curl -H "Authorization: Bearer $OPS_TOKEN" "http://localhost:8081/contexts?tenant=${tenant}"',
        '```',
      ].join('\n'),
    ),
  ],
}

export const overview: DashboardSpec = {
  uid: 'weir-webhook-overview',
  title: 'Webhook overview',
  help: 'Is all well, and if not, where? Objectives, flow, where events wait.',
  tenant: true,
  rows,
}
