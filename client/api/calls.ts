import type { Action, Call } from './call.ts';
import { migrationActions } from './resources/migrate-volume.ts';
import { quotaCalls } from './resources/quotas.ts';
import { snapshotActions, snapshotMetadataCalls } from './resources/snapshot-actions.ts';
import { transferCalls } from './resources/transfers.ts';
import { volumeReservationActions } from './resources/volume-reservations.ts';
import { volumeTypeAccessActions, volumeTypeAccessCalls } from './resources/volume-type-access.ts';
import { volumeCalls } from './resources/volumes.ts';

/** Every call that there is. Of two that fit a path the first wins. */
export const calls: readonly Call[] = [
  ...volumeCalls,
  ...snapshotMetadataCalls,
  ...volumeTypeAccessCalls,
  ...quotaCalls,
  ...transferCalls,
];

export const actions: readonly Action[] = [
  ...migrationActions,
  ...volumeReservationActions,
  ...snapshotActions,
  ...volumeTypeAccessActions,
];
