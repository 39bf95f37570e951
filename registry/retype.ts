import { FerryError, type Reason } from '../model/errors.ts';
import { sameVolumeType } from '../model/preconditions.ts';
import { reasonLacking, type VolumeType } from '../model/volume-type.ts';
import type { Volume } from '../model/volume.ts';
import { findBackEnd } from './back-ends.ts';
import type { Queries, Registry } from './open-registry.ts';
import { beginOperation, finishOperation, reasonAgainst, type Ticket } from './operations.ts';
import { requireQuota } from './quotas.ts';
import { snapshotsOf } from './snapshots.ts';
import { findVolumeType, holdVolumeType } from './volume-types.ts';
import { findVolume, type Visibility } from './volumes.ts';

/** How a volume could have another type. */
export interface RetypeFacts {
  volume: Volume;
  type: VolumeType;
  /** Why it may not be retyped now, wherever it would be. */
  refusal: Reason | null;
  /** What the back end that it is on lacks: then it has to move. */
  lacking: Reason | null;
}

/** What a retype would find now. `VolumeNotFound`, `VolumeTypeNotFound`. Changes nothing. */
export function gatherRetypeFacts(
  registry: Registry,
  wanted: Visibility & { volumeId: string; type: string },
): Promise<RetypeFacts> {
  return registry.transaction(async (q) => {
    const volume = await findVolume(q, wanted.volumeId, wanted);
    const type = await findVolumeType(q, wanted.type, { tenantId: wanted.tenantId });
    const held = await reasonAgainst(q, 'retype', volume);
    const refusal = held ?? (volume.volumeType === type.name ? sameVolumeType(volume) : null);
    return { volume, type, refusal, lacking: await lackingWhereItIs(q, volume, type) };
  }, 'snapshot');
}

async function lackingWhereItIs(q: Queries, volume: Volume, type: VolumeType | null): Promise<Reason | null> {
  return reasonLacking(await findBackEnd(q, volume.host), type);
}

/**
 * Gives the volume another type where it is, in one transaction that touches no device. Refused as any operation, with `SameVolumeType`,
 * `VolumeTypeNotFound`, and with `MigrationNeeded` when its back end lacks what the type asks for: then nothing was changed.
 */
export function retypeInPlace(registry: Registry, ticket: Ticket & { volumeType: string }): Promise<Volume> {
  return registry.transaction(async (q) => {
    const type = await holdVolumeType(q, ticket.volumeType);
    const volume = await beginOperation(q, 'retype', ticket);
    const lacking = await lackingWhereItIs(q, volume, type);
    const reason =
      volume.volumeType === ticket.volumeType ? sameVolumeType(volume) : lacking && migrationNeeded(volume, lacking);
    if (reason) throw new FerryError(reason.type, reason.message, reason.details);
    const { snapshots, bytes } = await snapshotsOf(q, volume.id);
    await requireQuota(q, volume.tenantId, {
      volumes: 1,
      snapshots,
      bytes: volume.sizeBytes + bytes,
      volumeType: ticket.volumeType,
      onlyType: true,
    });
    await finishOperation(q, 'retype', ticket, { volumeType: ticket.volumeType });
    return findVolume(q, ticket.volumeId, ticket);
  });
}

/** `lacking`: what its back end lacks for the new type. */
export function migrationNeeded(volume: Pick<Volume, 'id'>, lacking: Reason): Reason {
  const volumeType = String(lacking.details?.['volumeType']);
  return {
    type: 'MigrationNeeded',
    message: `Volume ${volume.id} would have to move. ${lacking.message} Let it move: ferry retype ${volume.id} ${volumeType} --migration-policy on-demand`,
    details: { volumeId: volume.id, ...lacking.details },
  };
}
