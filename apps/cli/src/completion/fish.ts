/** Completion for fish, with what help says of each word. */
import type { Outlined, Values } from './outline.ts'

export function fishCompletion(outline: readonly Outlined[]): string {
  const paths = outline.map(({ path }) => path).filter((path) => path !== '')
  const takers = outline.flatMap(({ path, options }) =>
    options.flatMap(({ name, value }) => (value === undefined ? [] : [`${path}:${name}`])),
  )
  const lines = outline.flatMap(({ path, children, argument, options }) => {
    const at = `complete -c webhook-cli -n "__webhook_cli_at ${quoted(path)}"`
    return [
      ...children.map(({ name, summary }) => `${at} -a ${quoted(name)} -d ${quoted(summary)}`),
      ...(argument === undefined ? [] : [`${at}${offer(argument)}`]).filter((line) => line !== at),
      ...options.map(
        ({ name, summary, value }) =>
          `${at} -l ${quoted(name.slice(2))} -d ${quoted(summary)}${value === undefined ? '' : ` ${value.kind === 'file' ? '-r' : '-x'}${offer(value)}`}`,
      ),
    ]
  })
  return `# fish completion of webhook-cli: webhook-cli completion fish > ~/.config/fish/completions/webhook-cli.fish
function __webhook_cli_at
    set -l path ''
    set -l option ''
    for word in (commandline -opc)[2..-1]
        if test -n "$option"
            set option ''
            continue
        end
        if string match -q -- '-*' $word
            switch "$path:$word"
                case ${takers.map(quoted).join(' ')}
                    set option $word
            end
            continue
        end
        set -l longer (string trim -- "$path $word")
        switch $longer
            case ${paths.map(quoted).join(' ')}
                set path $longer
        end
    end
    test "$path" = "$argv[1]"
end
complete -c webhook-cli -f
${lines.join('\n')}
`
}

function offer(values: Values): string {
  if (values.kind === 'file') return ' -F'
  if (values.kind === 'any') return ''
  return ` -a ${quoted(values.words.join(' '))}`
}

/** Inside single quotes fish knows a backslash before a backslash and before a quote. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
