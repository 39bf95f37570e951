import { FerryError } from '../model/errors.ts';
import { statusOf, volume, type Volume } from '../model/volume.ts';
import { listClaims } from './migrations.ts';
import { reasonHeld } from './operation-rules.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';
import { findVolume, volumeNotFound, type Visibility } from './volumes.ts';

type Of = Visibility & { volumeId: string };

/**
 * Keeps an available volume for whoever is about to attach it: it shows `attaching`, and nothing else may begin. Refused while it is held
 * (`VolumeMigrating`, `VolumeBusy`), and from other statuses (`VolumeStatusRefused`), so also the second time. Nothing ends it but an
 * attachment, `unreserve` or an administrator.
 */
export function reserve(registry: Registry, of: Of): Promise<Volume> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'reserve', of);
    if (statusOf(found) !== 'available') throw refused(found, 'reserve', 'available');
    return show(q, of.volumeId, 'reserved', 'attaching');
  });
}

/** Takes `reserve` back. Does nothing to a volume that was not reserved. May be repeated. Refused while the volume is held. */
export function unreserve(registry: Registry, of: Of): Promise<Volume> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'unreserve', of);
    return found.status === 'reserved' && found.shownStatus === 'attaching'
      ? show(q, of.volumeId, 'available', null)
      : found;
  });
}

/** Keeps a volume in use for whoever is about to detach it: it shows `detaching`. Refused as `reserve` is, and when nobody has it. */
export function beginDetaching(registry: Registry, of: Of): Promise<Volume> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'detach', of);
    const attached = await q.rows(
      noColumns,
      `SELECT FROM attachments WHERE volume_id = $1 AND status = 'attached'
       UNION ALL SELECT FROM client_attachments WHERE volume_id = $1 AND status = 'attached' LIMIT 1`,
      [found.id],
    );
    if (statusOf(found) !== 'in-use' || attached.length === 0) throw refused(found, 'detach', 'in-use and attached');
    return show(q, of.volumeId, 'in-use', 'detaching');
  });
}

/** Takes `beginDetaching` back. Does nothing to a volume that was not about to be detached. May be repeated. */
export function rollDetaching(registry: Registry, of: Of): Promise<Volume> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'detach', of);
    return found.status === 'in-use' && found.shownStatus === 'detaching'
      ? show(q, of.volumeId, 'in-use', null)
      : found;
  });
}

/** Says whether guests may only read the volume. Of an available one only: who writes it now would go on. May be repeated. */
export function setReadOnly(registry: Registry, of: Of & { readOnly: boolean }): Promise<Volume> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'update-readonly-flag', of);
    if (statusOf(found) !== 'available') throw refused(found, 'update-readonly-flag', 'available');
    const [changed] = await q.rows(
      volume,
      'UPDATE volumes SET read_only = $2, updated_at = now() WHERE id = $1 RETURNING *',
      [found.id, of.readOnly],
    );
    return changed!;
  });
}

/** The volume, locked, with nothing under way: `VolumeNotFound`, `VolumeMigrating`, `VolumeBusy`. */
export async function lockFree(q: Queries, operation: string, of: Of): Promise<Volume> {
  const { id } = await findVolume(q, of.volumeId, of);
  const [found] = await q.rows(volume, 'SELECT * FROM volumes WHERE id = $1 FOR NO KEY UPDATE', [id]);
  if (!found) throw volumeNotFound(of.volumeId);
  const [claim] = await listClaims(q, { volumeId: id });
  const reason = reasonHeld(operation, found, claim?.phase ?? null);
  if (reason) throw new FerryError(reason.type, reason.message, reason.details);
  return found;
}

function refused(found: Volume, operation: string, allowed: string): FerryError {
  return new FerryError(
    'VolumeStatusRefused',
    `Volume ${found.id} has status ${statusOf(found)}; for ${operation} it must be ${allowed}.`,
    { volumeId: found.id, operation, status: statusOf(found) },
  );
}

async function show(
  q: Queries,
  volumeId: string,
  status: Volume['status'],
  shown: Volume['shownStatus'],
): Promise<Volume> {
  const [changed] = await q.rows(
    volume,
    'UPDATE volumes SET status = $2, shown_status = $3, updated_at = now() WHERE id = $1 RETURNING *',
    [volumeId, status, shown],
  );
  return changed!;
}
