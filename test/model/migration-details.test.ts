import assert from 'node:assert/strict';
import { test } from 'node:test';
import { migrationDetails } from '../../model/migration-details.ts';
import { migrationRequest, type MigrationState } from '../../model/migration.ts';

const volumeId = '6c9f8d14-6a0a-4f0e-9f0c-0a4b1f4e7a01';
const request = migrationRequest.parse({ volumeId, destination: 'server2@b' });
const gib = 1024 ** 3;

function copying(bytesDone: number, totalBytes = gib, change: Partial<MigrationState> = {}): string {
  const state: MigrationState = {
    migrationId: volumeId,
    volumeId,
    phase: 'copying',
    flow: 'generic-attached',
    source: 'server1@a',
    destination: 'server2@b',
    totalBytes,
    bytesDone,
    bytesPerSecond: 0,
    zeroedBytes: null,
    bandwidth: null,
    verify: null,
    paused: false,
    cancelRequested: false,
    waitingFor: null,
    refusedOperations: 0,
    ...change,
  };
  return migrationDetails(state, request, { phases: [{ phase: 'copying', at: 0 }], progressAt: null, end: null });
}

test('a migration that copies shows how far it is', () => {
  assert.match(copying(gib / 2), /`█{10}░{10}` 50 % — 512 MiB of 1.0 GiB/);
  assert.match(copying(0, 0), /`░{20}`/);
});

test('a mirror that has carried more than the disk holds, as the guest writes, is shown as all of it', () => {
  assert.match(copying(gib * 1.1), /`█{20}` 100 % — /);
});

test('a destination that is zeroed first is shown as that', () => {
  assert.match(copying(0, gib, { zeroedBytes: gib / 4 }), /`█{5}░{15}` zeroing: 25 % — 256 MiB of 1\.0 GiB/);
});

test('how its copy is verified is told as soon as it is known', () => {
  assert.match(
    copying(0, gib, { flow: 'generic-detached' }),
    /\*\*Verify:\*\* both where the way is not TLS, else reread/,
  );
  assert.match(copying(0, gib, { flow: 'assisted', verify: 'both' }), /\*\*Verify:\*\* both: source and destination/);
  assert.match(copying(0, gib, { verify: 'both' }), /\*\*Verify:\*\* both sides of the mirror are read and compared/);
  for (const verify of ['inline', 'none'] as const)
    assert.match(copying(0, gib, { verify }), /\*\*Verify:\*\* not at all\n/);
});
