import { FerryError } from '../model/errors.ts';
import { sizeWords } from '../model/sizes.ts';
import { volume as volumeRow, type Volume } from '../model/volume.ts';
import type { Registry } from './open-registry.ts';
import { beginOperation, type Ticket } from './operations.ts';
import { reasonsAgainstPlacing } from './placement.ts';
import { requireQuota } from './quotas.ts';

/**
 * Takes the volume for an extension, if it becomes larger and its back end has room. By the same owner again: the same volume. Refused as
 * any operation, and with `InvalidInput` for a size that is not larger, `InsufficientSpace` and `QuotaExceeded`. Ends with `finishOperation`, which is told
 * the size.
 */
export function beginExtend(registry: Registry, ticket: Ticket & { sizeBytes: number }): Promise<Volume> {
  return registry.transaction(async (q) => {
    // Its snapshots stay as large as they are; a back end that cannot have that says so itself.
    const volume = await beginOperation(q, 'extend', { ...ticket, withSnapshots: true });
    if (ticket.sizeBytes <= volume.sizeBytes) {
      throw new FerryError(
        'InvalidInput',
        `Volume ${volume.id} has ${sizeWords(volume.sizeBytes)}; the new size must be larger than that, not ${sizeWords(ticket.sizeBytes)}.`,
        { sizeBytes: volume.sizeBytes, wantedBytes: ticket.sizeBytes },
      );
    }
    // The back end's row is not locked after the volume's: claims lock them the other way round. The device has the last word.
    const reasons = await reasonsAgainstPlacing(q, {
      backEnd: volume.host,
      what: `volume ${volume.id}`,
      neededBytes: ticket.sizeBytes - volume.sizeBytes,
      volumeType: null,
    });
    const space = reasons.find((reason) => reason.type === 'InsufficientSpace');
    if (space) throw new FerryError(space.type, space.message, space.details);
    // A repeat was counted already.
    if (volume.growingToBytes !== null) return volume;
    await requireQuota(q, volume.tenantId, {
      bytes: ticket.sizeBytes - volume.sizeBytes,
      volumeBytes: ticket.sizeBytes,
      volumeType: volume.volumeType,
    });
    const [growing] = await q.rows(volumeRow, 'UPDATE volumes SET growing_to_bytes = $2 WHERE id = $1 RETURNING *', [
      volume.id,
      ticket.sizeBytes,
    ]);
    return growing!;
  });
}
