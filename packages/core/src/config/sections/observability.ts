import { section } from '../field.ts'
import { boolean, choice, duration, number, text, url } from '../fields.ts'

/** `observability`: metrics, traces, logs. */
export function observabilitySection(production: boolean) {
  return section('Metrics, traces and logs.', {
    metrics: section('Metrics.', {
      enabled: boolean({ meaning: 'Measure, and serve `/metrics`.', default: true }),
      type: choice({ meaning: 'Format.', words: ['prometheus'], default: 'prometheus' }),
      open: boolean({
        meaning:
          'Serve `/metrics`, `/stats` and `/health/webhook` on the port of the gateway too, and without the token.',
        default: !production,
        defaultText: 'true, in production false',
      }),
      push_gateway: url({
        meaning: 'Prometheus Pushgateway that every process pushes its metrics to; null = none.',
        default: null,
        schemes: ['http:', 'https:'],
        example: 'http://prometheus-pushgateway:9091',
        env: 'PROMETHEUS_PUSHGATEWAY',
      }),
      push_interval: duration({
        meaning: 'Pause between two pushes; the last one is made when the process stops.',
        default: '30s',
        min: '1s',
      }),
    }),
    tracing: section('Traces, by OpenTelemetry.', {
      enabled: boolean({ meaning: 'Record and export traces.', default: false }),
      endpoint: url({
        meaning: 'OTLP endpoint of the collector.',
        default: null,
        schemes: ['http:', 'https:'],
        example: 'http://otel-collector:4317',
        env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
      }),
      protocol: choice({
        meaning: 'How the collector is spoken to; auto = gRPC on port 4317, HTTP (protobuf) on any other.',
        words: ['auto', 'grpc', 'http/protobuf'],
        default: 'auto',
        env: 'OTEL_EXPORTER_OTLP_PROTOCOL',
      }),
      service_name: text({
        meaning: 'Name under which the traces appear.',
        default: 'webhook-processor',
        env: 'OTEL_SERVICE_NAME',
      }),
      sampling_rate: number({
        meaning: 'Share of the events that is traced; decided before anything is made for a trace.',
        default: 0.1,
        min: 0,
        max: 1,
        env: 'OTEL_TRACES_SAMPLER_ARG',
      }),
      batch_delay: duration({
        meaning: 'How long finished spans wait for others at most, to leave with them.',
        default: '5s',
        min: '10ms',
        max: '1m',
      }),
      incoming: choice({
        meaning:
          'What becomes of a trace that a sender brings along: link = the event gets a trace of its own, which names it; continue = the event becomes a part of it, and its sender decides whether it is traced, so only where all senders are your own.',
        words: ['link', 'continue'],
        default: 'link',
      }),
    }),
    logging: section('Logs.', {
      level: choice({
        meaning: 'Least important lines that are written.',
        words: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
        default: 'info',
        env: 'LOG_LEVEL',
      }),
      format: choice({
        meaning:
          'Shape of the log lines. Only `json`; for reading, pipe them through a formatter of your choice.',
        words: ['json'],
        default: 'json',
      }),
    }),
  })
}
