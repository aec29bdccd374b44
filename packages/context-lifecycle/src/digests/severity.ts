/** Senders' words for how bad something is, brought to four. */
import type { Severity } from '../digest.ts'

const WORDS: Readonly<Record<Severity, readonly string[]>> = {
  critical: ['critical', 'crit', 'page', 'emergency', 'fatal', 'disaster', 'blocker', 'sev1', 'p1'],
  error: ['error', 'err', 'high', 'major', 'severe', 'sev2', 'p2'],
  warning: ['warning', 'warn', 'medium', 'moderate', 'minor', 'average', 'sev3', 'p3'],
  info: ['info', 'information', 'informational', 'notice', 'note', 'low', 'none', 'debug'],
}

const SEVERITY_OF: ReadonlyMap<string, Severity> = new Map(
  (Object.keys(WORDS) as Severity[]).flatMap((severity) => WORDS[severity].map((word) => [word, severity])),
)

const ORDER: readonly Severity[] = ['info', 'warning', 'error', 'critical']

export const severityOf = (word: string | undefined): Severity | undefined =>
  word === undefined ? undefined : SEVERITY_OF.get(word.toLowerCase())

export function worst(severities: readonly (Severity | undefined)[]): Severity | undefined {
  let found: Severity | undefined
  for (const severity of severities) {
    if (severity !== undefined && (found === undefined || ORDER.indexOf(severity) > ORDER.indexOf(found)))
      found = severity
  }
  return found
}
