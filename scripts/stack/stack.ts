/**
 * Everything that `pnpm start` runs: a private Redis where none is given, and the apps as child processes, kept
 * running, and stopped in the order in which nothing is lost:
 *
 *   gateway (takes nothing new, syncs its spool) → consumer (finishes what it holds) → console → Redis
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from '@weir/core/clock'
import { isPortFree } from '../free-port.ts'
import { type RedisServer, startRedis } from '../private-redis.ts'
import { type RunFiles, runFiles } from '../run-files.ts'
import { type AppPlan, askReady, launchApp } from './app-process.ts'
import { type LogFile, openLogFile } from './log-file.ts'
import { type Running, type Supervised, supervise } from './supervise.ts'

/** How long all of it may take until it is ready, ms. */
const READY_TIMEOUT_MS = 60_000
const READY_POLL_MS = 50
/** How long a process that an earlier start left behind may take to end, ms. */
const LEFTOVER_GRACE_MS = 10_000
/** Added to an app's own time for stopping before it is killed, ms. */
const KILL_MARGIN_MS = 5_000
const REDIS = 'redis'

export interface StackPlan {
  /** Absolute; holds redis/, logs/ and run/. */
  readonly dataDirectory: string
  readonly privateRedis: boolean
  /** In the order of starting and stopping. */
  readonly apps: readonly AppPlan[]
  /** The environment of the apps; REDIS_URL of the private Redis is added. */
  readonly env: Readonly<Record<string, string>>
  /** Shows a line to the user. */
  readonly say: (line: string) => void
  /** Aborts the start. */
  readonly signal?: AbortSignal
  readonly clock?: Clock
}

export interface Stack {
  /** Of the private Redis; undefined when there is none. */
  readonly redisUrl: string | undefined
  /** Resolves with the reason when a process ends so often that it is given up. */
  readonly gaveUp: Promise<string>
  /** Stops everything in order. Harmless when repeated. */
  stop(): Promise<void>
  /** Kills the apps that still hold up `stop`. Redis is not killed: it has nothing to wait for. */
  hurry(): void
}

interface Member {
  readonly name: string
  readonly graceMs: number
  readonly process: Supervised
}

/** Starts everything and resolves when all of it is ready; else stops what runs and rejects with the reason. */
export async function startStack(plan: StackPlan): Promise<Stack> {
  const { dataDirectory, say, clock = systemClock } = plan
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 })
  const files = runFiles(join(dataDirectory, 'run'))
  const holder = files.claim('start', process.pid)
  if (holder) {
    throw new Error(
      `${dataDirectory} is in use by process ${holder.pid}. Stop that one, or set WEIR_DATA_DIR to another directory`,
    )
  }

  const logs: LogFile[] = []
  const apps: Member[] = []
  let redis: Member | undefined
  const phase = { starting: true, hurried: false }
  const startFailed = Promise.withResolvers<string>()
  const givenUp = Promise.withResolvers<string>()

  const openLog = (name: string): LogFile => {
    const log = openLogFile(logPath(dataDirectory, name))
    logs.push(log)
    return log
  }
  const keep = async (
    name: string,
    graceMs: number,
    launch: () => Promise<Running>,
    port?: number,
  ): Promise<Member> => {
    const process = await supervise({
      async launch() {
        const running = await launch()
        files.write(name, running.pid, port)
        return running
      },
      clock,
      onDeath(how, pauseMs) {
        const where = logPath(dataDirectory, name)
        if (phase.starting) startFailed.resolve(`${name} ended while starting (${how}); see ${where}`)
        else say(`${name} ended (${how}); starting it again in ${pauseMs / 1000} s`)
      },
      onRestart: (running) => say(`${name} runs again (process ${running.pid})`),
      onGivenUp: (how) => givenUp.resolve(`${name} ended five times within a minute (last: ${how})`),
    })
    return { name, graceMs, process }
  }

  let stopped: Promise<void> | undefined
  const stopAll = async (): Promise<void> => {
    for (const { name, graceMs, process } of apps) {
      if (phase.hurried) process.kill()
      await process.stop(graceMs)
      files.remove(name)
    }
    await redis?.process.stop(redis.graceMs)
    files.remove(REDIS)
    await Promise.all(logs.map((log) => log.close()))
    files.remove('start')
  }
  const stop = (): Promise<void> => {
    stopped ??= stopAll()
    return stopped
  }

  try {
    await endLeftovers(files, plan)
    await refuseTakenPorts(plan.apps)
    const env = { ...plan.env }
    let server: RedisServer | undefined
    if (plan.privateRedis) {
      server = await startKeptRedis(dataDirectory, openLog(REDIS))
      env.REDIS_URL = server.url
      redis = await keep(REDIS, LEFTOVER_GRACE_MS, redisLauncher(server), server.port)
    }
    for (const app of plan.apps) {
      const log = openLog(app.name)
      const launch = async () => launchApp(app, env, log, say, clock)
      apps.push(await keep(app.name, app.shutdownMs + KILL_MARGIN_MS, launch))
    }
    const stopAsking = new AbortController()
    const signal = AbortSignal.any(plan.signal ? [plan.signal, stopAsking.signal] : [stopAsking.signal])
    const failure = await Promise.race([startFailed.promise, allReady(plan.apps, clock, signal)])
    stopAsking.abort()
    if (failure !== undefined) throw new Error(failure)
    phase.starting = false
    return {
      redisUrl: server?.url,
      gaveUp: givenUp.promise,
      stop,
      hurry() {
        phase.hurried = true
        for (const { process } of apps) process.kill()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function logPath(dataDirectory: string, name: string): string {
  return join(dataDirectory, 'logs', `${name}.log`)
}

/** Ends what a killed start left behind: its Redis would hold our data, its apps our ports. */
async function endLeftovers(files: RunFiles, plan: StackPlan): Promise<void> {
  for (const name of [...plan.apps.map((app) => app.name), REDIS]) {
    if (await files.endLeftover(name, LEFTOVER_GRACE_MS))
      plan.say(`stopped the ${name} that an earlier start left behind`)
  }
}

async function refuseTakenPorts(apps: readonly AppPlan[]): Promise<void> {
  for (const { name, ports } of apps) {
    for (const { port, choose } of ports) {
      if (port !== 0 && !(await isPortFree(port))) {
        throw new Error(`port ${port}, which the ${name} wants, is taken by another program. ${choose}`)
      }
    }
  }
}

/** With its data of last time, and on its port of last time if that is still free: people wrote that down. */
async function startKeptRedis(dataDirectory: string, log: LogFile): Promise<RedisServer> {
  const directory = join(dataDirectory, REDIS)
  const portFile = join(directory, 'last-port')
  const options = { directory, onLog: (line: string) => log.write(line) }
  const last = existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : 0
  const port = Number.isInteger(last) && last > 0 && last < 65_536 && (await isPortFree(last)) ? last : 0
  const server = await startRedis({ ...options, port })
  writeFileSync(portFile, String(server.port))
  return server
}

/** The server runs already when it is launched the first time. */
function redisLauncher(server: RedisServer): () => Promise<Running> {
  return async () => {
    if (!server.running) await server.restart()
    return {
      pid: server.pid,
      exit: server.exit,
      async end() {
        await server.stop()
        return server.exit
      },
      kill: () => void server.kill('SIGKILL'),
    }
  }
}

/** Undefined when all are ready, else what is in the way. */
async function allReady(
  apps: readonly AppPlan[],
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const deadline = clock.monotonic() + READY_TIMEOUT_MS
  for (const { name, ready } of apps) {
    if (!ready) continue
    for (;;) {
      const obstacle = await askReady(ready)
      if (signal.aborted) return 'stopped while starting'
      if (obstacle === undefined) break
      if (clock.monotonic() > deadline) {
        return `${name} is not ready after ${READY_TIMEOUT_MS / 1000} s: ${obstacle}`
      }
      await clock.wait(READY_POLL_MS, signal)
    }
  }
  return undefined
}
