/** Texts that differ only in white space or in how characters are written are the same text. */
export function normalised(text: string): string {
  return text.normalize('NFC').replace(/\s+/g, ' ').trim()
}
