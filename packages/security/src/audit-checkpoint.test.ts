import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createCheckpointKeys, createCheckpointSigner, readCheckpoint } from './audit-checkpoint.ts'

const pem = (key: ReturnType<typeof generateKeyPairSync>['privateKey']) =>
  key.export({ type: 'pkcs8', format: 'pem' }).toString()
const newKey = () => pem(generateKeyPairSync('ed25519').privateKey)
const POINT = { n: 12, hash: 'ab'.repeat(32) }

describe('a checkpoint', () => {
  it('is signed, and believed by the public key', () => {
    const signer = createCheckpointSigner(newKey())
    const checkpoint = readCheckpoint(signer.checkpoint(POINT, 5))
    expect(checkpoint).toEqual({ ...POINT, at: 5, key: signer.keyId, signature: expect.any(String) })
    const keys = createCheckpointKeys(signer.publicKey)
    expect(keys.ids).toEqual([signer.keyId])
    expect(keys.worthOf(checkpoint!)).toBe('signed')
  })

  it('is forged when anything in it is changed, and foreign when another key signed', () => {
    const signer = createCheckpointSigner(newKey())
    const keys = createCheckpointKeys(signer.publicKey)
    const checkpoint = readCheckpoint(signer.checkpoint(POINT, 5))!
    const other = createCheckpointSigner(newKey())
    for (const change of [
      { n: 13 },
      { hash: 'ac'.repeat(32) },
      { at: 6 },
      { signature: '' },
      { signature: 'AAAA' },
      { signature: readCheckpoint(other.checkpoint(POINT, 5))!.signature },
    ]) {
      expect(keys.worthOf({ ...checkpoint, ...change })).toBe('forged')
    }
    expect(keys.worthOf(readCheckpoint(other.checkpoint(POINT, 5))!)).toBe('foreign')
    expect(keys.worthOf({ ...checkpoint, key: '' })).toBe('unsigned')
  })

  it('is believed by several keys while one is being replaced', () => {
    const [before, after] = [createCheckpointSigner(newKey()), createCheckpointSigner(newKey())]
    const keys = createCheckpointKeys(`old:\n${before.publicKey}\nnew:\n${after.publicKey}`)
    for (const signer of [before, after])
      expect(keys.worthOf(readCheckpoint(signer.checkpoint(POINT, 1))!)).toBe('signed')
  })

  it('is not signed without a key', () => {
    const signer = createCheckpointSigner(undefined)
    const checkpoint = readCheckpoint(signer.checkpoint(POINT, 5))
    expect(checkpoint).toEqual({ ...POINT, at: 5, key: '', signature: '' })
    expect(createCheckpointKeys(newKey()).worthOf(checkpoint!)).toBe('unsigned')
  })

  it.each(['', 'null', '{}', '[1]', '{"n":1,"hash":"x","at":1,"key":"","signature":""}'])(
    '%j is none',
    (text) => {
      expect(readCheckpoint(text)).toBeUndefined()
    },
  )
})

describe('a key', () => {
  it.each([
    ['', 'no key'],
    ['not a key', 'no key'],
    ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----', 'no key'],
    [pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey), 'an Ed25519 key is needed'],
  ])('that is none is refused, and not shown', (text, says) => {
    for (const create of [createCheckpointKeys, createCheckpointSigner]) {
      const attempt = () => create(text)
      expect(attempt).toThrow(TypeError)
      expect(attempt).toThrow(says)
      expect(attempt).not.toThrow(/AAAA/)
    }
  })
})
