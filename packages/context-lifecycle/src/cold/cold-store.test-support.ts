/**
 * What every cold store must do, whatever it is made of: the same specification for each kind.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { objectsOf } from './cold-objects.test-support.ts'
import type { ColdStore } from './cold-store.ts'

export interface ColdPlace {
  /** The place as another process sees it, with nothing in common but the place. */
  open(): ColdStore
}

/** What a server cannot do that we want, so that its own faults are not held against the store. */
export interface Lacks {
  /** Names are listed in order only where all of them lie equally deep in directories of equal length. */
  readonly order?: true
  /** Who reads an object while it is replaced may see half of it. */
  readonly wholeReplacement?: true
  /** It ends when the last object of a directory is deleted while another is put there. */
  readonly deletesBesidePuts?: true
}

/** Many objects take their time on a machine with two cores, ms. */
const MANY_MS = 120_000
const MANY = 2_500
const WRITERS = 32

/** Bytes that no text survives. */
const BINARY = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
/** As bytes go, each after the one before: - . / 0 = A _ a */
const ORDERED = ['A/z', '_', 'a-b', 'a.b/c', 'a/b', 'a/b-', 'a/b.c', 'a/b0', 'a/bc/d', 'a/c=/x', 'a0', 'a=']

export function specifyColdStore(makePlace: () => Promise<ColdPlace>, lacks: Lacks = {}): void {
  let place: ColdPlace
  let store: ColdStore
  let opened: ColdStore[] = []
  const open = () => {
    const one = place.open()
    opened.push(one)
    return one
  }
  beforeEach(async () => {
    place = await makePlace()
    store = open()
  })
  afterEach(() => {
    for (const one of opened) one.close()
    opened = []
  })
  const namesOf = async (prefix: string, after?: string) =>
    (await objectsOf(store.list(prefix, after))).map(({ name }) => name)
  const putAll = async (names: readonly string[]) => {
    const left = [...names]
    const work = async () => {
      for (let name = left.pop(); name !== undefined; name = left.pop())
        await store.put(name, Buffer.from(name))
    }
    await Promise.all(Array.from({ length: WRITERS }, work))
  }

  describe('as every cold store', () => {
    it('is empty at first', async () => {
      expect(await store.get('contexts/acme/1')).toBeUndefined()
      expect(await namesOf('')).toEqual([])
      await store.delete('contexts/acme/1')
    })

    it.each([
      ['text', Buffer.from('{"a":1}')],
      ['nothing', Buffer.alloc(0)],
      ['every byte', BINARY],
      ['20 MB', Buffer.alloc(20_000_000, BINARY)],
    ])('keeps %s as it was put, for everybody', async (_, bytes) => {
      await store.put('contexts/acme/2026/11/27/ctx_0-A_z.=', bytes)
      const found = await open().get('contexts/acme/2026/11/27/ctx_0-A_z.=')
      expect(found?.equals(bytes)).toBe(true)
      expect(await objectsOf(open().list(''))).toEqual([
        { name: 'contexts/acme/2026/11/27/ctx_0-A_z.=', bytes: bytes.length },
      ])
    })

    it('replaces what has the same name', async () => {
      await store.put('a/b', Buffer.from('earlier and longer'))
      await store.put('a/b', Buffer.from('later'))
      expect(await store.get('a/b')).toEqual(Buffer.from('later'))
      expect(await objectsOf(store.list(''))).toEqual([{ name: 'a/b', bytes: 5 }])
    })

    it('deletes one object and no other, again without harm', async () => {
      await putAll(['a/b', 'a/bc', 'b/b'])
      await store.delete('a/b')
      await store.delete('a/b')
      expect(await store.get('a/b')).toBeUndefined()
      expect(await namesOf('')).toEqual(['a/bc', 'b/b'])
      await store.put('a/b', Buffer.from('again'))
      expect(await store.get('a/b')).toEqual(Buffer.from('again'))
    })

    it('knows a name as a whole: neither its beginning nor what goes on after it', async () => {
      await store.put('a/b/c', Buffer.from('x'))
      expect(await store.get('a/b')).toBeUndefined()
      expect(await store.get('a/b/c/d')).toBeUndefined()
      await store.delete('a/b')
      await store.delete('a/b/c/d')
      expect(await namesOf('')).toEqual(['a/b/c'])
    })

    it.skipIf(lacks.order)('lists in the order of the bytes of names, over all directories', async () => {
      await putAll(ORDERED)
      expect(await namesOf('')).toEqual(ORDERED)
      for (const [i, name] of ORDERED.entries()) {
        expect(await namesOf('', name), `after ${name}`).toEqual(ORDERED.slice(i + 1))
      }
      for (const prefix of ['a', 'a/', 'a/b', 'a/b-', 'a/bc/', 'a=', 'b', 'A/z', 'A/z/']) {
        const expected = ORDERED.filter((name) => name.startsWith(prefix))
        expect(await namesOf(prefix), `prefix ${prefix}`).toEqual(expected)
        expect(await namesOf(prefix, 'a/b0'), `prefix ${prefix}`).toEqual(expected.filter((n) => n > 'a/b0'))
      }
    })

    it(
      `lists ${MANY} objects, over several pages, from any of them on`,
      async () => {
        const names = Array.from(
          { length: MANY },
          (_, i) => `contexts/t${i % 3}/${String(i).padStart(5, '0')}`,
        ).sort()
        await putAll(names)
        expect(await namesOf('')).toEqual(names)
        const second = names.filter((name) => name.startsWith('contexts/t1/'))
        expect(await namesOf('contexts/t1/')).toEqual(second)
        expect(await namesOf('contexts/', names[999])).toEqual(names.slice(1000))
        expect(await namesOf('contexts/t1/0', names[1000])).toEqual(
          second.filter((name) => name > names[1000]!),
        )
        let read = 0
        for await (const { name } of store.list('')) {
          expect(name).toBe(names[read++])
          if (read === 1500) break
        }
        expect(read).toBe(1500)
      },
      MANY_MS,
    )

    it.skipIf(lacks.wholeReplacement)('shows the one or the other while an object is replaced', async () => {
      const whole = (writer: number) => Buffer.alloc(100_000 + writer, `${writer}`)
      await store.put('a/b', whole(0))
      let writing = true
      const write = async (writer: number) => {
        const own = open()
        for (let i = 0; i < 10; i++) await own.put('a/b', whole(writer))
      }
      const read = async () => {
        let reads = 0
        for (const own = open(); writing; reads++) {
          const found = await own.get('a/b')
          expect(found?.equals(whole(found.length - 100_000))).toBe(true)
        }
        return reads
      }
      const writers = Promise.all([1, 2, 3, 4].map(write)).finally(() => {
        writing = false
      })
      const [reads] = await Promise.all([read(), writers])
      expect(reads).toBeGreaterThan(0)
    })

    it.skipIf(lacks.deletesBesidePuts)(
      'takes several puts and deletes under the same directory at the same time',
      async () => {
        await Promise.all(
          Array.from({ length: 8 }, async (_, writer) => {
            const own = open()
            for (let i = 0; i < 10; i++) {
              await own.put(`a/b/c/${writer}`, Buffer.from(`${i}`))
              if (i < 9) await own.delete(`a/b/c/${writer}`)
            }
          }),
        )
        expect(await namesOf('')).toEqual(Array.from({ length: 8 }, (_, writer) => `a/b/c/${writer}`))
      },
    )

    it.each([
      '',
      '/',
      '/a',
      'a/',
      'a//b',
      '.',
      '..',
      'a/../b',
      'a/.',
      'a b',
      'ä',
      'a\0',
      'a\\b',
      '~new/x',
      'x'.repeat(256),
    ])('takes %j for no name', async (name) => {
      await expect(store.put(name, Buffer.alloc(1))).rejects.toThrow(RangeError)
      await expect(store.get(name)).rejects.toThrow(RangeError)
      await expect(store.delete(name)).rejects.toThrow(RangeError)
    })

    it.each(['/', '/a', 'a//', '../', './a', 'a b', '~'])('begins no list with %j', async (beginning) => {
      await expect(namesOf(beginning)).rejects.toThrow(RangeError)
      await expect(namesOf('', beginning)).rejects.toThrow(RangeError)
    })

    it('does nothing more when the signal has aborted, and says why', async () => {
      const reason = new Error('no longer wanted')
      const signal = AbortSignal.abort(reason)
      await expect(store.put('a', Buffer.alloc(1), signal)).rejects.toBe(reason)
      await expect(store.get('a', signal)).rejects.toBe(reason)
      await expect(store.delete('a', signal)).rejects.toBe(reason)
      await expect(objectsOf(store.list('', '', signal))).rejects.toBe(reason)
      expect(await namesOf('')).toEqual([])
    })

    it('stops a list in its middle when the signal aborts', async () => {
      await putAll(['a', 'b', 'c', 'd', 'e'])
      const controller = new AbortController()
      const reason = new Error('no longer wanted')
      const read = async () => {
        for await (const { name } of open().list('', '', controller.signal)) {
          if (name === 'b') controller.abort(reason)
          expect(name < 'c').toBe(true)
        }
      }
      await expect(read()).rejects.toBe(reason)
    })
  })
}
