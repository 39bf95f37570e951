import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { migrationWorkflowId } from '../../../model/names.ts';
import { reportBackEnds } from '../../../registry/back-ends.ts';
import { openRegistry } from '../../../registry/open-registry.ts';
import { freePorts } from '../../../workers/embedded/free-ports.ts';
import { startPostgres, type EmbeddedPostgres } from '../../../workers/embedded/postgres.ts';
import { startTemporal, type EmbeddedTemporal } from '../../../workers/embedded/temporal.ts';
import { clockAhead, ferryIn, stopped } from './ferry-process.ts';

// In order: the first tests need that no worker runs, the later ones that all do.

const seedId = '6088f80a-f116-4331-ad48-9afb0dfb196c';
const seedTenant = '6bdd8f41203e4149b5d559769307365e';
const unknown = '00000000-0000-4000-8000-000000000000';

let directory: string;
let temporal: EmbeddedTemporal;
let postgres: EmbeddedPostgres;
let environment: Record<string, string>;
let ferry: ReturnType<typeof ferryIn>;
const workers: ChildProcess[] = [];

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'ferry-cli-'));
  [temporal, postgres] = await Promise.all([
    startTemporal({ directory: path.join(directory, 'temporal') }),
    startPostgres({ directory: path.join(directory, 'postgres') }),
  ]);
  environment = { TEMPORAL_ADDRESS: temporal.address, FERRY_DATABASE_URL: postgres.url };
  ferry = ferryIn(environment);
});

after(async () => {
  await Promise.all(workers.map(stopped));
  await Promise.all([temporal?.stop(), postgres?.stop()]);
  await rm(directory, { recursive: true, force: true });
});

/** Runs a command that must succeed; its output. */
async function said(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await ferry.run(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Runs a command that must be refused; what it says as JSON. */
async function refused(
  ...args: string[]
): Promise<{ code: number | null; type: string; message: string; details: Record<string, unknown> }> {
  const { code, stdout, stderr } = await ferry.run(...args, '--json');
  assert.equal(stdout, '');
  const { error } = JSON.parse(stderr) as {
    error: { type: string; message: string; details: Record<string, unknown> };
  };
  return { code, ...error };
}

async function query(sql: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    await client.query(sql, values);
  } finally {
    await client.end();
  }
}

/** Back ends as storage workers report them, and the seed's volume on the first. */
async function seed(): Promise<void> {
  const registry = await openRegistry(postgres.url);
  const report = (name: string) => ({
    name,
    availabilityZone: 'zone1',
    driver: 'lvm' as const,
    totalBytes: 20 * 1024 ** 3,
    freeBytes: 10 * 1024 ** 3,
    fault: null,
    capabilities: {},
  });
  await reportBackEnds(registry, 'server1', [report('server1@lvmstorage-1')]);
  await reportBackEnds(registry, 'server2', [report('server2@lvmstorage-2')]);
  await registry.close();
  await query(
    `INSERT INTO volumes (id, tenant_id, name, description, size_bytes, status, host, availability_zone, created_at)
     VALUES ($1, $2, 'test', 'test', 2147483648, 'in-use', 'server1@lvmstorage-1', 'zone1', '2013-09-01T14:53:22Z')
     ON CONFLICT DO NOTHING`,
    [seedId, seedTenant],
  );
}

test("host list makes no schema, is empty before any worker has reported, then the seed's", async () => {
  assert.match((await refused('host', 'list', '--json')).message, /The database holds no registry.*ferry db migrate/);
  await said('db', 'migrate');
  assert.equal(await said('host', 'list'), '\n');
  await seed();
  assert.equal(await said('host', 'list'), 'server1@lvmstorage-1  zone1\nserver2@lvmstorage-2  zone1\n');
});

test('a host is disabled with a reason, is refused as a destination, and enabled again', async () => {
  await seed();
  assert.match(
    await said('host', 'disable', 'server2@lvmstorage-2', '--reason', 'new disks'),
    /server2@lvmstorage-2 is disabled/,
  );
  assert.match(
    await said('host', 'list', '--long'),
    /server2@lvmstorage-2 \| zone1 \| lvm {4}\| disabled \| up .* new disks/,
  );
  const plan = await ferry.run('migrate', seedId, 'server2@lvmstorage-2', '--dry-run');
  assert.equal(plan.code, 1);
  assert.match(plan.stdout, /- Back end server2@lvmstorage-2 is disabled \(new disks\); nothing may be placed on it\./);
  assert.match(await said('host', 'enable', 'server2@lvmstorage-2'), /is enabled/);
  assert.equal((await refused('host', 'disable', 'server9@none')).type, 'BackEndNotFound');
});

test('a volume is called by its id, by the beginning of it, or by its name; never when it could be another', async () => {
  await seed();
  const twin = '6088f80a-0000-4000-8000-00000000000b';
  const insert = `INSERT INTO volumes (id, tenant_id, name, size_bytes, status, host, availability_zone)
    VALUES ($1, 'other', $2, 1073741824, 'error', 'server2@lvmstorage-2', 'zone1')`;
  await query(insert, [twin, "it's %_ 6088"]);
  for (const called of [seedId, seedId.toUpperCase(), '6088f80a-f', '6088F80A-F116', 'test']) {
    const { id } = JSON.parse(await said('show', called, '--json')) as { id: string };
    assert.equal(id, seedId, called);
  }
  assert.match(await said('show', "it's %_ 6088"), new RegExp(twin));
  assert.equal(await said('migration', 'list', '--volume', 'test', '--json'), '[]\n');
  // What is neither a name nor the beginning of an id finds nothing, whatever it means elsewhere.
  for (const called of ['%', 'test%', 'it_s', 'f116', '608', 'TEST']) {
    const { code, type } = await refused('show', called);
    assert.deepEqual([code, type], [1, 'VolumeNotFound'], called);
  }
  for (const called of ['6088', '6088f80a-']) {
    const { code, type, details } = await refused('delete', called);
    assert.deepEqual([code, type], [2, 'InvalidInput'], called);
    assert.deepEqual((details['volumes'] as string[]).toSorted(), [twin, seedId].toSorted());
  }
  assert.match(
    (await ferry.run('delete', '6088')).stderr,
    /^error: volume: "6088" can be any of these; give the id:\n\+/,
  );
  // A tenant's names are his own.
  const { id: own } = JSON.parse(await said('show', '6088', '--as', 'other', '--json')) as { id: string };
  assert.equal(own, twin);
  assert.equal((await refused('show', 'test', '--as', 'other')).type, 'VolumeNotFound');
  assert.match(
    await said('list', '--sort', 'name:desc', '--limit', '1', '--columns', 'id'),
    new RegExp(`\\| ${seedId} \\|\n\\+-+\\+\n$`),
  );
  // One volume's name is the beginning of another's id.
  await query('UPDATE volumes SET name = $2 WHERE id = $1', [twin, '6088f80a-f']);
  assert.equal((await refused('show', '6088f80a-f')).type, 'InvalidInput');
  await query('DELETE FROM volumes WHERE id = $1', [twin]);
});

for (const seconds of [150, -150]) {
  test(`a caller whose clock is ${seconds} s ahead sees the same hosts up, and may place on them`, async () => {
    await seed();
    const caller = ferryIn({ ...environment, ...clockAhead(seconds) });
    const hosts = JSON.parse((await caller.run('host', 'list', '--json')).stdout) as { state: string }[];
    assert.deepEqual(
      hosts.map(({ state }) => state),
      ['up', 'up'],
    );
    const plan = await caller.run('migrate', seedId, 'server2@lvmstorage-2', '--dry-run');
    assert.doesNotMatch(plan.stdout, /heard/);
    // It has chosen a back end, and goes on to what is really missing.
    assert.match((await caller.run('create', '--size', '1')).stderr, /No control worker/);
  });
}

test('the long list of hosts warns when commits of the registry can be lost, and says why', async () => {
  assert.doesNotMatch(await said('host', 'list', '--long'), /Warning/);
  await query('ALTER DATABASE ferry SET synchronous_commit = off');
  assert.match(
    await said('host', 'list', '--long'),
    /\nWarning: commits of the registry can be lost: synchronous_commit is off: .* docs\/operations\.md\.\n$/,
  );
  await query('ALTER DATABASE ferry RESET synchronous_commit');
});

test("show prints the seed's table", async () => {
  const lines = (await said('show', seedId)).split('\n');
  assert.equal(lines.length, 22);
  assert.deepEqual(
    lines
      .map((line) => line.replaceAll(/ +/g, ' '))
      .filter((line) => /host|migstat|name_id|created_at|status/.test(line)),
    [
      '| created_at | 2013-09-01T14:53:22.000000 |',
      '| os-vol-host-attr:host | server1@lvmstorage-1 |',
      '| os-vol-mig-status-attr:migstat | None |',
      '| os-vol-mig-status-attr:name_id | None |',
      '| status | in-use |',
    ],
  );
  const inJson = JSON.parse(await said('show', seedId.toUpperCase(), '--json')) as Record<string, unknown>;
  assert.equal(inJson['os-vol-host-attr:host'], 'server1@lvmstorage-1');
  assert.equal(inJson['os-vol-mig-status-attr:migstat'], null);
});

test('a tenant sees its own volumes only, and nothing of back ends and migrations', async () => {
  assert.doesNotMatch(await said('show', seedId, '--as', seedTenant), /os-vol-host|migstat|name_id|server1/);
  assert.match(await said('list', '--as', seedTenant), new RegExp(seedId));
  assert.doesNotMatch(await said('list', '--as', 'another'), new RegExp(seedId));
  assert.doesNotMatch(await said('list', '--as', 'another', '--tenant', seedTenant), new RegExp(seedId));
  assert.equal((await refused('show', seedId, '--as', 'another')).type, 'VolumeNotFound');
  for (const command of [
    ['host', 'list'],
    ['migrate', seedId, 'server2@lvmstorage-2'],
    ['migration', 'list'],
    ['migration', 'cancel', seedId],
  ]) {
    const { code, type } = await refused(...command, '--as', seedTenant);
    assert.deepEqual([code, type], [1, 'Forbidden']);
  }
});

test('a dry run needs no Temporal and tells every reason at once', async () => {
  await seed();
  const noTemporal = ferryIn({
    FERRY_DATABASE_URL: postgres.url,
    TEMPORAL_ADDRESS: `127.0.0.1:${(await freePorts(1))[0]}`,
  });
  const plan = await noTemporal.run('migrate', seedId, 'server2@lvmstorage-2', '--dry-run');
  assert.equal(plan.code, 0, plan.stderr);
  assert.match(
    plan.stdout,
    /would move; nothing was done\.\n {2}from {3}server1@lvmstorage-1\n {2}to {5}server2@lvmstorage-2 \(10\.0 GiB free, 8\.0 GiB afterwards\)/,
  );
  await query(
    `INSERT INTO snapshots (id, volume_id, tenant_id, size_bytes, status) VALUES (gen_random_uuid(), $1, $2, 2147483648, 'available')`,
    [seedId, seedTenant],
  );
  const refusedPlan = await noTemporal.run('migrate', seedId, 'server1@lvmstorage-1', '--dry-run', '--json');
  assert.equal(refusedPlan.code, 1);
  const { allowed, reasons } = JSON.parse(refusedPlan.stdout) as { allowed: boolean; reasons: { type: string }[] };
  assert.deepEqual([allowed, reasons.map((r) => r.type).toSorted()], [false, ['SameBackEnd', 'VolumeHasSnapshots']]);
});

test('an unreachable Temporal is one line with its address', async () => {
  const [port] = await freePorts(1);
  const noTemporal = ferryIn({ ...environment, TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
  const { code, stdout, stderr } = await noTemporal.run('migrate', seedId, 'server2@lvmstorage-2');
  assert.match(
    stderr,
    new RegExp(
      `^error: Temporal at 127\\.0\\.0\\.1:${port} cannot be reached \\([^\\n]*\\)[^\\n]*TEMPORAL_ADDRESS\\.\\n$`,
    ),
  );
  assert.deepEqual([code, stdout], [3, '']);
});

test('without a control worker nothing is started, and it is said what to start', async () => {
  const { code, stderr } = await ferry.run('migrate', seedId, 'server2@lvmstorage-2');
  assert.match(
    stderr,
    /^error: No control worker answers \(Temporal at .* does\)\. Start one: ferry worker control\n$/,
  );
  assert.equal(code, 3);
  const connection = await Connection.connect({ address: temporal.address });
  await assert.rejects(new Client({ connection }).workflow.getHandle(migrationWorkflowId(seedId)).describe(), {
    name: 'WorkflowNotFoundError',
  });
  await connection.close();
});

test('workers start', async () => {
  const ports = await freePorts(2);
  workers.push(ferry.worker(['worker', 'control'], path.join(directory, 'control.log')));
  for (const [i, port] of ports.entries()) {
    const name = `node${i + 1}`;
    const volumes = path.join(directory, name, 'volumes');
    await mkdir(volumes, { recursive: true });
    const file = path.join(directory, `${name}.json`);
    const capabilities = { media: ['hdd', 'ssd'][i] };
    const backEnds = [{ name: 'files', driver: 'directory', path: volumes, capabilities }];
    const exportPorts = { from: port, to: port };
    await writeFile(
      file,
      JSON.stringify({
        node: { name, availabilityZone: 'zone2', stateDirectory: path.join(directory, name), exportPorts, backEnds },
      }),
    );
    workers.push(
      ferryIn({ ...environment, FERRY_CONFIG: file }).worker(
        ['worker', 'storage'],
        path.join(directory, `${name}.log`),
      ),
    );
  }
  for (let tries = 0; tries < 300 && !/node1@files.*\n.*node2@files/.test(await said('host', 'list')); tries += 1)
    await sleep(100);
});

/** The file that is the volume's device, in the directory driver's folder. */
async function deviceOf(node: string, volumeId: string): Promise<string> {
  const folder = path.join(directory, node, 'volumes');
  const files = await readdir(folder, { recursive: true });
  const found = files.find((file) => path.basename(file) === `volume-${volumeId}`);
  assert.ok(found, `volume-${volumeId} is not among ${files.join(' ')}`);
  return path.join(folder, found);
}

/** A new volume on node1 whose first 64 MiB are not zeros. */
async function filledVolume(): Promise<string> {
  const made = JSON.parse(await said('create', '--size', '1', '--host', 'node1@files', '--name', 'data', '--json')) as {
    id: string;
  };
  const device = await open(await deviceOf('node1', made.id), 'r+');
  await device.write(Buffer.alloc(64 * 1024 ** 2, 'data'));
  await device.close();
  return made.id;
}

test('create makes a volume where it is asked for, and shows it', async () => {
  const shown = await said(
    'create',
    '--size',
    '1',
    '--zone',
    'zone2',
    '--name',
    'test',
    '--metadata',
    'a=b',
    '--metadata',
    'c=d=e',
    '--tenant',
    seedTenant,
  );
  const line = (name: string) => new RegExp(`\\| ${name} +\\| (.*?) +\\|`).exec(shown)?.[1];
  assert.deepEqual(['status', 'size', 'metadata', 'availability_zone', 'os-vol-tenant-attr:tenant_id'].map(line), [
    'available',
    '1',
    '{"a":"b","c":"d=e"}',
    'zone2',
    seedTenant,
  ]);
  assert.match(line('os-vol-host-attr:host') ?? '', /^node[12]@files$/);
  assert.equal((await refused('create', '--size', '60000', '--host', 'node1@files')).type, 'InsufficientSpace');
  assert.equal((await refused('create', '--size', '60000', '--zone', 'zone2')).type, 'InsufficientSpace');
});

test('types are made, shown, changed and deleted by administrators; tenants see their names', async () => {
  const made = JSON.parse(
    await said('type', 'create', 'fast', '--spec', 'media=ssd', '--description', 'for databases', '--json'),
  ) as { id: string; extra_specs: unknown };
  assert.deepEqual(made.extra_specs, { media: 'ssd' });
  await said('type', 'create', 'slow', '--spec', 'media=hdd');
  assert.equal((await refused('type', 'create', 'fast')).type, 'VolumeTypeExists');
  assert.match(await said('type', 'list'), /fast \| for databases \| media=ssd \|\n.*slow \| +\| media=hdd/);
  assert.match(await said('type', 'show', made.id), /extra_specs \| \{"media":"ssd"\}/);
  const seenByTenant = await said('type', 'list', '--as', seedTenant);
  assert.match(seenByTenant, /fast/);
  assert.doesNotMatch(seenByTenant, /ssd/);
  assert.equal((await refused('type', 'delete', 'fast', '--as', seedTenant)).type, 'Forbidden');
  await said('type', 'create', 'other');
  assert.match(await said('type', 'set', 'other', 'tier=1', 'media=ssd', '--description', 'x'), /"tier":"1"/);
  assert.match(await said('type', 'unset', 'other', 'tier', 'none'), /\{"media":"ssd"\}/);
  assert.match(await said('type', 'delete', 'other'), /other is deleted/);
});

test('a volume of a type is made where that is satisfied, and goes nowhere else', async () => {
  assert.match(
    await said('host', 'list', '--long'),
    /node2@files .* driver=directory media=ssd storage_protocol=nbd thin_provisioning_support=true vendor_name=Ferry volume_backend_name=files/,
  );
  const made = JSON.parse(await said('create', '--size', '1', '--type', 'fast', '--json')) as Record<string, string>;
  assert.deepEqual([made['volume_type'], made['os-vol-host-attr:host']], ['fast', 'node2@files']);
  const lacking = await refused('create', '--size', '1', '--type', 'fast', '--host', 'node1@files');
  assert.deepEqual([lacking.type, lacking.details['missing']], ['CapabilityMissing', { media: 'ssd' }]);
  const { type, message } = await refused('migrate', made['id']!, 'node1@files');
  assert.equal(type, 'CapabilityMissing');
  assert.equal(message, 'Back end node1@files lacks what volume type fast asks for: media=ssd (it has media=hdd).');
  const plan = JSON.parse(await said('host', 'evacuate', 'node2', '--dry-run', '--json')) as {
    stays: { volumeId: string; reasons: { type: string }[] }[];
  };
  const stays = plan.stays.find(({ volumeId }) => volumeId === made['id']);
  assert.deepEqual(
    stays?.reasons.map((reason) => reason.type),
    ['CapabilityMissing'],
  );
  assert.equal((await refused('type', 'delete', 'fast')).type, 'VolumeTypeInUse');
});

test('retype changes the type where the volume is; to move it must be asked for, by an administrator', async () => {
  const { id } = JSON.parse(
    await said('create', '--size', '1', '--host', 'node1@files', '--tenant', seedTenant, '--json'),
  ) as { id: string };
  assert.match(await said('retype', id, 'slow', '--as', seedTenant), /volume_type +\| slow/);
  const never = await refused('retype', id, 'fast');
  assert.equal(never.type, 'MigrationNeeded');
  assert.equal(
    never.message,
    `Volume ${id} would have to move. Back end node1@files lacks what volume type fast asks for: media=ssd (it has media=hdd). Let it move: ferry retype ${id} fast --migration-policy on-demand`,
  );
  const asTenant = await refused('retype', id, 'fast', '--as', seedTenant);
  assert.equal(asTenant.type, 'MigrationNeeded');
  assert.doesNotMatch(JSON.stringify(asTenant), /node1|ssd|hdd/);
  const onDemand = ['retype', id, 'fast', '--migration-policy', 'on-demand'];
  assert.equal((await refused(...onDemand, '--as', seedTenant)).type, 'Forbidden');
  assert.match(
    await said(...onDemand, '--dry-run'),
    /would move; nothing was done\.[^]*to +node2@files[^]*type +slow becomes fast/,
  );
  assert.equal((await refused(...onDemand, '--to', 'node1@files')).type, 'SameBackEnd');
  assert.match(await said(...onDemand), /is on node2@files now: .* Its type is fast now\./);
  assert.match(await said('show', id), /os-vol-host-attr:host +\| node2@files[^]*volume_type +\| fast/);
  assert.match(await said('migration', 'show', id), /old_type +\| slow[^]*new_type +\| fast/);
});

test('migrate moves a volume, tells its phases on standard error and the result on standard output', async () => {
  const id = await filledVolume();
  const { code, stdout, stderr } = await ferry.run('migrate', id, 'node2@files', '--bandwidth', '64MiB/s');
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    new RegExp(
      `^Volume ${id} is on node2@files now: 1\\.0 GiB from node1@files in [0-9.ms]+, 64\\.0 MiB of them sent\\.\n$`,
    ),
  );
  assert.match(stderr, /^copying/m);
  const after = JSON.parse(await said('show', id, '--json')) as Record<string, unknown>;
  assert.equal(after['os-vol-host-attr:host'], 'node2@files');
  assert.equal(after['os-vol-mig-status-attr:migstat'], null);
  await deviceOf('node2', String(after['os-vol-mig-status-attr:name_id']));
  const record = JSON.parse(await said('migration', 'show', id, '--json')) as { outcome: string; live: unknown };
  assert.deepEqual([record.outcome, record.live], ['success', null]);
  assert.match(await said('migration', 'list', '--volume', id), /node1@files \| node2@files \| success \| 1\.0 GiB/);
  assert.match(
    (await refused('migration', 'watch', id)).message,
    /is not migrating\. Its last migration, to node2@files, ended with: success\./,
  );
});

test('everything that speaks against a migration is told at once, and nothing is left of it', async () => {
  const id = await filledVolume();
  await query(
    `INSERT INTO snapshots (id, volume_id, tenant_id, size_bytes, status) VALUES (gen_random_uuid(), $1, 'admin', 1073741824, 'available')`,
    [id],
  );
  const { code, stdout, stderr } = await ferry.run('migrate', id, 'node1@files');
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(
    stderr,
    /^error: refused, nothing was done:\n {2}- Volume .* has 1 snapshot; delete them first\.\n {2}- Volume .* is already on node1@files; name another back end\.\n$/,
  );
  const both = await refused('migrate', id, 'node1@files');
  assert.deepEqual([both.code, both.type], [1, 'MigrationRefused']);
  assert.equal((await refused('migrate', unknown, 'node1@files')).type, 'VolumeNotFound');
  assert.equal((await refused('migration', 'show', id)).type, 'MigrationNotFound');
  for (const command of ['cancel', 'watch']) {
    assert.equal((await refused('migration', command, id)).type, 'NotMigrating');
    assert.equal((await refused('migration', command, unknown)).type, 'VolumeNotFound');
  }
});

test('a running migration is steered and watched from elsewhere; Ctrl-C only detaches; cancel brings the volume back', async () => {
  const id = await filledVolume();
  const migrating = ferry.start(['migrate', id, 'node2@files', '--bandwidth', '1MiB/s']);
  while (!migrating.answer.stderr.includes('copying')) await once(migrating.child.stderr, 'data');

  const second = await refused('migrate', id, 'node2@files');
  assert.deepEqual([second.code, second.type, second.details['phase']], [1, 'VolumeMigrating', 'copying']);
  assert.match(
    second.message,
    new RegExp(`already migrating to node2@files \\(copying .*\\)\\.\nWatch it:  ferry migration watch ${id}`),
  );
  assert.match(await said('list', '--migrating'), new RegExp(`${id} .* migrating`));

  assert.match(await said('migration', 'pause', id), /is paused\. Go on: ferry migration resume/);
  assert.match(await said('migration', 'show', id), /\| note +\| paused/);
  assert.match(await said('migration', 'set-bandwidth', id, '2MiB/s'), /has a cap of 2\.0 MiB\/s now/);
  assert.match(await said('migration', 'resume', id), /goes on/);
  const live = JSON.parse(await said('migration', 'show', id, '--json')) as {
    outcome: null;
    live: { bandwidth: number; paused: boolean; phase: string };
  };
  assert.deepEqual(
    [live.outcome, live.live.bandwidth, live.live.paused, live.live.phase],
    [null, 2 * 1024 ** 2, false, 'copying'],
  );

  migrating.child.kill('SIGINT');
  const detached = await migrating.ended;
  assert.deepEqual([detached.code, detached.stdout], [130, '']);
  assert.match(
    detached.stderr,
    new RegExp(
      `\nDetached; the migration goes on\\.\nWatch it: {2}ferry migration watch ${id}\nCancel it: ferry migration cancel ${id}\n$`,
    ),
  );

  // Nothing keeps it waiting, not even a Temporal that does not answer: the watcher would give up after a minute.
  process.kill(temporal.pid, 'SIGSTOP');
  try {
    const stuck = ferry.start(['migration', 'watch', id]);
    await sleep(3000);
    stuck.child.kill('SIGINT');
    const { stdout, stderr } = await stuck.ended;
    assert.deepEqual([stuck.child.exitCode, stuck.child.signalCode, stdout], [130, null, '']);
    assert.match(stderr, /^Detached; the migration goes on\.\nWatch it: .*\nCancel it: .*\n$/);
  } finally {
    process.kill(temporal.pid, 'SIGCONT');
  }

  const watching = ferry.run('migration', 'watch', id, '--json');
  await sleep(1500);
  assert.equal(await said('migration', 'cancel', id), `Cancelled. Volume ${id} is on node1@files, as before.\n`);
  const watched = await watching;
  assert.equal(watched.code, 1);
  const events = watched.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; record?: { outcome: string } });
  assert.deepEqual(
    [events[0]?.kind, events.at(-1)?.kind, events.at(-1)?.record?.outcome],
    ['progress', 'ended', 'cancelled'],
  );
  assert.match(watched.stderr, /"type":"Cancelled"/);
  assert.match(await said('show', id), /os-vol-host-attr:host +\| node1@files/);
});

test('a migration that is not waited for goes on by itself', async () => {
  const id = await filledVolume();
  const begun = JSON.parse(await said('migrate', id, 'node2@files', '--detach', '--json')) as { migrationId: string };
  const watched = await ferry.run('migration', 'watch', id);
  if (watched.code === 0) assert.match(watched.stdout, /is on node2@files now/);
  else assert.match(watched.stderr, /ended with: success/);
  const record = JSON.parse(await said('migration', 'show', begun.migrationId, '--json')) as {
    volumeId: string;
    outcome: string;
  };
  assert.deepEqual([record.volumeId, record.outcome], [id, 'success']);
});

test('waiting goes on over a restart of Temporal and of Postgres', async () => {
  const id = await filledVolume();
  const migrating = ferry.start(['migrate', id, 'node2@files', '--bandwidth', '8MiB/s']);
  while (!migrating.answer.stderr.includes('copying')) await once(migrating.child.stderr, 'data');
  await Promise.all([temporal.restart(), postgres.restart()]);
  const { code, stdout, stderr } = await migrating.ended;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /is on node2@files now/);
});

test('a request that was answered with an error does not move the volume later', async () => {
  const id = await filledVolume();
  const [control] = workers;
  control?.kill('SIGSTOP');
  try {
    const { code, type, message } = await refused('migrate', id, 'node2@files');
    assert.deepEqual([code, type], [3, 'ServiceUnreachable']);
    assert.match(message, /^No control worker answers/);
  } finally {
    control?.kill('SIGCONT');
  }
  const connection = await Connection.connect({ address: temporal.address });
  const handle = new Client({ connection }).workflow.getHandle(migrationWorkflowId(id));
  await assert.rejects(handle.result(), /cancelled/);
  await connection.close();
  assert.match(await said('show', id), /os-vol-host-attr:host +\| node1@files .*migstat +\| None /s);
});
