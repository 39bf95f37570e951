import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as z from 'zod';
import type { FerryError } from '../../model/errors.ts';
import { listBackEnds } from '../../registry/back-ends.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { findVolume } from '../../registry/volumes.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { testPostgres, testRegistry } from './database.ts';
import { ferryError, putBackEnd, putVolume, source } from './world.ts';

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** One clear line, without the password. */
function unreachable(...parts: string[]): (error: unknown) => boolean {
  return (error) => {
    ferryError('ServiceUnreachable')(error);
    const { message, retryable } = error as FerryError;
    assert.ok(retryable);
    assert.doesNotMatch(message, /\n|s3cret/);
    for (const part of parts) assert.ok(message.includes(part), message);
    return true;
  };
}

describe('opening the registry', () => {
  test('says in one line that Postgres cannot be reached', async () => {
    const port = await closedPort();
    await assert.rejects(
      openRegistry(`postgres://ferry:s3cret@127.0.0.1:${port}/ferry`),
      unreachable(`127.0.0.1:${port}/ferry`, 'ECONNREFUSED'),
    );
    await assert.rejects(
      openRegistry(`postgres://ferry:s3cret@localhost:${port}/ferry`),
      unreachable(`localhost:${port}/ferry`),
    );
  });

  test('says in one line that Postgres does not let us in, or has no such database', async () => {
    const { url } = await testPostgres();
    const stranger = new URL(url);
    stranger.password = 's3cret';
    await assert.rejects(openRegistry(stranger.href), unreachable('password authentication failed'));
    const elsewhere = new URL(url);
    elsewhere.pathname = '/nothing';
    await assert.rejects(openRegistry(elsewhere.href), unreachable('does not exist'));
  });

  test('outlives a crash of Postgres: unreachable meanwhile, then as before', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'ferry-registry-'));
    const postgres = await startPostgres({ directory });
    const broken: Error[] = [];
    const registry = await openRegistry(postgres.url, { onError: (error) => broken.push(error) });
    try {
      await putBackEnd(registry, source);
      const id = await putVolume(registry);
      const inTransaction = registry.transaction(async (q) => {
        await q.rows(noColumns, `UPDATE volumes SET name = 'lost' WHERE id = $1`, [id]);
        await postgres.crash();
        await q.rows(noColumns, 'SELECT');
      });
      await assert.rejects(inTransaction, unreachable());
      await assert.rejects(listBackEnds(registry), unreachable());
      await postgres.restart();
      assert.equal((await findVolume(registry, id)).name, 'test');
    } finally {
      await registry.close();
      await postgres.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('says of a Postgres that takes no writes that it does not, and goes on when there is a primary', async () => {
    const registry = await testRegistry({ maxConnections: 1 });
    const readOnly = (on: boolean) =>
      registry.rows(noColumns, `SELECT set_config('default_transaction_read_only', $1, false)`, [on ? 'on' : 'off']);
    await readOnly(true);
    await assert.rejects(putBackEnd(registry, source), unreachable('takes no writes now', 'standby'));
    // Its connection was thrown away with the error.
    await readOnly(true);
    await assert.rejects(
      registry.transaction((q) => putBackEnd(q, source)),
      unreachable('takes no writes now'),
    );
    assert.deepEqual(await listBackEnds(registry), [], 'what only reads is answered');
    await readOnly(false);
    await putBackEnd(registry, source);
  });

  test('hears of idle connections that break, and goes on', async () => {
    const broken: Error[] = [];
    const { url } = await testRegistry();
    const registry = await openRegistry(url, { onError: (error) => broken.push(error) });
    const other = await openRegistry(url);
    try {
      await other.rows(
        noColumns,
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      );
      while (broken.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.deepEqual(await listBackEnds(registry), []);
    } finally {
      await registry.close();
      await other.close();
    }
  });

  test('rolls a transaction back when its work throws, and its connection serves again', async () => {
    const registry = await testRegistry({ maxConnections: 1 });
    await assert.rejects(
      registry.transaction(async (q) => {
        await putBackEnd(q, source);
        throw new Error('no');
      }),
      /^Error: no$/,
    );
    assert.deepEqual(await listBackEnds(registry), []);
  });

  test("a statement's own error is thrown as it is", async () => {
    const registry = await testRegistry();
    await assert.rejects(registry.rows(noColumns, 'SELECT FROM nothing'), { code: '42P01' });
  });

  test('a row that is not understood is told, not handed on', async () => {
    const registry = await testRegistry();
    await assert.rejects(registry.rows(z.object({ n: z.string() }), 'SELECT 1 AS n'), /not understood/);
  });

  test('may be closed twice', async () => {
    const { url } = await testRegistry();
    const registry = await openRegistry(url);
    await Promise.all([registry.close(), registry.close()]);
  });
});
