import { createDecipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSealer, openSealed, SEAL_OVERHEAD, sealedWith } from './envelope.ts'
import { createMasterKey } from './master-key.ts'

const master = createMasterKey('Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgAeQiKtVx4')
const key = master.derive('acme', Buffer.alloc(32, 1))
const other = master.derive('acme', Buffer.alloc(32, 2))
const { seal } = createSealer()
const anyBytes = fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes))

describe('sealed bytes', () => {
  it('open again, to the same bytes, for the same key and what they belong to', () => {
    fc.assert(
      fc.property(anyBytes, fc.string({ unit: 'binary' }), (bytes, belongs) => {
        const sealed = seal(key, belongs, bytes)
        expect(sealed.length).toBe(bytes.length + SEAL_OVERHEAD)
        expect(sealedWith(sealed)).toBe(key.id)
        expect(openSealed(key, belongs, sealed)?.equals(bytes)).toBe(true)
      }),
    )
  })

  it('are AES-256-GCM, as anybody can check', () => {
    const sealed = seal(key, 'event\nacme', Buffer.from('plain'))
    expect(sealed[0]).toBe(1)
    expect(sealed.toString('hex', 1, 9)).toBe(key.id)
    const decipher = createDecipheriv('aes-256-gcm', key.secret, sealed.subarray(9, 21))
    decipher.setAAD(Buffer.from('event\nacme'))
    decipher.setAuthTag(sealed.subarray(-16))
    const plain = Buffer.concat([decipher.update(sealed.subarray(21, -16)), decipher.final()])
    expect(plain.toString()).toBe('plain')
  })

  it('do not open when a single bit of them is another', () => {
    fc.assert(
      fc.property(anyBytes, fc.nat(), (bytes, at) => {
        const sealed = seal(key, 'a', bytes)
        const bit = at % (8 * sealed.length)
        sealed[bit >> 3]! ^= 1 << (bit & 7)
        expect(openSealed(key, 'a', sealed)).toBeUndefined()
      }),
    )
  })

  it('do not open when they are cut, or longer', () => {
    const sealed = seal(key, 'a', Buffer.from('some bytes'))
    for (let length = 0; length < sealed.length; length++)
      expect(openSealed(key, 'a', sealed.subarray(0, length))).toBeUndefined()
    expect(openSealed(key, 'a', Buffer.concat([sealed, Buffer.from([0])]))).toBeUndefined()
    // Node would take the first 4 bytes of a tag for a whole one.
    expect(openSealed(key, 'a', Buffer.concat([sealed.subarray(0, -12)]))).toBeUndefined()
  })

  it('do not open for another key, nor as what belongs to something else', () => {
    const sealed = seal(key, 'event\nacme\n1', Buffer.from('some bytes'))
    expect(openSealed(other, 'event\nacme\n1', sealed)).toBeUndefined()
    // Also not with the other key's id written over it.
    sealed.write(other.id, 1, 'hex')
    expect(openSealed(other, 'event\nacme\n1', sealed)).toBeUndefined()
    sealed.write(key.id, 1, 'hex')
    for (const belongs of ['event\nacme\n2', 'event\nacme\n', '', 'event\nacme\n1\n'])
      expect(openSealed(key, belongs, sealed), belongs).toBeUndefined()
  })

  it('are told from bytes that are not sealed', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(200), Buffer.from('{"plain":true}'.repeat(9))])
      expect(sealedWith(bytes)).toBeUndefined()
  })
})

describe('nonces', () => {
  const nonceOf = (sealed: Buffer) => sealed.toString('hex', 9, 21)

  it('are never the same twice, of one sealer or several', () => {
    const sealers = [createSealer(), createSealer(), createSealer()]
    const nonces = new Set<string>()
    for (let i = 0; i < 2_000; i++)
      for (const sealer of sealers) nonces.add(nonceOf(sealer.seal(key, '', Buffer.alloc(0))))
    expect(nonces.size).toBe(6_000)
  })

  it('count through four bytes behind eight random ones', () => {
    let drawn = 0
    const sealer = createSealer((bytes) => Buffer.alloc(bytes, ++drawn))
    const nonces = [1, 2, 3].map(() => nonceOf(sealer.seal(key, '', Buffer.alloc(0))))
    expect(nonces).toEqual([
      '010101010101010100000000',
      '010101010101010100000001',
      '010101010101010100000002',
    ])
    expect(drawn).toBe(1)
  })

  it('draw anew when all counts are used', () => {
    let drawn = 0
    const sealer = createSealer((bytes) => Buffer.alloc(bytes, ++drawn), 0xffff_fffe)
    const nonces = [1, 2, 3].map(() => nonceOf(sealer.seal(key, '', Buffer.alloc(0))))
    expect(nonces).toEqual([
      '0101010101010101fffffffe',
      '0101010101010101ffffffff',
      '020202020202020200000000',
    ])
  })
})
