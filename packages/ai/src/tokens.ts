/**
 * About how many tokens a text has, before a provider counts them: four characters of English are one, and every character
 * beyond ASCII counts as a whole one, which is near the truth for Chinese and too much for Czech. Budgets reserve by this and
 * are corrected afterwards; chunks are measured with it.
 */
export function estimateTokens(text: string): number {
  let beyond = 0
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) beyond++
  return Math.ceil((text.length - beyond) / CHARACTERS_PER_TOKEN) + beyond
}

export const CHARACTERS_PER_TOKEN = 4
