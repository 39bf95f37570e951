import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MigrationRecord } from '../../model/migration.ts';
import { filledFrom, filledMib, type Place } from './sight.ts';
import { poll, setStage, slowly, type NodeStage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const mib = 1024 ** 2;
/** What a filled volume has written. */
const dataBytes = filledFrom.length * filledMib * mib;

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
const { ferry } = stageCli(() => stage);

/** Bytes of a pool that volumes have taken, or of one volume, as lvm2 tells: percents of the size, to two digits. */
async function allocated(node: string, lv: string): Promise<number> {
  const { stdout } = await stage.nodes.exec(node, [
    ...['lvs', '--noheadings', '--units', 'b', '--nosuffix', '--separator', ' ', '-o', 'data_percent,lv_size', lv],
  ]);
  const [percent, size] = stdout.trim().split(' ').map(Number) as [number, number];
  return (percent / 100) * size;
}
/** Two digits of the percents of 1 GiB, and the chunks at the edges of the data. */
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
