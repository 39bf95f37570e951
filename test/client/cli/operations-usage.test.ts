import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachmentProperties } from '../../../client/cli/attachment-properties.ts';
import { movingForTenant } from '../../../client/for-tenant.ts';
import { FerryError } from '../../../model/errors.ts';
import { ferryIn } from './ferry-process.ts';
import { seedAttachment, seedVolume } from './sample-volume.ts';

const { id } = seedVolume;
const nowhere = ferryIn({});

const wrongUsage: [args: string[], message: RegExp][] = [
  [['delete', '-rf'], /^error: unknown option '-rf'/],
  [['delete', ''], /^error: volume: "" names no volume/],
  [['extend', id], /^error: missing required argument 'size'/],
  [['extend', id, '1.5'], /^error: size: "1\.5" is not a whole number of GiB/],
  [['rename', id, 'n'.repeat(256)], /^error: name: "n+" is too long/],
  [['rename', id, '💾'.repeat(2500)], /^error: name: .* is too long/],
  [['rename', id, 'a\u001b[2Jb'], /^error: name: .* holds control characters/],
  [['metadata', 'set', id, 'x'], /^error: metadata: "x" is not key=value/],
  [['metadata', 'unset', id, 'k'.repeat(256)], /^error: key: "k+" is too long/],
  [['attach', id, 'vm/1', 'hv1'], /^error: instance: "vm\/1" is not an instance id/],
  [['attach', id, 'vm-1', '..'], /^error: host: "\.\." is not a node name/],
  [['attach', id, 'vm-1', 'hv1', '--mode', 'rx'], /^error: option '--mode <mode>' argument 'rx' is invalid/],
  [['attach', id, 'vm-1', 'hv1', '--device', '/dev/vdb'], /^error: device: "\/dev\/vdb" is not a device of a guest/],
  [['snapshot', 'delete', 'last'], /^error: snapshot: "last" is not a snapshot id/],
  [['reset-state', id, '--state', 'lost'], /^error: state: "lost" /],
  [['manage', 'server1', 'x'], /^error: host: "server1" is not a back end/],
  [['discover', 'a b@c'], /^error: host: "a b@c" is not a back end/],
];

for (const [args, message] of wrongUsage) {
  test(`wrong usage exits with 2 and says what is wrong: ferry ${args.join(' ').slice(0, 60)}`, async () => {
    const { code, stdout, stderr } = await nowhere.run(...args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, '']);
  });
}

test('help lists the operations', async () => {
  const { stdout } = await nowhere.run('--help');
  for (const command of [
    'delete',
    'extend',
    'rename',
    'metadata',
    'attach',
    'detach',
    'snapshot',
    'reset-state',
    'discover',
    'manage',
    'unmanage',
  ]) {
    assert.match(stdout, new RegExp(`^  ${command}[ |]`, 'm'), command);
  }
});

test('only administrators see where an attachment is and how it is connected', () => {
  assert.doesNotMatch(JSON.stringify(attachmentProperties(seedAttachment, false)), /hv1|never shown|connection/);
  assert.match(JSON.stringify(attachmentProperties(seedAttachment, true)), /"host_name":"hv1","connection"/);
});

test('a tenant whose volume moves hears that it must wait, and nothing of the migration', () => {
  const details = {
    volumeId: id,
    owner: `migrate/${id}/run`,
    phase: 'copying',
    since: '2026-01-01',
    destination: 'server2@b',
  };
  const told = movingForTenant(
    new FerryError('VolumeMigrating', `Volume ${id} is migrating (copying)`, details),
    'extend',
  );
  assert.deepEqual(told.details, { volumeId: id, operation: 'extend' });
  assert.doesNotMatch(told.message, /migrat|copying|server2/);
  assert.match(told.message, /extend is refused\. Try again later/);
});
