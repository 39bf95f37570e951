import { FerryError } from '../model/errors.ts';

/** What a guarded write means that changed nothing: the claim or the operation is not the caller's any more. */
export function fenced(what: string): FerryError {
  return new FerryError('Fenced', `${what}: it is not ours any more (released, or taken over). Nothing was changed.`);
}
