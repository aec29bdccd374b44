/** The kinds of panels that the dashboards are made of: every one has a unit and says what to do about what it shows. */
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  type Panel,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMapping,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as StateTimelineBuilder } from '@grafana/grafana-foundation-sdk/statetimeline'
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text'
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** What panels ask: the Prometheus chosen at the top of the dashboard. */
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }

/** Grafana's ids of units. */
export type Unit = 'short' | 'percentunit' | 's' | 'bytes' | 'cps' | 'reqps' | 'Bps' | 'none'

export interface PanelSpec {
  readonly title: string
  /** What it shows, and what to do when it is not as it should be. */
  readonly help: string
  readonly unit: Unit
  /** PromQL by legend; the legend may hold {{label}}. */
  readonly queries: Readonly<Record<string, string>>
  /** Alerts that watch the same thing: links to their runbook entries. */
  readonly alerts?: readonly string[]
  /** From this value on it is bad (or, with `good: 'high'`, below it). */
  readonly limit?: number
  readonly good?: 'low' | 'high'
  /** Digits after the point; Grafana chooses by default. */
  readonly decimals?: number
  /** Units of the grid, of 24; default 8 for graphs, 4 for numbers. */
  readonly width?: number
}

/** Curves over time. */
export function graph(spec: PanelSpec): Builder<Panel> {
  const panel = new TimeseriesBuilder()
    .title(spec.title)
    .description(spec.help)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .axisSoftMin(0)
    .span(spec.width ?? 8)
    .height(8)
    .fillOpacity(8)
    .showPoints(VisibilityMode.Never)
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .links(runbookLinks(spec))
  if (spec.decimals !== undefined) panel.decimals(spec.decimals)
  if (spec.limit !== undefined) {
    const line = new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed)
    panel.thresholds(steps(spec.limit, spec.good)).thresholdsStyle(line)
  }
  return panel.targets(rangeQueries(spec))
}

/** One number, as it is now. */
export function figure(spec: PanelSpec): Builder<Panel> {
  const panel = new StatBuilder()
    .title(spec.title)
    .description(spec.help)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .span(spec.width ?? 4)
    .height(4)
    .noValue('no data')
    .graphMode(BigValueGraphMode.None)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .colorMode(spec.limit === undefined ? BigValueColorMode.None : BigValueColorMode.Background)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .links(runbookLinks(spec))
  if (spec.decimals !== undefined) panel.decimals(spec.decimals)
  if (spec.limit !== undefined) panel.thresholds(steps(spec.limit, spec.good))
  return panel.targets(instantQueries(spec))
}

/** Which state something was in, over time: text and colour by value. */
export function states(
  spec: PanelSpec & { readonly states: Readonly<Record<string, readonly [text: string, color: string]>> },
): Builder<Panel> {
  const options = Object.fromEntries(
    Object.entries(spec.states).map(([value, [text, color]], index) => [value, { text, color, index }]),
  )
  const mapping: ValueMapping = { type: MappingType.ValueToText, options }
  return new StateTimelineBuilder()
    .title(spec.title)
    .description(spec.help)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .span(spec.width ?? 8)
    .height(8)
    .mappings([mapping])
    .links(runbookLinks(spec))
    .targets(rangeQueries(spec))
}

/** Text (markdown), in which variables of the dashboard stand for their values. */
export function note(title: string, help: string, markdown: string): Builder<Panel> {
  return new TextBuilder()
    .title(title)
    .description(help)
    .mode(TextMode.Markdown)
    .content(markdown)
    .span(24)
    .height(6)
}

/** States of a breaker, as all breakers report them. */
export const BREAKER_STATES = {
  0: ['closed', 'green'],
  1: ['open', 'red'],
  2: ['half-open', 'yellow'],
} as const
export const YES_NO = { 0: ['no', 'red'], 1: ['yes', 'green'] } as const

/** Green on the good side of the limit, red on the other. */
function steps(limit: number, good: 'low' | 'high' = 'low'): ThresholdsConfigBuilder {
  const [below, above] = good === 'low' ? ['green', 'red'] : ['red', 'green']
  const all: Threshold[] = [
    { value: null, color: below as string },
    { value: limit, color: above as string },
  ]
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(all)
}

function runbookLinks({ alerts = [] }: PanelSpec): DashboardLinkBuilder[] {
  return alerts.map((alert) =>
    new DashboardLinkBuilder(`Runbook: ${alert}`)
      .type(DashboardLinkType.Link)
      .url(`\${runbook}#${alert.toLowerCase()}`)
      .targetBlank(true),
  )
}

function rangeQueries(spec: PanelSpec): Builder<Dataquery>[] {
  return queries(spec).map((query) => query.range())
}

function instantQueries(spec: PanelSpec): Builder<Dataquery>[] {
  return queries(spec).map((query) => query.instant())
}

function queries(spec: PanelSpec): DataqueryBuilder[] {
  return Object.entries(spec.queries).map(([legend, expr], index) =>
    new DataqueryBuilder()
      .refId(String.fromCharCode('A'.charCodeAt(0) + index))
      .datasource(DATASOURCE)
      .expr(expr)
      .legendFormat(legend),
  )
}
