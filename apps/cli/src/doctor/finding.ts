/** What the doctor finds: one sentence, and what to do where something is wrong. */
import { isFault, messageOf } from '@weir/core/faults'

/** `skip`: it could not be looked at, because of another finding. */
export type Status = 'ok' | 'warn' | 'fail' | 'skip'

export interface Finding {
  /** What was looked at, e.g. `redis eviction`. */
  readonly check: string
  readonly status: Status
  readonly finding: string
  readonly fix: string | null
}

export const ok = (check: string, finding: string): Finding => ({ check, status: 'ok', finding, fix: null })
export const skip = (check: string, finding: string): Finding => ({
  check,
  status: 'skip',
  finding,
  fix: null,
})
export const warn = (check: string, finding: string, fix: string): Finding => ({
  ...{ check, status: 'warn', finding, fix },
})
export const fail = (check: string, finding: string, fix: string): Finding => ({
  ...{ check, status: 'fail', finding, fix },
})

/** Runs one check. What it throws is a finding too: the doctor never stops at the first thing that is broken. */
export async function examined(
  check: string,
  fix: string,
  examine: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await examine()
  } catch (error) {
    const code = isFault(error) ? ` (${error.code})` : ''
    return [fail(check, `${messageOf(error)}${code}`, fix)]
  }
}

/** Shorter ones would make common words disappear; none of them is quoted by anybody. */
const LEAST_SECRET = 6

/** What others say may quote what they were asked with. */
export function withoutSecrets(finding: Finding, secrets: readonly string[]): Finding {
  let text = finding.finding
  for (const secret of secrets) if (secret.length >= LEAST_SECRET) text = text.replaceAll(secret, '***')
  return { ...finding, finding: text }
}
