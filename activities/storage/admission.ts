import { FerryError } from '../../model/errors.ts';
import type { StorageSeen } from '../../model/storage-identity.ts';

/**
 * Throws `BackEndUnavailable` unless what is seen is the back end's own storage. A driver asks at the beginning of every method, with
 * what it sees then.
 */
export type Admit = (seen: StorageSeen) => Promise<void>;

/** For a mark that cannot be written because what is there has changed meanwhile. */
export function markChanged(where: string): FerryError {
  return new FerryError('BackEndUnavailable', `${where} was marked by somebody else meanwhile; look again`, { where });
}
