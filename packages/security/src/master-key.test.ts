import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMasterKey, masterKeyProblem, SALT_BYTES } from './master-key.ts'

const TEXT = 'Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgAeQiKtVx4'
const salt = Buffer.alloc(SALT_BYTES, 7)

describe('what may be a master key', () => {
  it('is random text of at least 32 characters, however it is spelled', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 24, maxLength: 64 }).filter((bytes) => new Set(bytes).size > 20),
        fc.constantFrom('base64', 'base64url', 'hex'),
        (bytes, spelling) => {
          const text = Buffer.from(bytes).toString(spelling as 'hex')
          // Of random texts one in millions has such a word, or counts; those are not meant here.
          fc.pre(!/change.?me|example|password|secret/i.test(text))
          const problem = masterKeyProblem(text)
          expect(problem === undefined || problem === 'counts up or down').toBe(true)
        },
      ),
    )
    for (let i = 0; i < 200; i++) {
      expect(masterKeyProblem(randomBytes(16).toString('hex'))).toBeUndefined()
      expect(masterKeyProblem(randomBytes(24).toString('base64'))).toBeUndefined()
    }
  })

  it.each([
    ['', 'has 0 characters; it needs at least 32'],
    [TEXT.slice(0, 31), 'has 31 characters; it needs at least 32'],
    [` ${TEXT}`, 'begins or ends with white space'],
    [`${TEXT}\n`, 'begins or ends with white space'],
    ['0'.repeat(64), 'only repeats 1 character'],
    ['a1b2c3d4'.repeat(4), 'only repeats 8 characters'],
    [TEXT.slice(0, 20).repeat(2), 'only repeats 20 characters'],
    ['abcdefghijklmnopqrstuvwxyz012345', 'counts up or down'],
    ['98765432109876543210987654321098', 'only repeats 10 characters'],
    ['1221112112122111212212121112211212', 'counts up or down'],
    ['axaxbxabxxabaxbaxxbabxaxbaxbbaxabx', 'has too few different characters'],
    ['please-change-me-before-going-live-9XqT', 'has words in it that stand in for a key'],
    ['${ENCRYPTION_MASTER_KEY}-7Hq2vLx90aWz', 'has words in it that stand in for a key'],
  ])('is not %j', (text, problem) => {
    expect(masterKeyProblem(text)).toBe(problem)
    expect(() => createMasterKey(text)).toThrow(RangeError)
  })

  it('is never told by the message that refuses it', () => {
    const weak = 'hunter2hunter2hunter2hunter2hunter2'
    expect(() => createMasterKey(weak)).toThrow(
      /^the master key only repeats 7 characters; make one with `openssl/,
    )
    expect(() => createMasterKey(weak)).not.toThrow(/hunter2/)
  })
})

describe('a key of a tenant', () => {
  it('is HKDF-SHA256 of master key, salt and tenant, and so is its id (RFC 5869)', () => {
    const key = createMasterKey(TEXT).derive('acme', salt)
    const expected = Buffer.from(hkdfSync('sha256', TEXT, salt, 'weir tenant key 1 acme', 40))
    expect(key.secret.export()).toEqual(expected.subarray(0, 32))
    expect(key.id).toBe(expected.toString('hex', 32))
    // The first block by hand: HMAC(HMAC(salt, master key), info ‖ 1).
    const prk = createHmac('sha256', salt).update(TEXT).digest()
    expect(key.secret.export()).toEqual(
      createHmac('sha256', prk).update('weir tenant key 1 acme\x01').digest(),
    )
  })

  it('is the same whenever and wherever it is derived', () => {
    const [one, other] = [createMasterKey(TEXT), createMasterKey(TEXT)]
    expect(one.id).toBe(other.id)
    expect(one.id).toMatch(/^[0-9a-f]{8}$/)
    expect(one.derive('acme', salt).id).toBe(other.derive('acme', salt).id)
  })

  it('is another one for another tenant, salt or master key', () => {
    const master = createMasterKey(TEXT)
    const ids = [
      master.derive('acme', salt).id,
      master.derive('acme2', salt).id,
      master.derive('acme', Buffer.alloc(SALT_BYTES, 8)).id,
      createMasterKey(`${TEXT}x`).derive('acme', salt).id,
    ]
    expect(new Set(ids).size).toBe(4)
  })

  it('needs a whole salt', () => {
    for (const bytes of [0, 31, 33])
      expect(() => createMasterKey(TEXT).derive('acme', Buffer.alloc(bytes))).toThrow(RangeError)
  })
})
