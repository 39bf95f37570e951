import type { MigrationView } from '../../../client/migration-view.ts';

/** A copy of 2 GiB, half way. */
export const sampleView: MigrationView = {
  migrationId: '01a20a71-51bf-71cb-a697-91543ecf4a25',
  volumeId: '6088f80a-f116-4331-ad48-9afb0dfb196c',
  source: 'server1@lvmstorage-1',
  destination: 'server2@lvmstorage-2',
  flow: 'generic-detached',
  phase: 'copying',
  paused: false,
  bandwidth: null,
  verify: null,
  totalBytes: 2 * 1024 ** 3,
  bytesDone: 1024 ** 3,
  bytesPerSecond: 128 * 1024 ** 2,
  zeroedBytes: null,
  waitingFor: null,
  cancelRequested: false,
  refusedOperations: 0,
  trouble: null,
};
