import * as z from 'zod';
import { backEnd } from '../model/back-end.ts';
import type { Reason } from '../model/errors.ts';
import { reasonsNotToPlace } from '../model/preconditions.ts';
import type { Asking } from '../model/volume-type.ts';
import type { Queries } from './open-registry.ts';

const promise = z.object({ bytes: z.number(), now: z.date() });

/** Every reason why a back end may not take so many bytes more now, of a volume of that type. */
export async function reasonsAgainstPlacing(
  q: Queries,
  wanted: { backEnd: string; what: string; neededBytes: number; volumeType: Asking | null },
): Promise<Reason[]> {
  const [place] = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [wanted.backEnd]);
  const [promised] = await q.rows(promise, 'SELECT promised_bytes($1) AS bytes, now()::timestamptz(3) AS now', [
    wanted.backEnd,
  ]);
  return reasonsNotToPlace({
    destinationName: wanted.backEnd,
    destination: place ?? null,
    what: wanted.what,
    neededBytes: wanted.neededBytes,
    volumeType: wanted.volumeType,
    promisedBytes: promised!.bytes,
    now: promised!.now,
  });
}
