import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import * as z from 'zod';
import { gib } from '../../model/sizes.ts';
import { knownVersion, migrate, schemaVersion } from '../../registry/migrate.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { listVolumeTypes } from '../../registry/volume-types.ts';
import { listVolumes } from '../../registry/volumes.ts';
import { emptyDatabase } from './database.ts';
import { ferryError } from './world.ts';

describe('migrations of the schema', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ferry-sql-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** A folder of numbered files, one statement each. */
  async function files(...statements: string[]): Promise<URL> {
    const made = await mkdtemp(path.join(folder, 'f-'));
    for (const [i, statement] of statements.entries())
      await writeFile(path.join(made, `${String(i + 1).padStart(6, '0')}.sql`), statement);
    return pathToFileURL(`${made}/`);
  }

  async function withPool<T>(work: (pool: pg.Pool) => Promise<T>): Promise<T> {
    const pool = new pg.Pool({ connectionString: await emptyDatabase() });
    try {
      return await work(pool);
    } finally {
      await pool.end();
    }
  }

  const versions = async (pool: pg.Pool) =>
    (await pool.query('SELECT version FROM schema_versions ORDER BY version')).rows.map((r) => r.version);

  test('make an empty database what the code needs, and may be repeated', async () => {
    const url = await emptyDatabase();
    for (let i = 0; i < 2; i += 1) await (await openRegistry(url)).close();
    const pool = new pg.Pool({ connectionString: url });
    const known = await knownVersion();
    assert.deepEqual(
      await versions(pool),
      Array.from({ length: known }, (_, i) => i + 1),
    );
    await pool.end();
  });

  test('run once each when many workers start at the same time', () =>
    withPool(async (pool) => {
      const from = await files('CREATE TABLE a (n int)', 'INSERT INTO a VALUES (1)', 'INSERT INTO a VALUES (2)');
      await Promise.all(Array.from({ length: 10 }, () => migrate(pool, from)));
      assert.deepEqual(await versions(pool), [1, 2, 3]);
      assert.deepEqual((await pool.query('SELECT n FROM a ORDER BY n')).rows, [{ n: 1 }, { n: 2 }]);
    }));

  test('go on from where an older version of the code stopped', () =>
    withPool(async (pool) => {
      await migrate(pool, await files('CREATE TABLE a (n int)'));
      await migrate(pool, await files('CREATE TABLE a (n int)', 'ALTER TABLE a ADD m int'));
      assert.deepEqual(await versions(pool), [1, 2]);
    }));

  test('leave nothing of a file that fails, and keep the files before it', () =>
    withPool(async (pool) => {
      const from = await files('CREATE TABLE a (n int)', 'CREATE TABLE b (n int); SELECT 1 / 0');
      await assert.rejects(migrate(pool, from), /division by zero/);
      assert.deepEqual(await versions(pool), [1]);
      assert.equal((await pool.query(`SELECT to_regclass('b') AS b`)).rows[0].b, null);
    }));

  test('make a type that asks for nothing of every name that volumes had before there were types', async () => {
    const url = await emptyDatabase();
    const older = path.join(folder, 'older');
    await mkdir(older);
    const sql = new URL('../../registry/sql/', import.meta.url);
    const withTypes = (name: string) => readFileSync(new URL(name, sql), 'utf8').includes('CREATE TABLE volume_types');
    for (const name of (await readdir(sql)).toSorted()) {
      if (withTypes(name)) break;
      await copyFile(new URL(name, sql), path.join(older, name));
    }
    const pool = new pg.Pool({ connectionString: url });
    await migrate(pool, pathToFileURL(`${older}/`));
    await pool.query(
      `INSERT INTO back_ends (name, node, availability_zone, driver, total_bytes, free_bytes, heartbeat_at)
       VALUES ('n@a', 'n', 'z', 'lvm', 1, 1, now())`,
    );
    for (const type of ['gold', 'gold', null]) {
      await pool.query(
        `INSERT INTO volumes (id, tenant_id, size_gib, status, host, availability_zone, volume_type)
         VALUES (gen_random_uuid(), 't', 1, 'available', 'n@a', 'z', $1)`,
        [type],
      );
    }
    await pool.end();
    const registry = await openRegistry(url);
    assert.deepEqual(
      (await listVolumeTypes(registry)).map(({ name, extraSpecs }) => [name, extraSpecs]),
      [['gold', {}]],
    );
    const names = (await listVolumes(registry)).map((v) => v.volumeType);
    assert.deepEqual([names.length, names.filter((name) => name === 'gold').length], [3, 2]);
    await registry.close();
  });

  test('make bytes of the sizes in GiB that were there, also of snapshots and plans', async () => {
    const url = await emptyDatabase();
    const older = path.join(folder, 'in-gib');
    await mkdir(older);
    const sql = new URL('../../registry/sql/', import.meta.url);
    for (const name of (await readdir(sql)).toSorted()) {
      if (readFileSync(new URL(name, sql), 'utf8').includes('RENAME COLUMN size_gib TO size_bytes')) break;
      await copyFile(new URL(name, sql), path.join(older, name));
    }
    const pool = new pg.Pool({ connectionString: url });
    await migrate(pool, pathToFileURL(`${older}/`));
    await pool.query(
      `INSERT INTO back_ends (name, node, availability_zone, driver, total_bytes, free_bytes, heartbeat_at)
       VALUES ('n@a', 'n', 'z', 'lvm', 1, 1, now());
       INSERT INTO volumes (id, tenant_id, size_gib, status, host, availability_zone)
       VALUES (gen_random_uuid(), 't', 65536, 'available', 'n@a', 'z');
       INSERT INTO snapshots (id, volume_id, tenant_id, size_gib, status)
       SELECT gen_random_uuid(), id, 't', 3, 'available' FROM volumes;
       INSERT INTO move_plans (id, kind, source, requested_by) VALUES (gen_random_uuid(), 'evacuation', 'n', 'me');
       INSERT INTO planned_moves (plan_id, volume_id, position, size_gib, attached, source, state)
       SELECT p.id, v.id, 0, 2, false, 'n@a', 'stays' FROM move_plans p, volumes v`,
    );
    await pool.end();
    const registry = await openRegistry(url);
    assert.deepEqual(
      (await listVolumes(registry)).map((v) => v.sizeBytes),
      [65_536 * gib],
    );
    const rows = await registry.rows(
      z.object({ sizeBytes: z.number() }),
      'SELECT size_bytes FROM snapshots UNION ALL SELECT size_bytes FROM planned_moves ORDER BY 1',
    );
    assert.deepEqual(
      rows.map(({ sizeBytes }) => sizeBytes),
      [2 * gib, 3 * gib],
    );
    await registry.close();
  });

  test('are nobody’s who only asks: he is told who makes them, and changes nothing', async () => {
    const url = await emptyDatabase();
    const asks = () => openRegistry(url, { migrates: false });
    await assert.rejects(asks(), /The database holds no registry.*ferry db migrate/);
    const pool = new pg.Pool({ connectionString: url });
    assert.equal(await schemaVersion(pool), 0);
    await (await openRegistry(url)).close();
    await (await asks()).close();
    await pool.query('DELETE FROM schema_versions WHERE version = (SELECT max(version) FROM schema_versions)');
    const behind = await schemaVersion(pool);
    await assert.rejects(asks(), new RegExp(`has schema ${behind}, not ${behind + 1}.*ferry db migrate`));
    assert.equal(await schemaVersion(pool), behind);
    await pool.end();
  });

  test('refuse a database that a newer Ferry has changed', async () => {
    const url = await emptyDatabase();
    const newer = path.join(folder, 'newer');
    await mkdir(newer);
    const sql = new URL('../../registry/sql/', import.meta.url);
    for (const name of await readdir(sql)) await copyFile(new URL(name, sql), path.join(newer, name));
    await writeFile(path.join(newer, '000999.sql'), 'CREATE TABLE later (n int)');
    const pool = new pg.Pool({ connectionString: url });
    await migrate(pool, pathToFileURL(`${newer}/`));
    await pool.end();
    await assert.rejects(openRegistry(url), ferryError('InvalidInput'));
  });
});
