import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, describe, mock, test } from 'node:test';
import { createRegistryActivities } from '../../activities/registry/create-registry-activities.ts';
import { createRepairActivities } from '../../activities/repair/create-repair-activities.ts';
import { backEndState } from '../../model/back-end.ts';
import { gib } from '../../model/sizes.ts';
import { listBackEnds } from '../../registry/back-ends.ts';
import { beginCreate } from '../../registry/creation.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { testRegistry } from './database.ts';
import { anOwner, destination, putBackEnd, putVolume, source } from './world.ts';

const repairOf = (registry: Registry) =>
  createRepairActivities({
    registry,
    isRunning: async () => false,
    hasSwitched: async () => false,
    isKnown: async () => true,
    toldToLastStep: async () => null,
    lastSteps: createRegistryActivities({ registry }),
    orphanGraceSeconds: 60,
  });

describe('what has a heartbeat or a time in the registry is judged by Postgres’ clock', () => {
  afterEach(() => mock.timers.reset());

  for (const seconds of [150, -150]) {
    test(`by a process whose own is ${seconds} s ahead`, async () => {
      const registry = await testRegistry();
      await putBackEnd(registry, source);
      await putBackEnd(registry, destination);
      await putBackEnd(registry, 'server3@silent');
      const volumeId = await putVolume(registry);
      await registry.rows(
        noColumns,
        `UPDATE back_ends SET heartbeat_at = now() - interval '60 s' WHERE name = 'server3@silent'`,
      );
      mock.timers.enable({ apis: ['Date'], now: Date.now() + seconds * 1000 });

      const backEnds = await listBackEnds(registry);
      assert.deepEqual(
        backEnds.map((b) => backEndState(b, b.asOf)),
        ['up', 'up', 'down'],
      );
      const ticket = { volumeId: randomUUID(), owner: anOwner('create') };
      const made = await beginCreate(registry, { ...ticket, tenantId: 't', sizeBytes: gib, backEnd: null });
      assert.notEqual(made.host, 'server3@silent');
      assert.deepEqual((await planMigration(registry, { volumeId, destination })).reasons, []);
      assert.deepEqual(await repairOf(registry).listNodes(), [
        { node: 'server1', up: true },
        { node: 'server2', up: true },
        { node: 'server3', up: false },
      ]);
    });
  }

  test('and so is the grace time of what a migration left', async () => {
    const registry = await testRegistry();
    const before = await repairOf(registry).factsOfLeftovers({ migrationIds: [], volumeIds: [] });
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 86_400_000 });
    const after = await repairOf(registry).factsOfLeftovers({ migrationIds: [], volumeIds: [] });
    assert.ok(Date.parse(after.now!) - Date.parse(before.now!) < 3_600_000);
  });
});
