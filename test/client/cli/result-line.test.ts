import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resultLine } from '../../../client/cli/follow-migration.ts';
import { migrationProperties } from '../../../client/cli/migration-show.ts';
import type { MigrationRecord } from '../../../model/migration.ts';

const moved: MigrationRecord = {
  id: '01a20a71-51bf-71cb-a697-91543ecf4a25',
  volumeId: '6088f80a-f116-4331-ad48-9afb0dfb196c',
  tenantId: 'demo',
  requestedBy: 'admin',
  source: 'server1@a',
  destination: 'server2@b',
  sourceNameId: null,
  destinationNameId: null,
  sourceIdentity: null,
  destinationIdentity: null,
  oldType: null,
  newType: null,
  flow: 'generic-attached',
  phase: 'finished',
  phases: [],
  totalBytes: 1024 ** 3,
  transferredBytes: 1024 ** 3,
  digest: null,
  proof: 'none',
  evidence: null,
  outcome: 'success',
  error: null,
  keepSourceSeconds: null,
  keptUntil: null,
  undoes: null,
  startedAt: new Date(0),
  finishedAt: new Date(2_000),
};

test("who has moved a running guest's disk is told that nothing was compared", () => {
  assert.match(resultLine(moved), /\nProof: none; nothing was read back or compared/);
  assert.equal(migrationProperties(moved, null)['proof'], 'none');
});

test('who has moved another one, with a proof or without one as asked for, is told nothing of guests', () => {
  for (const proof of ['both', 'none'] as const)
    assert.doesNotMatch(resultLine({ ...moved, flow: 'generic-detached', proof }), /guest/);
});
