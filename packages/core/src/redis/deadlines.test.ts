import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createDeadlines, type Timed } from './deadlines.ts'

interface Command extends Timed {
  isSettled: boolean
  rejectedAt: number | undefined
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function setUp() {
  const clock = { monotonic: () => Date.now() }
  const deadlines = createDeadlines(clock)
  const start = Date.now()
  const add = (ms = 2000): Command => {
    const command: Command = {
      isSettled: false,
      rejectedAt: undefined,
      reject(error) {
        expect(error.message).toBe('Command timed out')
        command.isSettled = true
        command.rejectedAt = Date.now() - start
      },
    }
    deadlines.add(command, ms)
    return command
  }
  return { add }
}

describe('deadlines', () => {
  it('reject each command when its own time is over, and not before', () => {
    const { add } = setUp()
    const early = add()
    vi.advanceTimersByTime(300)
    const late = add()
    vi.advanceTimersByTime(1699)
    expect(early.rejectedAt).toBeUndefined()
    vi.advanceTimersByTime(301)
    expect([early.rejectedAt, late.rejectedAt]).toEqual([2000, 2300])
  })

  it('leave alone what is settled', () => {
    const { add } = setUp()
    const answered = add()
    vi.advanceTimersByTime(10)
    const waiting = add()
    answered.isSettled = true
    vi.advanceTimersByTime(5000)
    expect([answered.rejectedAt, waiting.rejectedAt]).toEqual([undefined, 2010])
  })

  it('hold for commands added after others were rejected, and after a pause', () => {
    const { add } = setUp()
    add()
    vi.advanceTimersByTime(60_000)
    const later = add()
    vi.advanceTimersByTime(2000)
    expect(later.rejectedAt).toBe(62_000)
  })

  it('of many commands take one timer', () => {
    const { add } = setUp()
    const commands = Array.from({ length: 5000 }, () => add())
    expect(vi.getTimerCount()).toBe(1)
    for (const command of commands.slice(0, 4999)) command.isSettled = true
    vi.advanceTimersByTime(2000)
    expect(commands.filter(({ rejectedAt }) => rejectedAt !== undefined)).toEqual([commands[4999]])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are kept where a rejection adds another command', () => {
    const { add } = setUp()
    let second: Command | undefined
    const first = add()
    const { reject } = first
    first.reject = (error) => {
      reject(error)
      second = add()
    }
    vi.advanceTimersByTime(2000)
    expect(first.rejectedAt).toBe(2000)
    vi.advanceTimersByTime(2000)
    expect(second?.rejectedAt).toBe(4000)
  })
})
