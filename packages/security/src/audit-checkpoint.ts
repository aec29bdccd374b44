/**
 * Checkpoints of the audit trail: somebody who has the key says that the chain went through this point at that time. A
 * checkpoint that is kept elsewhere shows what the chain by itself cannot: that its end was cut off, or all of it written
 * anew by somebody who could reach the store, but not the key.
 *
 *   {"n":1000,"hash":"…","at":…,"key":"<key id>","signature":"<base64>"}
 *
 * The signature is Ed25519 over a fixed first line and the JSON of the other members. Without a key there are checkpoints
 * too, unsigned: retention needs points to cut at, and what was taken to a safe place proves as much as that place does.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto'
import { type ChainPoint, sealEntry } from './audit-chain.ts'

export interface Checkpoint extends ChainPoint {
  /** ms since the epoch */
  readonly at: number
  /** Id of the key; '' = unsigned. */
  readonly key: string
  readonly signature: string
}

export interface CheckpointSigner {
  /** '' = it does not sign. */
  readonly keyId: string
  /** The public key as PEM, '' without a key. */
  readonly publicKey: string
  /** The checkpoint of this point, one line. */
  checkpoint(point: ChainPoint, at: number): string
}

/** What a signature is over begins with this, so that it cannot be taken for one over something else. */
const PURPOSE = 'weir audit checkpoint 1\n'
const KEY_ID_DIGITS = 16
const HASH = /^[0-9a-f]{64}$/
const KEY_ID = /^(?:[0-9a-f]{16})?$/
const PEM = /-----BEGIN [A-Z ]+-----[\s\S]+?-----END [A-Z ]+-----/g

/**
 * @param pem of an Ed25519 private key; undefined = checkpoints are not signed
 * Throws a TypeError when it is something else.
 */
export function createCheckpointSigner(pem: string | undefined): CheckpointSigner {
  if (pem === undefined) {
    return { keyId: '', publicKey: '', checkpoint: ({ n, hash }, at) => textOf({ n, hash, at, key: '' }, '') }
  }
  const privateKey = readKey(pem, createPrivateKey)
  const publicKey = createPublicKey(privateKey)
  const keyId = keyIdOf(publicKey)
  return {
    keyId,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    checkpoint({ n, hash }, at) {
      const said = { n, hash, at, key: keyId }
      return textOf(said, signBytes(null, signedBytes(said), privateKey).toString('base64'))
    },
  }
}

/**
 * All that an auditor needs to make entries and checkpoints.
 * @param signer undefined = it makes no checkpoints, not even unsigned ones
 */
export function createAuditChain(signer: CheckpointSigner | undefined) {
  return { seal: sealEntry, checkpoint: signer?.checkpoint }
}

type Said = Omit<Checkpoint, 'signature'>

function textOf({ n, hash, at, key }: Said, signature: string): string {
  return JSON.stringify({ n, hash, at, key, signature })
}

function signedBytes({ n, hash, at, key }: Said): Buffer {
  return Buffer.from(PURPOSE + JSON.stringify({ n, hash, at, key }))
}

/** The checkpoint that a line is; undefined when it is none. Nothing is said of its signature. */
export function readCheckpoint(text: string): Checkpoint | undefined {
  let found: Partial<Checkpoint> | null
  try {
    found = JSON.parse(text) as Partial<Checkpoint> | null
  } catch {
    return undefined // no JSON, and so no checkpoint
  }
  const { n, hash, at, key, signature } = found ?? {}
  const sound =
    Number.isSafeInteger(n) &&
    (n as number) > 0 &&
    typeof hash === 'string' &&
    HASH.test(hash) &&
    Number.isSafeInteger(at) &&
    typeof key === 'string' &&
    KEY_ID.test(key) &&
    typeof signature === 'string'
  return sound ? (found as Checkpoint) : undefined
}

/** What a checkpoint is worth to somebody who has these keys. */
export type CheckpointWorth = 'signed' | 'unsigned' | 'forged' | 'foreign'

export interface CheckpointKeys {
  readonly ids: readonly string[]
  /**
   * `signed` by one of the keys; `forged`: in the name of one of them, with a signature that is wrong; `foreign`: in the
   * name of another one.
   */
  worthOf(checkpoint: Checkpoint): CheckpointWorth
}

/**
 * Keys that checkpoints are believed by.
 * @param pem one public key or several, while one is being replaced; private ones do too
 * Throws a TypeError when there is none, or one that is not Ed25519.
 */
export function createCheckpointKeys(pem: string): CheckpointKeys {
  const blocks = pem.match(PEM) ?? []
  if (blocks.length === 0) throw new TypeError('there is no key in PEM form')
  const keys = new Map<string, KeyObject>()
  for (const block of blocks) {
    const key = readKey(block, createPublicKey)
    keys.set(keyIdOf(key), key)
  }
  return {
    ids: [...keys.keys()],
    worthOf(checkpoint) {
      if (checkpoint.key === '') return 'unsigned'
      const key = keys.get(checkpoint.key)
      if (key === undefined) return 'foreign'
      const signature = Buffer.from(checkpoint.signature, 'base64')
      return verifyBytes(null, signedBytes(checkpoint), key, signature) ? 'signed' : 'forged'
    },
  }
}

function readKey(pem: string, create: (pem: string) => KeyObject): KeyObject {
  let key: KeyObject
  try {
    key = create(pem)
  } catch (cause) {
    // The message of OpenSSL says nothing that helps, and nothing of the key.
    throw new TypeError('this is no key in PEM form, or one with a passphrase', { cause })
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new TypeError(`this is a key for ${key.asymmetricKeyType}; an Ed25519 key is needed`)
  return key
}

/** The first digits of the SHA-256 of the public key (DER). */
function keyIdOf(publicKey: KeyObject): string {
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(der).digest('hex').slice(0, KEY_ID_DIGITS)
}
