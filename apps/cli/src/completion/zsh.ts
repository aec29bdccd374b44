/** Completion for zsh, with what help says of each word. */
import type { Outlined, Values } from './outline.ts'

export function zshCompletion(outline: readonly Outlined[]): string {
  const paths = outline.map(({ path }) => path).filter((path) => path !== '')
  const takers = outline.flatMap(({ path, options }) =>
    options.flatMap(({ name, value }) => (value === undefined ? [] : [`${path}:${name}`])),
  )
  const valueCases = outline.flatMap(({ path, options }) =>
    options.flatMap(({ name, value }) =>
      value === undefined || value.kind === 'any'
        ? []
        : [`    (${quoted(`${path}:${name}`)}) ${offer(value)} ;;`],
    ),
  )
  const wordCases = outline.map(({ path, children, argument }) => {
    const lines = children.map(({ name, summary }) => lineOf(name, summary))
    const offered = lines.length > 0 ? describe('command', lines) : argument && offer(argument)
    return `    (${quoted(path)}) ${offered ?? ':'} ;;`
  })
  const optionCases = outline.map(
    ({ path, options }) =>
      `    (${quoted(path)}) ${describe(
        'option',
        options.map(({ name, summary }) => lineOf(name, summary)),
      )} ;;`,
  )
  return `#compdef webhook-cli
# zsh completion of webhook-cli: webhook-cli completion zsh > "\${fpath[1]}/_webhook-cli", or source <(webhook-cli completion zsh)
_webhook_cli() {
  local path_='' option='' word i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    if [[ -n $option ]]; then option=''; continue; fi
    if [[ $word == -* ]]; then
      case "$path_:$word" in
        (${alternatives(takers)}) option="$path_:$word" ;;
      esac
      continue
    fi
    case "\${path_:+$path_ }$word" in
      (${alternatives(paths)}) path_="\${path_:+$path_ }$word" ;;
    esac
  done
  word=\${words[CURRENT]}
  if [[ -z $option && $word == --*=* ]]; then
    option="$path_:\${word%%=*}"
    compset -P '*='
  fi
  if [[ -n $option ]]; then
    case "$option" in
${valueCases.join('\n')}
    esac
    return
  fi
  if [[ $word == -* ]]; then
    case "$path_" in
${optionCases.join('\n')}
    esac
    return
  fi
  case "$path_" in
${wordCases.join('\n')}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _webhook_cli "$@"
else
  compdef _webhook_cli webhook-cli
fi
`
}

function offer(values: Values): string {
  if (values.kind === 'file') return '_files'
  if (values.kind === 'any') return ':'
  return `compadd -- ${values.words.map(quoted).join(' ')}`
}

function describe(what: string, lines: readonly string[]): string {
  return `found=(${lines.map(quoted).join(' ')}); _describe -t ${what}s ${what} found`
}

/** In _describe a colon ends the word. */
function lineOf(name: string, summary: string): string {
  return `${name.replaceAll(':', '\\:')}:${summary}`
}

function alternatives(words: readonly string[]): string {
  return words.map(quoted).join(' | ')
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
