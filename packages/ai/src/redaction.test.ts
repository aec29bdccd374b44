import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ADDRESS_REDACTED, withoutAddresses } from './redaction.ts'

describe('addresses', () => {
  it.each([
    ['ask alice@example.com, please', `ask ${ADDRESS_REDACTED}, please`],
    ['<bob.b+tag@mail.example.co.uk>', `<${ADDRESS_REDACTED}>`],
    ['jürgen@müller.de.', `${ADDRESS_REDACTED}.`],
    ['a@b.io c@d.io', `${ADDRESS_REDACTED} ${ADDRESS_REDACTED}`],
  ])('are taken out: %s', (text, told) => expect(withoutAddresses(text)).toBe(told))

  it.each(['lodash@4.17.21', '@types/node', 'thanks @alice', 'alice @ example.com', 'root@localhost'])(
    'are not seen where there are none: %s',
    (text) => expect(withoutAddresses(text)).toBe(text),
  )

  it('are gone wherever they stand', () => {
    fc.assert(
      fc.property(fc.emailAddress(), fc.constantFrom(' ', '\n', '"', '<', '('), (address, before) => {
        fc.pre(/^[\w.+%-]+@[\w.-]+$/.test(address) && !/@.*\d$/.test(address))
        expect(withoutAddresses(`x${before}${address}${before}`)).not.toContain(address)
      }),
    )
  })

  it('take no longer to find in a text that is made to slow it down', () => {
    const text = `${'a.'.repeat(50_000)}@${'a.'.repeat(50_000)}`
    expect(withoutAddresses(text).length).toBeGreaterThan(0)
  })
})
