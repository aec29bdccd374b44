/** Whoever is paged follows a link into the runbook: it ends where that alert is explained. */
import { describe, expect, it } from 'vitest'
import { alerts, readText } from '../support/monitoring.ts'

const PAGE = 'docs/runbooks/webhook-ops.md'
/** As a page makes an anchor of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .trim()
    .replaceAll(/\s/g, '-')

const page = readText(PAGE)
const headings = [...page.matchAll(/^#{2,3} (.+)$/gm)].map(([, heading]) => heading as string)
const anchors = new Set(headings.map(anchorOf))
/** Of an entry: what stands below its heading. */
const entryOf = (alert: string) => page.split(new RegExp(`^### ${alert}$`, 'm'))[1]?.split(/^#/m)[0] ?? ''

describe(PAGE, () => {
  it.each(alerts().map(({ alert, annotations }) => ({ alert, url: annotations.runbook_url ?? '' })))(
    'has an entry for $alert, where its link leads, that says what to do',
    ({ alert, url }) => {
      expect(url).toBe(`${PAGE}#${anchorOf(alert)}`)
      expect(headings).toContain(alert)
      expect(entryOf(alert)).toMatch(/\*\*Do\*\*|\bAs \[|The same|[Aa]s above/)
    },
  )

  it('explains no alert that there is not', () => {
    const names = new Set(alerts().map(({ alert }) => alert))
    const explained = page.split(/^## Procedures$/m)[0]?.matchAll(/^### (.+)$/gm) ?? []
    expect([...explained].map(([, name]) => name).filter((name) => !names.has(name ?? ''))).toEqual([])
  })

  it('leads nowhere but to its own headings', () => {
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor as string)
    expect(links.length).toBeGreaterThan(10)
    expect(links.filter((anchor) => !anchors.has(anchor))).toEqual([])
  })
})
