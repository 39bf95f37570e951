import type { Action, Call } from './call.ts';
import { attachmentActions, attachmentCalls } from './resources/attachments.ts';
import { extensionCalls } from './resources/extensions.ts';
import { ferryMigrationActions, ferryMigrationCalls } from './resources/ferry-migrations.ts';
import { leftOutCalls } from './resources/left-out.ts';
import { manageableSnapshotCalls } from './resources/manageable-snapshots.ts';
import { manageableVolumeCalls } from './resources/manageable-volumes.ts';
import { migrationActions } from './resources/migrate-volume.ts';
import { quotaCalls } from './resources/quotas.ts';
import { serviceCalls } from './resources/services.ts';
import { snapshotActions, snapshotMetadataCalls } from './resources/snapshot-actions.ts';
import { snapshotCalls } from './resources/snapshots.ts';
import { transferCalls } from './resources/transfers.ts';
import { volumeActions } from './resources/volume-actions.ts';
import { volumeConnectionActions } from './resources/volume-connections.ts';
import { volumeMetadataCalls } from './resources/volume-metadata.ts';
import { volumeReservationActions } from './resources/volume-reservations.ts';
import { volumeTypeAccessActions, volumeTypeAccessCalls } from './resources/volume-type-access.ts';
import { volumeTypeCalls } from './resources/volume-types.ts';
import { volumeCalls } from './resources/volumes.ts';

/** Every call that there is. Of two that fit a path the first wins. */
export const calls: readonly Call[] = [
  ...volumeCalls,
  ...volumeMetadataCalls,
  ...attachmentCalls,
  ...snapshotCalls,
  ...snapshotMetadataCalls,
  ...volumeTypeCalls,
  ...volumeTypeAccessCalls,
  ...serviceCalls,
  ...manageableSnapshotCalls,
  ...manageableVolumeCalls,
  ...quotaCalls,
  ...transferCalls,
  ...extensionCalls,
  ...ferryMigrationCalls,
  ...leftOutCalls,
];

export const actions: readonly Action[] = [
  ...volumeActions,
  ...volumeReservationActions,
  ...volumeConnectionActions,
  ...attachmentActions,
  ...migrationActions,
  ...snapshotActions,
  ...volumeTypeAccessActions,
  ...ferryMigrationActions,
];
