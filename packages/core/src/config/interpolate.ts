/** `${NAME}` and `${NAME:-default}` inside the values of config.yaml. */

/** Environment variables: `process.env`, or any record like it. */
export type Environment = Readonly<Record<string, string | undefined>>

export type Interpolated =
  | { readonly kind: 'text'; readonly value: string }
  /** The whole value is one `${NAME}` (or `${NAME:-}`) and NAME is not set. */
  | { readonly kind: 'unset'; readonly name: string }
  | { readonly kind: 'problem'; readonly message: string }

const EXPRESSION = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/
// The deployment guide writes `num_workers: ${CORES * 3}`.
const CORES = /^CORES\s*\*\s*(\d{1,3})$/

/** The variable's text; undefined when it is not set. Never what an object inherits (`constructor`). */
export function variable(environment: Environment, name: string): string | undefined {
  return Object.hasOwn(environment, name) ? environment[name] : undefined
}

/**
 * Replaces every expression of `text`. As in a shell, the default after `:-` counts when the variable is unset
 * or empty; `$${` is a literal `${`; a `$` without a brace is a dollar. `${CORES * n}` is n per core.
 * What comes from the environment is text and nothing else: it is never read as YAML or interpolated again.
 */
export function interpolate(text: string, environment: Environment, cores: number): Interpolated {
  let value = ''
  let position = 0
  while (position < text.length) {
    const start = text.indexOf('${', position)
    if (start === -1) {
      value += text.slice(position)
      break
    }
    if (start > position && text[start - 1] === '$') {
      value += `${text.slice(position, start - 1)}\${`
      position = start + 2
      continue
    }
    const end = text.indexOf('}', start)
    if (end === -1)
      return { kind: 'problem', message: 'has ${ without a closing }; write $${ for a literal ${' }
    value += text.slice(position, start)
    position = end + 1

    const inner = text.slice(start + 2, end)
    const perCore = CORES.exec(inner)
    if (perCore !== null) {
      value += String(Number(perCore[1]) * cores)
      continue
    }
    const match = EXPRESSION.exec(inner)
    if (match === null) {
      // The text is not shown: it may hold a default that is a secret.
      const message = 'has an expression that is neither ${NAME} nor ${NAME:-default}'
      return { kind: 'problem', message: `${message}; write $\${ for a literal \${` }
    }
    const [expression, name = '', fallback] = match
    const found = variable(environment, name)
    const whole = expression.length + 3 === text.length
    if (found === undefined && !fallback) {
      if (whole) return { kind: 'unset', name }
      if (fallback === undefined) return { kind: 'problem', message: unsetMessage(name) }
    }
    value += fallback !== undefined && !found ? fallback : (found ?? '')
  }
  return { kind: 'text', value }
}

/** What to say when `${name}` cannot be replaced. */
export function unsetMessage(name: string): string {
  return `the environment variable ${name} is not set; set it, or give a default: \${${name}:-…}`
}
