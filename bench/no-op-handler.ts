/** A handler that takes every GitHub event and does nothing. */
import { defineHandler } from '@weir/core/handlers/handler'

export default defineHandler({ name: 'no-op', tool: 'github', events: ['*'], run: () => undefined })
