/** Leaving out what is code or comment, where @ and # mean something else than in prose. */

/** Without what forms and bots hide in descriptions and nobody sees; what is opened and never closed stays. */
export const withoutComments = (written: string): string => without(written, '<!--', '-->')

/** Without fenced blocks. */
export const withoutBlocks = (written: string): string => without(written, '```', '```')

/** Without the signs that name somebody or something, in `code` inside a line. Keys of Jira issues in it still count. */
export const withoutSigns = (written: string): string =>
  written.replace(/`[^`\n]*`/g, (code) => code.replace(/[@#!]/g, ' '))

/** By indexOf and not by an expression: many beginnings without an end would take one quadratic time. */
function without(written: string, open: string, close: string): string {
  let kept = ''
  let from = 0
  for (;;) {
    const start = written.indexOf(open, from)
    const end = start < 0 ? -1 : written.indexOf(close, start + open.length)
    if (end < 0) return kept + written.slice(from)
    kept += `${written.slice(from, start)} `
    from = end + close.length
  }
}
