import { describe, expect, it } from 'vitest'
import { countsOf, isAtRest, ledgerLine, shortLedgerLine } from './ledger.ts'
import { createScreen } from './screen.ts'

function screenOn({ isTTY, columns = 80 }: { isTTY: boolean; columns?: number }) {
  const clock = { ms: 0, monotonic: () => clock.ms }
  const terminal = {
    isTTY,
    columns,
    text: '',
    write(text: string) {
      terminal.text += text
    },
  }
  return { screen: createScreen(terminal, clock), terminal, clock }
}

describe('the live line', () => {
  it('is rewritten in place on a terminal, below the lines that stay', () => {
    const { screen, terminal } = screenOn({ isTTY: true })
    screen.say('ready')
    screen.live('accepted 1')
    screen.live('accepted 2')
    screen.say('consumer: warning: slow')
    screen.endLive()
    screen.say('stopped')
    const clear = '\r\x1b[2K'
    expect(terminal.text).toBe(
      `ready\n${clear}accepted 1${clear}accepted 2${clear}consumer: warning: slow\naccepted 2\nstopped\n`,
    )
  })

  it('never wraps, because a wrapped line cannot be rewritten', () => {
    const { screen, terminal } = screenOn({ isTTY: true, columns: 12 })
    screen.live('accepted 1234567')
    expect(terminal.text).toBe('\r\x1b[2Kaccepted 1…')
  })

  it('has a shorter form for a narrow terminal', () => {
    const { screen, terminal } = screenOn({ isTTY: true, columns: 12 })
    screen.live('accepted 1234567', 'acc. 123')
    screen.live('accepted 1', 'acc. 1')
    expect(terminal.text).toBe('\r\x1b[2Kacc. 123\r\x1b[2Kaccepted 1')
  })

  it('is written elsewhere only when it has changed, at most every five seconds', () => {
    const { screen, terminal, clock } = screenOn({ isTTY: false })
    for (let second = 0; second <= 12; second += 1) {
      clock.ms = second * 1000
      screen.live(`accepted ${Math.min(second, 7)}`)
    }
    screen.endLive()
    expect(terminal.text).toBe('accepted 0\naccepted 5\naccepted 7\n')
  })
})

describe('the ledger', () => {
  const counts = {
    accepted: 9,
    settled: 5,
    unread: 1,
    pending: 1,
    parked: 1,
    dead: 1,
    spooled: 0,
    unaccounted: 0,
  }

  it('is one line of counts; what is unknown is not called 0; what is rare shows when it is there', () => {
    expect(ledgerLine(counts)).toBe(
      'accepted 9 · settled 5 · unread 1 · pending 1 · parked 1 · dead 1 · spooled 0 · unaccounted 0',
    )
    expect(ledgerLine({ ...counts, unread: null, superseded: 2, purged: 0 })).toBe(
      'accepted 9 · settled 5 · unread ? · pending 1 · parked 1 · dead 1 · spooled 0 · unaccounted 0 · superseded 2',
    )
  })

  it('has a short form without the places where nothing is', () => {
    expect(shortLedgerLine({ ...counts, parked: 0, dead: 0, pending: null, superseded: 0, purged: 0 })).toBe(
      'accepted 9 · settled 5 · unread 1 · pending ? · unaccounted 0',
    )
    const one = { accepted: 1, settled: 0, unread: 1, superseded: 0, purged: 0 }
    expect(shortLedgerLine({ ...counts, ...one, pending: 0, parked: 0, dead: 0 })).toBe(
      'accepted 1 · settled 0 · unread 1 · unaccounted 0',
    )
  })

  it('is at rest when nothing is under way or missing', () => {
    const done = { ...counts, settled: 8, unread: 0, pending: 0, parked: 0 }
    expect(isAtRest(done)).toBe(true)
    for (const name of ['unread', 'pending', 'parked', 'spooled', 'unaccounted']) {
      expect(isAtRest({ ...done, [name]: 1 })).toBe(false)
      expect(isAtRest({ ...done, [name]: null })).toBe(false)
    }
  })

  it('is not read out of something else', () => {
    for (const answer of [null, 'text', [], { error: 1 }]) expect(countsOf(answer)).toBeUndefined()
    expect(countsOf({ ...counts, partitions: [], at: 'now' })).toEqual(counts)
  })
})
