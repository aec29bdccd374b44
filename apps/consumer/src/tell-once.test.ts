import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createTellOnce } from './tell-once.ts'
import { effects, withConsumer } from './testing.ts'

const redis = useRedis()

describe('what fails again and again', () => {
  it('is told once, until it fails in another way or has worked; the rest is there at debug', () => {
    const lines: { level: number; err: string; what: string }[] = []
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    const telling = createTellOnce(log)
    const fail = (what: string, message: string) =>
      telling.failed('error', what, new Error(message), 'failed')
    fail('read', 'no')
    fail('read', 'no')
    fail('trim', 'no')
    fail('read', 'never')
    telling.worked('read')
    fail('read', 'never')
    fail('trim', 'no')
    const told = lines.filter(({ level }) => level === 50).map(({ what, err }) => `${what} ${err}`)
    expect(told).toEqual(['read no', 'trim no', 'read never', 'read never'])
    expect(lines.filter(({ level }) => level === 20)).toHaveLength(2)
  })

  it.each(['xreadgroup', 'xack', 'xpending'])(
    'is a right that the user lacks (%s): named once, and once it is given all goes on by itself',
    async (command) => {
      const control = redis.client()
      await control.call('ACL', 'SETUSER', 'weir', 'reset', 'on', '>secret', '~*', '+@all', `-${command}`)
      const url = redis.url.replace('//', '//weir:secret@')
      const { handler, keys } = effects()
      await withConsumer(
        redis,
        { reclaimIdleMs: 500 },
        [handler],
        async (world) => {
          await world.admitMany(5)
          const told = () =>
            world.lines.filter(
              ({ level, err }) =>
                level >= 40 && /^Redis refused .*check .* the ACL of this user/.test(String(err)),
            )
          await expect.poll(() => told().length).toBeGreaterThan(0)
          const since = performance.now()
          await expect.poll(() => performance.now() - since).toBeGreaterThan(1_000)
          // Each kind of work that needs it says so for itself.
          const sentences = told().map(({ what, msg }) => `${what} ${msg}`)
          expect(sentences).toEqual([...new Set(sentences)])
          await control.call('ACL', 'SETUSER', 'weir', `+${command}`)
          await world.until({ settled: 5 })
          expect(keys.size).toBe(5)
        },
        { url },
      )
      await control.call('ACL', 'DELUSER', 'weir')
    },
  )
})
