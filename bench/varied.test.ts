/** Varied events are to be what another repository would send: the same structure, values of their own. */
import { describe, expect, it } from 'vitest'
import { githubPayloads } from './payloads.ts'
import { createVariedSource } from './varied.ts'

const varied = createVariedSource()
const payloads = githubPayloads()
const numbers = payloads.map((_, i) => i)

/** Member names and kinds of values, in order. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.entries(value).map(([key, member]) => [key, shapeOf(member)])
}

const jsonOf = (example: number, tenant: number, number: number): unknown =>
  JSON.parse(varied.event(example, tenant, number).body.toString())
const hashesIn = (text: string) =>
  new Set(text.match(/\b[0-9a-f]{40}\b/g)?.filter((hash) => !/^0+$/.test(hash)))
const repositoryOf = (json: unknown) =>
  (json as { repository?: { full_name?: string } }).repository?.full_name

describe('varied events', () => {
  it('have the structure of the example that they are made from', () => {
    for (const i of numbers) {
      const original: unknown = JSON.parse(payloads[i]!.body.toString())
      expect(shapeOf(jsonOf(i, 3, i)), payloads[i]!.type).toEqual(shapeOf(original))
    }
  })

  it('are the same bytes for the same tenant and number', () => {
    expect(varied.event(42, 7, 9)).toEqual(createVariedSource().event(42, 7, 9))
  })

  it('share no commit with the example, nor with another event of the tenant', () => {
    for (const i of numbers) {
      const original = hashesIn(payloads[i]!.body.toString())
      const first = hashesIn(varied.event(i, 1, 1).body.toString())
      const second = hashesIn(varied.event(i, 1, 2).body.toString())
      expect([...first].filter((hash) => original.has(hash))).toEqual([])
      expect(first.size).toBe(second.size)
    }
  })

  it('name one repository for each tenant, everywhere', () => {
    const push = payloads.findIndex(({ type }) => type === 'push')
    const release = payloads.findIndex(({ type }) => type === 'release')
    expect(repositoryOf(jsonOf(push, 1, 1))).toBe(repositoryOf(jsonOf(release, 1, 2)))
    expect(repositoryOf(jsonOf(push, 1, 1))).not.toBe(repositoryOf(jsonOf(push, 2, 1)))
    const text = varied.event(push, 1, 1).body.toString()
    expect(text).toContain(`https://api.github.com/repos/${repositoryOf(jsonOf(push, 1, 1))}/forks`)
    expect(text).not.toMatch(/Codertocat|Hello-World/i)
  })

  it('are on average about as long as the examples', () => {
    const bytes = (sum: number, body: Buffer) => sum + body.length
    const original = payloads.map(({ body }) => body).reduce(bytes, 0)
    const other = numbers.map((i) => varied.event(i, i % 50, i).body).reduce(bytes, 0)
    expect(other / original).toBeGreaterThan(0.95)
    expect(other / original).toBeLessThan(1.05)
  })
})
