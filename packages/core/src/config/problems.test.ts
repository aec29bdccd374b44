import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isFault } from '../faults.ts'
import { describeConfig } from './describe.ts'
import { type LoadInput, loadConfig } from './load.ts'
import { nearest } from './nearest.ts'
import { withoutCredentials } from './problems.ts'

async function problemsOf(text: string, rest: Partial<LoadInput> = {}): Promise<string[]> {
  const error: unknown = await loadConfig({ env: {}, cores: 1, text, ...rest }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isFault(error, 'CONFIG_INVALID')) throw new Error('it was accepted', { cause: error })
  const [head, ...lines] = error.message.split('\n')
  expect(head).toBe(`The configuration has ${lines.length === 1 ? '1 problem' : `${lines.length} problems`}:`)
  return lines.map((line) => line.replace(/^ {2}- /, ''))
}

/** YAML with one value at a dotted path. */
function yamlOf(path: string, value: string): string {
  return path.split('.').reduceRight((inner, key, depth) => {
    const indent = '  '.repeat(depth)
    return inner.includes('\n') ? `${indent}${key}:\n${inner}` : `${indent}${key}: ${inner}\n`
  }, value)
}

describe('a wrong value', () => {
  it.each([
    ['webhook.ingest.port', '80a', 'found "80a"; allowed: a whole number from 0 to 65535'],
    ['webhook.ingest.port', '65536', 'found 65536; allowed: a whole number from 0 to 65535'],
    ['webhook.ingest.port', '-1', 'found -1; allowed: a whole number from 0 to 65535'],
    ['webhook.ingest.port', '1.5', 'found 1.5;'],
    ['webhook.ingest.port', '.nan', 'found NaN;'],
    ['webhook.ingest.port', '.inf', 'found Infinity;'],
    ['webhook.ingest.port', '"0x10"', 'found "0x10";'],
    ['webhook.ingest.port', '" 80"', 'found " 80";'],
    ['webhook.ingest.port', 'true', 'found true;'],
    ['webhook.ingest.port', 'null', 'found nothing (null);'],
    ['webhook.ingest.port', '[80]', 'found a list;'],
    ['webhook.ingest.port', '{a: 1}', 'found a section;'],
    [
      'webhook.ingest.body_timeout',
      '10',
      'found 10, which has no unit (is it 10ms or 10s?); allowed: a duration from',
    ],
    ['webhook.ingest.body_timeout', '"10"', 'found "10", which has no unit (is it 10ms or 10s?)'],
    ['webhook.ingest.body_timeout', '0', 'found 0; allowed: a duration from 1ms to 24d, such as'],
    ['webhook.ingest.body_timeout', '25d', 'found "25d"; allowed: a duration from 1ms to 24d'],
    ['webhook.ingest.body_timeout', '5 minutes', 'found "5 minutes"; allowed: a duration'],
    [
      'webhook.ingest.spool.max_bytes',
      '10 bananas',
      'found "10 bananas"; allowed: a size from 1MiB to 1TiB, such as',
    ],
    ['webhook.ingest.spool.max_bytes', '1.5', 'found 1.5; allowed: a size'],
    ['webhook.ingest.spool.max_bytes', '1kB', 'found "1kB"; allowed: a size'],
    ['webhook.ingest.spool.enabled', 'maybe', 'found "maybe"; allowed: true or false'],
    ['webhook.ingest.spool.enabled', 'flase', 'found "flase"; allowed: true or false. Did you mean false?'],
    ['webhook.ingest.spool.enabled', '1', 'found 1; allowed: true or false'],
    [
      'webhook.ingest.spool.for',
      'never_retrying',
      'allowed: all or never-retrying. Did you mean never-retrying?',
    ],
    ['webhook.consumer.num_workers', 'atuo', 'or auto (3 per processor core). Did you mean auto?'],
    ['webhook.consumer.ops_port', 'of', 'or off. Did you mean off?'],
    [
      'observability.logging.level',
      'warning',
      'found "warning"; allowed: trace, debug, info, warn, error, fatal or silent. Did you mean warn?',
    ],
    ['observability.metrics.type', 'statsd', 'found "statsd"; allowed: only prometheus'],
    ['observability.tracing.sampling_rate', '1.1', 'found 1.1; allowed: a number from 0 to 1'],
    ['webhook.redis.url', 'http://redis', 'found "http://redis"; allowed: a URL that begins with redis://'],
    ['webhook.redis.url', 'redis', 'found "redis"; allowed: a URL'],
    ['webhook.redis.url', 'http://me:hunter2@redis', 'found "http://***:***@redis/"; allowed: a URL'],
    [
      'webhook.redis.addresses',
      'a:1,b:99999',
      'which has a wrong item (the 2nd); allowed: a list of addresses',
    ],
    [
      'webhook.redis.addresses',
      '[a:1, 5]',
      'found a list, which has a wrong item (the 2nd); allowed: a list',
    ],
    ['webhook.redis.stream', '"{x}"', 'found "{x}"; allowed: up to 128 letters, digits and'],
    ['webhook.redis.master_name', '5', 'found 5, which is not text (put it in quotes); allowed: text'],
    ['webhook.redis.master_name', '""', 'found ""; allowed: text that is not empty'],
    ['webhook.security.signature_header', 'X Sig', 'found "X Sig"; allowed: the name of an HTTP header'],
    [
      'webhook.tools.github.content_encodings',
      '[gzip, br]',
      'has a wrong item (the 2nd); allowed: a list of encodings',
    ],
    ['webhook.redis', '7', 'found a number; allowed: a section with the keys url, addresses, '],
    ['webhook', '[]', 'found a list; allowed: a section with the keys data_dir, redis, '],
  ])('%s: %s', async (path, value, message) => {
    const [line, ...more] = await problemsOf(yamlOf(path, value))
    expect(more).toEqual([])
    expect(line).toMatch(new RegExp(`^${path.replaceAll('.', '\\.')} \\(config\\.yaml:\\d\\): `))
    expect(line).toContain(message)
  })

  it('is named with the line, the variable or the flag that it came from', async () => {
    const flags = { 'webhook.ops.port': 'x' }
    const lines = await problemsOf('# a comment\nwebhook:\n  ingest:\n    host: 5\n', {
      env: { PORT: 'x' },
      flags,
    })
    expect(lines.map((line) => line.split(':').slice(0, 2).join(':'))).toEqual([
      'webhook.ingest.host (config.yaml:4)',
      'webhook.ingest.port (PORT): found "x"; allowed',
      'webhook.ops.port (flag): found "x"; allowed',
    ])
  })

  it('is shortened when it is long', async () => {
    const [line] = await problemsOf(yamlOf('webhook.ingest.port', 'x'.repeat(5000)))
    expect(line).toContain('… (5000 characters)')
    expect(line?.length).toBeLessThan(250)
  })
})

describe('a secret', () => {
  const SECRET = 'hunter2'

  it.each([
    ['webhook.security.encryption_master_key', SECRET],
    ['webhook.ops.token', `${SECRET} with space`],
    ['webhook.security.signature_secrets.github', `{a: ${SECRET}}`],
    ['webhook.security.signature_secrets.github', '[]'],
    ['webhook.security.signature_secrets.github', `[${SECRET}, ""]`],
    ['webhook.security.signature_secrets', SECRET],
    ['webhook.security.signature_secrets.githb', SECRET],
    ['webhook.redis.password', '12345678'],
    ['webhook.redis.url', `redis://me:${SECRET}@`],
    ['webhook.redis.addresses', `["redis://:${SECRET}@redis:1"]`],
    ['webhook.redis.password', `\${A B:-${SECRET}}`],
    ['webhook.redis.password', `"${SECRET}`],
    ['webhook.redis.password', `!${SECRET} x`],
  ])('is not told when it is wrong: %s: %s', async (path, value) => {
    const text = (await problemsOf(yamlOf(path, value))).join('\n')
    expect(text).not.toContain(SECRET)
    expect(text).not.toContain('12345678')
  })

  it('is refused when it is empty, with what to do', async () => {
    const [line] = await problemsOf('', { env: { GITHUB_WEBHOOK_SECRET: '  ' } })
    expect(line).toBe(
      'webhook.security.signature_secrets.github: GITHUB_WEBHOOK_SECRET is empty: an empty secret protects nothing. Give it a value, or unset GITHUB_WEBHOOK_SECRET',
    )
    const lines = await problemsOf(yamlOf('webhook.security.signature_secrets.github', '""'))
    expect(lines[0]).toContain('which is empty')
  })

  it('of the file is not reported a second time when its variable is empty', async () => {
    const text = yamlOf('webhook.redis.password', '${REDIS_PASSWORD}')
    const lines = await problemsOf(text, { env: { REDIS_PASSWORD: '' } })
    expect(lines).toHaveLength(1)
  })
})

describe('an unknown key', () => {
  it.each([
    ['webhook.consumer.num_worker', 'Did you mean num_workers?'],
    ['webhook.consumer.numWorkers', 'Did you mean num_workers?'],
    ['webhook.consumer.batch-size', 'Did you mean batch_size?'],
    ['webhook.ingest.spool.max_byte', 'Did you mean max_bytes?'],
    ['webhok.ingest.port', 'Did you mean webhook?'],
    ['observabilty.logging.level', 'Did you mean observability?'],
    ['webhook.tools.githb.enabled', 'Did you mean github?'],
    ['webhook.security.per_tool_rate_limits.gihtub', 'Did you mean github?'],
    ['webhook.deduplication.window_configs.githb.duration', 'Did you mean github?'],
    // Right, but in the wrong place.
    ['webhook.num_workers', 'Did you mean webhook.consumer.num_workers?'],
    ['webhook.redis.spool.enabled', 'Did you mean webhook.ingest.spool?'],
    ['webhook.metrics.open', 'Did you mean observability.metrics?'],
  ])('%s', async (path, hint) => {
    const [line, ...more] = await problemsOf(yamlOf(path, '1'))
    expect(more).toEqual([])
    expect(line).toContain(': unknown key. ')
    expect(line).toContain(hint)
    expect(line).toContain('Allowed here: ')
  })

  it('far from everything gets the list only', async () => {
    const [line] = await problemsOf('webhook:\n  zzzzzzzz: 1\n')
    expect(line).toBe(
      'webhook.zzzzzzzz (config.yaml:2): unknown key. Allowed here: data_dir, redis, ingest, tools, security, deduplication, stream, consumer, ops, compression, context_lifecycle, ai and 1 more',
    )
  })

  it('of a flag is one too', async () => {
    const flags = { 'webhook.ingst.port': 1, 'webhook.ingest.port.x': 1, '': 1, 'a..b': 1 }
    expect(await problemsOf('', { flags })).toEqual([
      ' (flag): is not a path of the configuration',
      'a..b (flag): is not a path of the configuration',
      expect.stringMatching(/^webhook\.ingest\.port \(flag\): found a section/),
      expect.stringMatching(/^webhook\.ingst \(flag\): unknown key\. Did you mean ingest\?/),
    ])
  })

  it('with one letter wrong is recognised, whichever it is', async () => {
    const paths = describeConfig().map(({ path }) => path.split('.'))
    const typo = fc
      .constantFrom(...paths)
      .filter((path) => (path.at(-1)?.length ?? 0) > 4)
      .chain((path) => fc.tuple(fc.constant(path), fc.nat((path.at(-1)?.length ?? 1) - 1)))
    await fc.assert(
      fc.asyncProperty(typo, async ([path, position]) => {
        const key = path.at(-1) ?? ''
        const written = `${key.slice(0, position)}q${key.slice(position + 1)}`
        fc.pre(written !== key)
        const [line] = await problemsOf(yamlOf([...path.slice(0, -1), written].join('.'), '1'))
        expect(line).toMatch(/unknown key\. Did you mean \w+\?/)
      }),
      { numRuns: 60 },
    )
  })
})

describe('keys that reach into objects', () => {
  it.each(['__proto__', 'constructor', 'prototype'])('%s is refused wherever it stands', async (key) => {
    const text = `${key}: {polluted: 1}\nwebhook:\n  ${key}: 1\n  redis:\n    url: {${key}: {polluted: 1}}\n`
    const lines = await problemsOf(text)
    expect(lines.filter((line) => line.includes('this key is never allowed'))).toHaveLength(3)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    const [line] = await problemsOf('', { flags: { [`webhook.${key}.polluted`]: 1 } })
    expect(line).toContain('is not a path of the configuration')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('all problems', () => {
  it('are reported at once, from every layer and every kind of check', async () => {
    const text = [
      'webhook:',
      '  redis:',
      '    url: ${NOWHERE}',
      '  migration: {backend: sqs}',
      '  ingest:',
      '    port: 1',
      '    port: 2',
      '  consumer:',
      '    num_worker: 5',
      '    reclaim_idle: 10s',
      '    batch_size: many',
      'extra: 1',
    ].join('\n')
    const env = {
      RATE_LIMIT_RPM: '-1',
      GITHUB_WEBHOOK_SECRET: '',
      NODE_ENV: 'production',
      SQS_QUEUE_URL: 'https://q',
    }
    const lines = await problemsOf(text, { env, flags: { 'webhook.nothing': 1 } })
    expect(lines.map((line) => line.slice(0, line.indexOf(': ')))).toEqual([
      'config.yaml:7',
      'webhook.security.signature_secrets.github',
      'webhook.redis.url (config.yaml:3)',
      'webhook.security.rate_limit_rpm (RATE_LIMIT_RPM)',
      'webhook.consumer.batch_size (config.yaml:11)',
      'webhook.consumer.num_worker (config.yaml:9)',
      'webhook.nothing (flag)',
      'extra (config.yaml:12)',
      'webhook.consumer.reclaim_idle (config.yaml:10)',
      'webhook.ops.token',
      'webhook.migration.backend (config.yaml:4)',
      'webhook.migration.sqs_queue_url (SQS_QUEUE_URL)',
    ])
  })

  it('are a fault whatever the file holds, never another error', async () => {
    const line = fc.constantFrom(
      ...[
        'webhook:',
        '  redis:',
        '    url: x',
        '  - a',
        '&a',
        '*a',
        '<<: *a',
        '? [a]',
        '!!set {a}',
        '---',
        '\t',
        '}',
      ],
      ...[
        'a: {b: [c',
        '"',
        "'",
        '|',
        '${',
        '  ingest: &x {port: 1}',
        '  consumer: *x',
        '0: 1',
        '~: ~',
        '%YAML 9.9',
      ],
    )
    const text = fc.oneof(
      fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\n')),
      fc.string({ unit: 'binary', maxLength: 60 }),
    )
    await fc.assert(
      fc.asyncProperty(text, async (found) => {
        const error: unknown = await loadConfig({ env: {}, cores: 1, text: found }).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        expect(error === undefined || isFault(error, 'CONFIG_INVALID')).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('the nearest word', () => {
  it.each([
    ['num_worker', 'num_workers'],
    ['NumWorkers', 'num_workers'],
    ['prot', 'port'],
    ['xx', undefined],
    ['', undefined],
    ['completely_different', undefined],
  ])('to %j is %j', (written, expected) => {
    expect(nearest(written, ['num_workers', 'port', 'url'])).toBe(expected)
  })

  it('is none among none', () => {
    expect(nearest('x', [])).toBeUndefined()
  })
})

describe('a URL without its credentials', () => {
  it.each([
    ['redis://a:1/0', 'redis://a:1/0'],
    ['redis://:secret@a:1/0', 'redis://:***@a:1/0'],
    ['redis://me:secret@a:1', 'redis://***:***@a:1'],
    ['not a url @', '***'],
  ])('%s is %s', (url, shown) => {
    expect(withoutCredentials(url)).toBe(shown)
  })
})
