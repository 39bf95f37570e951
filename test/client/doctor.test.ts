import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { examineCertificates, examineClientName } from '../../client/doctor/certificates.ts';
import type { Finding } from '../../client/doctor/finding.ts';
import { examineNode } from '../../client/doctor/host.ts';
import { examineProgram, programsOf } from '../../client/doctor/programs.ts';
import { examinePostgres } from '../../client/doctor/services.ts';
import { configuration } from '../../configuration/schema.ts';
import { makeCertificates } from '../../testbed/certificates.ts';
import { startTemporal, type EmbeddedTemporal } from '../../workers/embedded/temporal.ts';
import { emptyDatabase, testRegistry } from '../registry/database.ts';
import { ferryIn } from './cli/ferry-process.ts';

let directory: string;
let temporal: EmbeddedTemporal;
let tls: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ferry-doctor-'));
  temporal = await startTemporal({ directory: join(directory, 'temporal') });
  tls = (await makeCertificates(join(directory, 'tls'), ['127.0.0.1'], ['server1'])).directory;
  await mkdir(join(directory, 'volumes'));
  await mkdir(join(directory, 'state'));
});
after(async () => {
  await temporal?.stop();
  await rm(directory, { recursive: true, force: true });
});

const nodeOf = (change: object = {}) =>
  configuration.parse({
    node: {
      name: 'server1',
      stateDirectory: join(directory, 'state'),
      tls: { directory: tls },
      backEnds: [{ name: 'files', driver: 'directory', path: join(directory, 'volumes') }],
      ...change,
    },
  }).node!;
const faults = (findings: readonly Finding[]) =>
  findings.filter(({ state }) => state === 'fault').map(({ check, found }) => `${check}: ${found}`);

async function doctor(node: object, env: Record<string, string>) {
  const file = join(directory, 'ferry.json');
  await writeFile(file, JSON.stringify({ node }));
  const ferry = ferryIn({ FERRY_CONFIG: file, TEMPORAL_ADDRESS: temporal.address, ...env });
  const answer = await ferry.run('--json', 'doctor');
  return { ...answer, findings: JSON.parse(answer.stdout) as Finding[] };
}

describe('ferry doctor', () => {
  test('where all is well', async () => {
    const { url } = await testRegistry();
    const { code, findings } = await doctor(nodeOf(), { FERRY_DATABASE_URL: url });
    assert.deepEqual([code, faults(findings)], [0, []]);
    const checks = findings.map(({ check }) => check);
    for (const each of ['qemu-nbd', 'node.stateDirectory', 'server-cert.pem', 'back end files', 'schema', 'Temporal'])
      assert.ok(checks.includes(each), each);
    assert.ok(!checks.includes('lvs') && !checks.includes('libvirt'), 'what this node has not is not looked for');
    const loopback = findings.find(({ check }) => check === 'node.address');
    assert.equal(loopback?.state, 'warning');
  });

  test('tells each fault with its remedy, one not hiding the others', async () => {
    const { code, findings, stdout } = await doctor(nodeOf({ address: '192.0.2.1', stateDirectory: '/proc/none' }), {
      FERRY_DATABASE_URL: 'postgres://ferry:secret@127.0.0.1:9/ferry',
      TEMPORAL_NAMESPACE: 'elsewhere',
    });
    assert.equal(code, 1);
    const found = faults(findings).join('\n');
    for (const each of [
      /^node\.address: 192\.0\.2\.1/m,
      /^Postgres: .*127\.0\.0\.1:9/m,
      /^Temporal: .*namespace elsewhere/m,
    ])
      assert.match(found, each);
    assert.ok(findings.every(({ state, remedy }) => (state === 'ok') === (remedy === null)));
    assert.ok(!stdout.includes('secret'));
  });

  test('without a configuration: what every worker needs', async () => {
    const { run } = ferryIn({ TEMPORAL_ADDRESS: temporal.address });
    const { code, stdout } = await run('doctor');
    assert.equal(code, 1);
    assert.match(stdout, /^FAULT +Postgres +no database is configured\n +-> set FERRY_DATABASE_URL/m);
    assert.match(stdout, /^ok +Temporal +/m);
    assert.match(stdout, /^ok: 1, warnings: 0, faults: 1$/m);
  });
});

describe('programs', () => {
  const programs = (node: object) => programsOf(configuration.parse({ node })).map(({ name }) => name);

  test('are those of the back ends that there are', () => {
    const back = (end: object) => ({ name: 'server1', backEnds: [{ name: 'a', ...end }] });
    const thick = programs(back({ driver: 'lvm', volumeGroup: 'vg' }));
    assert.ok(thick.includes('lvs') && !thick.includes('thin_check') && !thick.includes('chattr'));
    assert.ok(programs(back({ driver: 'lvm', volumeGroup: 'vg', thinPool: 'p' })).includes('thin_check'));
    assert.deepEqual(programsOf(configuration.parse({})), []);
  });

  test('that are not there, or do not work', async () => {
    const folder = join(directory, 'bin');
    await mkdir(folder);
    await writeFile(join(folder, 'qemu-nbd'), '#!/bin/sh\necho no luck\nexit 3\n', { mode: 0o755 });
    const program = { name: 'qemu-nbd', package: 'qemu-utils', version: ['--version'] };
    const broken = await examineProgram(program, folder);
    assert.deepEqual([broken.state, broken.found], ['fault', `${folder}/qemu-nbd fails: no luck`]);
    const none = await examineProgram(program, join(directory, 'state'));
    assert.equal(none.state, 'fault');
    assert.match(none.remedy ?? '', /qemu-utils/);
  });
});

describe('certificates', () => {
  const day = 86_400_000;
  const states = (findings: readonly Finding[]) => findings.map(({ check, state }) => `${check} ${state}`);

  test('that run out, have run out, or are not good yet', async () => {
    const at = async (ms: number) => [...new Set((await examineCertificates(tls, new Date(ms))).map((f) => f.state))];
    assert.deepEqual(await at(Date.now()), ['warning', 'ok'], 'good for two days');
    assert.deepEqual(await at(Date.now() + 3 * day), ['fault', 'ok']);
    assert.deepEqual(await at(Date.now() - day), ['fault', 'ok']);
  });

  test('that do not belong together', async () => {
    const other = (await makeCertificates(join(directory, 'other'))).directory;
    const mixed = join(directory, 'mixed');
    await mkdir(mixed);
    const take = (from: string, name: string) => copyFile(join(from, name), join(mixed, name));
    for (const name of ['ca-cert.pem', 'server-cert.pem']) await take(tls, name);
    await take(other, 'server-key.pem');
    await take(other, 'client-cert.pem');
    assert.deepEqual(states(await examineCertificates(mixed)), [
      'ca-cert.pem warning',
      'server-cert.pem warning',
      'server-key.pem fault',
      'client-cert.pem fault',
    ]);
  });

  test('that name another machine', async () => {
    const own = join(directory, 'named');
    await makeCertificates(own, ['127.0.0.1'], ['server1.example.org', 'hv1']);
    const at = async (machine: string) => (await examineClientName(own, machine)).map(({ state }) => state);
    assert.deepEqual(await at('server1'), ['ok']);
    assert.deepEqual(await at('hv1'), ['ok']);
    assert.deepEqual(await at('server2'), ['fault']);
    assert.deepEqual(await examineClientName(join(directory, 'nowhere'), 'server1'), []);
  });

  test('that are not there', async () => {
    assert.deepEqual(states(await examineCertificates(join(directory, 'nowhere'))), ['ca-cert.pem fault']);
  });
});

describe('a database', () => {
  const byCheck = async (url: string) => new Map((await examinePostgres(url)).map((f) => [f.check, f.state]));

  test('without a schema is told of, and gets none', async () => {
    const url = await emptyDatabase();
    for (const _ of [1, 2]) assert.equal((await byCheck(url)).get('schema'), 'warning');
  });

  test('of a newer Ferry', async () => {
    const { url } = await testRegistry();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('INSERT INTO schema_versions (version) VALUES (999999)');
    await client.end();
    assert.equal((await byCheck(url)).get('schema'), 'fault');
  });

  test('whose last commits can be lost', async () => {
    const { url } = await testRegistry();
    const risky = new URL(url);
    risky.searchParams.set('options', '-c synchronous_commit=off');
    assert.equal((await byCheck(risky.href)).get('commits'), 'warning');
    assert.equal((await byCheck(url)).get('commits'), undefined);
  });
});

describe('a storage node', () => {
  test('of whose export ports some, or all, are taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    try {
      const of = async (from: number, to: number) =>
        (await examineNode(nodeOf({ exportPorts: { from, to } }))).find(({ check }) => check === 'node.exportPorts');
      assert.equal((await of(port, port))?.state, 'fault');
      assert.equal((await of(port, Math.min(port + 50, 65_535)))?.state, 'ok');
    } finally {
      taken.close();
    }
  });

  test('whose back ends are not there', async () => {
    const backEnds = [
      { name: 'a', driver: 'directory', path: join(directory, 'gone') },
      { name: 'b', driver: 'directory', path: join(tls, 'ca-cert.pem') },
      { name: 'c', driver: 'lvm', volumeGroup: 'no-such-group' },
      { name: 'd', driver: 'lvm', volumeGroup: 'no-such-group', thinPool: 'pool' },
    ];
    const found = faults(await examineNode(nodeOf({ backEnds })));
    for (const name of ['a', 'b', 'c', 'd'])
      assert.ok(
        found.some((line) => line.startsWith(`back end ${name}: `)),
        name,
      );
  });
});
