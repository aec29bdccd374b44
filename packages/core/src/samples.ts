/**
 * The sample events of examples/events: what `pnpm demo` sends and tests use.
 * Reads files when called; the directory is an argument, because it is not part of this package.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { z } from 'zod'

export interface Sample {
  readonly tool: string
  /** Distinct within the tool, e.g. `pull_request.opened`. */
  readonly name: string
  /** Header names in lower case, in the order to send them. */
  readonly headers: Readonly<Record<string, string>>
  /** The header whose value names the event: give it a new one to send a new event. */
  readonly deliveryIdHeader: string | undefined
  /** The exact bytes to send. */
  readonly body: Buffer
  /** Where the payload comes from, and under which licence. */
  readonly source: { readonly from: string; readonly licence: string }
}

const MANIFEST = z.strictObject({
  sources: z.record(z.string(), z.strictObject({ from: z.string(), licence: z.string() })),
  samples: z.array(
    z.strictObject({
      tool: z.string(),
      name: z.string(),
      file: z.string().regex(/^samples\/[a-z]+\/[\w.-]+\.json$/),
      headers: z.record(z.string().regex(/^[a-z0-9-]+$/), z.string()),
      deliveryIdHeader: z.string().optional(),
      source: z.string(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
})

/**
 * Loads every sample that `index.json` in the directory lists, in that order.
 * Throws an Error that names the file when one is missing, was changed, or has no known source.
 *
 * @param directory URL of examples/events, with a slash at its end
 */
export function loadSamples(directory: URL): Sample[] {
  const manifest = MANIFEST.parse(JSON.parse(readFileSync(new URL('index.json', directory), 'utf8')))
  return manifest.samples.map((entry) => {
    const body = readFileSync(new URL(entry.file, directory))
    const found = createHash('sha256').update(body).digest('hex')
    if (found !== entry.sha256) {
      throw new Error(
        `${entry.file} is not the file that index.json lists (SHA-256 ${found}); restore it from version control, samples are sent byte for byte`,
      )
    }
    const source = manifest.sources[entry.source]
    if (source === undefined) throw new Error(`index.json names no source '${entry.source}' (${entry.file})`)
    return {
      tool: entry.tool,
      name: entry.name,
      headers: entry.headers,
      deliveryIdHeader: entry.deliveryIdHeader,
      body,
      source,
    }
  })
}
