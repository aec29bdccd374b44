/** Says in its log what it was given to go on with the trace; fails the first time where the event's title asks for it. */
import { defineHandler } from '@weir/core/handlers/handler'

export default defineHandler({
  name: 'tell-trace',
  tool: 'github',
  events: ['issues'],
  run(event, ctx) {
    ctx.log.info({ traceparent: ctx.traceparent }, 'handled')
    const { title } = (event.payload as { readonly issue: { readonly title: string } }).issue
    if (title === 'fails once' && event.attempt === 1) throw new Error('refused: token=hunter2hunter2')
  },
})
