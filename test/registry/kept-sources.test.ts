import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { chooseFlow, storageCanMove } from '../../model/preconditions.ts';
import { gib } from '../../model/sizes.ts';
import { beginAttach } from '../../registry/attachments.ts';
import { decommission, setDisabled } from '../../registry/back-ends.ts';
import { claimVolume } from '../../registry/claim.ts';
import { finishDelete } from '../../registry/creation.ts';
import {
  countKeptSources,
  discardKeptSources,
  forgetKeptSource,
  isKeptSource,
  listKeptSources,
  takeDueKeptSource,
} from '../../registry/kept-sources.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import { enterPhase, releaseVolume, switchVolume } from '../../registry/migration-steps.ts';
import { findMigration, listMigrations } from '../../registry/migrations.ts';
import { beginOperation } from '../../registry/operations.ts';
import { noColumns } from '../../registry/rows.ts';
import { planUndo } from '../../registry/undo-facts.ts';
import { createVolumeType } from '../../registry/volume-types.ts';
import { findVolume, isCurrentLocation } from '../../registry/volumes.ts';
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

const day = 86_400;

describe('a source that is kept', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 30 });
    await putBackEnd(registry, source, { freeBytes: 1_000_000 * gib });
    await putBackEnd(registry, destination, { freeBytes: 1_000_000 * gib });
  });

  const sql = (statement: string, ...values: unknown[]) => registry.rows(noColumns, statement, values);
  const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('operation') });

  /** A volume that has moved from the source to the destination, or as `request` says. */
  async function moved(
    request: Parameters<typeof claimArguments>[1] = { keepSourceSeconds: day },
    row: Record<string, unknown> = {},
  ) {
    const volumeId = await putVolume(registry, row);
    return { volumeId, ...(await move(volumeId, request)) };
  }
  async function move(volumeId: string, request: Parameters<typeof claimArguments>[1]) {
    const { claim } = await claimVolume(registry, claimArguments(volumeId, request));
    await switchVolume(registry, claim, { digest: 'd' });
    await releaseVolume(registry, claim, { outcome: 'success' });
    return { migrationId: claim.migrationId, claim };
  }
  const undoArguments = ({ volumeId, migrationId }: { volumeId: string; migrationId: string }) =>
    claimArguments(volumeId, { destination: source, undoes: migrationId });
  const kept = async (volumeId: string) => (await listKeptSources(registry, { volumeId }))[0] ?? null;

  test('is remembered from the very switch on, as the volume had it', async () => {
    const nameId = randomUUID();
    const { volumeId, migrationId } = await moved(
      { keepSourceSeconds: day },
      { name_id: nameId, size_bytes: 3 * gib, device_identity: 'device-1' },
    );
    const row = await kept(volumeId);
    assert.deepEqual(
      { ...row, keptAt: null, keptUntil: null },
      {
        migrationId,
        volumeId,
        backEnd: source,
        nameId,
        identity: 'device-1',
        generation: 0,
        sizeBytes: 3 * gib,
        keptAt: null,
        keptUntil: null,
        removingAt: null,
      },
    );
    assert.equal(row!.keptUntil.getTime() - row!.keptAt.getTime(), day * 1000);
    assert.equal(await isKeptSource(registry, source, `volume-${nameId}`), true);
    assert.equal(await isCurrentLocation(registry, source, `volume-${nameId}`), false);
    const record = await findMigration(registry, migrationId);
    assert.deepEqual([record.keepSourceSeconds, record.keptUntil], [day, row!.keptUntil]);
    assert.deepEqual(
      (await listMigrations(registry, { kept: true, volumeId })).map((m) => m.id),
      [migrationId],
    );
    assert.ok((await countKeptSources(registry)).get(source)!.bytes >= 3 * gib);
  });

  test('is none when that was not asked for, or the migration did not switch', async () => {
    assert.equal(await kept((await moved({})).volumeId), null);
    const id = await putVolume(registry);
    const { claim } = await claimVolume(registry, claimArguments(id, { keepSourceSeconds: day }));
    await releaseVolume(registry, claim, { outcome: 'cancelled' });
    assert.equal(await kept(id), null);
  });

  test('is not kept again by a late repeat of the switch', async () => {
    const id = await putVolume(registry);
    const { claim } = await claimVolume(registry, claimArguments(id, { keepSourceSeconds: day }));
    await Promise.all(Array.from({ length: 5 }, () => switchVolume(registry, claim)));
    assert.equal((await listKeptSources(registry, { volumeId: id })).length, 1);
    await discardKeptSources(registry, id);
    await forgetKeptSource(registry, claim.migrationId);
    await switchVolume(registry, claim);
    assert.equal(await kept(id), null);
  });

  for (const nameId of [null, randomUUID()]) {
    test(`is where the volume is after an undo, under the name that it had: ${nameId ? 'another' : 'its own'}`, async () => {
      const m = await moved({ keepSourceSeconds: day }, { name_id: nameId });
      const before = await findVolume(registry, m.volumeId);
      await setDisabled(registry, source, true, 'evacuated');
      const args = undoArguments(m);
      const claimed = await claimVolume(registry, args);
      assert.deepEqual(await claimVolume(registry, args), claimed, 'by the same owner again');
      await setDisabled(registry, source, false);
      assert.equal(claimed.flow, 'undo');
      assert.equal(claimed.source.deviceName, `volume-${before.nameId}`);
      assert.deepEqual(claimed.undoes, {
        migrationId: m.migrationId,
        deviceName: `volume-${nameId ?? m.volumeId}`,
        identity: null,
      });
      await enterPhase(registry, claimed.claim, 'verifying', 'migrating');
      await switchVolume(registry, claimed.claim, { digest: 'd' });
      assert.equal(await kept(m.volumeId), null);
      await switchVolume(registry, claimed.claim, { digest: 'd' });
      await releaseVolume(registry, claimed.claim, { outcome: 'success' });
      const after = await findVolume(registry, m.volumeId);
      assert.deepEqual([after.host, after.nameId, after.migrationStatus], [source, nameId, null]);
      assert.equal((await findMigration(registry, m.volumeId)).undoes, m.migrationId);
      assert.match((await planUndo(registry, m.volumeId)).reasons[0]!.message, /it was an undo itself/);
      await assert.rejects(claimVolume(registry, args), ferryError('Fenced'));
    });
  }

  test('stays as it was when the undo comes to nothing', async () => {
    const m = await moved();
    const row = await kept(m.volumeId);
    for (const outcome of ['error', 'cancelled'] as const) {
      const { claim } = await claimVolume(registry, undoArguments(m));
      await enterPhase(registry, claim, 'undoing');
      await releaseVolume(registry, claim, { outcome });
      assert.deepEqual(await kept(m.volumeId), row);
    }
  });

  test('takes no room twice: an undo promises no bytes, and needs none', async () => {
    const full = 'server3@full';
    await putBackEnd(registry, full, { freeBytes: 2 * gib });
    const m = await moved({ keepSourceSeconds: day }, { host: full, size_bytes: 2 * gib });
    await putBackEnd(registry, full, { freeBytes: 0 });
    const { claim } = await claimVolume(registry, {
      ...undoArguments(m),
      request: { ...undoArguments(m).request, destination: full },
    });
    const [promised] = await registry.rows(noColumns, 'SELECT WHERE promised_bytes($1) = 0', [full]);
    assert.ok(promised);
    await releaseVolume(registry, claim, { outcome: 'cancelled' });
  });

  const refusals: [
    why: string,
    change: (m: { volumeId: string; migrationId: string }) => Promise<unknown>,
    type: Parameters<typeof ferryError>[0],
    message: RegExp,
  ][] = [
    [
      'attached',
      async ({ volumeId }) => {
        await sql(`UPDATE volumes SET status = 'in-use' WHERE id = $1`, volumeId);
        await putAttachment(registry, volumeId);
      },
      'VolumeStatusRefused',
      /detach it first/,
    ],
    [
      'in a status that forbids it',
      ({ volumeId }) => sql(`UPDATE volumes SET status = 'error' WHERE id = $1`, volumeId),
      'VolumeStatusRefused',
      /status error/,
    ],
    ['snapshotted', ({ volumeId }) => putSnapshot(registry, volumeId), 'VolumeHasSnapshots', /delete them first/],
    [
      'extended',
      ({ volumeId }) => sql(`UPDATE volumes SET size_bytes = ${2 * gib} WHERE id = $1`, volumeId),
      'SizeMismatch',
      /extended since/,
    ],
    [
      'migrating',
      ({ volumeId }) => claimVolume(registry, claimArguments(volumeId, { destination: source })),
      'VolumeMigrating',
      /already migrating/,
    ],
    [
      'busy',
      ({ volumeId }) => beginOperation(registry, 'delete', ticket(volumeId)),
      'MigrationRefused',
      /delete is under way/,
    ],
    [
      'of a type now that its old place has not what it asks for',
      async ({ volumeId }) => {
        const name = `type-${volumeId}`;
        await createVolumeType(registry, { name, description: null, extraSpecs: { media: 'ssd' } });
        await sql('UPDATE volumes SET volume_type = $2 WHERE id = $1', volumeId, name);
      },
      'CapabilityMissing',
      /lacks what volume type/,
    ],
    ['being discarded', ({ volumeId }) => discardKeptSources(registry, volumeId), 'SourceNotKept', /is being removed/],
    [
      'discarded',
      async ({ volumeId, migrationId }) => {
        await discardKeptSources(registry, volumeId);
        await forgetKeptSource(registry, migrationId);
      },
      'SourceNotKept',
      /not kept any more/,
    ],
    [
      'moved on without keeping',
      ({ volumeId }) => move(volumeId, { destination: 'server4@other' }),
      'SourceNotKept',
      /without --keep-source/,
    ],
    [
      'moved on, and kept there',
      ({ volumeId }) => move(volumeId, { destination: 'server4@other', keepSourceSeconds: day }),
      'SourceNotKept',
      /cannot be undone: the last one/,
    ],
    ['never moved', async () => {}, 'SourceNotKept', /No migration has moved/],
  ];
  for (const [why, change, type, message] of refusals) {
    test(`is not gone back to by a volume that is ${why}`, async () => {
      await putBackEnd(registry, 'server4@other');
      const m =
        why === 'never moved' ? { volumeId: await putVolume(registry), migrationId: randomUUID() } : await moved();
      await change(m);
      const before = await findVolume(registry, m.volumeId);
      const keptBefore = await listKeptSources(registry, { volumeId: m.volumeId });
      await assert.rejects(
        claimVolume(registry, undoArguments(m)),
        (error: Error) => (assert.match(error.message, message), ferryError(type)(error)),
      );
      assert.deepEqual(await findVolume(registry, m.volumeId), before);
      assert.deepEqual(await listKeptSources(registry, { volumeId: m.volumeId }), keptBefore);
    });
  }

  test('is not gone back to while one of the two back ends is down; every reason is told at once', async () => {
    const [a, b] = ['server5@a', 'server6@b'];
    for (const name of [a, b]) await putBackEnd(registry, name);
    const m = await moved({ destination: b, keepSourceSeconds: day }, { host: a });
    await sql(`UPDATE back_ends SET heartbeat_at = now() - interval '1 hour' WHERE name IN ($1, $2)`, a, b);
    await putSnapshot(registry, m.volumeId);
    const { reasons } = await planUndo(registry, m.volumeId);
    assert.deepEqual(
      reasons.map((r) => [r.type, r.details?.['role']]),
      [
        ['VolumeHasSnapshots', undefined],
        ['BackEndDown', 'source'],
        ['BackEndDown', 'destination'],
      ],
    );
    const args = undoArguments(m);
    await assert.rejects(
      claimVolume(registry, { ...args, request: { ...args.request, destination: a } }),
      ferryError('MigrationRefused'),
    );
  });

  test('is removed when its time is over, not before, and not while an undo holds it', async () => {
    const m = await moved();
    const due = () => takeDueKeptSource(registry, m.migrationId);
    const early = await due();
    assert.ok(early.state === 'kept' && early.secondsLeft > day - 60 && early.secondsLeft <= day);
    await forgetKeptSource(registry, m.migrationId);
    const { claim } = await claimVolume(registry, undoArguments(m));
    await sql('UPDATE kept_sources SET kept_until = now() WHERE migration_id = $1', m.migrationId);
    assert.deepEqual(await due(), { state: 'held' });
    await assert.rejects(discardKeptSources(registry, m.volumeId), ferryError('VolumeMigrating'));
    await releaseVolume(registry, claim, { outcome: 'cancelled' });
    assert.deepEqual(await due(), { state: 'removing' });
    assert.deepEqual(await due(), { state: 'removing' });
    assert.equal(await isKeptSource(registry, source, `volume-${m.volumeId}`), false);
    assert.equal((await findMigration(registry, m.migrationId)).keptUntil, null);
    await forgetKeptSource(registry, m.migrationId);
    assert.deepEqual(await due(), { state: 'gone' });
    await assert.rejects(discardKeptSources(registry, m.volumeId), ferryError('SourceNotKept'));
  });

  test('goes with its volume', async () => {
    const m = await moved();
    const deletion = ticket(m.volumeId);
    await beginOperation(registry, 'delete', deletion);
    assert.equal((await kept(m.volumeId))!.removingAt, null);
    await finishDelete(registry, deletion);
    assert.deepEqual(await takeDueKeptSource(registry, m.migrationId), { state: 'removing' });
  });

  test('is not met by a migration back to its place: that copies, under a new name', async () => {
    for (const name of ['server7@one', 'server7@two']) await putBackEnd(registry, name);
    const m = await moved({ destination: 'server7@two', keepSourceSeconds: day }, { host: 'server7@one' });
    assert.equal((await findMigration(registry, m.migrationId)).flow, 'assisted');
    const back = { volumeId: m.volumeId, destination: 'server7@one' };
    const { facts } = await planMigration(registry, back);
    const planned = chooseFlow({
      attached: false,
      forceHostCopy: false,
      driverCanMove: storageCanMove(facts.source, facts.destination),
      nameIsKept: facts.nameIsKept,
    });
    assert.equal(planned, 'generic-detached');
    const args = claimArguments(m.volumeId, back);
    assert.equal((await claimVolume(registry, args)).flow, 'generic-detached');
    assert.equal((await findMigration(registry, args.migrationId)).destinationNameId, args.destinationNameId);
  });

  test('stands against a decommissioning, which names it and the way to remove it', async () => {
    for (const name of ['server8@a', 'server9@b']) await putBackEnd(registry, name);
    const m = await moved({ destination: 'server9@b', keepSourceSeconds: day }, { host: 'server8@a' });
    const against = await decommission(registry, 'server8');
    assert.ok(against?.includes(m.volumeId) && against.includes('ferry migration discard'), String(against));
    await discardKeptSources(registry, m.volumeId);
    await forgetKeptSource(registry, m.migrationId);
    assert.equal(await decommission(registry, 'server8'), null);
  });

  type Kept = Awaited<ReturnType<typeof moved>>;
  const undo = (m: Kept) => claimVolume(registry, undoArguments(m));
  const expire = async (m: Kept) => {
    const { state } = await takeDueKeptSource(registry, m.migrationId);
    if (state !== 'removing') throw new Error(state);
  };
  const contenders: [string, (m: Kept) => Promise<unknown>][] = [
    ['its removal', expire],
    ['its discarding', (m) => discardKeptSources(registry, m.volumeId)],
    ['a deletion', (m) => beginOperation(registry, 'delete', ticket(m.volumeId))],
    [
      'an attachment',
      (m) =>
        beginAttach(registry, {
          ...ticket(m.volumeId),
          attachmentId: randomUUID(),
          instanceId: 'vm',
          computeHost: 'hv1',
        }),
    ],
    ['another migration', (m) => claimVolume(registry, claimArguments(m.volumeId, { destination: source }))],
    ['another undo', undo],
  ];
  for (const [name, contend] of contenders) {
    test(`of an undo and ${name} at the same time exactly one wins, 100 times`, async () => {
      await putBackEnd(registry, source, { freeBytes: 1_000_000 * gib });
      await putBackEnd(registry, destination, { freeBytes: 1_000_000 * gib });
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(
          Array.from({ length: 10 }, async (_, i) => {
            const m = await moved();
            if (contend === expire)
              await sql('UPDATE kept_sources SET kept_until = now() WHERE migration_id = $1', m.migrationId);
            const results = await Promise.allSettled(
              (i % 2 === 0 ? [undo, contend] : [contend, undo]).map((each) => each(m)),
            );
            assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1, JSON.stringify(results));
            const { removingAt } = (await kept(m.volumeId))!;
            const last = await findMigration(registry, m.volumeId);
            assert.ok(removingAt === null || last.undoes === null, 'it is removed under an undo');
          }),
        );
      }
    });
  }
});
