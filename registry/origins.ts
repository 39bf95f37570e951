import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { deviceName, snapshotDeviceName } from '../model/names.ts';
import type { Origin } from '../model/origin.ts';
import { sizeWords } from '../model/sizes.ts';
import { snapshotStatusOf } from '../model/snapshot.ts';
import { statusOf } from '../model/volume.ts';
import { listClaims } from './migrations.ts';
import type { Queries } from './open-registry.ts';
import { reasonHeld } from './operation-rules.ts';
import { findSnapshot, snapshotStatusRefused } from './snapshots.ts';
import { findVolume, volumeOrNull } from './volumes.ts';

const one = z.object({ id: z.uuid() });

/** What a new volume shall be copied from. */
export interface Wanted {
  sizeBytes: number;
  snapshotId?: string | null | undefined;
  sourceVolumeId?: string | null | undefined;
}

/**
 * What the new volume is to be copied from; null: it is made empty. Its row is locked until the end of the transaction: from then on it is
 * held by the new volume's. Refused when it is not there (`VolumeNotFound`, `SnapshotNotFound`), when it is larger (`InvalidInput`), or something
 * else has it (`VolumeBusy`, `VolumeMigrating`, `VolumeStatusRefused`).
 */
export async function holdOrigin(
  q: Queries,
  { sizeBytes, snapshotId, sourceVolumeId }: Wanted,
): Promise<Origin | null> {
  if (snapshotId != null && sourceVolumeId != null)
    throw new FerryError('InvalidInput', 'A volume is made from a snapshot or from a volume, not from both.');
  if (snapshotId == null && sourceVolumeId == null) return null;
  const volumeId = sourceVolumeId ?? (await findSnapshot(q, snapshotId!)).volumeId;
  await q.rows(one, 'SELECT id FROM volumes WHERE id = $1 FOR NO KEY UPDATE', [volumeId]);
  const found =
    snapshotId == null ? await volumeAsOrigin(q, volumeId, true) : await snapshotAsOrigin(q, snapshotId, true);
  if (sizeBytes >= found.sizeBytes) return found;
  throw new FerryError(
    'InvalidInput',
    `The new volume would have ${sizeWords(sizeBytes)}, less than the ${found.kind} that it is made from: ${sizeWords(found.sizeBytes)}.`,
    { sizeBytes, originBytes: found.sizeBytes, origin: found.kind },
  );
}

/** What is copied onto the device of the volume: it is being made, or goes back to a snapshot. `InvalidInput` when nothing is. */
export async function findOrigin(q: Queries, newVolumeId: string): Promise<Origin> {
  const found = await originOrNull(q, newVolumeId);
  if (found) return found;
  throw new FerryError('InvalidInput', `Nothing is copied onto volume ${newVolumeId}.`, { volumeId: newVolumeId });
}

/** The same; null when nothing is. */
export async function originOrNull(q: Queries, newVolumeId: string): Promise<Origin | null> {
  const made = await volumeOrNull(q, newVolumeId);
  if (made?.operation === 'revert') {
    const restoring = `SELECT id FROM snapshots WHERE volume_id = $1 AND shown_status = 'restoring'`;
    const [snapshot] = await q.rows(one, restoring, [made.id]);
    return snapshot ? snapshotAsOrigin(q, snapshot.id, false) : null;
  }
  if (made?.operation !== 'create') return null;
  if (made.snapshotId !== null) return snapshotAsOrigin(q, made.snapshotId, false);
  return made.sourceVolumeId === null ? null : volumeAsOrigin(q, made.sourceVolumeId, false);
}

async function volumeAsOrigin(q: Queries, id: string, isToBeHeld: boolean): Promise<Origin> {
  const found = await findVolume(q, id);
  if (isToBeHeld) {
    const [claim] = await listClaims(q, { volumeId: id });
    const held = reasonHeld('a copy', found, claim?.phase ?? null) ?? reasonNotResting(id, statusOf(found));
    if (held) throw new FerryError(held.type, held.message, held.details);
  }
  return {
    kind: 'volume',
    volumeId: found.id,
    snapshotId: null,
    backEnd: found.host,
    deviceName: deviceName(found),
    sizeBytes: found.sizeBytes,
    generation: found.generation,
    identity: found.deviceIdentity,
  };
}

function reasonNotResting(volumeId: string, status: string): Reason | null {
  if (status === 'available') return null;
  return {
    type: 'VolumeStatusRefused',
    message: `Volume ${volumeId} has status ${status}; to be copied it must be available. What an attached volume holds at one moment is in a snapshot of it.`,
    details: { volumeId, operation: 'copy', status },
  };
}

async function snapshotAsOrigin(q: Queries, snapshotId: string, isToBeHeld: boolean): Promise<Origin> {
  const found = await findSnapshot(q, snapshotId);
  const status = snapshotStatusOf(found);
  if (isToBeHeld && status !== 'available') throw snapshotStatusRefused(snapshotId, status, 'to make a volume from it');
  const { host, generation } = await findVolume(q, found.volumeId);
  return {
    kind: 'snapshot',
    volumeId: found.volumeId,
    snapshotId,
    backEnd: host,
    deviceName: snapshotDeviceName(snapshotId),
    sizeBytes: found.sizeBytes,
    generation,
    identity: null,
  };
}
