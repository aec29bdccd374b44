/** What all dashboards have in common: where their numbers come from, the choices at the top, the links between them. */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  type DashboardLink,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DATASOURCE } from './panels.ts'

/** By the heading of each row. */
export type Rows = Readonly<Record<string, readonly Builder<Panel>[]>>

export interface DashboardSpec {
  readonly uid: string
  readonly title: string
  /** The question that it answers. */
  readonly help: string
  readonly rows: Rows
  /** Whether a tenant can be named at the top, for the commands in its notes. */
  readonly tenant?: true
}

/** Where the runbook is until somebody says otherwise at the top of the dashboard: the page in this repository. */
const RUNBOOK = 'docs/runbooks/webhook-ops.md'
const TAG = 'weir'

export function dashboard({ uid, title, help, rows, tenant }: DashboardSpec): Dashboard {
  const built = new DashboardBuilder(title)
    .uid(uid)
    .description(help)
    .tags([TAG])
    .editable()
    .refresh('30s')
    .time({ from: 'now-6h', to: 'now' })
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
  if (tellsByTool(rows)) built.withVariable(toolChoice())
  if (tenant) {
    built.withVariable(
      new TextBoxVariableBuilder('tenant')
        .label('Tenant')
        .description('For the commands in the note: tenants are never a label of a metric')
        .defaultValue('default'),
    )
  }
  built
    .withVariable(
      new TextBoxVariableBuilder('runbook')
        .label('Runbook')
        .description('Address of docs/runbooks/webhook-ops.md, as your browser reaches it')
        .defaultValue(RUNBOOK),
    )
    .link(
      new DashboardLinkBuilder('Weir')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true),
    )
  for (const [heading, panels] of Object.entries(rows)) {
    built.withRow(new RowBuilder(heading))
    for (const panel of panels) built.withPanel(panel)
  }
  return finished(built.build())
}

/** Whether any panel looks at the choice of tools: one that does nothing would mislead. */
function tellsByTool(rows: Rows): boolean {
  return Object.values(rows).some((panels) =>
    panels.some((panel) => JSON.stringify(panel.build().targets ?? []).includes('$tool')),
  )
}

function toolChoice(): QueryVariableBuilder {
  return new QueryVariableBuilder('tool')
    .label('Tool')
    .description('Only these tools, where what is shown is told by tool')
    .datasource(DATASOURCE)
    .query('label_values(webhook_events_received_total, tool)')
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] })
}

/**
 * What the builders leave to do: ids, by place, so that they stay the same when nothing changes; and `placement` of links,
 * whose default would hide them in a menu.
 */
function finished(made: Dashboard): Dashboard {
  const panels = (made.panels ?? []).map((panel, index) => ({
    ...panel,
    id: index + 1,
    ...('links' in panel && { links: panel.links?.map(unplaced) ?? [] }),
  }))
  return { ...made, annotations: { list: [] }, links: (made.links ?? []).map(unplaced), panels }
}

function unplaced({ placement: _, ...link }: DashboardLink): DashboardLink {
  return link
}
