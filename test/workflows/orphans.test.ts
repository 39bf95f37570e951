import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { LeftoverFacts } from '../../activities/repair/create-repair-activities.ts';
import type { LeftoverDevice } from '../../activities/storage/inventory.ts';
import { judgeDevice } from '../../workflows/orphans.ts';
import { gib } from '../../model/sizes.ts';

const [volumeId, migrationId] = [randomUUID(), randomUUID()];
const [here, there] = ['server1@a', 'server2@b'];
const finishedAt = '2026-01-01T12:00:00.000Z';
const device: LeftoverDevice = {
  backEnd: here,
  name: `volume-${volumeId}`,
  volumeId,
  migrationId: null,
  keptBy: migrationId,
  witness: {
    identity: 'a-device',
    sizeBytes: 1024 ** 3,
    role: 'kept',
    generation: 0,
    migrationId: null,
    keptBy: migrationId,
    retiredBy: null,
    tenantId: null,
    name: null,
    volumeType: null,
  },
  written: null,
  current: false,
};
const facts: LeftoverFacts = {
  migrations: [{ id: migrationId, volumeId, source: here, sourceNameId: null, outcome: 'success', finishedAt }],
  volumes: [
    {
      id: volumeId,
      host: there,
      nameId: randomUUID(),
      held: false,
      attached: false,
      generation: 1,
      migrationEpoch: 1,
      deviceIdentity: null,
      sizeBytes: gib,
    },
  ],
  beingCleanedUp: [],
  kept: [{ migrationId, volumeId, backEnd: here, deviceName: device.name }],
  orphanGraceSeconds: 60,
  now: '2026-01-01T12:00:59.000Z',
};
const back = { ...facts, kept: [], volumes: [{ ...facts.volumes[0]!, host: here, nameId: null }] };

describe('the device of a volume that is read-only for a migration', () => {
  const held = { ...device, keptBy: null, current: true, heldBy: migrationId };

  test('is released when that is over, and not before', () => {
    const judged = judgeDevice(held, back);
    assert.deepEqual(judged?.step, { kind: 'releaseSource', backEnd: here, deviceName: device.name, migrationId });
    assert.equal(judged.orphan.kind, 'tag');
    const [migration] = facts.migrations;
    assert.equal(
      judgeDevice(held, { ...back, migrations: [{ ...migration!, outcome: null, finishedAt: null }] }),
      null,
    );
    assert.equal(judgeDevice(held, { ...back, beingCleanedUp: [migrationId] }), null);
    assert.equal(judgeDevice(held, { ...back, volumes: [{ ...back.volumes[0]!, held: true }] }), null);
    assert.equal(judgeDevice({ ...held, heldBy: null }, back), null);
  });
});

describe('the device of a kept source', () => {
  test('is nobody else’s business while the registry has it, also when its volume is gone', () => {
    assert.equal(judgeDevice(device, facts), null);
    assert.equal(judgeDevice(device, { ...facts, volumes: [] }), null);
    assert.equal(judgeDevice({ ...device, keptBy: null }, facts), null, 'not marked yet');
    assert.equal(judgeDevice({ ...device, migrationId: randomUUID() }, facts), null, 'made by an earlier one');
  });

  test('is an orphan on another back end, and when the registry keeps it no more', () => {
    const cases: [LeftoverDevice, LeftoverFacts][] = [
      [device, { ...facts, kept: [] }],
      [device, { ...facts, kept: [{ ...facts.kept![0]!, backEnd: there }] }],
    ];
    for (const [found, known] of cases) {
      const judged = judgeDevice(found, known);
      assert.equal(judged?.step?.kind, 'retireSource');
      assert.equal(judged.orphan.removableFrom, '2026-01-01T12:01:00.000Z');
      assert.equal(judged.isDue, false);
      assert.equal(judgeDevice(found, { ...known, now: '2026-01-01T12:01:00.000Z' })?.isDue, true);
      const { now: _, ...untimed } = known;
      assert.equal(judgeDevice(found, untimed)?.isDue, false, 'by no clock but the registry’s');
    }
  });

  test('has only a tag too much when its volume is on it again, and nothing while that is held', () => {
    const judged = judgeDevice({ ...device, current: true }, back);
    assert.equal(judged?.orphan.kind, 'tag');
    assert.deepEqual(judged.step, {
      kind: 'settleDestination',
      backEnd: here,
      deviceName: device.name,
      volumeId,
      identity: 'a-device',
      generation: 1,
      sizeBytes: 1024 ** 3,
      migrationId,
      keptBy: migrationId,
    });
    const held = { ...back, volumes: [{ ...back.volumes[0]!, held: true }] };
    assert.equal(judgeDevice({ ...device, current: true }, held), null);
  });

  test('is judged as before by looks that know of no kept sources', () => {
    const { kept: _, ...older } = facts;
    assert.equal(judgeDevice(device, older)?.step?.kind, 'retireSource');
    assert.equal(judgeDevice({ ...device, keptBy: null, current: true }, older), null);
  });
});
