/** The autoscaler's settings as they are shipped. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { AutoscalerSettings, Rules } from './autoscaler.ts'

interface Behaviour {
  readonly scaleUp: Rules
  readonly scaleDown: Rules
}

interface External {
  readonly external: { readonly target: { readonly averageValue: string } }
}

interface Trigger {
  readonly metadata: { readonly threshold: string }
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ : `100`, or thousandths as in `700m`. */
function quantityOf(text: string): number {
  return text.endsWith('m') ? Number(text.slice(0, -1)) / 1_000 : Number(text)
}

const yamlOf = (path: string): unknown =>
  parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))

/** k8s/webhook-hpa.yaml */
export function hpaSettings(): AutoscalerSettings {
  const { spec } = yamlOf('k8s/webhook-hpa.yaml') as {
    spec: {
      minReplicas: number
      maxReplicas: number
      metrics: [External, External]
      behavior: Behaviour
    }
  }
  return {
    minReplicas: spec.minReplicas,
    maxReplicas: spec.maxReplicas,
    lagEach: quantityOf(spec.metrics[0].external.target.averageValue),
    busyEach: quantityOf(spec.metrics[1].external.target.averageValue),
    scaleUp: spec.behavior.scaleUp,
    scaleDown: spec.behavior.scaleDown,
  }
}

/** k8s/keda/scaled-object.yaml */
export function kedaSettings(): AutoscalerSettings {
  const { spec } = yamlOf('k8s/keda/scaled-object.yaml') as {
    spec: {
      minReplicaCount: number
      maxReplicaCount: number
      triggers: [Trigger, Trigger]
      advanced: { horizontalPodAutoscalerConfig: { behavior: Behaviour } }
    }
  }
  const { scaleUp, scaleDown } = spec.advanced.horizontalPodAutoscalerConfig.behavior
  return {
    minReplicas: spec.minReplicaCount,
    maxReplicas: spec.maxReplicaCount,
    lagEach: Number(spec.triggers[0].metadata.threshold),
    busyEach: Number(spec.triggers[1].metadata.threshold),
    scaleUp,
    scaleDown,
  }
}
