import { pino } from 'pino'
import { expect, it } from 'vitest'
import { createErrorTeller } from './tell.ts'

it('tells of each new message once until things are calm again; repetitions are for those who debug', () => {
  const lines: { level: number; reason: string }[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const { tell, calm } = createErrorTeller(log)
  for (const message of ['refused', 'refused', 'no password', 'refused']) tell(new Error(message))
  calm()
  tell(new Error('refused'))
  const [debug, warn] = [20, 40]
  expect(lines.map(({ level, reason }) => [level, reason])).toEqual([
    [warn, 'refused'],
    [debug, 'refused'],
    [warn, 'no password'],
    [warn, 'refused'],
    [warn, 'refused'],
  ])
})
