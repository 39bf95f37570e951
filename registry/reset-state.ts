import { FerryError } from '../model/errors.ts';
import { shownStatus, statusOf, volume, type ShownStatus, type Volume } from '../model/volume.ts';
import { listAttachments } from './attachments.ts';
import { listClaims } from './migrations.ts';
import { reasonHeld } from './operation-rules.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';
import { volumeNotFound, type Visibility } from './volumes.ts';

/** What an administrator may set: the statuses in which nothing is under way; the others are only shown. */
export const resettableStatus = shownStatus;

/** Those that a volume can rest in, so that its status itself becomes it. */
const resting: ReadonlySet<ShownStatus> = new Set([
  'available',
  'in-use',
  'error',
  'error_deleting',
  'error_extending',
  'maintenance',
]);

export interface Reset extends Visibility {
  volumeId: string;
  /** Not given: as it is. */
  status?: ShownStatus | undefined;
  /** Forget the attachments, which are these: those of whom it was asked whether anybody has the volume. */
  detached?: readonly string[] | undefined;
  /** The owner of an operation that is known to be dead: the volume is freed, and what that owner still writes is refused. */
  abandon?: string | undefined;
}

/**
 * Sets a volume's status by hand, without a look at the device. Never frees a volume that a migration holds (`VolumeMigrating`): cancel
 * the migration. Frees one that an operation holds only if its owner is named (`VolumeBusy`). `available` is refused while there are
 * attachments: a second writer could come. A status in which something would be under way, though nothing is, is only shown, until the next
 * operation begins; it may not begin from there unless forced. Whoever waited to take the volume over cannot any more when the status is
 * set. May be repeated.
 */
export function resetState(registry: Registry, reset: Reset): Promise<Volume> {
  return registry.transaction(async (q) => {
    const found = await lockVolume(q, reset);
    const abandoned = found.operation !== null && found.operationOwner === reset.abandon;
    const [claim] = await listClaims(q, { volumeId: found.id });
    const reason = abandoned ? null : reasonHeld('reset-state', found, claim?.phase ?? null);
    if (reason) throw new FerryError(reason.type, reason.message, reason.details);
    if (reset.detached) {
      const asked = new Set(reset.detached);
      const since = (await listAttachments(q, { volumeId: found.id })).find(({ id }) => !asked.has(id));
      if (since)
        throw new FerryError(
          'VolumeBusy',
          `Volume ${found.id} was attached to ${since.instanceId} while it was asked who has it. Look again: ferry show ${found.id}.`,
          { volumeId: found.id, attachmentId: since.id },
        );
      await q.rows(noColumns, 'DELETE FROM attachments WHERE volume_id = $1', [found.id]);
      await q.rows(noColumns, 'DELETE FROM client_attachments WHERE volume_id = $1', [found.id]);
    }
    if (reset.status === 'available' && (await listAttachments(q, { volumeId: found.id })).length > 0) {
      throw new FerryError(
        'VolumeStatusRefused',
        `Volume ${found.id} has attachments; reset them too, if no guest has it.`,
        {
          volumeId: found.id,
        },
      );
    }
    const { status = abandoned ? 'error' : statusOf(found) } = reset;
    const rests = resting.has(status);
    if (rests && statusOf(found) === 'awaiting-transfer')
      await q.rows(noColumns, 'DELETE FROM volume_transfers WHERE volume_id = $1', [found.id]);
    const [changed] = await q.rows(
      volume,
      `UPDATE volumes SET status = CASE WHEN $3 THEN $2 ELSE coalesce(previous_status, status) END,
         shown_status = CASE WHEN $3 OR $2 = coalesce(previous_status, status) THEN NULL ELSE $2 END,
         operation = NULL, operation_owner = NULL, operation_since = NULL, previous_status = NULL, growing_to_bytes = NULL,
         updated_at = now() WHERE id = $1 RETURNING *`,
      [found.id, status, rests],
    );
    // What was given up is told as it is now.
    if (abandoned) {
      await q.rows(
        noColumns,
        `UPDATE operations SET outcome = 'abandoned', finished_at = now() WHERE owner = $1 AND volume_id = $2 AND outcome IS NULL`,
        [found.operationOwner, found.id],
      );
    }
    return changed!;
  });
}

async function lockVolume(q: Queries, reset: Reset): Promise<Volume> {
  const [found] = await q.rows(
    volume,
    'SELECT * FROM volumes WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) FOR NO KEY UPDATE',
    [reset.volumeId, reset.tenantId ?? null],
  );
  if (!found) throw volumeNotFound(reset.volumeId);
  return found;
}
