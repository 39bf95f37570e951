import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { moveLimits, type MoveOrder } from '../../../model/evacuation.ts';
import {
  chooseMoves,
  planBalance,
  planEvacuation,
  reasonsAgainstDestinations,
  type PlannedVolume,
} from '../../../model/placement/plan-moves.ts';
import type { Room } from '../../../model/placement/choose-place.ts';
import { gib } from '../../../model/sizes.ts';
import type { Volume } from '../../../model/volume.ts';
import { now, room } from './room.ts';

function volume(
  sizeGib: number,
  host = 'a@1',
  change: Partial<Volume> = {},
  rest: Partial<PlannedVolume> = {},
): PlannedVolume {
  return {
    volume: {
      id: randomUUID(),
      tenantId: 't',
      name: null,
      description: null,
      sizeBytes: sizeGib * gib,
      status: 'available',
      host,
      nameId: null,
      generation: 0,
      deviceIdentity: null,
      previousStatus: null,
      userId: null,
      shownStatus: null,
      growingToBytes: null,
      readOnly: null,
      migrationStatus: null,
      migrationOwner: null,
      migrationEpoch: 0,
      migrationSince: null,
      operation: null,
      operationOwner: null,
      availabilityZone: 'zone1',
      volumeType: null,
      bootable: false,
      snapshotId: null,
      sourceVolumeId: null,
      metadata: {},
      createdAt: now,
      updatedAt: now,
      ...change,
    },
    snapshots: 0,
    attachments: [],
    type: null,
    ...rest,
  };
}

const plan = (
  volumes: PlannedVolume[],
  rooms: Room[],
  more: { to?: string[]; order?: MoveOrder; sources?: string[] } = {},
) =>
  planEvacuation({
    volumes,
    rooms,
    sources: new Set(more.sources ?? ['a@1']),
    to: more.to ?? [],
    order: more.order ?? 'largest',
    now,
  });

const arriving = (moves: { destination: string; sizeBytes: number }[], to: string) =>
  moves.filter(({ destination }) => destination === to).reduce((sum, { sizeBytes }) => sum + sizeBytes / gib, 0);

describe('an evacuation', () => {
  test('fills its destinations evenly, by the part of their capacity that is used', () => {
    const rooms = [room('a@1', 0), room('b@1', 80), room('c@1', 60), room('d@1', 300, { totalBytes: 400 * gib })];
    const { moves, homeless } = plan(
      Array.from({ length: 40 }, () => volume(4)),
      rooms,
    );
    assert.equal(homeless.length, 0);
    const fills = ['b@1', 'c@1', 'd@1'].map((name) => {
      const { backEnd } = rooms.find((each) => each.backEnd.name === name)!;
      return 1 - (backEnd.freeBytes / gib - arriving(moves, name)) / (backEnd.totalBytes / gib);
    });
    assert.ok(Math.max(...fills) - Math.min(...fills) < 0.05, String(fills));
  });

  test('counts what is promised to others already', () => {
    const { moves } = plan([volume(10)], [room('a@1', 0), room('b@1', 50, {}, 45), room('c@1', 20)]);
    assert.deepEqual(
      moves.map(({ destination }) => destination),
      ['c@1'],
    );
  });

  test('goes to enabled, running back ends of the same zone, never to one that is emptied too', () => {
    const rooms = [
      room('a@1', 0),
      room('a@2', 100),
      room('off@1', 100, { disabled: true }),
      room('down@1', 100, { fault: 'gone' }),
      room('silent@1', 100, { heartbeatAt: new Date(now.getTime() - 60_000) }),
      room('far@1', 100, { availabilityZone: 'zone2' }),
      room('b@1', 20),
    ];
    const { moves } = plan([volume(10)], rooms, { sources: ['a@1', 'a@2'] });
    assert.deepEqual(
      moves.map(({ destination }) => destination),
      ['b@1'],
    );
  });

  test('goes where it is told, also to another zone, and nowhere else', () => {
    const rooms = [room('a@1', 0), room('b@1', 100), room('far@1', 10, { availabilityZone: 'zone2' })];
    const { moves, homeless } = plan([volume(8), volume(8)], rooms, { to: ['far@1'] });
    assert.deepEqual(
      moves.map(({ destination }) => destination),
      ['far@1'],
    );
    assert.match(homeless[0]!.reasons[0]!.message, /fits nowhere/);
  });

  test('finds room for the large ones first', () => {
    const rooms = [room('a@1', 0), room('b@1', 10), room('c@1', 6)];
    const { moves, homeless } = plan([volume(3), volume(3), volume(10)], rooms);
    assert.equal(homeless.length, 0);
    assert.equal(arriving(moves, 'b@1'), 10);
  });

  test('tells each volume that fits nowhere, and why', () => {
    const { homeless } = plan([volume(30), volume(2)], [room('a@1', 0), room('b@1', 10)]);
    assert.equal(homeless.length, 1);
    assert.deepEqual(
      [homeless[0]!.reasons[0]!.type, homeless[0]!.reasons[0]!.details],
      ['InsufficientSpace', { neededBytes: 30 * gib, freeBytes: 10 * gib }],
    );
    const nowhere = plan([volume(1)], [room('a@1', 0)]).homeless[0]!;
    assert.match(nowhere.reasons[0]!.message, /no enabled, running back end is left in zone zone1/);
  });

  test('leaves what cannot move, with every reason; what another holds is passing', () => {
    const writers = ['i1', 'i2'].map((instanceId) => ({ instanceId, mode: 'rw' as const }));
    const { moves, stays } = plan(
      [
        volume(1),
        volume(2, 'a@1', {}, { snapshots: 1, attachments: writers }),
        volume(3, 'a@1', { operation: 'extend', status: 'extending' }),
        volume(4, 'a@1', { migrationOwner: 'x/y', migrationStatus: 'migrating' }),
        volume(5, 'a@1', { status: 'error' }),
      ],
      [room('a@1', 0), room('b@1', 100)],
    );
    assert.deepEqual(
      moves.map(({ sizeBytes }) => sizeBytes / gib),
      [1],
    );
    assert.deepEqual(
      stays.map(({ sizeBytes, passing, reasons }) => [sizeBytes / gib, passing, reasons.map(({ type }) => type)]),
      [
        [5, false, ['VolumeStatusRefused']],
        [4, true, ['VolumeMigrating']],
        [3, true, ['VolumeBusy', 'VolumeStatusRefused']],
        [2, false, ['VolumeHasSnapshots', 'VolumeStatusRefused']],
      ],
    );
  });

  const ssd = { name: 'fast', extraSpecs: { media: 'ssd' } };
  const withSsd = { capabilities: { media: 'ssd' } };

  test('goes only where the type of a volume is satisfied; what has no such place stays, what finds it full is homeless', () => {
    const typed = (sizeGib: number, type: PlannedVolume['type']) => volume(sizeGib, 'a@1', {}, { type });
    const rooms = [
      room('a@1', 0, withSsd),
      room('b@1', 90),
      room('c@1', 20, withSsd),
      room('far@1', 90, { availabilityZone: 'zone2', capabilities: { media: 'tape' } }),
    ];
    const { moves, stays, homeless } = plan(
      [
        typed(5, ssd),
        typed(30, ssd),
        typed(7, { name: 'tape', extraSpecs: { media: 'tape' } }),
        typed(6, { name: 'any', extraSpecs: {} }),
      ],
      rooms,
    );
    assert.deepEqual(
      moves.map(({ sizeBytes, destination }) => [sizeBytes / gib, destination]),
      [
        [6, 'b@1'],
        [5, 'c@1'],
      ],
    );
    assert.deepEqual(
      stays.map(({ sizeBytes, passing, reasons }) => [sizeBytes / gib, passing, reasons.map(({ type }) => type)]),
      [[7, false, ['CapabilityMissing']]],
    );
    assert.match(
      stays[0]!.reasons[0]!.message,
      /can go nowhere: no other enabled, running back end in zone zone1 has what volume type tape asks for \(media=tape\)\.$/,
    );
    assert.deepEqual(
      homeless.map(({ sizeBytes, reasons }) => [sizeBytes / gib, reasons[0]!.type, reasons[0]!.details?.['freeBytes']]),
      [[30, 'InsufficientSpace', 20 * gib]],
    );
  });

  test('keeps room for the volumes that have little choice', () => {
    const volumes = [volume(30), volume(25, 'a@1', {}, { type: ssd })];
    const { moves, homeless } = plan(volumes, [room('a@1', 0), room('b@1', 50, withSsd), room('c@1', 30)]);
    assert.deepEqual(
      [homeless, moves.map(({ sizeBytes, destination }) => [sizeBytes / gib, destination])],
      [
        [],
        [
          [30, 'c@1'],
          [25, 'b@1'],
        ],
      ],
    );
  });

  test('begins in the wanted order', () => {
    const attachments = [{ instanceId: 'i', mode: 'rw' as const }];
    const volumes = [volume(2), volume(3, 'a@1', { status: 'in-use' }, { attachments }), volume(1)];
    const rooms = [room('a@1', 0), room('b@1', 100)];
    const sizes = (order: MoveOrder) => plan(volumes, rooms, { order }).moves.map(({ sizeBytes }) => sizeBytes / gib);
    assert.deepEqual(sizes('largest'), [3, 2, 1]);
    assert.deepEqual(sizes('smallest'), [1, 2, 3]);
    assert.deepEqual(sizes('detached-first'), [2, 1, 3]);
  });

  test('refuses named destinations that cannot be used at all, each with its reason', () => {
    const rooms = [
      room('a@1', 0),
      room('off@1', 9, { disabled: true }),
      room('down@1', 9, { fault: 'gone' }),
      room('b@1', 0),
    ];
    const reasons = reasonsAgainstDestinations(
      ['a@1', 'off@1', 'down@1', 'none@1', 'b@1'],
      new Set(['a@1']),
      rooms,
      now,
    );
    assert.deepEqual(
      reasons.map(({ type }) => type),
      ['SameBackEnd', 'BackEndDisabled', 'BackEndDown', 'BackEndNotFound'],
    );
  });

  test('of ten thousand volumes is planned in a moment, and every byte has its place', () => {
    const rooms = [room('a@1', 0), ...['b', 'c', 'd'].map((n) => room(`${n}@1`, 40_000, { totalBytes: 50_000 * gib }))];
    const volumes = Array.from({ length: 10_000 }, (_, i) => volume((i % 16) + 1));
    const { moves } = plan(volumes, rooms);
    assert.equal(moves.length, 10_000);
    for (const name of ['b@1', 'c@1', 'd@1']) assert.ok(arriving(moves, name) <= 40_000);
  });
});

describe('a balancing', () => {
  const balance = (volumes: PlannedVolume[], rooms: Room[], threshold = 0.1, zone: string | null = null) =>
    planBalance({ volumes, rooms, zone, threshold, now });

  test('evens out, with as few bytes as it takes', () => {
    const moves = balance([...[20, 10, 10, 5].map((size) => volume(size, 'a@1'))], [room('a@1', 20), room('b@1', 60)]);
    assert.deepEqual(
      moves.map(({ sizeBytes, source, destination }) => [sizeBytes / gib, source, destination]),
      [[20, 'a@1', 'b@1']],
    );
  });

  test('does nothing within the threshold, nor when a move would only turn it round', () => {
    assert.deepEqual(balance([volume(5)], [room('a@1', 50), room('b@1', 58)]), []);
    assert.deepEqual(balance([volume(60)], [room('a@1', 40), room('b@1', 100)]), []);
  });

  test('stays in the zone, and leaves alone what cannot move and what is disabled', () => {
    const rooms = [
      room('a@1', 10),
      room('far@1', 100, { availabilityZone: 'zone2' }),
      room('off@1', 100, { disabled: true }),
    ];
    assert.deepEqual(balance([volume(10)], rooms), []);
    assert.deepEqual(balance([volume(10, 'a@1', {}, { snapshots: 1 })], [room('a@1', 10), room('b@1', 100)]), []);
    assert.deepEqual(balance([volume(10)], [room('a@1', 10), room('b@1', 100)], 0.1, 'zone9'), []);
  });

  test('moves a volume only to where its type is satisfied, past an emptier back end that lacks it', () => {
    const type = { name: 'fast', extraSpecs: { media: 'ssd' } };
    const rooms = [room('a@1', 0), room('empty@1', 100), room('ssd@1', 60, { capabilities: { media: 'ssd' } })];
    const moves = balance([volume(20, 'a@1', {}, { type }), volume(20, 'a@1', {}, { type })], rooms);
    assert.deepEqual(
      moves.map(({ destination }) => destination),
      ['ssd@1'],
    );
    assert.deepEqual(balance([volume(20, 'a@1', {}, { type })], rooms.slice(0, 2)), []);
  });

  test('ends: no volume moves twice', () => {
    const volumes = Array.from({ length: 200 }, (_, i) => volume((i % 7) + 1, ['a@1', 'b@1', 'c@1'][i % 3]));
    const rooms = [room('a@1', 1), room('b@1', 90), room('c@1', 50), room('d@1', 100)];
    const moves = balance(volumes, rooms, 0.02);
    assert.equal(new Set(moves.map(({ volumeId }) => volumeId)).size, moves.length);
  });
});

describe('the moves that may begin', () => {
  const move = (source: string, destination: string) => ({ source, destination });
  const limits = moveLimits.parse({ total: 3, perSourceNode: 2, perDestinationNode: 2 });

  test('keep to the limits in all, a source node and a destination node', () => {
    const waiting = [
      move('a@1', 'b@1'),
      move('a@2', 'b@2'),
      move('a@1', 'c@1'),
      move('x@1', 'b@1'),
      move('x@1', 'c@1'),
      move('x@1', 'c@2'),
    ];
    assert.deepEqual(chooseMoves(waiting, [], limits), [waiting[0], waiting[1], waiting[4]]);
    assert.deepEqual(chooseMoves(waiting, [move('a@1', 'b@1')], limits), [waiting[0], waiting[4]]);
    assert.deepEqual(chooseMoves(waiting, [move('q@1', 'r@1'), move('q@1', 'r@1'), move('q@1', 'r@1')], limits), []);
  });
});

test('a back end that lost a disk is left by its healthy volumes and taken by none; those on the disk stay, by name', () => {
  const [good, bad] = [volume(2), volume(3)];
  const failing = { placementFault: 'a disk is missing', lostDevices: [`volume-${bad.volume.id}`] };
  const rooms = [room('a@1', 50, failing), room('b@1', 50), room('c@1', 90, { placementFault: 'read-only' })];
  const facts = { sources: new Set(['a@1']), rooms, to: [], order: 'largest', now } as const;
  const plan = planEvacuation({ ...facts, volumes: [good, bad] });
  assert.deepEqual(
    plan.moves.map(({ volumeId, destination }) => [volumeId, destination]),
    [[good.volume.id, 'b@1']],
  );
  assert.deepEqual(
    plan.stays.map(({ volumeId, reasons }) => [volumeId, reasons.map(({ type }) => type)]),
    [[bad.volume.id, ['DeviceLost']]],
  );
  assert.equal(reasonsAgainstDestinations(['c@1'], facts.sources, rooms, now)[0]?.type, 'BackEndUnavailable');
  assert.deepEqual(planBalance({ volumes: [volume(10, 'c@1')], rooms, zone: null, threshold: 0, now }), []);
});
