import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey, TypedSearchAttributes } from '@temporalio/common';
import pg from 'pg';
import { searchAttributes } from '../../model/search-attributes.ts';
import { type EmbeddedPostgres, startPostgres } from '../../workers/embedded/postgres.ts';
import { startTemporal } from '../../workers/embedded/temporal.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ferry-test-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const runs = (pid: number) => existsSync(`/proc/${pid}`);

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

test('Postgres keeps its data over a restart, a crash and a new start', async () => {
  const folder = join(directory, 'postgres');
  const postgres = await startPostgres({ directory: folder });
  await query(postgres.url, 'CREATE TABLE kept (value text)');
  await query(postgres.url, `INSERT INTO kept VALUES ('a')`);
  await postgres.restart();
  await query(postgres.url, `INSERT INTO kept VALUES ('b')`);
  await postgres.crash();
  await postgres.restart();
  const { pid } = postgres;
  await postgres.stop();
  await postgres.stop();
  assert.equal(runs(pid), false);
  const again = await startPostgres({ directory: folder });
  assert.deepEqual(await query(again.url, 'SELECT value FROM kept ORDER BY 1'), ['a', 'b']);
  await again.stop();
});

test('Postgres lets nobody in without the password, which only its owner can read', async () => {
  const folder = join(directory, 'guarded');
  const postgres = await startPostgres({ directory: folder });
  const url = new URL(postgres.url);
  url.password = 'wrong';
  await assert.rejects(query(String(url), 'SELECT 1'), /password authentication failed/);
  assert.equal((await stat(join(folder, 'postgres-password'))).mode & 0o777, 0o600);
  assert.deepEqual(await query(postgres.url, 'SHOW listen_addresses'), ['127.0.0.1']);
  await postgres.stop();
});

test('two instances of Postgres run side by side', async () => {
  const both: EmbeddedPostgres[] = await Promise.all(
    ['one', 'two'].map((name) => startPostgres({ directory: join(directory, name) })),
  );
  assert.notEqual(both[0]?.url, both[1]?.url);
  await Promise.all(both.map((postgres) => postgres.stop()));
});

test('Temporal keeps workflows over a crash, and knows the search attributes', async () => {
  const temporal = await startTemporal({ directory: join(directory, 'temporal') });
  const firstPid = temporal.pid;
  const list = async () => {
    const connection = await Connection.connect({ address: temporal.address });
    const client = new Client({ connection });
    const ids: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query: `${searchAttributes.volume} = 'v1'` }))
      ids.push(workflowId);
    await connection.close();
    return ids;
  };
  const connection = await Connection.connect({ address: temporal.address });
  await new Client({ connection }).workflow.start('nobodyRunsThis', {
    workflowId: 'kept',
    taskQueue: 'nobody',
    typedSearchAttributes: new TypedSearchAttributes([
      { key: defineSearchAttributeKey(searchAttributes.volume, 'KEYWORD'), value: 'v1' },
    ]),
  });
  await connection.close();
  for (let tries = 0; tries < 100 && !(await list()).length; tries++) await sleep(100);
  await temporal.crash();
  assert.equal(runs(firstPid), false);
  await temporal.restart();
  assert.deepEqual(await list(), ['kept']);
  const answer = await fetch(`${temporal.httpUrl}/api/v1/namespaces/default/workflows/kept`);
  assert.equal(answer.status, 200);
  assert.match(await (await fetch(temporal.uiUrl)).text(), /<html/);
  await temporal.stop();
});

test('a server that cannot start says why', async () => {
  const postgres = await startPostgres({ directory: join(directory, 'first') });
  const port = Number(new URL(postgres.url).port);
  await assert.rejects(
    startPostgres({ directory: join(directory, 'second'), port }),
    /Postgres did not start: .*in use/s,
  );
  await assert.rejects(startTemporal({ directory: join(directory, 'third'), port }), /Temporal did not start/);
  await postgres.stop();
});

test('both end with the process that started them, also when that is killed', async () => {
  const folder = JSON.stringify(join(directory, 'orphans'));
  const module = (name: string) => JSON.stringify(join(import.meta.dirname, `../../workers/embedded/${name}.ts`));
  const script = `
    import { startPostgres } from ${module('postgres')};
    import { startTemporal } from ${module('temporal')};
    const servers = await Promise.all([startPostgres({ directory: ${folder} }), startTemporal({ directory: ${folder} })]);
    console.log(servers.map(({ pid }) => pid).join(' '));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pids = await new Promise<number[]>((resolve, reject) => {
    child.stdout.once('data', (data) => resolve(String(data).trim().split(' ').map(Number)));
    child.once('exit', () => reject(new Error('the process ended before its servers ran')));
  });
  assert.equal(pids.filter(runs).length, 2);
  child.kill('SIGKILL');
  for (let tries = 0; tries < 1000 && pids.some(runs); tries++) await sleep(20);
  assert.deepEqual(pids.filter(runs), []);
});
