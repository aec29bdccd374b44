/**
 * What a PromQL expression asks for, by Prometheus' own grammar.
 *
 *   parsePromql('sum by (tool) (rate(a_total{outcome="x"}[5m]))')
 *   // { selectors: [{ metric: 'a_total', matchers: ['outcome'] }], groupings: [{ labels: ['tool'], metrics: ['a_total'] }] }
 */
import { parser } from '@prometheus-io/lezer-promql'

type Tree = ReturnType<typeof parser.parse>
type SyntaxNode = Tree['topNode']

export interface Selector {
  readonly metric: string
  /** Labels that it chooses by. */
  readonly matchers: readonly string[]
}

/** An aggregation. */
export interface Grouping {
  /** Labels of its `by`; none where it has none: nothing is left of them then. */
  readonly labels: readonly string[]
  /** Metrics under it. */
  readonly metrics: readonly string[]
}

export interface Asked {
  readonly selectors: readonly Selector[]
  readonly groupings: readonly Grouping[]
}

/** Variables of Grafana, as one of the values that it would put there. */
const GRAFANA: Readonly<Record<string, string>> = { $__rate_interval: '5m', $__range: '6h', $tool: '.*' }

export function withoutVariables(expr: string): string {
  return expr.replaceAll(/\$\w+/g, (variable) => {
    const value = GRAFANA[variable]
    if (value === undefined) throw new Error(`no variable ${variable}: ${expr}`)
    return value
  })
}

/** Throws with the place where it is no PromQL. */
export function parsePromql(expr: string): Asked {
  const { topNode } = parser.parse(expr)
  const selectors: Selector[] = []
  const groupings: Grouping[] = []
  for (const node of nodesOf(topNode)) {
    if (node.type.isError) throw new Error(`no PromQL at "${expr.slice(node.from, node.from + 20)}": ${expr}`)
    if (node.name === 'VectorSelector') selectors.push(selectorOf(node, expr))
    if (node.name === 'AggregateExpr') {
      const modifier = node.getChild('AggregateModifier')
      if (modifier?.getChild('Without')) throw new Error(`"without" is not understood here: ${expr}`)
      const metrics = nodesOf(node)
        .filter(({ name }) => name === 'VectorSelector')
        .map((each) => selectorOf(each, expr).metric)
      groupings.push({ labels: modifier ? textsIn(modifier, 'LabelName', expr) : [], metrics })
    }
  }
  return { selectors, groupings }
}

function selectorOf(node: SyntaxNode, expr: string): Selector {
  const name = node.getChild('Identifier')
  if (name === null) throw new Error(`a selector without a metric's name: ${expr}`)
  return { metric: expr.slice(name.from, name.to), matchers: textsIn(node, 'LabelName', expr) }
}

function textsIn(node: SyntaxNode, kind: string, expr: string): string[] {
  return nodesOf(node)
    .filter(({ name }) => name === kind)
    .map(({ from, to }) => expr.slice(from, to))
}

function nodesOf(node: SyntaxNode): SyntaxNode[] {
  const all = [node]
  for (let child = node.firstChild; child !== null; child = child.nextSibling) all.push(...nodesOf(child))
  return all
}
