/** The deliveries of a load test: bundled events, each a new one for the gateway, signed as its sender would sign it. */
import { randomUUID } from 'node:crypto'
import { GENERIC_DELIVERY_ID_HEADER } from '@weir/core/adapters/generic'
import { ADAPTERS } from '@weir/core/adapters/table'
import { loadSamples, type Sample } from '@weir/core/samples'
import { sign } from '@weir/security/schemes'
import { GENERIC_SAMPLE } from '../stack/samples.ts'
import { UsageError } from './options.ts'

export interface Delivery {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/**
 * Makes the nth delivery; the tool's samples in turn.
 * @param secret undefined = unsigned
 * Throws UsageError for a tool of which no event is bundled.
 */
export function deliveriesOf(
  tool: string,
  samples: URL,
  secret: string | undefined,
  now: () => number,
): (n: number) => Delivery {
  const bundled: readonly (Pick<Sample, 'headers' | 'body'> & {
    readonly deliveryIdHeader?: string | undefined
  })[] =
    tool === 'generic'
      ? [{ ...GENERIC_SAMPLE, deliveryIdHeader: GENERIC_DELIVERY_ID_HEADER }]
      : loadSamples(samples).filter((sample) => sample.tool === tool)
  if (bundled.length === 0)
    throw new UsageError(
      `--tool ${tool}: no events of it are bundled; there are github, jira, gitlab, alertmanager, generic`,
    )
  const scheme = ADAPTERS.get(tool)?.signature
  const key = secret === undefined ? undefined : Buffer.from(secret)
  const run = randomUUID()
  return (n) => {
    const sample = bundled[n % bundled.length] as (typeof bundled)[number]
    const { deliveryIdHeader } = sample
    const deliveryId = randomUUID()
    // Alertmanager names no delivery: what tells its notifications apart is in the body.
    const body = deliveryIdHeader === undefined ? ofAnotherGroup(sample.body, `${run}-${n}`) : sample.body
    const headers = {
      ...sample.headers,
      ...(deliveryIdHeader !== undefined && { [deliveryIdHeader]: deliveryId }),
    }
    if (key === undefined || scheme === undefined) return { headers, body }
    const timestampSeconds = Math.floor(now() / 1000)
    return { headers: { ...headers, ...sign(scheme, key, body, { timestampSeconds, deliveryId }) }, body }
  }
}

function ofAnotherGroup(body: Buffer, group: string): Buffer {
  const notification = JSON.parse(body.toString()) as { groupKey: string }
  return Buffer.from(
    JSON.stringify({ ...notification, groupKey: `${notification.groupKey}:{load="${group}"}` }),
  )
}
