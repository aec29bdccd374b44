import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
export const doctorCommand = commandOf(
  () => undefined,
  async () => OK,
)
