import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { planImport, type FoundOn, type Known } from '../../../client/cinder-import/plan-import.ts';
import type { CinderRecords, CinderSnapshot, CinderVolume } from '../../../client/cinder-import/read-cinder.ts';
import type { UnmanagedDevice } from '../../../model/unmanaged-device.ts';

const gib = 1024 ** 3;
const volumeOf = (values: Partial<CinderVolume> = {}): CinderVolume => ({
  id: randomUUID(),
  nameId: null,
  project_id: 'project-1',
  user_id: 'user-1',
  display_name: 'one',
  display_description: null,
  size: 1,
  host: 'a@lvm#pool-1',
  status: 'available',
  attach_status: 'detached',
  migration_status: null,
  volume_type_id: null,
  bootable: false,
  encryption_key_id: null,
  multiattach: false,
  group_id: null,
  metadata: {},
  readOnly: false,
  users: [],
  ...values,
});
const snapshotOf = (volume: CinderVolume, values: Partial<CinderSnapshot> = {}): CinderSnapshot => ({
  id: randomUUID(),
  volume_id: volume.id,
  project_id: volume.project_id,
  user_id: null,
  display_name: null,
  display_description: null,
  status: 'available',
  metadata: {},
  ...values,
});
const devices = (...found: (Partial<UnmanagedDevice> & { name: string })[]): FoundOn =>
  new Map(found.map((each) => [each.name, { sizeBytes: gib, obstacle: null, snapshots: [], ...each }]));

/** The plan for one volume on `a@lvm`, which is `server1@lvm`. */
function planned(
  volume: CinderVolume,
  { found, snapshots = [], known = {} }: { found: FoundOn; snapshots?: CinderSnapshot[]; known?: Partial<Known> },
) {
  const cinder: CinderRecords = { volumes: [volume], snapshots, types: [], services: [] };
  const { volumes } = planImport(cinder, new Map([['a@lvm', 'server1@lvm']]), {
    volumes: new Map(),
    snapshots: new Map(),
    types: new Map(),
    forgotten: new Set(),
    capabilities: new Map(),
    devices: new Map([['server1@lvm', found]]),
    ...known,
  });
  return volumes[0]!;
}
const reasonFor = (...args: Parameters<typeof planned>) => planned(...args).reason;

describe('what becomes of a volume of Cinder’s', () => {
  test('a pool may be given a back end of its own', () => {
    const [inPool, beside] = [volumeOf(), volumeOf({ host: 'a@lvm#pool-2' })];
    const cinder: CinderRecords = {
      volumes: [inPool, beside],
      snapshots: [],
      types: [],
      services: ['a@lvm', 'b@lvm'].map((host) => ({ host, lives: true })),
    };
    const mapping = new Map([
      ['a@lvm', 'server1@lvm'],
      ['a@lvm#pool-2', 'server1@two'],
    ]);
    const known = {
      volumes: new Map(),
      snapshots: new Map(),
      types: new Map(),
      forgotten: new Set<string>(),
      capabilities: new Map(),
    };
    const { volumes, livingHosts } = planImport(cinder, mapping, { ...known, devices: new Map() });
    assert.deepEqual(
      volumes.map(({ id, backEnd }) => [id, backEnd]),
      [
        [inPool.id, 'server1@lvm'],
        [beside.id, 'server1@two'],
      ],
    );
    assert.deepEqual(livingHosts, ['a@lvm']);
  });

  test('a node that does not tell what it has lets nothing be taken', () => {
    assert.equal(
      reasonFor(volumeOf(), { found: { unseen: 'it is down' } }),
      'its back end could not be looked at: it is down',
    );
  });

  test('what the device has in its way is told in the node’s words', () => {
    const volume = volumeOf();
    const found = devices({ name: `volume-${volume.id}`, obstacle: 'it is in use' });
    assert.equal(reasonFor(volume, { found }), 'it is in use');
  });

  test('a snapshot that cannot come along keeps its volume; one whose device is lost does not', () => {
    const volume = volumeOf();
    const [name, snapshot] = [`volume-${volume.id}`, snapshotOf(volume)];
    const hanging = `_snapshot-${snapshot.id}`;
    const origin = { name, obstacle: 'it has snapshots; delete them first', snapshots: [hanging] };
    const device = { name: hanging, obstacle: 'it is a snapshot' };
    assert.equal(reasonFor(volume, { found: devices(origin, device), snapshots: [snapshot] }), null);
    const failed = { ...snapshot, status: 'error' };
    assert.equal(
      reasonFor(volume, { found: devices(origin, device), snapshots: [failed] }),
      `its snapshot ${snapshot.id} cannot come along: its status is error`,
    );
    const longer = devices({ ...origin, sizeBytes: 2 * gib }, device);
    assert.match(reasonFor(volume, { found: longer, snapshots: [snapshot] }) ?? '', /was extended since/);
    const lost = planned(volume, { found: devices({ name }), snapshots: [snapshot] });
    assert.deepEqual([lost.state, lost.snapshots[0]?.state], ['to import', 'refused']);
  });

  test('a clone that still hangs on it is told as one', () => {
    const [volume, clone] = [volumeOf(), randomUUID()];
    const found = devices({ name: `volume-${volume.id}`, obstacle: 'x', snapshots: [`volume-${clone}`] });
    assert.equal(reasonFor(volume, { found }), `volume-${clone} was made from it and still shares its blocks`);
  });

  test('one that Ferry has is imported, wherever it is by now, and whatever Cinder says of it; its snapshots may be left', () => {
    const volume = volumeOf({ status: 'error' });
    const snapshot = snapshotOf(volume);
    const found = devices({ name: `_snapshot-${snapshot.id}`, obstacle: 'it is a snapshot' });
    const known = { volumes: new Map([[volume.id, 'in-use']]) };
    const { state, snapshots } = planned(volume, { found, snapshots: [snapshot], known });
    assert.deepEqual([state, snapshots[0]?.state], ['imported', 'to import']);
    const creating = { volumes: new Map([[volume.id, 'creating']]) };
    assert.equal(planned(volume, { found, known: creating }).state, 'refused');
  });

  test('texts that Ferry cannot keep are left out and told', () => {
    const volume = volumeOf({
      display_name: 'a\u0007b',
      display_description: 'two\nlines',
      metadata: { good: '1', ['bad\n']: '2' },
    });
    const { name, description, metadata, notes, state } = planned(volume, {
      found: devices({ name: `volume-${volume.id}` }),
    });
    assert.deepEqual(
      [name, description, metadata, state, notes.length],
      [null, 'two lines', { good: '1' }, 'to import', 2],
    );
  });

  test('two records of one device are both refused; so is an id that was Ferry’s', () => {
    const moved = volumeOf({ nameId: randomUUID() });
    const orphan = volumeOf({ id: moved.nameId! });
    const found = devices({ name: `volume-${orphan.id}` });
    const cinder: CinderRecords = { volumes: [moved, orphan], snapshots: [], types: [], services: [] };
    const known = { volumes: new Map(), snapshots: new Map(), types: new Map(), capabilities: new Map() };
    const { volumes } = planImport(cinder, new Map([['a@lvm', 'server1@lvm']]), {
      ...known,
      forgotten: new Set(),
      devices: new Map([['server1@lvm', found]]),
    });
    for (const { reason } of volumes) assert.match(reason ?? '', /Cinder has volume .* on the same volume-/);
    assert.match(reasonFor(orphan, { found, known: { forgotten: new Set([orphan.id]) } }) ?? '', /not used again/);
  });
});
