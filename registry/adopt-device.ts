import { FerryError } from '../model/errors.ts';
import { nodeOf } from '../model/ids.ts';
import { deviceName, nameIdOf } from '../model/names.ts';
import type { FoundDevice } from '../model/repair.ts';
import { volume, type Volume } from '../model/volume.ts';
import type { Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';
import { volumeTypeOrNull } from './volume-types.ts';

/**
 * Takes a device's word: the volume is there, whatever the registry said. A row that was lost is written anew, with what the device says.
 * Refused when something is being done to the volume (`VolumeBusy`), when the registry has a newer place (`NeedsRepair`), or when the
 * device does not tell enough (`InvalidInput`). May be repeated.
 */
export function adoptFoundDevice(registry: Registry, found: FoundDevice): Promise<void> {
  return registry.transaction(async (q) => {
    const { volumeId, backEnd, generation, identity } = found;
    const nameId = nameIdOf(found.deviceName);
    if (nameId === null)
      throw new FerryError('InvalidInput', `${found.deviceName} is no name of a volume's device.`, { ...found });
    const [row] = await q.rows(volume, 'SELECT * FROM volumes WHERE id = $1 FOR NO KEY UPDATE', [volumeId]);
    if (row) checkAdoptable(row, found);
    const asNameId = nameId === volumeId ? null : nameId;
    const type = found.volumeType === null ? null : await volumeTypeOrNull(q, found.volumeType);
    if (row) {
      await q.rows(
        noColumns,
        `UPDATE volumes v SET host = b.name, name_id = $3, generation = $4, device_identity = $5, size_bytes = $6,
           migration_epoch = greatest(v.migration_epoch, $4), availability_zone = b.availability_zone
         FROM back_ends b WHERE b.name = $2 AND v.id = $1`,
        [volumeId, backEnd, asNameId, generation, identity, found.sizeBytes],
      );
    } else {
      if (found.tenantId === null)
        throw new FerryError('InvalidInput', `${found.deviceName} does not say whose volume it is.`, { ...found });
      await q.rows(
        noColumns,
        `INSERT INTO volumes (
           id, tenant_id, name, size_bytes, status, host, name_id, generation, migration_epoch, device_identity,
           availability_zone, volume_type)
         SELECT $1, $7, $8, $6, 'available', b.name, $3, $4, $4, $5, b.availability_zone, $9 FROM back_ends b WHERE b.name = $2`,
        [
          volumeId,
          backEnd,
          asNameId,
          generation,
          identity,
          found.sizeBytes,
          found.tenantId,
          found.name,
          type?.name ?? null,
        ],
      );
    }
    // It is no kept source any more, if it was one.
    await q.rows(noColumns, 'DELETE FROM kept_sources WHERE back_end = $1 AND coalesce(name_id, volume_id) = $2', [
      backEnd,
      nameId,
    ]);
    if (found.written) {
      const connection = { protocol: 'nbd', ...found.written, backEnd, device: found.deviceName };
      await q.rows(
        noColumns,
        `UPDATE attachments SET connection = connection || $2 WHERE volume_id = $1 AND status = 'attached'`,
        [volumeId, connection],
      );
    } else if (found.place) {
      // Without an export nobody but a guest on the node itself can have it. What a client has attached reaches it in the client's own way.
      const connection = { protocol: 'local', ...found.place, backEnd, device: found.deviceName };
      await q.rows(
        noColumns,
        `UPDATE attachments a
         SET connection = jsonb_strip_nulls(jsonb_build_object('domain', a.connection -> 'domain')) || $2
         WHERE a.volume_id = $1 AND a.status = 'attached' AND a.compute_host = $3
           AND NOT EXISTS (SELECT FROM client_attachments c WHERE c.id = a.id)`,
        [volumeId, connection, nodeOf(backEnd)],
      );
    }
    await q.rows(noColumns, 'DELETE FROM discrepancies WHERE volume_id = $1', [volumeId]);
  });
}

function checkAdoptable(row: Volume, found: FoundDevice): void {
  const details = { volumeId: row.id, host: row.host, generation: row.generation };
  if (row.migrationOwner !== null || row.operation !== null)
    throw new FerryError(
      'VolumeBusy',
      `Volume ${row.id} is being migrated or changed; it is not repaired now.`,
      details,
    );
  const isSame = row.host === found.backEnd && deviceName(row) === found.deviceName;
  if (row.generation < found.generation || (row.generation === found.generation && isSame)) return;
  throw new FerryError(
    'NeedsRepair',
    `The registry has volume ${row.id} on ${row.host} with generation ${row.generation}; the device on ${found.backEnd} is only of ${found.generation}.`,
    details,
  );
}
