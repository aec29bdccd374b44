import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { tableOf } from '../text.ts'

interface Options {
  readonly changed?: true
}

interface Setting {
  readonly path: string
  readonly value: unknown
  readonly shown: string
  readonly source: string
}

export const configShowCommand = commandOf<Options>(
  (command) => command.option('--changed', 'only settings that are not the default'),
  async ({ options, io, print }) => {
    const { loadForServers } = await import('../session.ts')
    const { describeConfig, redactedConfig } = await import('@weir/core/config/describe')
    const { sourceText } = await import('@weir/core/config/problems')
    const { formatDuration } = await import('@weir/core/config/duration')
    const { formatSize } = await import('@weir/core/config/size')
    const { config, file, sources } = await loadForServers(options, io)
    const redacted = redactedConfig(config)
    const settings = describeConfig()
      .map(({ path, type }): Setting => {
        const source = sources.get(path)
        const value = valueAt(redacted, path)
        const written = type === 'duration' ? formatDuration : type === 'size' ? formatSize : String
        return {
          path,
          value,
          shown: typeof value === 'number' ? written(value) : valueText(value),
          source: source === undefined ? 'default' : sourceText(source),
        }
      })
      .filter(({ source }) => !options.changed || source !== 'default')
    const document = settings.map(({ path, value, source }) => ({ path, value, source }))
    print.answer({ file: file ?? null, production: config.production, settings: document }, () =>
      tableOf<Setting>(
        [
          { head: 'setting', cell: ({ path }) => path },
          { head: 'value', cell: ({ shown }) => shown },
          {
            head: 'from',
            cell: ({ source }) => source,
            paint: ({ source }) => (source === 'default' ? 'dim' : undefined),
          },
        ],
        settings,
        print.style,
      ),
    )
    return OK
  },
)

function valueAt(config: unknown, path: string): unknown {
  let value = config
  for (const key of path.split('.')) {
    value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  }
  return value ?? null
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
