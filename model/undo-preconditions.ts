import { backEndState } from './back-end.ts';
import type { Reason } from './errors.ts';
import type { KeptSource } from './kept-source.ts';
import type { MigrationRecord, MigrationRequest } from './migration.ts';
import { deviceName } from './names.ts';
import { downReason, reasonsNotToLeave, type MigrationFacts } from './preconditions.ts';
import { formatBytes, sizeWords } from './sizes.ts';
import { reasonLacking } from './volume-type.ts';

/** All that is known when it is decided whether a volume may go back to the source that its last migration kept. */
export interface UndoFacts extends Omit<
  MigrationFacts,
  'destinationName' | 'promisedBytes' | 'nameIsKept' | 'newType'
> {
  /** The last migration that moved the volume: only that one can be undone. */
  last: MigrationRecord | null;
  /** What that one kept. `destination` is where it is. */
  kept: KeptSource | null;
}

/** What was asked for, when that was decided at an earlier look. */
export type UndoRequest = Pick<MigrationRequest, 'undoes' | 'destination'>;

/**
 * Every reason why the volume may not go back now; empty when it may. Of where it goes back to is asked only that it runs: it may be
 * disabled, as the source of an evacuation is, and full, as the bytes are there; and that it has what the volume's type asks for. `claim_undo` in SQL decides the same.
 */
export function reasonsNotToUndo(f: UndoFacts, asked: UndoRequest | null = null): Reason[] {
  const reasons = reasonsNotToLeave(f);
  if (!f.volume) return reasons;
  if (f.volume.status === 'in-use' || f.attachments.length > 0) {
    reasons.push({
      type: 'VolumeStatusRefused',
      message: `Volume ${f.volumeId} is attached; detach it first: before it goes back, its bytes are compared with those of the kept source.`,
      details: { status: f.volume.status, instances: f.attachments.map((a) => a.instanceId) },
    });
  }
  if (!f.last || !f.kept || f.kept.removingAt) return [...reasons, notKept(f)];
  if (asked && (asked.undoes !== f.last.id || asked.destination !== f.kept.backEnd)) {
    reasons.push({
      type: 'SourceNotKept',
      message: `Migration ${asked.undoes} cannot be undone: the last one that moved volume ${f.volumeId} is ${f.last.id}, from ${f.last.source}. See: ferry migration list --volume ${f.volumeId}`,
      details: { volumeId: f.volumeId, lastMigrationId: f.last.id },
    });
  }
  if (f.kept.sizeBytes !== f.volume.sizeBytes) {
    reasons.push({
      type: 'SizeMismatch',
      message: `Volume ${f.volumeId} has been extended since: it has ${sizeWords(f.volume.sizeBytes)}, its kept source ${formatBytes(f.kept.sizeBytes)}. To go back with what it holds now: ferry migrate ${f.volumeId} ${f.kept.backEnd}`,
      details: { sizeBytes: f.volume.sizeBytes, keptBytes: f.kept.sizeBytes },
    });
  }
  if (f.destination && backEndState(f.destination, f.now) === 'down')
    reasons.push(downReason(f.destination, 'destination'));
  const keptName = deviceName({ id: f.volumeId, nameId: f.kept.nameId });
  if (f.destination?.lostDevices.includes(keptName))
    reasons.push({
      type: 'DeviceLost',
      message: `The kept source of volume ${f.volumeId} cannot be read: ${keptName} on ${f.kept.backEnd} lies on a disk that is lost.`,
      details: { volumeId: f.volumeId, backEnd: f.kept.backEnd, deviceName: keptName },
    });
  const lacking = f.destination && reasonLacking(f.destination, f.volumeType);
  if (lacking) reasons.push(lacking);
  return reasons;
}

function notKept({ volumeId, last, kept }: UndoFacts): Reason {
  const details = { volumeId, lastMigrationId: last?.id ?? null };
  if (!last) return { type: 'SourceNotKept', message: `No migration has moved volume ${volumeId}.`, details };
  const why = kept
    ? 'is being removed'
    : last.undoes !== null
      ? 'is not kept: it was an undo itself'
      : last.keepSourceSeconds === null
        ? 'is not kept: it was moved without --keep-source'
        : 'is not kept any more: its time is over, or it was discarded';
  return {
    type: 'SourceNotKept',
    message: `The source of volume ${volumeId}'s last migration, from ${last.source} to ${last.destination}, ${why}. To go back: ferry migrate ${volumeId} ${last.source}`,
    details,
  };
}
