/**
 * What is taken out of a text besides secrets before it leaves: addresses of people, whom no summary needs to name that way.
 * What looks like one and is none (`lodash@4.17.21`, `@types/node`) stays.
 */
const ADDRESS =
  /(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}._%+-]{1,64}@(?:[\p{L}\p{N}-]{1,63}\.){1,8}\p{L}{2,24}(?![\p{L}\p{N}])/gu

export const ADDRESS_REDACTED = '[e-mail]'

export function withoutAddresses(text: string): string {
  return text.replace(ADDRESS, ADDRESS_REDACTED)
}
