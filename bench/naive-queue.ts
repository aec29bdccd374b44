/** The queue that people write first: a Redis list of JSON, a key for each delivery that was seen, a counter for each second. */

export const QUEUE = 'queue:webhooks'
/** How long a delivery is known, s. */
export const SEEN_SECONDS = 300

export const seenKey = (id: string): string => `seen:${id}`

/** What is pushed: the body as text within JSON, as it came. */
export function itemOf(id: string, type: string, body: Buffer): string {
  return JSON.stringify({ id, type, body: body.toString() })
}

/** What the worker makes of it. */
export function payloadOf(item: string): unknown {
  const { body } = JSON.parse(item) as { body: string }
  return JSON.parse(body)
}
