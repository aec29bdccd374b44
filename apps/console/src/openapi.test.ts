import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { contextsOf } from '../../../tests/support/contexts.ts'
import { usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { PROBLEMS } from './problems.ts'
import { useApi } from './server.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const serve = useApi()

/** The API on an empty pipeline. */
async function open() {
  const pipeline = await openPipeline()
  const { contexts } = contextsOf(pipeline)
  return { pipeline, ...(await serve(pipeline.view, { contexts })) }
}

const docs = readFileSync(new URL('../../../docs/operations-api.md', import.meta.url), 'utf8')

interface OpenApi {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}
interface Operation {
  readonly operationId: string
  readonly security?: readonly unknown[]
  readonly parameters?: readonly {
    readonly name: string
    readonly in: string
    readonly required?: boolean
    readonly schema: object
  }[]
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: object }>>
}

describe('GET /openapi.json', () => {
  const operations = async () => {
    const { get } = await open()
    const document = (await get('/openapi.json')).json() as OpenApi
    const all = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    )
    return { document, all }
  }

  it('is OpenAPI 3.1 with a unique operation id, parameters and answers for every route', async () => {
    const { document, all } = await operations()
    expect(document.openapi).toBe('3.1.0')
    expect(document.info.title).toBe('Weir operations API')
    expect(new Set(all.map(({ operation }) => operation.operationId)).size).toBe(all.length)
    for (const { path, operation } of all) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      const named = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
      expect(named.map(({ name }) => name)).toEqual(inPath)
      expect(named.every(({ required }) => required === true)).toBe(true)
      expect(Object.keys(operation.responses)).toContain('200')
      for (const response of Object.values(operation.responses)) expect(response.description).not.toBe('')
    }
  })

  it('says which routes are open', async () => {
    const { all } = await operations()
    const openPaths = all.filter(({ operation }) => operation.security?.length === 0).map(({ path }) => path)
    expect(openPaths.sort()).toEqual(['/health', '/ready'])
  })

  it('names exactly the routes that the page describes', async () => {
    const { all } = await operations()
    const described = [...docs.matchAll(/^### `(GET|POST) (\S+)`$/gm)].map(
      ([, method, path]) => `${method} ${path}`,
    )
    const served = all.map(
      ({ method, path }) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    )
    expect([...served, 'GET /openapi.json'].sort()).toEqual(described.sort())
  })

  it.each([
    ['/dlq', '/dlq'],
    ['/contexts', '/contexts'],
    ['/contexts/:id', '/contexts/{id}'],
    ['/contexts/search', '/contexts/search'],
  ])('names exactly the parameters of %s that the page describes', async (route, path) => {
    const { all } = await operations()
    const { operation } = all.find((each) => each.path === path && each.method === 'get')!
    const from = docs.indexOf(`### \`GET ${route}\``)
    const table = docs.slice(from, docs.indexOf('\n### ', from + 1))
    const rows = [...table.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, names]) =>
      names!.replaceAll('`', '').split(', '),
    )
    const asked = operation.parameters?.filter((parameter) => parameter.in === 'query')
    expect(asked?.map(({ name }) => name).sort()).toEqual(rows.sort())
  })
})

describe('docs/operations-api.md', () => {
  it('lists every problem with its status, and no other', () => {
    const rows = [...docs.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [
      code,
      Number(status),
    ])
    const problems = Object.entries(PROBLEMS).map(([code, { status }]) => [code, status])
    expect(rows).toEqual(problems.sort(([, a], [, b]) => Number(a) - Number(b)))
  })
})
