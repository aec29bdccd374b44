/** What can be left out, in the order in which it is looked at. */
export const PARTS = [
  'config',
  'redis',
  'pipeline',
  'secrets',
  'keyring',
  'cold',
  'ai',
  'certificates',
] as const
export type Part = (typeof PARTS)[number]
