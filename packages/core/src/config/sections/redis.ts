import { section } from '../field.ts'
import { boolean, choice, duration, integer, list, redisName, secret, text, url } from '../fields.ts'

/** host, host:port or [v6]:port. */
function isAddress(text: string): boolean {
  return (
    /^(?:[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/.test(text) && URL.canParse(`redis://${text}`)
  )
}

/** `webhook.redis`: where the streams are, and how they are kept. */
export function redisSection() {
  return section('The Redis server that holds the streams, and how to reach it.', {
    url: url({
      meaning:
        'A standalone Redis server. The number after the last slash is the database. Without any Redis setting, `start` runs a private server instead.',
      default: 'redis://127.0.0.1:6379',
      schemes: ['redis:', 'rediss:'],
      example: 'redis://redis:6379/0',
      env: 'REDIS_URL',
    }),
    addresses: list({
      meaning:
        'Sentinels when `sentinel_enabled`, seed nodes when `cluster_enabled`, otherwise the one server to use in place of `url` (the first address counts).',
      item: 'addresses such as redis-node1:6379',
      accepts: isAddress,
      env: 'REDIS_ADDRESSES',
    }),
    sentinel_enabled: boolean({
      meaning: 'Ask the Sentinels in `addresses` which server is the master.',
      default: false,
      env: 'REDIS_SENTINEL_ENABLED',
    }),
    cluster_enabled: boolean({
      meaning: 'Use a Redis Cluster, found through `addresses`.',
      default: false,
      env: 'REDIS_CLUSTER_ENABLED',
    }),
    master_name: text({
      meaning: 'Name under which the Sentinels know the master.',
      default: null,
      env: 'REDIS_MASTER_NAME',
    }),
    sentinel_username: text({
      meaning: 'ACL user at the Sentinels; null = the default user.',
      default: null,
    }),
    sentinel_password: secret({
      meaning: 'Password at the Sentinels; null = none.',
      env: 'REDIS_SENTINEL_PASSWORD',
    }),
    username: text({ meaning: 'ACL user; null = the default user.', default: null }),
    password: secret({ meaning: 'Password of the user; null = none.', env: 'REDIS_PASSWORD' }),
    tls_enabled: boolean({
      meaning:
        'Speak TLS with Redis, and with the Sentinels. A `rediss://` URL does too. The files below are read for every connection anew.',
      default: false,
      env: 'REDIS_TLS_ENABLED',
    }),
    tls_cert_file: text({
      meaning: 'Client certificate, PEM.',
      default: null,
      env: 'REDIS_TLS_CERT_FILE',
    }),
    tls_key_file: text({ meaning: 'Client key, PEM.', default: null, env: 'REDIS_TLS_KEY_FILE' }),
    tls_ca_file: text({
      meaning: 'Authority that signed the server certificate, PEM; null = the system authorities.',
      default: null,
      env: 'REDIS_TLS_CA_FILE',
    }),
    tls_server_name: text({
      meaning:
        'Name that the server certificates must have; null = the host that is connected to, which Sentinels and Clusters often announce as an IP address.',
      default: null,
    }),
    pool_size: integer({
      meaning: 'Connections in the pool of another runtime. Accepted, no effect here.',
      default: null,
      max: 100_000,
    }),
    min_idle_conns: integer({
      meaning: 'Idle connections in the pool of another runtime. Accepted, no effect here.',
      default: null,
      max: 100_000,
    }),
    max_conn_age: duration({
      meaning: 'Age at which a pool of another runtime renews connections. Accepted, no effect here.',
      default: null,
      min: '0',
    }),
    durability: choice({
      meaning:
        'When an event counts as durable, and may be answered 202: `local` = the master has it, `replica` = all its replicas have it too. See docs/redis.md for what each promises.',
      words: ['local', 'replica'],
      default: 'local',
      env: 'REDIS_DURABILITY',
    }),
    replicas: integer({
      meaning:
        'With `durability: replica`: how many replicas must confirm an event. Give the number that the master has (of a Cluster, each master), as any of them may become the next master; with one away, events wait in the spool.',
      default: 1,
      min: 1,
      max: 100,
      env: 'REDIS_REPLICAS',
    }),
    replica_timeout: duration({
      meaning:
        'How long the replicas may take to confirm, before the outcome counts as unknown; shorter than `command_timeout`.',
      default: '1s',
      min: '10ms',
      env: 'REDIS_REPLICA_TIMEOUT',
    }),
    partitions: integer({
      meaning:
        'Streams the events are spread over, each on the Cluster master that owns its slot; more than one needs `cluster_enabled`. Counts at the very first start; after that `webhook-cli partitions set` changes it, while everything runs.',
      default: 1,
      min: 1,
      max: 1024,
      env: 'REDIS_PARTITIONS',
    }),
    partitions_refresh: duration({
      meaning:
        'How often every process looks whether the number of partitions was changed. Between two looks nothing goes wrong: an event that comes to the wrong partition is sent on.',
      default: '5s',
      min: '100ms',
    }),
    stream: redisName({ meaning: 'Name of the stream.', default: 'webhook-events' }),
    command_timeout: duration({
      meaning:
        'How long one command may wait for its answer. Blocking reads have connections of their own and are exempt.',
      default: '2s',
      min: '50ms',
    }),
    connect_timeout: duration({
      meaning: 'How long one attempt to connect may take.',
      default: '5s',
      min: '50ms',
    }),
    reconnect_max_delay: duration({
      meaning: 'Longest pause between two attempts to reconnect; they never end.',
      default: '1s',
      min: '10ms',
    }),
  })
}
