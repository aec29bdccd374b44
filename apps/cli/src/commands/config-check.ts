import { resolve } from 'node:path'
import { isFault } from '@weir/core/faults'
import { commandOf } from '../command.ts'
import { type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { manyLines, oneLine } from '../text.ts'

export const configCheckCommand = commandOf(
  (command) => command.argument('[file]', 'configuration file (default: as for every command)'),
  async ({ options, args, io, print }): Promise<ExitCode> => {
    const { loadForServers } = await import('../session.ts')
    const config = args[0] === undefined ? options.config : resolve(io.cwd, args[0])
    try {
      const loaded = await loadForServers({ ...options, ...(config === undefined ? {} : { config }) }, io)
      const { file, notices } = loaded
      const { configuredCipher } = await import('@weir/core/keyring/configured')
      const { createTenantCipher } = await import('@weir/security/tenant-cipher')
      configuredCipher(loaded.config, createTenantCipher) // a weak master key is a problem too
      print.answer({ ok: true, file: file ?? null, problems: [], notices }, () => {
        const told = notices.map((notice) => `note: ${oneLine(notice)}\n`).join('')
        return `${told}${file ?? 'the configuration (no file)'}: ok\n`
      })
      return OK
    } catch (error) {
      if (!isFault(error, 'CONFIG_INVALID')) throw error
      const [head = '', ...lines] = error.message.split('\n')
      const problems = lines.length === 0 ? [head] : lines.map((line) => line.replace(/^\s*- /, ''))
      print.answer(
        { ok: false, file: config ?? null, problems, notices: [] },
        () => `${manyLines(error.message)}\n`,
      )
      return NEGATIVE
    }
  },
)
