/** docs/configuration.md, made from the schema and the tables beside it. */
import { type ConfigField, describeConfig, describedOutline } from './describe.ts'
import { OTHER_VARIABLES } from './environment.ts'
import { REFUSED, WITHOUT_EFFECT } from './not-yet.ts'
import { at, type Outline } from './outline.ts'
import { FIT, PRODUCTION } from './rules.ts'
import { TOOLS } from './tools.ts'

const HEAD = `<!-- Made by scripts/docs-config.ts from packages/core/src/config. Change it there. -->

# Configuration

Everything has a default; an empty file is a whole configuration. What counts, from strongest to weakest: a flag,
an environment variable, the file, the default. The file is the one that a flag or \`CONFIG_FILE\` names.

Nothing starts with a configuration that is wrong. Every problem is reported at once, with its path, its line,
what was found, what is allowed, and what was probably meant:

\`\`\`
The configuration has 2 problems:
  - webhook.consumer.num_worker (config.yaml:12): unknown key. Did you mean num_workers? Allowed here: …
  - webhook.ingest.port (PORT): found "80a"; allowed: a whole number from 0 to 65535
\`\`\`

\`webhook-cli config check\` reports the same without starting anything.

In the tables below, *Unit* is what the program counts in; \`config check\` prints values in it.

## How values are written

- **Variables**: \`\${NAME}\` is replaced by the environment variable, \`\${NAME:-default}\` by the default where it is
  unset or empty, \`$\${\` is a literal \`\${\`. What comes in is a value, never YAML. A \`\${NAME}\` that is not set is a
  problem; only where it is the whole value and the default is \`null\`, it counts as left out. Inside \`[ ]\` and \`{ }\`
  an expression needs quotes. \`\${CORES * 3}\` is three per processor core.
- **Durations** have a unit: \`500ms\`, \`90s\`, \`5m\`, \`1h30m\`, \`168h\`, \`30d\`. Only \`0\` needs none.
- **Sizes** are bytes, or have a unit: \`10485760\`, \`10MB\`, \`1GiB\`. kB, MB, GB and TB count in thousands, KiB, MiB,
  GiB and TiB in 1024s.
- **Lists** are YAML lists; in a variable, the items stand between commas.
- **Secrets** are never printed. An empty one is refused, as it protects nothing.
- **null**, where it is the default, may be written too; it means that there is none.
- Text that looks like a number (a password of digits) needs quotes in the file.
`

/** The whole page, Markdown. */
export function configurationPage(): string {
  const fields = describeConfig()
  const outline = describedOutline()
  const parts = [
    HEAD,
    variablesPart(fields),
    ...chaptersOf(fields).map((chapter) => chapterPart(chapter, fields, outline)),
    rulesPart(),
    notYetPart(),
  ]
  return `${parts.map((part) => part.trim()).join('\n\n')}\n`
}

function variablesPart(fields: readonly ConfigField[]): string {
  const names = [...new Set(fields.flatMap((field) => field.env))].sort()
  const rows = names.map((name) => {
    const paths = fields.filter((field) => field.env.includes(name)).map((field) => code(field.path))
    return [code(name), paths.join(', ')]
  })
  const others = Object.entries(OTHER_VARIABLES).map(([name, meaning]) => [code(name), meaning])
  return [
    '## Environment variables',
    table(['Variable', 'Sets'], rows),
    'A variable that is empty counts as unset, except for secrets. These are no fields of the file:',
    table(['Variable', 'Meaning'], others),
  ].join('\n\n')
}

/** `webhook.redis`, `observability.metrics`, …: the first two keys of every path. */
function chaptersOf(fields: readonly ConfigField[]): string[] {
  return [...new Set(fields.map(chapterOf))]
}

function chapterOf({ path }: ConfigField): string {
  const keys = path.split('.')
  return keys.slice(0, Math.min(2, keys.length - 1)).join('.')
}

function chapterPart(chapter: string, all: readonly ConfigField[], outline: Outline): string {
  const fields = all.filter((field) => chapterOf(field) === chapter)
  const section = at(outline, chapter.split('.'))
  const meaning = section?.kind === 'section' ? section.meaning : ''
  const head = ['Key', 'Type', 'Unit', 'Default', 'Allowed', 'Environment', 'Meaning']
  const rows = (chapter === 'webhook.tools' ? forAllTools(fields) : fields).map((field) => [
    code(field.path.slice(chapter.length + 1)),
    field.type,
    field.unit,
    field.default.includes('`') || field.default.includes(' ') ? field.default : code(field.default),
    field.range,
    field.env.map(code).join(', '),
    field.meaning,
  ])
  const inner = section?.kind === 'section' && chapter.includes('.') ? innerSections(section) : []
  const said = inner.length === 0 ? [meaning] : [meaning, inner.join('\n')]
  return [`## ${chapter}`, ...said, table(head, rows)].join('\n\n')
}

/** A line for each section inside, but for those of single tools, which speak for themselves. */
function innerSections(section: Extract<Outline, { kind: 'section' }>, path = ''): string[] {
  return [...section.entries].flatMap(([key, entry]) => {
    if (entry.kind === 'field' || TOOLS.some((tool) => tool === key)) return []
    return [`- ${code(path + key)}: ${entry.meaning}`, ...innerSections(entry, `${path}${key}.`)]
  })
}

/** One row where all tools have the same field; `generic.…` where only that one has it. */
function forAllTools(fields: readonly ConfigField[]): ConfigField[] {
  const [first, ...rest] = TOOLS
  const nameOf = (field: ConfigField) => field.path.split('.').at(-1)
  const shared = fields.filter((field) => field.path.startsWith(`webhook.tools.${first}.`))
  const own = fields.filter((field) => !shared.some((other) => nameOf(other) === nameOf(field)))
  const missing = shared.find((field) =>
    rest.some((tool) => !fields.some(({ path }) => path === `webhook.tools.${tool}.${nameOf(field)}`)),
  )
  if (missing !== undefined) throw new TypeError(`${missing.path} is not a field of every tool`)
  return [...shared.map((field) => ({ ...field, path: `webhook.tools.<tool>.${nameOf(field)}` })), ...own]
}

function rulesPart(): string {
  const lines = (rules: typeof FIT) =>
    rules.map(({ about, says }) => `- ${code(about[0])}: ${says}`).join('\n')
  const [general, ofTools] = [PRODUCTION.filter(notOfTool), PRODUCTION.filter((rule) => !notOfTool(rule))]
  const perTool = ofTools.slice(0, ofTools.length / TOOLS.length).map(({ about, says }) => {
    const anyTool = (said: string) =>
      said.replaceAll(TOOLS[0], '<tool>').replaceAll(TOOLS[0].toUpperCase(), '<TOOL>')
    return `- ${code(anyTool(about[0]))}: ${anyTool(says)}`
  })
  return [
    '## What must fit together',
    lines(FIT),
    '## In production',
    'With `NODE_ENV=production` or `WEIR_ENV=production`, further things are refused. A tool of which the configuration says nothing is fine without a secret: its requests get 401.',
    [lines(general), ...perTool].join('\n'),
  ].join('\n\n')
}

function notOfTool(rule: (typeof PRODUCTION)[number]): boolean {
  return !rule.about[0].startsWith('webhook.tools.')
}

function notYetPart(): string {
  const refused = REFUSED.map(({ path, comes, until }) => [code(path), `${comes}; ${until}.`])
  const idle = WITHOUT_EFFECT.map(({ path, until }) => [code(path), until])
  return [
    '## What this version does not have yet',
    'These are refused at start, because they would promise what is not there:',
    table(['Key', 'Why'], refused),
    'These are checked and accepted, and a notice at start says:',
    table(['Key', 'Notice'], idle),
  ].join('\n\n')
}

function code(text: string): string {
  return `\`${text}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
