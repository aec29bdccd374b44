/**
 * Where a spooled record goes that cannot be read as an event: into a file of its own beside the spool's segments,
 * byte for byte, so that it blocks nothing and is not lost (docs/spool.md).
 */
import { createHash } from 'node:crypto'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Writes and fsyncs the record; resolves with the file's path. Its name is made from its bytes, so a record that is
 * offered again (a crash before its release) does not make a second file.
 */
export async function setRejectedAside(directory: string, record: Buffer): Promise<string> {
  const name = `rejected-${createHash('sha256').update(record).digest('hex').slice(0, 16)}`
  const path = join(directory, name)
  const partial = `${path}.part`
  const file = await open(partial, 'w', 0o600)
  try {
    await file.writeFile(record)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(partial, path)
  const folder = await open(directory, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
  return path
}
