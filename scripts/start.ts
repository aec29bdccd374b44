/** `pnpm start`: gateway, consumer and operations API together, with a private Redis where none is given. */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import { watchLaunchers } from './launchers.ts'
import { ledgerExample, shellWord, signedGithubExample } from './stack/examples.ts'
import { ledgerLine, readLedger, shortLedgerLine } from './stack/ledger.ts'
import { addressesOf, appPlans } from './stack/plan.ts'
import { createScreen } from './stack/screen.ts'
import { readStartSettings, type StartSettings } from './stack/settings.ts'
import { type Stack, startStack } from './stack/stack.ts'

/** Pause between two looks at the ledger, ms. */
const LIVE_INTERVAL_MS = 1_000
/**
 * One Ctrl-C can arrive twice, from the terminal and passed on by the package manager; a second press within this
 * time is not meant, ms.
 */
const SAME_PRESS_MS = 400

const root = fileURLToPath(new URL('..', import.meta.url))
const screen = createScreen(
  {
    isTTY: process.stdout.isTTY === true,
    get columns() {
      return process.stdout.columns
    },
    write: (text) => process.stdout.write(text),
  },
  systemClock,
)
const stopping = new AbortController()
let stack: Stack | undefined
let askedAt = 0

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => askToStop(signal))
watchLaunchers(() => askToStop('the package manager was ended'))
// Nobody reads what we write any more (EPIPE): whoever did has gone. Every further line fails in the same way.
process.stdout.on('error', () => {
  if (!stopping.signal.aborted) askToStop('the output was closed')
})

try {
  const settings = await readStartSettings({ env: process.env, root, cwd: process.cwd() })
  for (const notice of settings.notices) screen.say(`note: ${notice}`)
  stack = await startStack({
    dataDirectory: settings.dataDirectory,
    privateRedis: settings.privateRedis,
    apps: appPlans(settings.config, fileURLToPath(new URL('../apps', import.meta.url))),
    env: settings.childEnv,
    say: screen.say,
    signal: stopping.signal,
  })
  screen.say(banner(settings, stack))
  const live = showCounts(settings)
  const gaveUp = await Promise.race([stack.gaveUp, aborted(stopping.signal)])
  if (gaveUp !== undefined) {
    stopping.abort()
    process.exitCode = 1
  }
  await live
  screen.endLive()
  if (gaveUp !== undefined) screen.say(`${gaveUp}: giving up`)
  await stack.stop()
  screen.say('stopped')
} catch (error) {
  screen.endLive()
  if (stopping.signal.aborted) screen.say('stopped')
  else {
    console.error(`weir: ${messageOf(error)}`)
    process.exitCode = 1
  }
}

function askToStop(why: string): void {
  const now = systemClock.monotonic()
  if (!stopping.signal.aborted) {
    askedAt = now
    stopping.abort()
    screen.endLive()
    screen.say(
      `${why}: stopping gateway, consumer, curator, console${stack?.redisUrl ? ', Redis' : ''} (again: at once)`,
    )
  } else if (now - askedAt > SAME_PRESS_MS) {
    stack?.hurry()
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

/** Keeps the live line up to date until the stop. */
async function showCounts({ config }: StartSettings): Promise<void> {
  const { operations } = addressesOf(config)
  while (!stopping.signal.aborted) {
    const answer = await readLedger(operations, config.webhook.ops.token)
    if (stopping.signal.aborted) return
    if (answer.kind === 'counts') screen.live(ledgerLine(answer.counts), shortLedgerLine(answer.counts))
    else screen.live(`no counts: ${answer.why}`)
    await systemClock.wait(LIVE_INTERVAL_MS, stopping.signal)
  }
}

function banner(settings: StartSettings, { redisUrl }: Stack): string {
  const { config, madeSecrets, freshSecrets, dataDirectory } = settings
  const { gateway, operations, consumer, curator } = addressesOf(config)
  const near = relative(process.cwd(), dataDirectory)
  const data = near === '' || near.startsWith('..') ? dataDirectory : near
  const lines = [
    '',
    'weir is ready',
    `  gateway     ${gateway}  (POST /webhooks/<tool>, GET /ready, /metrics)`,
    `  operations  ${operations}  (GET /ledger, /events/<id>, /dlq, with the token)`,
    ...(consumer ? [`  consumer    ${consumer}  (GET /ready, /metrics)`] : []),
    ...(curator ? [`  curator     ${curator}  (GET /ready, /metrics)`] : []),
    redisUrl
      ? `  Redis       ${redisUrl}  (private, every write synced; data in ${data}/redis)`
      : '  Redis       as configured',
    `  logs        ${data}/logs`,
  ]
  const made = Object.entries(madeSecrets)
  if (made.length > 0) {
    lines.push('', `Secrets that were not given, kept in ${data}/secrets.json:`)
    for (const [name, value] of made) {
      lines.push(`  ${name}=${value}${freshSecrets.includes(name) ? '  (new)' : ''}`)
    }
  }
  lines.push(
    '',
    'Send a signed GitHub event:',
    `  ${signedGithubExample(gateway, madeSecrets.GITHUB_WEBHOOK_SECRET)}`,
    'See what became of everything:',
    `  ${ledgerExample(operations, madeSecrets.OPS_TOKEN)}`,
    `  ${process.env.WEIR_DATA_DIR ? `WEIR_DATA_DIR=${shellWord(dataDirectory)} ` : ''}npx --yes pnpm@12 webhook-cli status`,
    '',
    'Ctrl-C stops everything in order.',
    '',
  )
  return lines.join('\n')
}
