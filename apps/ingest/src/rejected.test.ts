import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { setRejectedAside } from './rejected.ts'

it('a record that cannot be read is kept byte for byte, for its owner only, and once however often it comes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-rejected-'))
  try {
    const record = Buffer.from([0, 1, 2, 0xff])
    const path = await setRejectedAside(directory, record)
    expect(await setRejectedAside(directory, record)).toBe(path)
    const other = await setRejectedAside(directory, Buffer.from('another'))
    expect(readFileSync(path)).toEqual(record)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory).sort()).toEqual(
      [path, other].map((each) => each.slice(directory.length + 1)).sort(),
    )
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
