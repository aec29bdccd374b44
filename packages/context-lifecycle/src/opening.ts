import { isFault } from '@weir/core/faults'
import type { Opener } from '@weir/core/keyring/keyring'

/**
 * Opens what is a tenant's; when a key is missing, once more after a look at the keyring.
 * @param tenant undefined = not known, so there is nowhere to look
 */
export async function openedFor<T>(
  opener: Opener,
  tenant: string | undefined,
  open: () => T | Promise<T>,
): Promise<T> {
  try {
    return await open()
  } catch (error) {
    if (tenant === undefined || !isFault(error, 'KEY_MISSING')) throw error
    await opener.lookAgain(tenant)
    return open()
  }
}
