/** The autoscaler's settings as they are shipped. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { AutoscalerSettings, Rules } from './autoscaler.ts'

interface Behaviour {
  readonly scaleUp: Rules
  readonly scaleDown: Rules
}

const yamlOf = (path: string): unknown =>
  parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))

/** k8s/webhook-hpa.yaml */
export function hpaSettings(): AutoscalerSettings {
  const { spec } = yamlOf('k8s/webhook-hpa.yaml') as {
    spec: {
      minReplicas: number
      maxReplicas: number
      metrics: [{ external: { target: { averageValue: string } } }]
      behavior: Behaviour
    }
  }
  return {
    minReplicas: spec.minReplicas,
    maxReplicas: spec.maxReplicas,
    averageValue: Number(spec.metrics[0].external.target.averageValue),
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
      triggers: [{ metadata: { threshold: string } }]
      advanced: { horizontalPodAutoscalerConfig: { behavior: Behaviour } }
    }
  }
  const { scaleUp, scaleDown } = spec.advanced.horizontalPodAutoscalerConfig.behavior
  return {
    minReplicas: spec.minReplicaCount,
    maxReplicas: spec.maxReplicaCount,
    averageValue: Number(spec.triggers[0].metadata.threshold),
    scaleUp,
    scaleDown,
  }
}
