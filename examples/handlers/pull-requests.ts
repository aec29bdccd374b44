// Example handlers. Point `webhook.consumer.handlers` at this directory to use them.
import { defineHandler } from '@weir/core/handlers/handler'

export default [
  defineHandler({
    name: 'log-opened-pull-requests',
    tool: 'github',
    events: ['pull_request.opened'],
    run(event, ctx) {
      const { number, title } = event.payload.pull_request
      ctx.log.info({ repository: event.payload.repository.full_name, number, title }, 'pull request opened')
    },
  }),
  defineHandler({
    name: 'log-firing-alerts',
    tool: 'alertmanager',
    events: ['alert.firing'],
    run(event, ctx) {
      for (const alert of event.payload.alerts) ctx.log.warn({ labels: alert.labels }, 'alert is firing')
    },
  }),
]
