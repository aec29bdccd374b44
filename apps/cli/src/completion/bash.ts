/** Completion for bash 3.2 and later: no associative arrays, nothing of bash-completion. */
import type { Outlined, Values } from './outline.ts'

export function bashCompletion(outline: readonly Outlined[]): string {
  const paths = outline.map(({ path }) => path).filter((path) => path !== '')
  const takers = outline.flatMap(({ path, options }) =>
    options.flatMap(({ name, value }) => (value === undefined ? [] : [`${path}:${name}`])),
  )
  const valueCases = outline.flatMap(({ path, options }) =>
    options.flatMap(({ name, value }) =>
      value === undefined || value.kind === 'any'
        ? []
        : [`    ${quoted(`${path}:${name}`)}) ${offer(value)} ;;`],
    ),
  )
  const wordCases = outline.map(({ path, children, argument }) => {
    const words = children.map(({ name }) => name)
    const what: Values | undefined = words.length > 0 ? { kind: 'words', words } : argument
    return `    ${quoted(path)}) ${what === undefined ? ':' : offer(what)} ;;`
  })
  const optionCases = outline.map(
    ({ path, options }) =>
      `    ${quoted(path)}) ${offer({ kind: 'words', words: options.map(({ name }) => name) })} ;;`,
  )
  return `# bash completion of webhook-cli: source <(webhook-cli completion bash)
_webhook_cli() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path='' option='' word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    # readline splits --tool=github into three words.
    if [[ $word == '=' ]]; then continue; fi
    if [[ -n $option ]]; then option=''; continue; fi
    if [[ $word == -* ]]; then
      case "$path:$word" in
        ${alternatives(takers)}) option="$path:$word" ;;
      esac
      continue
    fi
    case "\${path:+$path }$word" in
      ${alternatives(paths)}) path="\${path:+$path }$word" ;;
    esac
  done
  if [[ $cur == '=' ]]; then cur=''; fi
  if [[ -n $option ]]; then
    case "$option" in
${valueCases.join('\n')}
    esac
    return
  fi
  if [[ $cur == -* ]]; then
    case "$path" in
${optionCases.join('\n')}
    esac
    return
  fi
  case "$path" in
${wordCases.join('\n')}
  esac
}
complete -F _webhook_cli webhook-cli
`
}

function offer(values: Values): string {
  if (values.kind === 'file') return 'COMPREPLY=($(compgen -f -- "$cur"))'
  if (values.kind === 'any') return ':'
  return `COMPREPLY=($(compgen -W ${quoted(values.words.join(' '))} -- "$cur"))`
}

function alternatives(words: readonly string[]): string {
  return words.map(quoted).join(' | ')
}

/** Names and words of ours have no quote in them. */
function quoted(text: string): string {
  return `'${text}'`
}
