import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import type { ImportPlan } from '../../../client/cinder-import/plan-import.ts';
import { removeFolder } from '../../../setup/remove-folder.mjs';
import { fillCinder, type CinderContents } from '../../../testbed/fill-cinder.ts';
import { startMariaDb, type MariaDb } from '../../../testbed/mariadb.ts';
import { setStage, type NodeStage } from '../../end-to-end/stage.ts';
import { stageCli } from '../../end-to-end/stage-cli.ts';

const group = 'lvmstorage-1';
const pool = 'pool-1';
const nodes = [
  {
    name: 'server1',
    volumeGroups: [{ name: group, sizeMib: 14 * 1024, thinPools: [{ name: pool, sizeMib: 3 * 1024 }] }],
  },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib: 4 * 1024 }] },
];
const [thickHost, thinHost] = ['storage-a@lvm#lvm', 'storage-a@thin#thin'];
const mapping = ['--back-end', `storage-a@lvm=server1@${group}`, '--back-end', `storage-a@thin=server1@${pool}`];

const volumes = {
  plain: randomUUID(),
  moved: randomUUID(),
  snapped: randomUUID(),
  strangelySnapped: randomUUID(),
  attached: randomUUID(),
  missing: randomUUID(),
  encrypted: randomUUID(),
  failed: randomUUID(),
  target: randomUUID(),
  small: randomUUID(),
  thin: randomUUID(),
  elsewhere: randomUUID(),
};
type Name = keyof typeof volumes;
const [nameId, typeId, thickSnapshot, thinSnapshot, lostSnapshot] = [
  randomUUID(),
  randomUUID(),
  randomUUID(),
  randomUUID(),
  randomUUID(),
];

const row = (name: Name, values: Record<string, unknown> = {}) => ({
  id: volumes[name],
  host: thickHost,
  size: 1,
  status: 'available',
  attach_status: 'detached',
  display_name: name,
  project_id: 'project-1',
  user_id: 'user-1',
  availability_zone: 'nova',
  ...values,
});
const snapshotRow = (id: string, of: Name, values: Record<string, unknown> = {}) => ({
  id,
  volume_id: volumes[of],
  volume_size: 1,
  status: 'available',
  display_name: `before ${of}`,
  project_id: 'project-1',
  user_id: 'user-1',
  ...values,
});
const contents: CinderContents = {
  types: [
    {
      values: {
        id: typeId,
        name: 'fast',
        isThere: false,
        is_public: false,
        extra_specs: { volume_backend_name: 'lvm', 'quality:tier': 'gold', multiattach: '<is> False' },
      },
      projects: ['project-1', 'project-2'],
    },
  ],
  volumes: [
    row('plain', {
      volume_type_id: typeId,
      bootable: true,
      display_name: 'web “root”',
      display_description: 'the server’s',
      metadata: { role: 'web', odd: 'a\tb' },
    }),
    row('moved', { host: thinHost, _name_id: nameId, migration_status: 'success' }),
    row('snapped'),
    row('strangelySnapped'),
    row('attached', { status: 'in-use', attach_status: 'attached' }),
    row('missing'),
    row('encrypted', { encryption_key_id: randomUUID() }),
    row('failed', { status: 'error' }),
    row('target', { migration_status: `target:${volumes.plain}` }),
    row('small', { size: 2 }),
    row('thin', { host: thinHost, project_id: 'project-2' }),
    row('elsewhere', { host: 'storage-b@lvm#lvm' }),
  ],
  snapshots: [
    snapshotRow(thickSnapshot, 'snapped', { metadata: { why: 'upgrade' } }),
    snapshotRow(lostSnapshot, 'snapped'),
    snapshotRow(thinSnapshot, 'thin', { project_id: 'project-2' }),
  ],
  attachments: [{ volume_id: volumes.attached, instance_uuid: randomUUID(), attach_status: 'attached' }],
  adminMetadata: [{ volume_id: volumes.moved, metadata: { readonly: 'True' } }],
  services: [
    { host: 'storage-a@lvm', seconds_ago: 5 },
    { host: 'storage-a@thin', seconds_ago: 3600 },
    { host: 'storage-b@lvm', seconds_ago: 5 },
  ],
};

let stage: NodeStage;
let folder: string;
let mariaDb: MariaDb;
let databases: { mysql: string; postgres: string };
const { ferry, refused } = stageCli(() => stage);
const run = async (...argv: string[]) => (await stage.nodes.exec('server1', argv)).stdout.trim();
const digest = async (device: string) => (await run('sha256sum', `/dev/${group}/${device}`)).split(' ')[0];
const tagsOf = (device: string) => run('lvs', '--noheadings', '-o', 'lv_tags', `${group}/${device}`);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-cinder-'));
  [stage, mariaDb] = await Promise.all([setStage({ nodes, nodeTimeoutSeconds: 180 }), startMariaDb(folder)]);
  const server = new pg.Client({ connectionString: stage.postgres.url });
  await server.connect();
  await server.query('CREATE DATABASE cinder');
  await server.end();
  const { host, port, login } = mariaDb;
  const postgres = new URL('/cinder', stage.postgres.url).href.replace(/^postgres:/, 'postgresql:');
  databases = { mysql: `mysql+pymysql://${login}@${host}:${port}/cinder?charset=utf8`, postgres };
  await Promise.all(Object.values(databases).map((url) => fillCinder(url, contents)));

  // As cinder-volume makes them.
  const thick = (name: string) => run('lvcreate', '--yes', '--wipesignatures', 'n', '-L', '1g', '-n', name, group);
  for (const name of ['plain', 'snapped', 'strangelySnapped', 'attached', 'encrypted', 'small'] as const)
    await thick(`volume-${volumes[name]}`);
  const snap = (id: string, of: Name) =>
    run('lvcreate', '--yes', '--snapshot', '-L', '1g', '-n', id, `${group}/volume-${volumes[of]}`);
  for (const id of [nameId, volumes.thin])
    await run('lvcreate', '--yes', '--thin', '-V', '1g', '-n', `volume-${id}`, `${group}/${pool}`);
  for (const device of [volumes.plain, volumes.snapped, volumes.thin, nameId].map((id) => `volume-${id}`))
    await run('dd', 'if=/dev/urandom', `of=/dev/${group}/${device}`, 'bs=1M', 'count=4', 'seek=77', 'oflag=direct');
  await snap(`_snapshot-${thickSnapshot}`, 'snapped');
  await snap('somebodys', 'strangelySnapped');
  await run('lvcreate', '--yes', '--snapshot', '-n', `_snapshot-${thinSnapshot}`, `${group}/volume-${volumes.thin}`);
});
after(async () => {
  await Promise.all([stage?.strike(), mariaDb?.stop()]);
  removeFolder(folder);
});

const importing = (database: string, ...options: string[]) =>
  stage.ferry('import', 'cinder', '--database', database, ...mapping, ...options, '--json');
const stateOf = (plan: ImportPlan, name: Name) => {
  const { state, reason } = plan.volumes.find(({ id }) => id === volumes[name])!;
  return reason === null ? state : `${state}: ${reason}`;
};

describe('volumes of a Cinder', () => {
  test('what would become of each is told, alike from MariaDB and PostgreSQL; nothing is done', async () => {
    const planned = async (url: string) => JSON.parse((await importing(url, '--dry-run')).stdout) as ImportPlan;
    const [fromMySql, fromPostgres] = [await planned(databases.mysql), await planned(databases.postgres)];
    assert.deepEqual(fromMySql, fromPostgres);
    const told = Object.fromEntries(
      (Object.keys(volumes) as Name[]).filter((n) => n !== 'elsewhere').map((name) => [name, stateOf(fromMySql, name)]),
    );
    const { instance_uuid: server } = contents.attachments![0]!;
    assert.deepEqual(told, {
      plain: 'to import',
      moved: 'to import',
      snapped: 'to import',
      strangelySnapped: 'refused: it has a snapshot that Cinder does not know: somebodys',
      attached: `refused: it is attached to ${String(server)}; detach it first`,
      missing: `refused: there is no volume-${volumes.missing}, or it is Ferry's already`,
      encrypted: 'refused: it is encrypted, with a key that Ferry does not know of',
      failed: 'refused: its status is error',
      target: `refused: it is the destination of a migration of volume ${volumes.plain} that Cinder has not ended`,
      small: `refused: volume-${volumes.small} has 1073741824 bytes, less than the 2 GiB that Cinder says`,
      thin: 'to import',
    });
    assert.deepEqual(fromMySql.elsewhere, [{ host: 'storage-b@lvm#lvm', volumes: 1 }]);
    assert.deepEqual(fromMySql.livingHosts, ['storage-a@lvm']);
    const [fast, ...others] = fromMySql.types;
    assert.deepEqual(others, []);
    assert.deepEqual(fast, {
      name: 'fast',
      isThere: false,
      description: null,
      extraSpecs: { volume_backend_name: 'lvm', 'quality:tier': 'gold' },
      isPublic: false,
      tenants: ['project-1', 'project-2'],
      notes: [
        'not known here, and left out: multiattach',
        `server1@${group} lacks what it asks for (volume_backend_name=lvm), so its volumes would not move to such a one: give back ends these capabilities, or make a type of that name before`,
      ],
    });
    assert.deepEqual(await ferry('list'), []);
    assert.equal(await tagsOf(`volume-${volumes.plain}`), '');
  });

  test('none is taken while its cinder-volume lives', async () => {
    const { type, message } = await refused('import', 'cinder', '--database', databases.mysql, ...mapping);
    assert.equal(type, 'InvalidInput');
    assert.match(message, /cinder-volume of storage-a@lvm lives/);
    assert.deepEqual(await ferry('list'), []);
  });

  test('what is no Cinder is refused, and what cannot be reached', async () => {
    const at = async (url: string) => (await refused('import', 'cinder', '--database', url, ...mapping)).type;
    assert.equal(await at('sqlite:////var/lib/cinder/cinder.sqlite'), 'InvalidInput');
    assert.equal(await at(stage.postgres.url), 'InvalidInput');
    assert.equal(await at('mysql://cinder:wrong@127.0.0.1:1/cinder'), 'ServiceUnreachable');
    assert.equal(await at(databases.mysql.replace('password-', 'wrong-')), 'ServiceUnreachable');
    const nowhere = ['--back-end', 'storage-a@lvm=server1@nothing'];
    const { type } = await refused('import', 'cinder', '--database', databases.mysql, ...nowhere);
    assert.equal(type, 'BackEndNotFound');
    const mistyped = ['--back-end', `storage-a@lmv=server1@${group}`];
    const { message } = await refused('import', 'cinder', '--database', databases.mysql, ...mistyped);
    assert.match(message, /Cinder knows no host storage-a@lmv/);
    const secret = await refused(
      'import',
      'cinder',
      '--database',
      'mysql://cinder:12#secret@127.0.0.1/cinder',
      ...mapping,
    );
    assert.equal(secret.type, 'InvalidInput');
    assert.doesNotMatch(JSON.stringify(secret), /secret|:12/);
  });

  test('become Ferry’s in place, with all that Cinder had of them; a second time nothing is left to do', async () => {
    const before = await Promise.all([digest(`volume-${volumes.plain}`), digest(`volume-${volumes.snapped}`)]);
    const { url } = stage.postgres;
    const cinder = new pg.Client({ connectionString: new URL('/cinder', url).href });
    await cinder.connect();
    await cinder.query("UPDATE services SET updated_at = updated_at - interval '1 hour'");
    await ferry('quota', 'set', 'project-1', '--volumes', '0');
    const { exitCode, stdout } = await importing(databases.postgres);
    assert.equal(exitCode, 1, 'some are left');
    const plan = JSON.parse(stdout) as ImportPlan;
    for (const name of ['plain', 'moved', 'snapped', 'thin'] as const)
      assert.equal(stateOf(plan, name), 'imported', name);
    const snapshots = plan.volumes.flatMap((each) => each.snapshots).map(({ id, state }) => [id, state]);
    assert.deepEqual(
      new Map(snapshots as [string, string][]),
      new Map([
        [thickSnapshot, 'imported'],
        [lostSnapshot, 'refused'],
        [thinSnapshot, 'imported'],
      ]),
    );

    const plain = await ferry('show', volumes.plain);
    const wanted = {
      display_name: 'web “root”',
      display_description: 'the server’s',
      volume_type: 'fast',
      bootable: true,
      size: 1,
    };
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((key) => [key, plain[key]])), wanted);
    assert.deepEqual(plain['metadata'], { role: 'web' });
    assert.equal(plain['os-vol-tenant-attr:tenant_id'], 'project-1');
    const moved = await ferry('show', volumes.moved);
    assert.equal(moved['os-vol-mig-status-attr:name_id'], nameId);
    assert.equal(moved['volume_type'], null);
    assert.match(await tagsOf(`volume-${nameId}`), new RegExp(`ferry.volume=${volumes.moved}`));
    const kept = await ferry<{ id: string; name: string }[]>('snapshot', 'list', '--volume', volumes.snapped);
    assert.deepEqual(
      kept.map(({ id, name }) => [id, name]),
      [[thickSnapshot, 'before snapped']],
    );
    assert.deepEqual(
      await Promise.all([digest(`volume-${volumes.plain}`), digest(`volume-${volumes.snapped}`)]),
      before,
    );
    assert.equal(await tagsOf(`volume-${volumes.attached}`), '');

    // Once it is detached the rest of it comes, too.
    await cinder.query("UPDATE volumes SET status = 'available', attach_status = 'detached' WHERE id = $1", [
      volumes.attached,
    ]);
    await cinder.query("UPDATE volume_attachment SET attach_status = 'detached' WHERE volume_id = $1", [
      volumes.attached,
    ]);
    await cinder.end();
    const again = JSON.parse((await importing(databases.postgres)).stdout) as ImportPlan;
    for (const name of ['plain', 'moved', 'snapped', 'thin', 'attached'] as const)
      assert.equal(stateOf(again, name), 'imported', name);

    // What was Ferry's once is not taken again under that id.
    await ferry('unmanage', volumes.attached);
    const back = JSON.parse((await importing(databases.postgres)).stdout) as ImportPlan;
    assert.match(stateOf(back, 'attached'), /^refused: it was Ferry's before/);
  });

  test('live on as any other: they move, with their bytes, and their snapshots can be used and deleted', async () => {
    const [before, ofThin] = [await digest(`volume-${nameId}`), await digest(`volume-${volumes.thin}`)];
    await ferry('migrate', volumes.moved, 'server2@lvmstorage-2');
    const shown = await ferry<Record<string, string | null>>('show', volumes.moved);
    assert.equal(shown['os-vol-host-attr:host'], 'server2@lvmstorage-2');
    const device = `volume-${shown['os-vol-mig-status-attr:name_id'] ?? volumes.moved}`;
    const there = await stage.nodes.exec('server2', ['sha256sum', `/dev/lvmstorage-2/${device}`]);
    assert.equal(there.stdout.split(' ')[0], before);
    assert.ok(!(await run('lvs', '--noheadings', '-o', 'lv_name', group)).includes(nameId));

    const { id: copy } = await ferry<{ id: string }>(
      'create',
      '--from-snapshot',
      thinSnapshot,
      '--host',
      `server1@${pool}`,
    );
    assert.equal(await digest(`volume-${copy}`), ofThin);
    for (const [snapshot, volume] of [
      [thinSnapshot, volumes.thin],
      [thickSnapshot, volumes.snapped],
    ] as const) {
      await ferry('snapshot', 'delete', snapshot);
      await ferry('delete', volume);
    }
    assert.ok(!(await run('lvs', '--noheadings', '-o', 'lv_name', group)).includes(volumes.thin));
  });
});
