import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseBackEnd } from '../../client/choose-back-end.ts';
import type { ObservedBackEnd } from '../../model/back-end.ts';
import { gib } from '../../model/sizes.ts';

const now = new Date('2026-01-01T12:00:00Z');
const backEnd = (name: string, freeGib: number, change: Partial<ObservedBackEnd> = {}): ObservedBackEnd => ({
  name,
  node: 'n',
  availabilityZone: 'zone1',
  driver: 'lvm',
  totalBytes: 100 * gib,
  freeBytes: freeGib * gib,
  disabled: false,
  disabledReason: null,
  fault: null,
  placementFault: null,
  lostDevices: [],
  capabilities: {},
  heartbeatAt: now,
  asOf: now,
  decommissionedAt: null,
  ...change,
});

test('the enabled, running back end with the most free space is chosen, the first by name of equals', () => {
  const backEnds = [
    backEnd('n@disabled', 90, { disabled: true }),
    backEnd('n@silent', 80, { heartbeatAt: new Date(now.getTime() - 60_000) }),
    backEnd('n@broken', 70, { fault: 'no volume group' }),
    backEnd('n@b', 20),
    backEnd('n@a', 20),
    backEnd('n@small', 10),
  ];
  assert.equal(chooseBackEnd(backEnds, { sizeBytes: gib }).name, 'n@a');
});

test('a zone narrows the choice', () => {
  const backEnds = [backEnd('n@a', 20), backEnd('n@b', 10, { availabilityZone: 'zone2' })];
  assert.equal(chooseBackEnd(backEnds, { sizeBytes: gib, availabilityZone: 'zone2' }).name, 'n@b');
  assert.throws(() => chooseBackEnd(backEnds, { sizeBytes: gib, availabilityZone: 'zone3' }), {
    type: 'BackEndNotFound',
    message: 'No back end in zone zone3 is enabled and running. See: ferry host list --long',
  });
});

test('one that can only be left is not chosen', () => {
  const failing = backEnd('n@a', 20, { placementFault: 'a disk is missing' });
  assert.equal(chooseBackEnd([failing, backEnd('n@b', 10)], { sizeBytes: gib }).name, 'n@b');
  assert.throws(() => chooseBackEnd([failing], { sizeBytes: gib }), { type: 'BackEndNotFound' });
});

test('a type narrows the choice to the back ends that have what it asks for', () => {
  const backEnds = [backEnd('n@a', 20), backEnd('n@b', 10, { capabilities: { media: 'ssd' } })];
  const volumeType = { name: 'fast', extraSpecs: { media: 'ssd' } };
  assert.equal(chooseBackEnd(backEnds, { sizeBytes: gib, volumeType }).name, 'n@b');
  assert.throws(() => chooseBackEnd(backEnds, { sizeBytes: 11 * gib, volumeType }), { type: 'InsufficientSpace' });
  assert.throws(() => chooseBackEnd(backEnds.slice(0, 1), { sizeBytes: gib, volumeType }), {
    type: 'CapabilityMissing',
    message: 'No enabled, running back end has what volume type fast asks for. See: ferry type show fast',
  });
});

test('when nothing is large enough, it is said how much there is', () => {
  assert.throws(() => chooseBackEnd([backEnd('n@a', 20)], { sizeBytes: 21 * gib }), {
    type: 'InsufficientSpace',
    message: 'No back end has 21.0 GiB free; n@a has the most, 20.0 GiB.',
  });
});
