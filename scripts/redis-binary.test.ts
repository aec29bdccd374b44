import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Machine } from './installed-program.ts'
import { ensureRedisBinary } from './redis-binary.ts'

let directory = ''
let ran: string[] = []
let said: string[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-path-'))
  ran = []
  said = []
})
afterEach(() => rmSync(directory, { recursive: true }))

function program(name: string, mode = 0o755): string {
  const file = join(directory, name)
  writeFileSync(file, '#!/bin/sh\n')
  chmodSync(file, mode)
  return file
}

/** A machine whose programs are those of `directory`; `answer` decides what each command that it runs comes to. */
function machine(uid: number, answer: (line: string) => boolean = () => true): Machine {
  return {
    path: ['', '/no/such/directory', directory].join(delimiter),
    platform: 'linux',
    uid,
    run(command, args) {
      const line = [command.replace(`${directory}/`, ''), ...args.filter((arg) => !/^-|=/.test(arg))].join(
        ' ',
      )
      ran.push(line)
      const ok = answer(line)
      return { ok, output: ok ? 'fine\n' : 'Reading lists\nE: Unable to locate package redis-server\n' }
    },
    say: (line) => said.push(line),
  }
}

describe('the Redis program', () => {
  it('is redis-server or valkey-server, whichever is there', () => {
    const valkey = program('valkey-server')
    expect(ensureRedisBinary(machine(1000))).toBe(valkey)
    const redis = program('redis-server')
    expect(ensureRedisBinary(machine(1000))).toBe(redis)
    expect(ran).toEqual([])
  })

  it('is not a file that cannot be run, nor a directory', () => {
    program('redis-server', 0o644)
    mkdirSync(join(directory, 'valkey-server'))
    expect(() => ensureRedisBinary(machine(1000))).toThrow('no redis-server or valkey-server on PATH')
  })

  it('is installed by root on Debian, with one line said about it', () => {
    program('apt-get')
    const found = ensureRedisBinary(machine(0, () => Boolean(program('redis-server'))))
    expect(found).toBe(join(directory, 'redis-server'))
    expect(ran[0]).toBe('apt-get install redis-server')
    expect(said).toHaveLength(1)
  })

  it('is installed after an update where the package lists are missing', () => {
    program('apt-get')
    let updated = false
    ensureRedisBinary(
      machine(0, (line) => {
        updated ||= line === 'apt-get update'
        if (updated && line.includes('install')) program('redis-server')
        return updated
      }),
    )
    expect(ran.slice(0, 3)).toEqual([
      'apt-get install redis-server',
      'apt-get update',
      'apt-get install redis-server',
    ])
  })

  it('is named in one line where it cannot be installed', () => {
    program('apt-get')
    const message = (uid: number, answer?: () => boolean): string => {
      try {
        return ensureRedisBinary(machine(uid, answer))
      } catch (error) {
        return error instanceof Error ? error.message : String(error)
      }
    }
    expect(message(0, () => false)).toBe(
      'apt-get could not install redis-server: E: Unable to locate package redis-server',
    )
    expect(message(1000)).toMatch(
      /^no redis-server or valkey-server on PATH\. Install one .*apt-get install redis-server.*REDIS_URL/,
    )
    expect(message(1000)).not.toContain('\n')
  })
})
