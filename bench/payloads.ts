/** The GitHub example events of @octokit/webhooks-examples, as a deterministic, endless sequence of deliveries. */
import { createRequire } from 'node:module'

interface Example {
  readonly name: string
  readonly examples: readonly unknown[]
}

export interface Delivery {
  readonly id: string
  readonly type: string
  readonly body: Buffer
}

/** Every example as one payload: type and the bytes of its JSON. */
export function githubPayloads(): { readonly type: string; readonly body: Buffer }[] {
  const all = createRequire(import.meta.url)('@octokit/webhooks-examples') as Example[]
  return all.flatMap(({ name, examples }) =>
    examples.map((example) => ({ type: name, body: Buffer.from(JSON.stringify(example)) })),
  )
}

/** `count` deliveries with ids of their own, walking through the payloads round and round. */
export function* deliveries(count: number, prefix: string): Generator<Delivery> {
  const payloads = githubPayloads()
  for (let i = 0; i < count; i++) {
    const { type, body } = payloads[i % payloads.length]!
    yield { id: `${prefix}-${i}`, type, body }
  }
}
