import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choosePlace, placesIn, type Room, type Wanted } from '../../../model/placement/choose-place.ts';
import { reasonNotToCreate } from '../../../model/placement/refusals.ts';
import { gib } from '../../../model/sizes.ts';
import { now, room } from './room.ts';

/** The back end that is chosen, or the refusal. */
function choose(rooms: readonly Room[], wanted: Partial<Wanted> = {}) {
  const asked: Wanted = { sizeBytes: gib, volumeType: null, availabilityZone: null, ...wanted };
  const choice = choosePlace(placesIn(rooms, now), asked);
  return choice.place ? choice.place.backEnd.name : reasonNotToCreate(choice, asked);
}

test('the enabled, running back end that is the least full afterwards is chosen, the first by name of equals', () => {
  const rooms = [
    room('n@disabled', 90, { disabled: true }),
    room('n@silent', 80, { heartbeatAt: new Date(now.getTime() - 60_000) }),
    room('n@broken', 70, { fault: 'no volume group' }),
    room('n@b', 20),
    room('n@a', 20),
    room('n@small', 10),
    room('n@huge', 21, { totalBytes: 1000 * gib }),
  ];
  assert.equal(choose(rooms), 'n@a');
});

test('what is promised is not free', () => {
  assert.equal(choose([room('n@a', 20, {}, 15), room('n@b', 10)]), 'n@b');
});

test('the least full one that is too small is passed over', () => {
  const rooms = [room('n@a', 9, { totalBytes: 10 * gib }), room('n@b', 20)];
  assert.equal(choose(rooms, { sizeBytes: 10 * gib }), 'n@b');
});

test('a zone narrows the choice', () => {
  const rooms = [room('n@a', 20), room('n@b', 10, { availabilityZone: 'zone2' })];
  assert.equal(choose(rooms, { availabilityZone: 'zone2' }), 'n@b');
  assert.deepEqual(choose(rooms, { availabilityZone: 'zone3' }), {
    type: 'BackEndNotFound',
    message: 'No back end in zone zone3 is enabled and running. See: ferry host list --long',
  });
});

test('one that can only be left is not chosen', () => {
  const failing = room('n@a', 20, { placementFault: 'a disk is missing' });
  assert.equal(choose([failing, room('n@b', 10)]), 'n@b');
  assert.deepEqual(choose([failing]), {
    type: 'BackEndNotFound',
    message: 'No back end is enabled and running. See: ferry host list --long',
  });
});

test('a type narrows the choice to the back ends that have what it asks for', () => {
  const rooms = [room('n@a', 20), room('n@b', 10, { capabilities: { media: 'ssd' } })];
  const volumeType = { name: 'fast', extraSpecs: { media: 'ssd' } };
  assert.equal(choose(rooms, { volumeType }), 'n@b');
  assert.deepEqual(choose(rooms, { volumeType, sizeBytes: 11 * gib }), {
    type: 'InsufficientSpace',
    message: 'No back end has 11.0 GiB free; n@b has the most, 10.0 GiB.',
    details: { freeBytes: 10 * gib, neededBytes: 11 * gib },
  });
  assert.deepEqual(choose(rooms.slice(0, 1), { volumeType }), {
    type: 'CapabilityMissing',
    message: 'No enabled, running back end has what volume type fast asks for. See: ferry type show fast',
    details: { volumeType: 'fast' },
  });
});

test('when nothing is large enough, it is said how much there is, and never less than nothing', () => {
  assert.deepEqual(choose([room('n@a', 20, {}, 30)], { sizeBytes: 21 * gib }), {
    type: 'InsufficientSpace',
    message: 'No back end has 21.0 GiB free; n@a has the most, 0 B.',
    details: { freeBytes: 0, neededBytes: 21 * gib },
  });
});
