/** The rate limits that the configuration asks for. The gateway counts against these; a test holds them equal. */
import { createHash } from 'node:crypto'
import type { RateLimit } from '../stream/limits.ts'
import type { Config } from './schema.ts'
import type { Tool } from './tools.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60_000

export interface ConfiguredLimits {
  /** undefined = there is none. */
  readonly global: RateLimit | undefined
  tool(tool: Tool): RateLimit | undefined
  tenant(tenant: string): RateLimit | undefined
  /** @param address in its one spelling */
  address(address: string): RateLimit | undefined
  /** By what is counted in Redis: of an address that is a hash. */
  named(type: string, name: string): RateLimit | undefined
}

export function configuredLimits({ webhook: { security } }: Config): ConfiguredLimits {
  const { enable_rate_limiting: enabled, global_rate_limit: all, rate_limit_rpm: perMinute } = security
  const limitOf = (type: RateLimit['type'], name: string, limit: number, periodMs: number) =>
    enabled && limit > 0 ? { type, name, limit, periodMs } : undefined
  const tool = (name: Tool) => limitOf('tool', name, security.per_tool_rate_limits[name], SECOND_MS)
  const tenant = (name: string) => limitOf('tenant', name, perMinute, MINUTE_MS)
  const hashed = (name: string) => limitOf('ip', name, perMinute, MINUTE_MS)
  const global = limitOf('global', 'all', all, SECOND_MS)
  return {
    global,
    tool,
    tenant,
    address: (address) => hashed(createHash('sha256').update(address).digest('hex').slice(0, 16)),
    named(type, name) {
      if (type === 'global') return name === 'all' ? global : undefined
      if (type === 'tool') return name in security.per_tool_rate_limits ? tool(name as Tool) : undefined
      if (type === 'tenant') return tenant(name)
      return type === 'ip' ? hashed(name) : undefined
    },
  }
}
