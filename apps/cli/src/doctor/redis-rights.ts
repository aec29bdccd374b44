/** May this user do what Weir's processes do? Each right is tried with a command that changes nothing. */
import type { Config } from '@weir/core/config/schema'
import { isFault } from '@weir/core/faults'
import type { Partition } from '@weir/core/partition'
import type { RedisArg } from '@weir/core/redis/link'
import { type Finding, fail, ok } from './finding.ts'

/** The rule of docs/redis.md, with the names of this configuration. */
const ruleOf = (stream: string, cluster: boolean) =>
  `ACL SETUSER <user> ~${stream}* ~{${stream}}* +@all -@admin -@dangerous +info +role +config|get +client|list +client|kill +client|unblock${cluster ? ' +cluster|slots' : ''} (docs/redis.md)`

export async function examineRights(
  { link, keys }: Partition,
  { stream, cluster_enabled: cluster }: Config['webhook']['redis'],
): Promise<Finding[]> {
  // A key of ours that is never made.
  const nowhere = `${keys.limits}:doctor`
  const tries: readonly (readonly [string, ...RedisArg[]])[] = [
    ['XDEL', keys.stream, '0-1'],
    ['XDEL', keys.deadLetters, '0-1'],
    ['XADD', nowhere, 'NOMKSTREAM', '*', 'a', 'b'],
    ['XTRIM', nowhere, 'MAXLEN', 1],
    ['XRANGE', nowhere, '-', '+', 'COUNT', 1],
    ['HDEL', nowhere, 'a'],
    ['HGETALL', nowhere],
    ['ZREM', nowhere, 'a'],
    ['SREM', nowhere, 'a'],
    ['SET', nowhere, 'a', 'XX'],
    ['DEL', nowhere],
    ['PEXPIRE', nowhere, 1],
    ['EVAL', 'return 1', 1, nowhere],
    ['SCRIPT', 'EXISTS', '0000000000000000000000000000000000000000'],
    ['SCAN', 0, 'MATCH', nowhere, 'COUNT', 1],
    ['WAIT', 0, 1],
    ['ROLE'],
    ['INFO', 'server'],
    ['CONFIG', 'GET', 'appendfsync'],
    ['CLIENT', 'LIST'],
    ...(cluster ? [['CLUSTER', 'SLOTS'] as const] : []),
  ]
  // Subcommands, and the keys that are there, tell which right it is; the rest is filling.
  const isTelling = (command: string, arg: string) =>
    ['SCRIPT', 'CONFIG', 'CLIENT', 'CLUSTER'].includes(command)
      ? /^[A-Z]+$/.test(arg)
      : arg === keys.stream || arg === keys.deadLetters
  const missing: string[] = []
  for (const [command, ...args] of tries) {
    try {
      await link.call(command, ...args)
    } catch (error) {
      if (!isFault(error, 'REDIS_UNSUITABLE')) throw error
      missing.push([command, ...args.filter((arg) => isTelling(command, String(arg)))].join(' '))
    }
  }
  const check = 'redis rights'
  if (missing.length === 0) return [ok(check, 'the user may do all that Weir does')]
  return [fail(check, `the user may not: ${missing.join(', ')}`, ruleOf(stream, cluster))]
}
