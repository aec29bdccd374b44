/** The secrets that `start` made for want of given ones, as it keeps them in its data directory. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where `start` keeps them: {"GITHUB_WEBHOOK_SECRET": "…", …}. */
export function madeSecretsFile(dataDirectory: string): string {
  return join(dataDirectory, 'secrets.json')
}

/** The secret of this environment variable; undefined when `start` made none. */
export function madeSecret(dataDirectory: string, variable: string): string | undefined {
  const made = readMade(madeSecretsFile(dataDirectory))[variable]
  return typeof made === 'string' && made !== '' ? made : undefined
}

function readMade(file: string): Readonly<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof found === 'object' && found !== null ? { ...found } : {}
  } catch (error) {
    // Not there, or not ours: then it has no secret for us. A SyntaxError's message would quote it.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}
