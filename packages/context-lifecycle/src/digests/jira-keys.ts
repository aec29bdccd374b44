/** Telling keys of Jira issues from everything else that looks like one. */

/** Standards, algorithms, encodings, licences, advisories, time zones, and other tools' ways to number. */
const NO_PROJECT: ReadonlySet<string> = new Set([
  ...[
    'UTF',
    'UCS',
    'ISO',
    'IEC',
    'IEEE',
    'ANSI',
    'ASCII',
    'LATIN',
    'WINDOWS',
    'CP',
    'KOI8',
    'EBCDIC',
    'BASE',
  ],
  ...['SHA', 'SHA1', 'SHA2', 'SHA3', 'MD', 'MD5', 'CRC', 'HMAC', 'AES', 'DES', 'RSA', 'DSA', 'ECDSA', 'ED'],
  ...['CHACHA20', 'BLAKE2', 'BLAKE3', 'PBKDF2', 'PKCS', 'FIPS', 'NIST', 'SP', 'FNV', 'XXH'],
  ...[
    'HTTP',
    'HTTPS',
    'HTML',
    'CSS',
    'TLS',
    'SSL',
    'SSH',
    'TCP',
    'UDP',
    'IP',
    'IPV',
    'OAUTH',
    'UUID',
    'JSON',
  ],
  ...['RFC', 'PEP', 'JSR', 'JEP', 'ECMA', 'DIN', 'EN', 'EU', 'ITU', 'XEP', 'BIP', 'EIP', 'ERC', 'ADR', 'NEP'],
  ...['CVE', 'CWE', 'GHSA', 'CVSS', 'OSV', 'RHSA', 'RHBA', 'USN', 'DLA', 'PYSEC', 'RUSTSEC', 'SNYK', 'CAPEC'],
  ...['GPL', 'AGPL', 'LGPL', 'MPL', 'BSD', 'CC', 'EPL', 'EUPL', 'CDDL', 'APACHE'],
  ...['UTC', 'GMT', 'CET', 'CEST', 'EST', 'EDT', 'PST', 'PDT'],
  ...[
    'ARM',
    'AMD',
    'X86',
    'INT',
    'UINT',
    'FLOAT',
    'FP',
    'BF',
    'RTX',
    'GTX',
    'USB',
    'PCI',
    'DDR',
    'GPT',
    'MP',
  ],
  ...[
    'COVID',
    'SARS',
    'TOP',
    'STEP',
    'PART',
    'PHASE',
    'LEVEL',
    'VERSION',
    'RC',
    'SEV',
    'WIN',
    'IE',
    'JDK',
    'ES',
  ],
  ...['GH', 'GL', 'PR', 'MR', 'MS', 'KB', 'ID', 'NO', 'HEAD'],
])

/** A letter and digits are quarters, processors and paper sizes (`Q3-2026`), hardly ever a project. */
const LETTER_AND_DIGITS = /^[A-Z]\d+$/

/** Whether the part before the hyphen can be a project's. */
export const isJiraKey = (prefix: string): boolean =>
  !NO_PROJECT.has(prefix) && !LETTER_AND_DIGITS.test(prefix)
