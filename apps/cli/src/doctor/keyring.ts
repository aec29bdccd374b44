/** Can what is encrypted be read here, and can new events be encrypted? */
import type { Config } from '@weir/core/config/schema'
import { messageOf } from '@weir/core/faults'
import { standingOf, withKeyring } from '../keyring.ts'
import { counted } from '../text.ts'
import { type Finding, fail, ok } from './finding.ts'

const CHECK = 'keyring'
const MASTER =
  'set ENCRYPTION_MASTER_KEY to the one that was used before (ENCRYPTION_PREVIOUS_MASTER_KEYS after a change)'

export async function examineKeyring(config: Config): Promise<Finding[]> {
  const { encryption_enabled: enabled, encryption_master_key: master } = config.webhook.security
  if (enabled && master === null)
    return [
      fail(
        CHECK,
        'encryption is on, and there is no master key: gateways take no events',
        'set ENCRYPTION_MASTER_KEY to what `openssl rand -base64 48` makes, for every process',
      ),
    ]
  return withKeyring(config, async ({ store, cipher, stored }) => {
    const standings = [...stored.tenants.values()].map((entry) => standingOf(entry, cipher))
    const findings: Finding[] = []
    for (const { tenant, closed } of standings)
      if (closed)
        findings.push(fail(CHECK, `none of the keys of tenant ${tenant} can be derived here`, MASTER))
    for (const { tenant, keys } of standings)
      if (keys.some(({ damaged }) => damaged))
        findings.push(
          fail(
            CHECK,
            `a key of tenant ${tenant} is damaged`,
            'put its entry back from a copy of the keyring (docs/encryption.md)',
          ),
        )
    for (const [tenant, fault] of stored.damaged)
      findings.push(
        fail(
          CHECK,
          `the entry of tenant ${tenant} is damaged: ${messageOf(fault)}`,
          'put it back from a copy of the keyring (docs/encryption.md)',
        ),
      )
    if (findings.length > 0) return findings
    const state = enabled ? 'new events are encrypted' : 'new events are not encrypted'
    return [ok(CHECK, `${store.place}: keys of ${counted(standings.length, 'tenant')}, all usable; ${state}`)]
  })
}
