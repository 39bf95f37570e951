import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { computeNode } from '../../testbed/compute-node.ts';
import { fillImage, readRecords } from '../../testbed/guest/records.ts';
import { Hypervisor } from '../activities/compute/hypervisor.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import { filledParts, type Place } from './sight.ts';
import { lvmVolumeMib, poll, setStage, slowly, type NodeStage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const mib = 1024 ** 2;
/** What a filled volume has written. */
const dataBytes = filledParts(lvmVolumeMib).reduce((sum, { length }) => sum + length, 0) * mib;

const thick = 'server1@lvmstorage-1';
const first = 'server1@pool-1';
const second = 'server1@pool-2';
const remote = 'server2@pool-3';
const remoteThick = 'server2@lvmstorage-2';
/** Has room for a volume by its word only. */
const small = 'server2@small';

const nodes = [
  {
    name: 'server1',
    volumeGroups: [
      {
        name: 'lvmstorage-1',
        sizeMib: 16 * 1024,
        thinPools: [
          { name: 'pool-1', sizeMib: 6 * 1024 },
          { name: 'pool-2', sizeMib: 4 * 1024 },
        ],
      },
    ],
  },
  {
    name: 'server2',
    volumeGroups: [
      {
        name: 'lvmstorage-2',
        sizeMib: 12 * 1024,
        thinPools: [
          { name: 'pool-3', sizeMib: 6 * 1024 },
          { name: 'small', sizeMib: 64, maxOverSubscriptionRatio: 20 },
        ],
      },
    ],
  },
];

let stage: NodeStage;
before(async () => {
  stage = await setStage({ nodes, nodeTimeoutSeconds: 120, noProgressSeconds: 30 });
});
after(() => stage?.strike());
const { ferry, create } = stageCli(() => stage);

/** Bytes of a pool that volumes have taken, or of one volume, as lvm2 tells: percents of the size, to two digits. */
async function allocated(node: string, lv: string): Promise<number> {
  const { stdout } = await stage.nodes.exec(node, [
    ...['lvs', '--noheadings', '--units', 'b', '--nosuffix', '--separator', ' ', '-o', 'data_percent,lv_size', lv],
  ]);
  const [percent, size] = stdout.trim().split(' ').map(Number) as [number, number];
  return (percent / 100) * size;
}
/** What is free in a back end, as the registry has it. */
async function toldFree(name: string): Promise<number> {
  const backEnds = await ferry<{ name: string; freeBytes: number }[]>('host', 'list');
  return backEnds.find((backEnd) => backEnd.name === name)!.freeBytes;
}
/** Two digits of the percents of a volume or pool, and the chunks at the edges of the data. */
const tolerance = mib;

async function place(id: string): Promise<Place> {
  const shown = await ferry('show', id);
  const [node, backEnd] = (shown['os-vol-host-attr:host'] as string).split('@') as [string, string];
  return [node, backEnd, `volume-${(shown['os-vol-mig-status-attr:name_id'] as string | null) ?? id}`];
}
async function assertThin(id: string): Promise<void> {
  const [node, , device] = await place(id);
  const bytes = await allocated(node, `lvmstorage-${node.slice(-1)}/${device}`);
  assert.ok(Math.abs(bytes - dataBytes) <= tolerance, `${device} takes ${bytes} bytes for ${dataBytes}`);
}
const flowOf = async (id: string) => (await ferry<MigrationRecord>('migration', 'show', id)).flow;

describe('volumes in thin pools', () => {
  test('stay thin, and become thin, through every move of a detached volume', async () => {
    const { id, contents } = await stage.volume(thick);
    const moves: readonly (readonly [destination: string, flow: string])[] = [
      [first, 'assisted'],
      [second, 'assisted'],
      [remote, 'generic-detached'],
      [remoteThick, 'assisted'],
      [first, 'generic-detached'],
    ];
    for (const [destination, flow] of moves) {
      await ferry('migrate', id, destination);
      await stage.checker.assertAt(id, { host: destination, contents, outcome: 'success' });
      assert.equal(await flowOf(id), flow, destination);
      if (destination !== remoteThick) await assertThin(id);
    }
    for (const [node, pool] of [
      ['server1', 'lvmstorage-1/pool-2'],
      ['server2', 'lvmstorage-2/pool-3'],
    ] as const)
      assert.equal(await allocated(node, pool), 0, `${pool} got everything back`);
  });

  test('a copy that is taken up again by another worker writes no zeros either', async () => {
    const { id, contents } = await stage.volume(first);
    const handle = await stage.migrate(id, { destination: remote, bandwidth: slowly });
    await stage.untilCopied(handle, 8 * mib);
    await stage.storage['server2']!.signal('SIGKILL');
    await stage.storage['server2']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, { host: remote, contents, outcome: 'success' });
    await assertThin(id);
  });

  test('terminated in mid-copy within one volume group, where the device has a new name: taken back', async () => {
    const { id, contents } = await stage.volume(first);
    const handle = await stage.migrate(id, { destination: second, bandwidth: slowly });
    await stage.untilCopied(handle, 8 * mib);
    await handle.terminate();
    await poll(async () => (await stage.ferry('repair')).exitCode === 0);
    await stage.checker.assertAt(id, { host: first, contents, outcome: 'error' });
    await assertThin(id);
    assert.equal(await allocated('server1', 'lvmstorage-1/pool-2'), 0);
  });

  test('stay thin when they move under a running guest, to which every byte matters', async () => {
    await using ends = new AsyncDisposableStack();
    const { network } = stage.nodes;
    const hypervisor = await Hypervisor.start({ network });
    ends.defer(() => hypervisor.stop());
    const guest = await hypervisor.guest('vm-1');
    const at = { name: 'hv1', directory: join(stage.nodes.share, 'hv1'), libvirtUri: hypervisor.libvirt.uri };
    const compute = await computeNode({ ...at, configuration: { nodeTimeoutSeconds: 120 }, env: stage.env, network });
    ends.defer(() => compute.signal('SIGKILL'));
    await compute.start();

    const filledBytes = 32 * mib;
    const image = join(stage.nodes.share, 'image');
    await writeFile(image, '');
    await truncate(image, filledBytes);
    await fillImage(image);
    const id = await create('--host', first, '--size', '1');
    const device = async () => {
      const [node, , name] = await place(id);
      return { node, lv: `lvmstorage-${node.slice(-1)}/${name}` };
    };
    const carry = async (from: string, to: string, ...how: string[]) =>
      stage.nodes.exec((await device()).node, ['dd', `if=${from}`, `of=${to}`, 'bs=1M', ...how]);
    await carry(image, `/dev/${(await device()).lv}`, 'oflag=direct', 'conv=notrunc');
    const taken = async () => {
      const { node, lv } = await device();
      return allocated(node, lv);
    };
    const before = await taken();
    assert.ok(Math.abs(before - filledBytes) <= tolerance, `${before} bytes`);

    await ferry('attach', id, guest.name, 'hv1');
    const [{ device: disk }] = (await ferry<{ attachments: [{ device: string }] }>('show', id)).attachments;
    await guest.console.progress(disk, 20);
    await ferry('migrate', id, remote);
    assert.equal(await flowOf(id), 'generic-attached');
    const acked = await guest.console.progress(disk, 20);
    const after = await taken();
    assert.ok(Math.abs(after - filledBytes) <= 2 * tolerance, `${after} bytes after the move, ${before} before`);

    const { errors, complaints } = await guest.console.disk(disk);
    assert.deepEqual({ errors, complaints }, { errors: 0, complaints: [] });
    await ferry('detach', id);
    await carry(`/dev/${(await device()).lv}`, image, 'iflag=direct', 'conv=sparse');
    const found = await readRecords(image);
    assert.deepEqual([found.torn, found.missing], [0, []]);
    assert.equal(found.fillers + found.records, filledBytes / 4096);
    assert.ok(found.highest >= acked);
    await ferry('delete', id);
  });

  // Held back, writes are longer than a transfer may stand still, and shorter than the kernel does it if nobody says otherwise.
  const heldBackSeconds = 40;

  for (const whenFull of ['error', 'queue'] as const) {
    test(`a destination pool that runs full (${whenFull}) is told by its name, and everything goes back`, async () => {
      await stage.nodes.exec('server2', [
        ...['lvchange', '-qq', '--errorwhenfull', whenFull === 'error' ? 'y' : 'n', 'lvmstorage-2/small'],
      ]);
      const timeout = '/sys/module/dm_thin_pool/parameters/no_space_timeout';
      await stage.nodes.exec('server2', ['sh', '-c', `echo ${heldBackSeconds} >${timeout}`]);
      const { id, contents } = await stage.volume(first);
      // Its node tells what is free now and then: that it is empty again may not be known yet.
      await poll(async () => (await toldFree(small)) > 0);
      const handle = await stage.migrate(id, { destination: small });
      assert.equal(await stage.outcome(handle), 'InsufficientSpace');
      const { error } = await ferry<MigrationRecord>('migration', 'show', id);
      assert.match(error?.message ?? '', /thin pool lvmstorage-2\/small \(64\.0 MiB\) has 100 % of its data/);
      await stage.checker.assertAt(id, { host: first, contents, outcome: 'error' });
      await poll(async () => (await allocated('server2', 'lvmstorage-2/small')) === 0);
      await assertThin(id);
    });
  }

  test('what is in a pool without Ferry is found and managed there, and nowhere else', async () => {
    await stage.nodes.exec('server2', [
      'lvcreate',
      '-qq',
      '--thinpool',
      'pool-3',
      '-V1g',
      '-n',
      'found',
      'lvmstorage-2',
    ]);
    const found = async (backEnd: string) => (await ferry<{ name: string }[]>('discover', backEnd)).map((d) => d.name);
    assert.deepEqual([await found(remote), await found(remoteThick), await found(small)], [['found'], [], []]);
    const { id } = await ferry<{ id: string }>('manage', remote, 'found');
    await ferry('migrate', id, first);
    await ferry('delete', id);
  });
});
