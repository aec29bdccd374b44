import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Compressor } from 'zstd-napi'
import { createDictionarySet, dictionaryOf } from './dictionaries.ts'
import type { Header } from './event.ts'
import { MAX_TEXT_BYTES } from './folding/fold.ts'
import { frameContentSize } from './frames.ts'
import { createPacker, createUnpacker } from './packing.ts'
import type { PackedBody } from './record.ts'

const ID = 'evt_AAAAAAAAAAAAAAAAAAAAAA'
const template =
  '{"action":"opened","repository":{"full_name":"","private":false},"sender":{"login":"","type":"User"}}'
// As it is packed: what stands for the repository's name (packages/core/src/folding) is structure too.
const folded = template.replace('"full_name":""', '"full_name":"\x01"')
const raw = dictionaryOf(Buffer.from(folded.repeat(8)))
const other = dictionaryOf(Buffer.from(template.replaceAll('e', 'x').repeat(8)))
const dictionaries = createDictionarySet(new Map([['github', raw]]))
const packer = createPacker(dictionaries, 3)
const unpacker = createUnpacker(dictionaries)

const body = fc.oneof(
  fc.uint8Array({ maxLength: 3_000 }).map((array) => Buffer.from(array)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(template + text)),
)
const headers: fc.Arbitrary<readonly Header[]> = fc.array(
  fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,20}$/), fc.string({ unit: 'binary' })),
  { maxLength: 6 },
)

const EVENT = { id: ID, tenant: 'acme', tool: 'github', type: 'push', receivedAt: 1 }
const record = (packed: PackedBody, changes: Partial<PackedBody> = {}) => ({
  ...EVENT,
  ...packed,
  ...changes,
})

/** The outcome as a word: the fault's code, or 'opened'. Anything else thrown fails the test. */
function attempt(run: () => unknown): string {
  try {
    run()
    return 'opened'
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (code !== 'RECORD_CORRUPT' && code !== 'DICTIONARY_MISSING') throw error
    return code
  }
}

describe('packing', () => {
  it('gives back the same headers and the same bytes, with and without a dictionary', () => {
    fc.assert(
      fc.property(fc.constantFrom('github', 'generic'), headers, body, (tool, head, content) => {
        const packed = packer.pack(tool, head, content)
        expect(packed.dictionary).toBe(tool === 'github' ? raw.id : '')
        if (tool !== 'github') expect(packed.encoding).toBe('zstd')
        const opened = unpacker.unpack(record(packed))
        expect(opened.headers).toEqual(head)
        expect(opened.body.equals(content)).toBe(true)
      }),
    )
  })

  it('keeps an empty body, newlines and a large body', () => {
    for (const content of [Buffer.alloc(0), Buffer.from('\n\n\n'), randomBytes(10 * 1024 * 1024)]) {
      expect(
        unpacker.unpack(record(packer.pack('github', [['a', 'b\nc']], content))).body.equals(content),
      ).toBe(true)
    }
  })

  it('folds the names of a GitHub event, and says so', () => {
    const content = Buffer.from(
      '{"full_name":"acme/site","url":"https://x/acme/site","login":"bob","u":"/bob"}',
    )
    const packed = packer.pack('github', [['a', 'b']], content)
    expect(packed.encoding).toBe('folded')
    expect(unpacker.unpack(record(packed))).toEqual({ headers: [['a', 'b']], body: content })
    expect(attempt(() => unpacker.unpack(record(packed, { encoding: 'zstd' })))).toBe('opened')
    const longer = Buffer.from(`{"text":"${'x'.repeat(2 * MAX_TEXT_BYTES)}"}`)
    for (const other of [Buffer.from('{"text":"\x01"}'), longer]) {
      const unfolded = packer.pack('github', [], other)
      expect(unfolded.encoding).toBe('zstd')
      expect(unpacker.unpack(record(unfolded)).body.equals(other)).toBe(true)
    }
  })

  it('refuses a folded body that no packer has made', () => {
    const wrong = (content: Buffer, maxBytes = 64 * 1024 * 1024) =>
      attempt(() =>
        createUnpacker(dictionaries, { maxBytes }).unpack(
          record(packer.pack('generic', [], content), { encoding: 'folded' }),
        ),
      )
    expect(wrong(Buffer.from('a/b\n{"u":"/\x01"}'))).toBe('opened')
    expect(wrong(Buffer.from('no path line'))).toBe('RECORD_CORRUPT')
    expect(wrong(Buffer.from('\n\x01'))).toBe('RECORD_CORRUPT')
    expect(wrong(randomBytes(1024 * 1024))).toBe('RECORD_CORRUPT')
    const bomb = Buffer.from(`${'p'.repeat(200)}\n${'\x01'.repeat(1000)}`)
    expect(wrong(bomb, 2000)).toBe('RECORD_CORRUPT')
    expect(wrong(bomb)).toBe('opened')
  })

  it('says of what a newer version packed that it is newer, not that it is broken', () => {
    const packed = packer.pack('generic', [], Buffer.from('{}'))
    const newer = record(packed, { encoding: 'sealed' } as never)
    expect(() => unpacker.unpack(newer)).toThrow(expect.objectContaining({ code: 'RECORD_NEWER' }))
    expect(() => unpacker.unpackInto(newer, Buffer.alloc(10))).toThrow(
      /packed as sealed.*upgrade this program/,
    )
  })

  it('opens plain records', () => {
    const packed = { encoding: 'plain', dictionary: '', packed: Buffer.from('[["a","b"]]\n{}') } as const
    expect(unpacker.unpack(record(packed))).toEqual({ headers: [['a', 'b']], body: Buffer.from('{}') })
  })

  it('is worth it: a body like the dictionary shrinks to a fraction', () => {
    const content = Buffer.from(template.replace('"full_name":""', '"full_name":"acme/site"'))
    expect(packer.pack('github', [], content).packed.length).toBeLessThan(content.length / 3)
  })

  it('opens into memory that is there, if it is large enough', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('github', 'generic'),
        headers,
        body,
        fc.nat(40),
        (tool, head, content, more) => {
          const packed = record(packer.pack(tool, head, content))
          const size = JSON.stringify(head).length * 3 + 1 + content.length
          const target = Buffer.alloc(size + more, 'x')
          const opened = unpacker.unpackInto(packed, target)
          expect(opened?.headers).toEqual(head)
          expect(target.subarray(opened?.start, opened?.end).equals(content)).toBe(true)
          const { end = 0 } = opened ?? {}
          expect(target.subarray(end).equals(Buffer.alloc(target.length - end, 'x'))).toBe(true)
          expect(unpacker.unpackInto(packed, target.subarray(0, end))?.end).toBe(end)
          if (end > 0) expect(unpacker.unpackInto(packed, target.subarray(0, end - 1))).toBeUndefined()
        },
      ),
    )
    const plain = {
      ...EVENT,
      encoding: 'plain',
      dictionary: '',
      packed: Buffer.from('[["a","b"]]\n{}'),
    } as const
    const target = Buffer.alloc(20)
    expect(unpacker.unpackInto(plain, target)).toEqual({ headers: [['a', 'b']], start: 12, end: 14 })
    expect(target.toString('utf8', 12, 14)).toBe('{}')
  })

  it('does not hand out memory that a later record overwrites', () => {
    const first = unpacker.unpack(record(packer.pack('github', [], Buffer.from('first'))))
    unpacker.unpack(record(packer.pack('github', [], Buffer.from('other'))))
    expect(first.body.toString()).toBe('first')
  })
})

describe('what cannot be opened', () => {
  it('with the wrong dictionary is never other bytes than those that were packed', () => {
    const confused = createUnpacker({ ...dictionaries, known: () => other })
    const outcomes = new Map<string, number>()
    fc.assert(
      fc.property(headers, body, (head, content) => {
        const packed = packer.pack('github', head, content)
        const outcome = attempt(() => {
          // What zstd could not match against the dictionary it does not need it for.
          expect(confused.unpack(record(packed)).body.equals(content)).toBe(true)
        })
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }),
      { numRuns: 500 },
    )
    expect(outcomes.get('RECORD_CORRUPT')).toBeGreaterThan(100)
  })

  it('always fails with the wrong dictionary when the packed body leans on it', () => {
    const confused = createUnpacker({ ...dictionaries, known: () => other })
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9/]{0,40}$/), (value) => {
        const packed = packer.pack('github', [], Buffer.from(template.replace('""', JSON.stringify(value))))
        expect(attempt(() => confused.unpack(record(packed)))).toBe('RECORD_CORRUPT')
        expect(attempt(() => unpacker.unpack(record(packed, { dictionary: '' })))).toBe('RECORD_CORRUPT')
      }),
    )
  })

  it('waits for a dictionary that is missing, and opens once it is there', () => {
    const set = createDictionarySet(new Map())
    const late = createUnpacker(set)
    const packed = packer.pack('github', [], Buffer.from(template))
    expect(attempt(() => late.unpack(record(packed)))).toBe('DICTIONARY_MISSING')
    expect(attempt(() => late.unpack(record(packed)))).toBe('DICTIONARY_MISSING')
    set.add(raw)
    expect(late.unpack(record(packed)).body.toString()).toBe(template)
  })

  it('is corrupt when cut anywhere', () => {
    fc.assert(
      fc.property(headers, body, fc.nat(), (head, content, at) => {
        const packed = packer.pack('github', head, content)
        const cut = packed.packed.subarray(0, at % packed.packed.length)
        expect(attempt(() => unpacker.unpack(record(packed, { packed: cut })))).toBe('RECORD_CORRUPT')
      }),
    )
  })

  it('is corrupt, or still says the same, with any bit flipped', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('github', 'generic'),
        headers,
        body,
        fc.nat(),
        (tool, head, content, bit) => {
          const packed = packer.pack(tool, head, content)
          const flipped = Buffer.from(packed.packed)
          const at = bit % (flipped.length * 8)
          flipped[at >> 3]! ^= 1 << (at & 7)
          attempt(() => {
            const opened = unpacker.unpack(record(packed, { packed: flipped }))
            expect(opened).toEqual({ headers: head, body: content })
          })
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('is corrupt when it is noise, and the next good record opens', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (noise, magic) => {
        const bytes = Buffer.concat([Buffer.from(magic ? '28b52ffd' : '', 'hex'), noise])
        const packed = packer.pack('github', [], Buffer.from('good'))
        expect(attempt(() => unpacker.unpack(record(packed, { packed: bytes })))).toBe('RECORD_CORRUPT')
        expect(unpacker.unpack(record(packed)).body.toString()).toBe('good')
      }),
    )
  })

  const compressor = new Compressor()
  compressor.setParameters({ compressionLevel: 3, checksumFlag: true })
  const bomb = compressor.compress(Buffer.concat([Buffer.from('[]\n'), Buffer.alloc(8 * 1024 * 1024)]))
  const small = compressor.compress(Buffer.from('[]\nsmall'))
  const limited = createUnpacker(dictionaries, { maxBytes: 1024 * 1024 })

  it('is refused by its declared size before a byte of it is unpacked', () => {
    expect(bomb.length).toBeLessThan(1_000)
    expect(attempt(() => limited.unpack(record({ encoding: 'zstd', dictionary: '', packed: bomb })))).toBe(
      'RECORD_CORRUPT',
    )
    const opened = unpacker.unpack(record({ encoding: 'zstd', dictionary: '', packed: bomb }))
    expect(opened.body.length).toBe(8 * 1024 * 1024)
  })

  it('is refused when another frame hides behind a small one', () => {
    for (const packed of [
      Buffer.concat([small, bomb]),
      Buffer.concat([small, small]),
      Buffer.concat([small, Buffer.from('x')]),
    ]) {
      expect(attempt(() => limited.unpack(record({ encoding: 'zstd', dictionary: '', packed })))).toBe(
        'RECORD_CORRUPT',
      )
    }
  })

  it('is refused when it declares no size', () => {
    const unsized = new Compressor()
    unsized.setParameters({ contentSizeFlag: false, checksumFlag: true })
    const packed = unsized.compress(Buffer.from('[]\nx'))
    expect(frameContentSize(packed)).toBeUndefined()
    expect(attempt(() => unpacker.unpack(record({ encoding: 'zstd', dictionary: '', packed })))).toBe(
      'RECORD_CORRUPT',
    )
  })

  it('is refused without a checksum, the only thing that notices a wrong dictionary', () => {
    const careless = new Compressor()
    careless.setParameters({ checksumFlag: false })
    const packed = careless.compress(Buffer.from('[]\nx'))
    expect(attempt(() => unpacker.unpack(record({ encoding: 'zstd', dictionary: '', packed })))).toBe(
      'RECORD_CORRUPT',
    )
  })

  it.each(['no newline', '{]\n', '"text"\n', 'null\n', '[["a"]]\n', '[["a",1]]\n', '[1]\n'])(
    'is corrupt with the header line %j',
    (content) => {
      const packed = { encoding: 'plain', dictionary: '', packed: Buffer.from(content) } as const
      expect(attempt(() => unpacker.unpack(record(packed)))).toBe('RECORD_CORRUPT')
    },
  )
})

describe('frameContentSize', () => {
  it('reads what zstd wrote, at every width of the field', () => {
    const compressor = new Compressor()
    for (const size of [0, 1, 255, 256, 257, 65_535 + 256, 65_536 + 256, 1_000_000]) {
      for (const contentSizeFlag of [true, false]) {
        compressor.setParameters({ contentSizeFlag })
        expect(frameContentSize(compressor.compress(Buffer.alloc(size)))).toBe(
          contentSizeFlag ? size : undefined,
        )
      }
    }
  })

  it('reads the eight-byte width and refuses what no buffer can hold', () => {
    const header = (size: bigint) => {
      const frame = Buffer.alloc(16)
      frame.writeUInt32LE(0xfd2fb528, 0)
      frame[4] = 0xc0 // eight bytes of size, a window descriptor
      frame.writeBigUInt64LE(size, 6)
      return frame
    }
    expect(frameContentSize(header(5_000_000_000n))).toBe(5_000_000_000)
    expect(frameContentSize(header(2n ** 63n))).toBeUndefined()
  })

  it('is undefined for anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => {
        const size = frameContentSize(Buffer.from(noise))
        expect(size === undefined || Number.isSafeInteger(size)).toBe(true)
      }),
    )
    expect(frameContentSize(Buffer.from('28b52ffd', 'hex'))).toBeUndefined()
  })
})
