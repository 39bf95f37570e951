import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { requestedOperation } from '../../model/operation-requests.ts';
import { gib } from '../../model/sizes.ts';
import { beginAttach, beginDetach, listAttachments } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate } from '../../registry/creation.ts';
import { beginExtend } from '../../registry/extension.ts';
import { changeMetadata } from '../../registry/metadata.ts';
import { beginOperation } from '../../registry/operations.ts';
import { resetState } from '../../registry/reset-state.ts';
import { retypeInPlace } from '../../registry/retype.ts';
import { beginSnapshot } from '../../registry/snapshots.ts';
import { createVolumeType } from '../../registry/volume-types.ts';
import { describeVolume, findVolume } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  putAttachment,
  putBackEnd,
  putVolume,
  source,
} from './world.ts';

type Registry = Awaited<ReturnType<typeof testRegistry>>;
type Attempt = (registry: Registry, volumeId: string) => Promise<unknown>;

const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('operation') });
const begin =
  (operation: 'delete' | 'unmanage', force = false): Attempt =>
  (registry, volumeId) =>
    beginOperation(registry, operation, { ...ticket(volumeId), force });
const detach: Attempt = async (registry, volumeId) => {
  const [attachment] = await listAttachments(registry, { volumeId });
  return beginDetach(registry, { ...ticket(volumeId), attachmentId: attachment?.id ?? randomUUID() });
};
const snapshot =
  (force: boolean): Attempt =>
  (registry, volumeId) =>
    beginSnapshot(registry, { ...ticket(volumeId), snapshotId: randomUUID(), force });

/** The table's rows, and how each is tried. */
const attempts: Record<string, Attempt> = {
  delete: begin('delete'),
  'force-delete': begin('delete', true),
  unmanage: begin('unmanage'),
  'snapshot create': snapshot(false),
  'snapshot create, forced': snapshot(true),
  'migrate again': (registry, volumeId) => claimVolume(registry, claimArguments(volumeId)),
  retype: (registry, volumeId) => retypeInPlace(registry, { ...ticket(volumeId), volumeType: 'plain' }),
  '`os-begin_detaching`': detach,
  '`attachment-create`, `os-reserve`, `os-attach`': (registry, volumeId) =>
    beginAttach(registry, { ...ticket(volumeId), attachmentId: randomUUID(), instanceId: 'vm-2', computeHost: 'hv2' }),
  clone: (registry, sourceVolumeId) => {
    const { volumeId, owner } = ticket(randomUUID());
    const wanted = { tenantId: 'tenant-1', sizeBytes: gib, backEnd: null };
    return beginCreate(registry, { ...wanted, volumeId, owner, sourceVolumeId });
  },
  extend: (registry, volumeId) => beginExtend(registry, { ...ticket(volumeId), sizeBytes: 2 * gib }),
  '`os-detach`': detach,
  '`reset-state`': (registry, volumeId) => resetState(registry, { volumeId, status: 'error' }),
  'set-bootable': (registry, volumeId) => describeVolume(registry, volumeId, { bootable: true }),
  rename: (registry, volumeId) => describeVolume(registry, volumeId, { name: 'renamed' }),
  metadata: (registry, volumeId) => changeMetadata(registry, volumeId, { set: { key: 'value' } }),
};

/** The first table of the document: operation and Ferry's answer. */
function documented(): [operation: string, answer: string][] {
  const text = readFileSync(join(import.meta.dirname, '../../docs/operations-during-migration.md'), 'utf8');
  const lines = text.slice(text.indexOf('| Operation |')).split('\n');
  const rows = lines.slice(2, lines.indexOf(''));
  return rows.map((row) => row.split('|').map((cell) => cell.trim())).map((cells) => [cells[1]!, cells.at(-2)!]);
}

describe('what docs/operations-during-migration.md says', () => {
  let registry: Registry;
  before(async () => {
    registry = await testRegistry();
    await createVolumeType(registry, { name: 'plain', description: null, extraSpecs: {} });
    await putBackEnd(registry, source, { freeBytes: 5000 * gib });
    await putBackEnd(registry, destination, { freeBytes: 5000 * gib });
  });

  async function migrating(status: 'available' | 'in-use'): Promise<string> {
    const volumeId = await putVolume(registry, { status });
    if (status === 'in-use') await putAttachment(registry, volumeId);
    await claimVolume(registry, claimArguments(volumeId));
    return volumeId;
  }

  for (const [operation, answer] of documented()) {
    const attempt = attempts[operation];
    if (answer === 'not offered') {
      test(`${operation}: not offered`, () => {
        assert.equal(attempt, undefined);
        assert.equal(requestedOperation.safeParse(operation).success, false);
      });
      continue;
    }
    for (const status of ['available', 'in-use'] as const) {
      test(`${operation} of a volume that migrates and is ${status}: ${answer}`, async () => {
        assert.ok(attempt, 'the document has a row that nothing tries');
        const volumeId = await migrating(status);
        const was = await findVolume(registry, volumeId);
        if (answer === 'goes on') {
          await attempt(registry, volumeId);
          const { updatedAt: _at, name: _name, metadata: _metadata, bootable: _bootable, ...rest } = was;
          assert.partialDeepStrictEqual(await findVolume(registry, volumeId), rest);
        } else {
          assert.equal(answer, 'refused');
          await assert.rejects(attempt(registry, volumeId), ferryError('VolumeMigrating'));
          assert.deepEqual(await findVolume(registry, volumeId), was);
        }
      });
    }
  }

  test('every operation that is tried has its row', () => {
    assert.deepEqual(
      Object.keys(attempts).filter((name) => !documented().some(([operation]) => operation === name)),
      [],
    );
  });
});
