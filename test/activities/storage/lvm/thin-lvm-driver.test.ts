import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { createLvmDriver } from '../../../../activities/storage/lvm/lvm-driver.ts';
import { createThinLvmDriver } from '../../../../activities/storage/lvm/thin-lvm-driver.ts';
import type { RunCommand } from '../../../../activities/storage/run-command.ts';
import { driverConformance, refuses } from '../driver-conformance.ts';
import { extentBytes, mib, startLvmNode, type LvmNode } from './lvm-node.ts';

const mine = 'ferry.volume=v1';

let node: LvmNode;
before(async () => {
  node = await startLvmNode([
    { name: 'lvm-1', sizeMib: 256 },
    { name: 'lvm-2', sizeMib: 256 },
  ]);
  await makePool('lvm-1', 'pool', 96);
});
after(() => node?.stop());

const run: RunCommand = (argv, options) => node.run(argv, options);
async function makePool(group: string, name: string, sizeMib: number): Promise<void> {
  await run(['lvcreate', '--yes', '--type', 'thin-pool', '--size', `${sizeMib}m`, '--name', name, group]);
}
const pool = (volumeGroup: string, thinPool: string, { ratio = 1, runner = run } = {}) =>
  createThinLvmDriver({
    volumeGroup,
    thinPool,
    maxOverSubscriptionRatio: ratio,
    run: runner,
    lockDirectory: node.lockDirectory,
  });

driverConformance('thin lvm', async () => ({
  driver: pool('lvm-1', 'pool'),
  gone: pool('lvm-1', 'not-there'),
  run,
  tellsUnwritten: true,
  unitBytes: extentBytes,
  makeForeign: async (name, sizeBytes) => {
    await run(['lvcreate', '--type', 'thin', '--thinpool', 'pool', `-V${sizeBytes}b`, '--name', name, 'lvm-1']);
  },
  removeForeign: async (name) => {
    await run(['lvremove', '--yes', `lvm-1/${name}`]);
  },
  holdOpen: (path) => node.holdOpen(path),
  close: async () => {},
}));
