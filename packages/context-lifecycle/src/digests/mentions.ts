/** People that a text names with an @. */
import { withoutBlocks, withoutSigns } from './markdown.ts'

/** Not within a word, an address or a path: `a@b.example`, `actions/checkout@v4`, `medium.com/@someone`. */
const MENTION = /(?<![\w.@/+#-])@([A-Za-z0-9][\w.-]{0,98})/g

/** What follows an @ and is nobody: everybody, and what documentation and style sheets in texts begin with. */
const NOBODY: ReadonlySet<string> = new Set([
  ...['all', 'channel', 'everyone', 'here'],
  ...[
    'deprecated',
    'export',
    'import',
    'internal',
    'link',
    'media',
    'override',
    'param',
    'params',
    'property',
  ],
  ...['return', 'returns', 'see', 'since', 'throws', 'todo', 'type', 'types', 'version'],
])

/** Wiki markup of Jira: `[~mia]`, `[~accountid:5b10a2844c20165700ede21g]`. */
const TILDE = /\[~(?:accountid:)?([^\]\s]{1,100})\]/g

/** In the order in which they are named; lower case is the caller's work, as it is for people found elsewhere. */
export function peopleIn(written: string): readonly string[] {
  const prose = withoutSigns(withoutBlocks(written))
  const found: { readonly at: number; readonly name: string }[] = []
  for (const match of prose.matchAll(MENTION)) {
    const name = (match[1] ?? '').replace(/[.-]+$/, '')
    const behind = prose.slice(match.index + 1 + name.length, match.index + 3 + name.length)
    // A call (`@Injectable()`), a package (`@types/node`), a team (`@acme/security`), an address on another server.
    if (/^[(@]|^\/\w/.test(behind)) continue
    if (!/[A-Za-z]/.test(name) || NOBODY.has(name.toLowerCase())) continue
    if (/\.(?:com|org|net|io|dev|local)$/i.test(name)) continue
    found.push({ at: match.index, name })
  }
  for (const match of prose.matchAll(TILDE)) found.push({ at: match.index, name: match[1] ?? '' })
  return found.sort((a, b) => a.at - b.at).map(({ name }) => name)
}
