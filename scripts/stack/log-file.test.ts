import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openLogFile, readableLogLine } from './log-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'weir-logs-'))
afterAll(() => rmSync(directory, { recursive: true }))

describe('a log file', () => {
  it('is continued by the next start', async () => {
    const path = join(directory, 'logs/app.log')
    for (const line of ['first', 'second']) {
      const log = openLogFile(path)
      log.write(line)
      await log.close()
    }
    expect(readFileSync(path, 'utf8')).toBe('first\nsecond\n')
  })

  it('never grows beyond its size, and keeps the one before', async () => {
    const path = join(directory, 'small.log')
    const log = openLogFile(path, 20)
    for (let line = 1; line <= 5; line += 1) log.write(`line ${line} `)
    await log.close()
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('line 3 \nline 4 \n')
    expect(readFileSync(path, 'utf8')).toBe('line 5 \n')
  })
})

describe('a log line on the screen', () => {
  it.each([
    ['{"level":30,"time":1,"msg":"event settled"}', undefined],
    ['{"level":40,"time":1,"pid":2,"hostname":"h","msg":"Redis is away"}', 'warning: Redis is away'],
    [
      '{"level":50,"msg":"admission failed","err":{"type":"Fault","message":"no answer","stack":"…"},"tool":"github","n":3}',
      'ERROR: admission failed (no answer) tool=github n=3',
    ],
    ['{"level":60,"err":{"message":"boom"},"msg":"boom"}', 'FATAL: boom'],
    ['', undefined],
    ['{"no":"level"}', '{"no":"level"}'],
    ['{broken', '{broken'],
    ['    at main (main.ts:1:1)', '    at main (main.ts:1:1)'],
  ])('%s → %s', (line, shown) => {
    expect(readableLogLine(line)).toBe(shown)
  })

  it('shortens long values', () => {
    const line = readableLogLine(JSON.stringify({ level: 40, msg: 'm', body: 'x'.repeat(1000) }))
    expect(line).toBe(`warning: m body=${'x'.repeat(200)}…`)
  })
})
