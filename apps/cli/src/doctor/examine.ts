/** Looks at everything that Weir stands on, one after the other, and goes on whatever it finds. */
import { resolve } from 'node:path'
import { secretsIn } from '@weir/core/config/describe'
import type { LoadedConfig } from '@weir/core/config/load'
import { redisPlace } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { isFault, messageOf } from '@weir/core/faults'
import { connectPartition, type Partition } from '@weir/core/partition'
import { openPipelineView } from '@weir/core/pipeline-view'
import { SINGLE_PLAN } from '@weir/core/plan'
import { placeText } from '@weir/core/redis/place'
import { readPlan } from '@weir/core/stream/plans'
import { pipelineViewOptions } from '@weir/core/view/options'
import type { GlobalOptions } from '../global-options.ts'
import type { Io } from '../io.ts'
import { madeSecret } from '../made-secrets.ts'
import { CONNECT_LIMIT_MS, connected, loadForCommand, loadForServers, useStarted } from '../session.ts'
import { ageText } from '../text.ts'
import { examined, type Finding, fail, ok, skip, warn, withoutSecrets } from './finding.ts'
import type { Part } from './parts.ts'

export async function examine(
  globals: GlobalOptions,
  io: Io,
  without: ReadonlySet<Part>,
): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  if (!without.has('config')) findings.push(...(await examineConfig(globals, io)))
  let loaded: LoadedConfig
  try {
    loaded = await loadForCommand(globals, io)
  } catch (error) {
    if (!isFault(error, 'CONFIG_INVALID')) throw error
    const why = 'not looked at: the configuration has to be right first'
    return without.has('config')
      ? [...problemsOf(error), skip('everything else', why)]
      : [...findings, skip('everything else', why)]
  }
  const { config } = loaded
  const found: Finding[] = []
  const dataDirectory = resolve(io.cwd, config.webhook.data_dir)
  useStarted(loaded, dataDirectory)
  // Read against this directory by the apps; a command may be run in any.
  config.webhook.data_dir = dataDirectory

  const peers: string[] = []
  if (!without.has('redis') || !without.has('pipeline'))
    found.push(...(await examineRedis(config, io, without, (peer) => peers.push(peer))))
  if (!without.has('secrets')) {
    const { examineSecrets } = await import('./secrets.ts')
    const made = (variable: string) => madeSecret(dataDirectory, variable)
    found.push(...(await examined('secrets', 'correct the setting', () => examineSecrets(config, made))))
  }
  if (!without.has('keyring')) {
    const { examineKeyring } = await import('./keyring.ts')
    const fix = 'check WEBHOOK_KEYRING_DIRECTORY or WEBHOOK_KEYRING_URL, and ENCRYPTION_MASTER_KEY'
    found.push(...(await examined('keyring', fix, () => examineKeyring(config))))
  }
  if (!without.has('cold')) {
    const { COLD_FIX, examineCold } = await import('./cold.ts')
    found.push(...(await examined('cold storage', COLD_FIX, () => examineCold(config, io.clock))))
  }
  if (!without.has('ai')) {
    const { AI_FIX, examineAi } = await import('./ai.ts')
    found.push(...(await examined('ai provider', AI_FIX, () => examineAi(config, io.clock))))
  }
  if (!without.has('certificates')) {
    const { examineCertificates } = await import('./certificates.ts')
    const look = () => examineCertificates(config, [...new Set(peers)], io.clock.now())
    found.push(...(await examined('certificates', 'correct the setting', look)))
  }
  const secrets = secretsIn(config)
  return [...findings, ...found.map((each) => withoutSecrets(each, secrets))]
}

async function examineConfig(globals: GlobalOptions, io: Io): Promise<Finding[]> {
  try {
    const { file, notices, config } = await loadForServers(globals, io)
    const kind = config.production ? 'production' : 'not production'
    const from = file ?? 'no file, the environment and the defaults'
    return [
      ok('configuration', `${from}: right (${kind})`),
      ...notices.map((notice) =>
        warn('configuration', notice, 'webhook-cli config show tells where it is set'),
      ),
    ]
  } catch (error) {
    if (!isFault(error, 'CONFIG_INVALID')) throw error
    return problemsOf(error)
  }
}

function problemsOf(error: Error): Finding[] {
  const [head = '', ...lines] = error.message.split('\n')
  const problems = lines.length === 0 ? [head] : lines.map((line) => line.replace(/^\s*- /, ''))
  return problems.map((problem) =>
    fail('configuration', problem, 'correct it; the apps do not start with it'),
  )
}

/** Connects to every master there is, and looks at each; then at what is in it. */
async function examineRedis(
  config: Config,
  io: Io,
  without: ReadonlySet<Part>,
  onPeer: (peer: string) => void,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const partitions: Partition[] = []
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined) // looked at only while connecting
  const connect = (partition: number): void => {
    partitions.push(
      connectPartition(config, partition, `webhook-cli:${process.pid}-doctor`, { onError: failed.reject }),
    )
  }
  const shown = placeText(redisPlace(config))
  try {
    const before = io.clock.monotonic()
    connect(0)
    await connected(partitions, failed.promise, io.signal)
    findings.push(ok('redis', `${shown} answers (connected in ${ageText(io.clock.monotonic() - before)})`))
  } catch (error) {
    await Promise.all(partitions.map(({ link }) => link.close()))
    const fix = `check REDIS_URL, REDIS_ADDRESSES or --redis-url, REDIS_PASSWORD, and that it runs (waited ${CONNECT_LIMIT_MS / 1000} s at most)`
    return [
      fail('redis', `${shown} cannot be used: ${messageOf(error)}`, fix),
      skip('pipeline', 'not looked at: Redis has to answer first'),
    ]
  }
  const fix = 'see what Redis says in its log; docs/redis.md has what Weir needs of it'
  try {
    const server = await import('./redis-server.ts')
    const depsOf = ({ link }: Partition, label: string) => ({ config, link, now: io.clock.now, label })
    const first = partitions[0] as Partition
    const version = await examined('redis version', fix, async () => {
      const { finding, usable } = await server.examineVersion(depsOf(first, ''))
      return usable
        ? [finding]
        : [finding, skip('pipeline', 'not looked at: this Redis is too old to be asked')]
    })
    if (!without.has('redis') || version.some(({ status }) => status === 'fail')) findings.push(...version)
    if (version.some(({ status }) => status === 'fail')) return findings

    const { cluster_enabled: several, partitions: configured } = config.webhook.redis
    const plan = several ? await readPlan(first) : SINGLE_PLAN
    for (let each = 1; each < (plan?.highest ?? configured); each++) connect(each)
    await connected(partitions, failed.promise, io.signal)
    for (const { link } of partitions) onPeer(link.peer)
    if (!without.has('redis')) {
      const masters = new Map(partitions.map((partition) => [partition.link.peer, partition]))
      for (const [peer, partition] of masters) {
        const deps = depsOf(partition, masters.size > 1 ? ` ${peer}` : '')
        findings.push(...(await examined('redis', fix, () => server.examineServer(deps))))
      }
      const { examineRights } = await import('./redis-rights.ts')
      findings.push(
        ...(await examined('redis rights', fix, () => examineRights(first, config.webhook.redis))),
      )
    }
    if (!without.has('pipeline')) {
      const { examinePipeline } = await import('./pipeline.ts')
      const view = openPipelineView({
        ...pipelineViewOptions(config, partitions, io.clock, undefined),
        plan: () => plan,
      })
      findings.push(...(await examined('pipeline', fix, () => examinePipeline(partitions, view))))
    }
    return findings
  } catch (error) {
    return [...findings, fail('redis', messageOf(error), fix)]
  } finally {
    await Promise.all(partitions.map(({ link }) => link.close()))
  }
}
