import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startNodes, type StorageNodes } from '../../testbed/nodes.ts';
import { lvmSight, type Sight } from './sight.ts';
import { poll } from './stage.ts';

const spec = {
  name: 'server1',
  volumeGroups: [
    { name: 'fast', sizeMib: 64 },
    { name: 'slow', sizeMib: 256 },
  ],
};
let directory: string;
let nodes: StorageNodes;
let sight: Sight;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ferry-sight-'));
  nodes = await startNodes({ directory, nodes: [spec] });
  sight = lvmSight(nodes, [spec]);
});
after(async () => {
  await nodes?.stop();
  await rm(directory, { recursive: true, force: true });
});

const lvm = (...argv: string[]) => nodes.exec('server1', argv);
const write = (volume: string, mib: number) =>
  lvm(
    ...['dd', 'if=/dev/urandom', `of=/dev/slow/${volume}`],
    ...['bs=4096', 'count=1', `seek=${mib * 256 + 3}`, 'oflag=direct', 'conv=notrunc'],
  );
const inside = async (volume: string) => {
  const argv = [process.execPath, join(import.meta.dirname, 'digest-device.ts'), `/dev/slow/${volume}`];
  return (await nodes.exec('server1', argv)).stdout.trim();
};

test('a logical volume, in two pieces on its disk, is seen from outside as in its node, and every change of it', async () => {
  const seen = new Set<string>();
  const look = async () => {
    const digest = await sight.digest(['server1', 'slow', 'a']);
    assert.equal(digest, await inside('a'));
    assert.ok(!seen.has(digest));
    seen.add(digest);
  };
  for (const [name, size] of [
    ['a', '32m'],
    ['b', '32m'],
  ] as const)
    await lvm('lvcreate', '-qq', '-y', '-Wn', '-Zn', '-L', size, '-n', name, 'slow');
  await look();
  await lvm('lvextend', '-qq', '-L', '64m', 'slow/a');
  await look();
  for (const mib of [31, 32]) {
    await write('a', mib);
    await look();
  }
  const before = await sight.digest(['server1', 'slow', 'a']);
  await write('b', 5);
  assert.equal(await sight.digest(['server1', 'slow', 'a']), before);
});

test('a snapshot is read in its node', async () => {
  const then = await sight.digest(['server1', 'slow', 'a']);
  await lvm('lvcreate', '-qq', '-s', '-L', '16m', '-n', 'earlier', 'slow/a');
  await write('a', 7);
  assert.equal(await sight.digest(['server1', 'slow', 'earlier']), then);
  assert.notEqual(await sight.digest(['server1', 'slow', 'a']), then);
  assert.equal(await sight.digest(['server1', 'slow', 'a']), await inside('a'));
});

test('an export is seen for as long as its server runs', async () => {
  assert.deepEqual(await sight.exports(), []);
  const argv = ['qemu-nbd', '--read-only', '--persistent', '--export-name', 'two words: one', '--socket', '/run/a'];
  const pid = await nodes.spawn('server1', [...argv, '/dev/zero']);
  await poll(async () => (await sight.exports()).length === 1);
  assert.deepEqual(await sight.exports(), [`server1: ${[...argv, '/dev/zero'].join(' ')}`]);
  await nodes.kill('server1', pid);
  assert.deepEqual(await sight.exports(), []);
});
