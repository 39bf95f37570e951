import * as z from 'zod';
import { deviceName } from '../model/names.ts';
import type { Whereabouts } from '../model/device.ts';
import type { Queries } from './open-registry.ts';
import { forgottenAmong } from './operations.ts';

const place = z.object({
  id: z.uuid(),
  nameId: z.uuid().nullable(),
  host: z.string(),
  sizeBytes: z.number(),
  deviceIdentity: z.string().nullable(),
  generation: z.number(),
});

/**
 * Where the volume is, as far as the registry knows now: asked before anything of the volume is deleted. A volume without a row is
 * `deleted` only when it is on record who deleted it; else the registry may be one from before it was made.
 */
export async function whereabouts(registry: Queries, volumeId: string): Promise<Whereabouts> {
  const [found] = await registry.rows(
    place,
    'SELECT id, name_id, host, size_bytes, device_identity, generation FROM volumes WHERE id = $1',
    [volumeId],
  );
  if (found) {
    return {
      state: 'there',
      backEnd: found.host,
      deviceName: deviceName(found),
      identity: found.deviceIdentity,
      generation: found.generation,
      sizeBytes: found.sizeBytes,
    };
  }
  const isForgotten = (await forgottenAmong(registry, [volumeId])).size > 0;
  return { state: isForgotten ? 'deleted' : 'unknown' };
}

/** The time, by the one clock that all share. ISO 8601. */
export async function registryTime(registry: Queries): Promise<string> {
  const [row] = await registry.rows(z.object({ now: z.date() }), 'SELECT now()::timestamptz(3) AS now');
  return row!.now.toISOString();
}
