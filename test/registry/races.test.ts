import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, beforeEach, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import { gib } from '../../model/sizes.ts';
import { beginAttach, beginDetach, finishAttach } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate, finishDelete } from '../../registry/creation.ts';
import { beginExtend } from '../../registry/extension.ts';
import { releaseVolume } from '../../registry/migration-steps.ts';
import type { Queries } from '../../registry/open-registry.ts';
import { beginOperation } from '../../registry/operations.ts';
import { resetState } from '../../registry/reset-state.ts';
import { noColumns } from '../../registry/rows.ts';
import { beginSnapshot, finishSnapshot, listSnapshots } from '../../registry/snapshots.ts';
import { findVolume, volumeOrNull } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  putAttachment,
  putBackEnd,
  putSnapshot,
  putVolume,
  source,
} from './world.ts';

const rounds = 200;
const atOnce = 10;

describe('races', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 30 });
  });
  const report = async () => {
    await putBackEnd(registry, source, { freeBytes: 1_000_000 * gib });
    await putBackEnd(registry, destination, { freeBytes: 1_000_000 * gib });
  };
  beforeEach(report);

  type Contender = (volumeId: string, attachmentId: string) => Promise<unknown>;
  const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('operation') });
  const claim: Contender = (id) => claimVolume(registry, claimArguments(id));
  const attach: Contender = (id) =>
    beginAttach(registry, { ...ticket(id), attachmentId: randomUUID(), instanceId: randomUUID(), computeHost: 'hv1' });
  const extend: Contender = (id) => beginExtend(registry, { ...ticket(id), sizeBytes: 2 * gib });
  const snapshot: Contender = (id) => beginSnapshot(registry, { ...ticket(id), snapshotId: randomUUID() });
  const remove: Contender = (id) => beginOperation(registry, 'delete', ticket(id));
  const detach: Contender = (id, attachmentId) => beginDetach(registry, { ...ticket(id), attachmentId });

  const refusals: FerryErrorType[] = ['VolumeMigrating', 'VolumeBusy', 'VolumeStatusRefused', 'MigrationRefused'];

  const pairs: [string, Contender, Contender, 'available' | 'in-use'][] = [
    ['a migration and another migration', claim, claim, 'available'],
    ['a migration and an attachment', claim, attach, 'available'],
    ['a migration and a deletion', claim, remove, 'available'],
    ['a migration and an extension', claim, extend, 'available'],
    ['a migration and a snapshot', claim, snapshot, 'available'],
    ['a migration and a detachment', claim, detach, 'in-use'],
    ['an attachment and a deletion', attach, remove, 'available'],
    ['an attachment and another attachment', attach, attach, 'available'],
    ['a detachment and another detachment', detach, detach, 'in-use'],
    ['an extension and a snapshot', extend, snapshot, 'available'],
  ];
  for (const [name, one, other, status] of pairs) {
    test(`of ${name} at the same time exactly one wins, ${rounds} times`, async () => {
      for (let round = 0; round < rounds / atOnce; round += 1) {
        // In each: on a busy machine all of them take longer than a back end may be silent.
        await report();
        await Promise.all(
          Array.from({ length: atOnce }, async (_, i) => {
            const id = await putVolume(registry, { status });
            const attachmentId = status === 'in-use' ? await putAttachment(registry, id) : randomUUID();
            const contenders = i % 2 === 0 ? [one, other] : [other, one];
            const results = await Promise.allSettled(contenders.map((contend) => contend(id, attachmentId)));
            const lost = results.filter((r) => r.status === 'rejected');
            assert.equal(
              lost.length,
              1,
              `${2 - lost.length} winners; ${lost.map(({ reason }) => String(reason)).join('; ')}`,
            );
            const error: unknown = lost[0]!.reason;
            assert.ok(error instanceof FerryError && refusals.includes(error.type), String(error));
            const volume = await findVolume(registry, id);
            assert.notEqual(volume.migrationOwner === null, volume.operation === null);
          }),
        );
      }
    });
  }

  /** Changes a volume's surroundings under its lock, while `contend` waits for it; commits; tells what `contend` then did. */
  async function afterWait(
    contend: (id: string) => Promise<unknown>,
    change: (q: Queries, id: string) => Promise<unknown>,
  ) {
    const id = await putVolume(registry);
    let waiting: Promise<unknown> | undefined;
    await registry.transaction(async (q) => {
      await q.rows(noColumns, 'SELECT FROM volumes WHERE id = $1 FOR UPDATE', [id]);
      waiting = contend(id);
      waiting.catch(() => {});
      const blocked = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      while ((await registry.rows(noColumns, blocked)).length === 0) await setTimeout(5);
      await change(q, id);
    });
    return waiting;
  }

  const late: [
    string,
    (id: string) => Promise<unknown>,
    (q: Queries, id: string) => Promise<unknown>,
    FerryErrorType,
  ][] = [
    ['a migration sees a snapshot', (id) => claim(id, ''), putSnapshot, 'VolumeHasSnapshots'],
    [
      'a migration sees a second writer',
      (id) => claim(id, ''),
      async (q, id) => {
        await putAttachment(q, id);
        await putAttachment(q, id);
      },
      'VolumeStatusRefused',
    ],
    ['a deletion sees a snapshot', (id) => remove(id, ''), putSnapshot, 'VolumeHasSnapshots'],
    ['a deletion sees an attachment', (id) => remove(id, ''), putAttachment, 'VolumeStatusRefused'],
  ];
  for (const [name, contend, change, type] of late) {
    test(`${name} that came while it waited for the volume`, async () => {
      await assert.rejects(afterWait(contend, change), ferryError(type));
    });
  }

  test('a migration never takes a volume that has got a snapshot meanwhile', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const id = await putVolume(registry);
      const snap = { ...ticket(id), snapshotId: randomUUID() };
      await Promise.allSettled([
        beginSnapshot(registry, snap).then(() => finishSnapshot(registry, snap)),
        claimVolume(registry, claimArguments(id)),
      ]);
      const claimed = (await findVolume(registry, id)).migrationOwner !== null;
      assert.equal(claimed, (await listSnapshots(registry, { volumeId: id })).length === 0);
    }
  });

  test('a deletion never takes a volume that was attached meanwhile', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const id = await putVolume(registry);
      const guest = { ...ticket(id), attachmentId: randomUUID(), instanceId: 'vm', computeHost: 'hv1' };
      const deletion = ticket(id);
      await Promise.allSettled([
        beginAttach(registry, guest).then(() => finishAttach(registry, guest)),
        beginOperation(registry, 'delete', deletion).then(() => finishDelete(registry, deletion)),
      ]);
      const left = await volumeOrNull(registry, id);
      assert.ok(left === null || left.status === 'in-use', left?.status);
    }
  });

  test('a reset never frees a claim that is taken at the same time', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const id = await putVolume(registry);
      const args = claimArguments(id);
      const [claimed, reset] = await Promise.allSettled([
        claimVolume(registry, args),
        resetState(registry, { volumeId: id, status: 'error' }),
      ]);
      const volume = await findVolume(registry, id);
      assert.equal(volume.migrationOwner, claimed.status === 'fulfilled' ? args.owner : null);
      assert.equal(volume.status, reset.status === 'fulfilled' ? 'error' : 'available');
      assert.notEqual(claimed.status, reset.status);
    }
  });

  test('migrations and creations at the same time never promise more than the destination has', async () => {
    for (let round = 0; round < 20; round += 1) {
      const small = `server3@small-${round}`;
      await putBackEnd(registry, small, { freeBytes: 7 * gib });
      const volumes = await Promise.all(Array.from({ length: 6 }, () => putVolume(registry, { size_bytes: 2 * gib })));
      const results = await Promise.allSettled([
        ...volumes.map((id) => claimVolume(registry, claimArguments(id, { destination: small }))),
        ...[1, 2].map(() =>
          beginCreate(registry, {
            volumeId: randomUUID(),
            owner: anOwner('create'),
            tenantId: 't',
            sizeBytes: 2 * gib,
            backEnd: small,
          }),
        ),
      ]);
      assert.equal(results.filter((r) => r.status === 'fulfilled').length, 3);
      for (const r of results) if (r.status === 'rejected') ferryError('InsufficientSpace')(r.reason);
    }
  });

  test('many attempts of one claim at the same time are one claim', async () => {
    for (let round = 0; round < 50; round += 1) {
      const args = claimArguments(await putVolume(registry));
      const answers = await Promise.all(Array.from({ length: 6 }, () => claimVolume(registry, args)));
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      assert.equal((await findVolume(registry, args.request.volumeId)).migrationEpoch, 1);
    }
  });

  test('a claim and its own release and a late repeat never leave the volume held', async () => {
    for (let round = 0; round < 100; round += 1) {
      const args = claimArguments(await putVolume(registry));
      const { claim: taken } = await claimVolume(registry, args);
      await Promise.allSettled([
        releaseVolume(registry, taken, { outcome: 'cancelled' }),
        claimVolume(registry, args),
        claimVolume(registry, args),
      ]);
      assert.equal((await findVolume(registry, args.request.volumeId)).migrationOwner, null);
    }
  });
});
