import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createComputeActivities } from '../../activities/compute/create-compute-activities.ts';
import { computeInputs } from '../../activities/inputs/compute.ts';
import { moveInputs } from '../../activities/inputs/moves.ts';
import { notificationInputs } from '../../activities/inputs/notifications.ts';
import { registryInputs } from '../../activities/inputs/registry.ts';
import { repairInputs } from '../../activities/inputs/repair.ts';
import { storageInputs } from '../../activities/inputs/storage.ts';
import { createMoveActivities } from '../../activities/moves/create-move-activities.ts';
import { createNotificationActivities } from '../../activities/notifications/create-notification-activities.ts';
import { createRegistryActivities } from '../../activities/registry/create-registry-activities.ts';
import { createRepairActivities } from '../../activities/repair/create-repair-activities.ts';
import { createStorageActivities } from '../../activities/storage/create-storage-activities.ts';
import { FerryError } from '../../model/errors.ts';

// No activity gets so far that it would need anything.
const none = {} as never;
const activities: Record<string, (input: never) => Promise<unknown>> = {
  ...createRegistryActivities(none),
  ...createMoveActivities(none),
  ...createRepairActivities(none),
  ...createNotificationActivities({ registry: none, webhooks: [] }),
  ...createStorageActivities(none),
  ...createComputeActivities(none),
};
const schemas: Record<string, object> = {
  ...registryInputs,
  ...moveInputs,
  ...repairInputs,
  ...notificationInputs,
  ...storageInputs,
  ...computeInputs,
};

/** Takes nothing, and does not look at what it is given. */
const takesNothing = new Set(['listNodes']);
/** Nothing that it takes must be there. */
const takesEmpty = new Set(['listAbandoned']);

const nasty = fc.constantFrom<unknown>(
  '',
  '..',
  '../../etc/passwd',
  '/etc/shadow',
  'volume-x/../../etc/passwd',
  'a\0b',
  '\ud800',
  '-rf',
  "'; DROP TABLE volumes; --",
  '\u202Egnp.exe',
  -1,
  1e300,
  {},
  { path: '/etc/passwd' },
);

/** Any JSON, and objects with the right fields that hold what nobody should say. */
function garbageFor(name: string): fc.Arbitrary<unknown> {
  const fields = Object.keys((schemas[name] as { shape?: object }).shape ?? {});
  // A short text may be a name; of a list the bad items are left out.
  const wrong = fc.oneof(
    nasty,
    fc.jsonValue().filter((value) => typeof value !== 'string' && !Array.isArray(value)),
  );
  const right = fc.record(Object.fromEntries(fields.map((field) => [field, wrong])));
  return fc
    .oneof(fc.jsonValue(), right)
    .filter((value) => !(name === 'inventory' && value === null))
    .filter((value) => !(takesEmpty.has(name) && isObject(value) && !('volumeId' in value)));
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

describe('whatever an activity is sent that it does not take is refused before anything is done', () => {
  test('every activity has its schema', () => {
    assert.deepEqual(Object.keys(schemas).toSorted(), Object.keys(activities).toSorted());
  });
  for (const [name, activity] of Object.entries(activities)) {
    if (takesNothing.has(name)) continue;
    test(name, () =>
      fc.assert(
        fc.asyncProperty(garbageFor(name), async (garbage) => {
          await assert.rejects(activity(garbage as never), (error) => {
            assert.ok(error instanceof FerryError, String(error));
            assert.equal(error.type, 'InvalidInput');
            assert.equal(error.retryable, false);
            return true;
          });
        }),
        { numRuns: 60 },
      ),
    );
  }
});

describe('what would lead an activity elsewhere is refused', () => {
  const volumeId = '6f1f2f60-0d3c-4c4e-9a53-52a1f6a5cf01';
  const migrationId = '6f1f2f60-0d3c-4c4e-9a53-52a1f6a5cf02';
  const device = { backEnd: 'server1@a', deviceName: `volume-${volumeId}` };
  const disk = { instance: 'vm1', volumeId };
  const cases: [string, keyof typeof activities, Record<string, unknown>][] = [
    [
      'a round that is a path',
      'endUnmapping',
      { ...device, sizeBytes: 512, migrationId, round: '/../../../etc/hostname' },
    ],
    ['a device of another folder', 'lookAtDevice', { ...device, deviceName: '../other/file' }],
    ['a name that is taken by others', 'disownDevice', { ...device, volumeId, generation: 0, newName: '../../x' }],
    ['an export with a path', 'removeExport', { backEnd: 'server1@a', exportName: '../../../run/pid' }],
    ['a tag that is an option', 'createDevice', { ...device, sizeBytes: 512, tags: ['--yes @all'] }],
    [
      'a path with a detour',
      'attachDisk',
      { ...disk, source: { kind: 'file', path: '/var/lib/../../etc/passwd' }, device: null, mode: 'rw' },
    ],
    ['a relative path', 'attachDisk', { ...disk, source: { kind: 'file', path: 'x' }, device: null, mode: 'rw' }],
    [
      'a device that is XML',
      'attachDisk',
      { ...disk, source: { kind: 'file', path: '/v' }, device: 'vda"/><x', mode: 'rw' },
    ],
    ['an instance that is an option', 'pauseMirror', { instance: '--all', volumeId }],
    [
      'a text with a NUL byte',
      'beginCreate',
      { volumeId, owner: 'x', tenantId: 't', sizeBytes: 512, backEnd: null, name: 'a\0b' },
    ],
  ];
  for (const [what, name, input] of cases)
    test(what, () =>
      assert.rejects(
        activities[name]!(input as never),
        (error) => error instanceof FerryError && error.type === 'InvalidInput',
      ),
    );
});
