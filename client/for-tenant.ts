import type { Reason } from '../model/errors.ts';

/** A refusal because of a migration, without what only administrators see. `name`: what was refused. */
export function movingForTenant(reason: Reason, name: string): Reason {
  const volumeId = reason.details?.['volumeId'];
  return {
    type: reason.type,
    message: `Volume ${String(volumeId)} cannot be changed at the moment (its storage is being serviced); ${name} is refused. Try again later.`,
    details: { volumeId, operation: name },
  };
}
