import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../tests/support/ai.ts'
import { type BreakerView, createBreaker, type Passage } from './breaker.ts'

function breakerOf() {
  const clock = manualClock()
  const changes: BreakerView['state'][] = []
  const breaker = createBreaker(
    { failureThreshold: 3, openMs: 1_000 },
    clock,
    ({ state }) => void changes.push(state),
  )
  const enter = (): Passage => {
    const entry = breaker.enter()
    if (entry.kind === 'refused') throw new TypeError(`refused for ${entry.waitMs} ms`)
    return entry
  }
  const fail = (times: number) => {
    for (let time = 0; time < times; time++) enter().failed()
  }
  return { breaker, clock, changes, enter, fail }
}

describe('the breaker', () => {
  it('opens after so many failures in a row, and says how long', async () => {
    const { breaker, clock, enter, fail } = breakerOf()
    fail(2)
    enter().succeeded()
    fail(2)
    expect(breaker.view).toEqual({ state: 'closed', failures: 2, waitMs: 0 })
    fail(1)
    expect(breaker.view).toEqual({ state: 'open', failures: 3, waitMs: 1_000 })
    await clock.advance(400)
    expect(breaker.enter()).toEqual({ kind: 'refused', waitMs: 600 })
  })

  it('lets one probe through then, which closes it', async () => {
    const { breaker, clock, changes, enter, fail } = breakerOf()
    fail(3)
    await clock.advance(1_000)
    const probe = enter()
    expect(breaker.enter()).toEqual({ kind: 'refused', waitMs: 1_000 })
    probe.succeeded()
    expect(breaker.view).toEqual({ state: 'closed', failures: 0, waitMs: 0 })
    expect(changes).toEqual(['open', 'half-open', 'closed'])
    enter().succeeded()
  })

  it('opens again when the probe fails', async () => {
    const { breaker, clock, enter, fail } = breakerOf()
    fail(3)
    await clock.advance(1_000)
    enter().failed()
    expect(breaker.view).toMatchObject({ state: 'open', waitMs: 1_000 })
  })

  it('lets another probe through when one ended without saying anything', async () => {
    const { clock, enter, fail } = breakerOf()
    fail(3)
    await clock.advance(1_000)
    enter().left()
    enter().succeeded()
  })

  it('stays open for as long as the provider asked', async () => {
    const { breaker, enter, fail } = breakerOf()
    fail(2)
    enter().failed(9_000)
    expect(breaker.view).toMatchObject({ state: 'open', waitMs: 9_000 })
  })

  it('does not count what began before it turned', async () => {
    const { breaker, clock, enter, fail } = breakerOf()
    const [slow, slower] = [enter(), enter()]
    fail(3)
    slow.succeeded()
    expect(breaker.view.state).toBe('open')
    await clock.advance(1_000)
    enter().succeeded()
    slower.failed()
    expect(breaker.view).toEqual({ state: 'closed', failures: 0, waitMs: 0 })
  })
})
