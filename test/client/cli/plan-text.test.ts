import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostList, longList } from '../../../client/cli/host-list.ts';
import { planText, undoText } from '../../../client/cli/plan-text.ts';
import { retypePlanText } from '../../../client/cli/retype.ts';
import type { BackEnd } from '../../../model/back-end.ts';
import { gib } from '../../../model/sizes.ts';
import { now, room } from '../../model/placement/room.ts';
import { seedVolume } from './sample-volume.ts';

const backEnd = (name: string, change: Partial<BackEnd> = {}): BackEnd =>
  room(name, 10, { totalBytes: 20 * gib, ...change }).backEnd;
const facts = {
  volumeId: seedVolume.id,
  destinationName: 'server2@lvmstorage-2',
  volume: seedVolume,
  source: backEnd('server1@lvmstorage-1'),
  destination: backEnd('server2@lvmstorage-2'),
  snapshots: 0,
  attachments: [],
  promisedBytes: 3 * gib,
  newType: null,
  volumeType: null,
  nameIsKept: false,
  now,
};

test('a plan tells from, to, how much and how; promised space is not free', () => {
  assert.equal(
    planText({ allowed: true, flow: 'generic-detached', facts, reasons: [] }),
    `
Volume 6088f80a-f116-4331-ad48-9afb0dfb196c would move; nothing was done.
  from   server1@lvmstorage-1
  to     server2@lvmstorage-2 (7.0 GiB free, 5.0 GiB afterwards)
  bytes  2.0 GiB
  flow   generic-detached: the destination copies it from the source`.trim(),
  );
});

test("a plan to move a running guest's disk says how that is proven, and no other one does", () => {
  const plan = (flow: 'generic-attached' | 'assisted') => planText({ allowed: true, flow, facts, reasons: [] });
  assert.match(
    plan('generic-attached'),
    /^  proof  both sides of the mirror are read and compared .*; with --verify none or inline there is none$/m,
  );
  assert.doesNotMatch(plan('assisted'), /proof/);
});

test('a plan that would be refused tells every reason', () => {
  const reasons = [
    { type: 'VolumeHasSnapshots' as const, message: 'It has 1 snapshot; delete it first.' },
    { type: 'BackEndDisabled' as const, message: 'Back end is disabled.' },
  ];
  assert.equal(
    planText({ allowed: false, flow: 'generic-detached', facts, reasons }),
    `
Volume 6088f80a-f116-4331-ad48-9afb0dfb196c would not move to server2@lvmstorage-2:
  - It has 1 snapshot; delete it first.
  - Back end is disabled.`.trim(),
  );
});

test('a plan to undo tells until when the source is kept', () => {
  const kept = {
    migrationId: seedVolume.id,
    volumeId: seedVolume.id,
    backEnd: 'server1@lvmstorage-1',
    nameId: null,
    identity: null,
    generation: 0,
    sizeBytes: 2 * gib,
    keptAt: now,
    keptUntil: new Date('2026-01-02T12:00:00Z'),
    removingAt: null,
  };
  const { destinationName: _, promisedBytes: __, nameIsKept: ___, ...rest } = facts;
  const undoFacts = { ...rest, last: null, kept };
  assert.equal(
    undoText({ allowed: true, facts: undoFacts, reasons: [] }),
    `
Volume 6088f80a-f116-4331-ad48-9afb0dfb196c would go back if it has not been written since; nothing was done.
  from   server1@lvmstorage-1
  to     server1@lvmstorage-1 (kept until 2026-01-02T12:00:00Z)
  bytes  2.0 GiB, read on both sides and compared; none is copied
  flow   undo: it goes back to its kept source`.trim(),
  );
  const reasons = [{ type: 'SourceNotKept' as const, message: 'It is not kept.' }];
  assert.match(undoText({ allowed: false, facts: undoFacts, reasons }), /would not be undone:\n  - It is not kept\.$/);
});

test('the plan of a retype tells the change, and the move if there is one', () => {
  const plan = { allowed: true, volumeId: seedVolume.id, oldType: null, newType: 'fast', migration: null, reasons: [] };
  assert.equal(
    retypePlanText(plan),
    `Volume ${seedVolume.id} would stay where it is; nothing was done.\n  type   None becomes fast`,
  );
  const migration = { allowed: true, flow: 'generic-detached' as const, facts, reasons: [] };
  assert.equal(
    retypePlanText({ ...plan, oldType: 'slow', migration }),
    `${planText(migration)}\n  type   slow becomes fast`,
  );
  const reasons = [{ type: 'SameVolumeType' as const, message: 'It has that type already.' }];
  assert.equal(
    retypePlanText({ ...plan, allowed: false, reasons }),
    `Volume ${seedVolume.id} would not get type fast:\n  - It has that type already.`,
  );
});

test("the list of hosts is the seed's, the long one says why a back end cannot be used", () => {
  const backEnds = [
    backEnd('server1@lvmstorage-1', { capabilities: { media: 'ssd', driver: 'lvm' } }),
    backEnd('server2@lvmstorage-2', {
      disabled: true,
      disabledReason: 'old',
      fault: 'no volume group',
      heartbeatAt: new Date(0),
    }),
  ];
  assert.equal(hostList(backEnds), 'server1@lvmstorage-1  zone1\nserver2@lvmstorage-2  zone1');
  assert.equal(
    longList(
      backEnds.map((b, i) => ({
        ...b,
        asOf: now,
        volumes: i === 0 ? 3 : 0,
        discrepancies: 0,
        kept: i === 0 ? { sources: 2, bytes: 3 * gib } : { sources: 0, bytes: 0 },
      })),
    ),
    `
+----------------------+-------+--------+----------+-------+---------+-------------+----------+----------+----------------------+----------------------+
| Host                 | Zone  | Driver | Status   | State | Volumes | Kept        | Free     | Total    | Capabilities         | Remark               |
+----------------------+-------+--------+----------+-------+---------+-------------+----------+----------+----------------------+----------------------+
| server1@lvmstorage-1 | zone1 | lvm    | enabled  | up    | 3       | 2 (3.0 GiB) | 10.0 GiB | 20.0 GiB | driver=lvm media=ssd |                      |
| server2@lvmstorage-2 | zone1 | lvm    | disabled | down  | 0       |             | 10.0 GiB | 20.0 GiB |                      | old; no volume group |
+----------------------+-------+--------+----------+-------+---------+-------------+----------+----------+----------------------+----------------------+`.trim(),
  );
});
