/** The scripts of the Redis manifests, run as processes on this machine: one port for each pod, one directory for each volume. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import { ensureRedisBinary } from '../../scripts/redis-binary.ts'
import { root, type TestProcess } from '../support/process.ts'
import { useProcesses } from '../support/use-processes.ts'
import { manifestsOf } from './kustomize.ts'

const PASSWORD = 'Password-for.tests+/=~_1'

export interface Pod {
  /** host:port, as in the manifests. */
  readonly place: string
  /** Its volume. */
  readonly data: string
  process: TestProcess | undefined
  /** Starts it, or starts it again on the same volume. */
  start(): TestProcess
  /** One command; its answer as redis-cli prints it. */
  ask(...command: string[]): string
}

export interface RedisPods {
  /** A consumer of Weir's that connects as the pods of Weir do; resolves when it is ready. `env` says where Redis is. */
  connectWeir(env: Record<string, string>): Promise<TestProcess>
  /** Pods of the StatefulSet `name`, none of them started. `env` is what differs from pod to pod. */
  make(
    count: number,
    script: string,
    env: (at: number, places: readonly string[]) => Record<string, string>,
  ): Promise<Pod[]>
  /** Runs a script of the config map to its end. */
  run(script: string, env: Record<string, string>, args?: readonly string[]): TestProcess
}

/** Scripts and settings are those of the config map in `file`, certificates those of scripts/generate-redis-certs.sh. */
export function useRedisPods(file: string): RedisPods {
  const processes = useProcesses()
  const directory = mkdtempSync(join(tmpdir(), 'weir-redis-pods-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const config = join(directory, 'config')
  const certs = join(directory, 'certs')
  mkdirSync(config)
  const [map] = manifestsOf(readFileSync(join(root, file), 'utf8')).filter(({ kind }) => kind === 'ConfigMap')
  for (const [name, text] of Object.entries<string>(map.data)) writeFileSync(join(config, name), text)
  const made = spawnSync(join(root, 'scripts/generate-redis-certs.sh'), ['--dir', certs], {
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(made.stderr)
  const common = {
    PATH: `${dirname(ensureRedisBinary())}${delimiter}${process.env.PATH ?? ''}`,
    REDIS_PASSWORD: PASSWORD,
    CERTS: certs,
    CONFIG: config,
  }
  const run = (script: string, env: Record<string, string>, args: readonly string[] = []) =>
    processes.run('sh', { args: [join(config, script), ...args], env: { ...common, ...env }, cwd: directory })

  return {
    run,
    async connectWeir(env) {
      const port = await freePort()
      const file = join(directory, 'weir.yaml')
      writeFileSync(file, `webhook: { consumer: { ops_port: ${port} } }`)
      const consumer = processes.start('apps/consumer/src/main.ts', {
        cwd: directory,
        env: {
          NODE_ENV: 'production',
          CONFIG_FILE: file,
          WEIR_DATA_DIR: directory,
          OPS_TOKEN: 'token',
          REDIS_PASSWORD: PASSWORD,
          REDIS_SENTINEL_PASSWORD: PASSWORD,
          REDIS_TLS_ENABLED: 'true',
          REDIS_TLS_CA_FILE: join(certs, 'ca.crt'),
          REDIS_TLS_CERT_FILE: join(certs, 'client.crt'),
          REDIS_TLS_KEY_FILE: join(certs, 'client.key'),
          ...env,
        },
      })
      await consumer.waitForHttp(`http://127.0.0.1:${port}/ready`)
      return consumer
    },
    async make(count, script, env) {
      const places: string[] = []
      for (let at = 0; at < count; at++) places.push(`localhost:${await freePort()}`)
      return places.map((place, at) => {
        const data = join(directory, place)
        mkdirSync(data)
        const pod: Pod = {
          place,
          data,
          process: undefined,
          start() {
            pod.process = run(script, { ...env(at, places), SELF: place, DATA: data })
            return pod.process
          },
          ask(...command) {
            const tls = [
              '--tls',
              '--cacert',
              `${certs}/ca.crt`,
              '--cert',
              `${certs}/client.crt`,
              '--key',
              `${certs}/client.key`,
            ]
            const where = ['-h', 'localhost', '-p', place.split(':')[1] as string, '--raw']
            const { stdout } = spawnSync('redis-cli', [...tls, ...where, ...command], {
              encoding: 'utf8',
              env: { ...common, REDISCLI_AUTH: PASSWORD },
            })
            return stdout.trim()
          },
        }
        return pod
      })
    },
  }
}
