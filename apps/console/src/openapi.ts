/** What /openapi.json says besides the routes themselves. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { PROBLEMS, type ProblemCode } from './problems.ts'
import { problemSchema } from './schemas.ts'

/** What every route may answer besides its own problems. */
const ALWAYS: readonly ProblemCode[] = ['TOKEN_REQUIRED', 'REDIS_UNAVAILABLE', 'REDIS_UNSUITABLE', 'INTERNAL']

/** Response schemas for these problems, by status. */
export function problemResponses(...codes: ProblemCode[]): Record<number, unknown> {
  const byStatus = new Map<number, ProblemCode[]>()
  for (const code of [...codes, ...ALWAYS]) {
    const { status } = PROBLEMS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `${code}: ${PROBLEMS[code].title}`).join('; '),
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  )
}

export const openapiOptions: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Weir operations API',
      description: 'Where every webhook is, and what operators can do about it.',
      version: '1.0.0',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'The value of OPS_TOKEN.' } },
    },
    security: [{ token: [] }],
    tags: [
      { name: 'events', description: 'Single events' },
      { name: 'contexts', description: 'What happened around a pull request, a ticket, an alert' },
      { name: 'pipeline', description: 'All of them' },
      { name: 'dead letters', description: 'Events that failed for good' },
      { name: 'probes', description: 'For load balancers and orchestrators' },
    ],
  },
}
