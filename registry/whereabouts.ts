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
  epoch: z.number().nullable(),
  source: z.string().nullable(),
});

/**
 * Where the volume is, as far as the registry knows now: asked before anything of the volume is deleted. A volume without a row is
 * `deleted` only when it is on record who deleted it; else the registry may be one from before it was made. `leftBy`: the migration by
 * which it has left a device, about which is asked as well.
 */
export async function whereabouts(
  registry: Queries,
  volumeId: string,
  leftBy: string | null = null,
): Promise<Whereabouts> {
  const [found] = await registry.rows(
    place,
    `SELECT v.id, v.name_id, v.host, v.size_bytes, v.device_identity, v.generation, m.epoch, m.source
     FROM volumes v LEFT JOIN migrations m ON m.id = $2 AND m.volume_id = v.id WHERE v.id = $1`,
    [volumeId, leftBy],
  );
  if (found) {
    return {
      state: 'there',
      backEnd: found.host,
      deviceName: deviceName(found),
      identity: found.deviceIdentity,
      generation: found.generation,
      sizeBytes: found.sizeBytes,
      left: found.epoch === null || found.source === null ? null : { epoch: found.epoch, backEnd: found.source },
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
