import { backEnd } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import { reasonsNotToPlace } from '../model/preconditions.ts';
import { gib } from '../model/sizes.ts';
import type { Volume } from '../model/volume.ts';
import * as z from 'zod';
import type { Registry } from './open-registry.ts';
import { beginOperation, type Ticket } from './operations.ts';

/**
 * Takes the volume for an extension, if it becomes larger and its back end has room. By the same owner again: the same volume. Refused as
 * any operation, and with `InvalidInput` for a size that is not larger, and `InsufficientSpace`. Ends with `finishOperation`, which is told
 * the size.
 */
export function beginExtend(registry: Registry, ticket: Ticket & { sizeGib: number }): Promise<Volume> {
  return registry.transaction(async (q) => {
    const volume = await beginOperation(q, 'extend', ticket);
    if (ticket.sizeGib <= volume.sizeGib) {
      throw new FerryError(
        'InvalidInput',
        `Volume ${volume.id} has ${volume.sizeGib} GiB; the new size must be larger than that, not ${ticket.sizeGib} GiB.`,
        { sizeGib: volume.sizeGib, wantedGib: ticket.sizeGib },
      );
    }
    const [place] = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [volume.host]);
    const [promised] = await q.rows(
      z.object({ bytes: z.number(), now: z.date() }),
      'SELECT promised_bytes($1) AS bytes, now()::timestamptz(3) AS now',
      [volume.host],
    );
    const space = reasonsNotToPlace({
      destinationName: volume.host,
      destination: place ?? null,
      what: `volume ${volume.id}`,
      neededBytes: (ticket.sizeGib - volume.sizeGib) * gib,
      promisedBytes: promised!.bytes,
      now: promised!.now,
    }).find((reason) => reason.type === 'InsufficientSpace');
    if (space) throw new FerryError(space.type, space.message, space.details);
    return volume;
  });
}
