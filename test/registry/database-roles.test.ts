import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { databaseRoles, type DatabaseRole, provideRoles } from '../../registry/database-roles.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { asRole, provideDatabase } from '../../testbed/database-roles.ts';
import { noColumns } from '../../registry/rows.ts';
import { emptyDatabase } from './database.ts';

let url: string;
before(async () => {
  url = await emptyDatabase();
  await provideDatabase(url);
});

/** What Postgres answers to a statement that this role runs; null: it may. Nothing is kept of it. */
async function refusal(role: DatabaseRole, statement: string): Promise<string | null> {
  const client = new pg.Client({ connectionString: asRole(url, role) });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query(statement);
    return null;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  } finally {
    await client.end();
  }
}

const forbidden = '42501';
const movesVolume = 'UPDATE volumes SET host = host, name_id = name_id';
const everything = databaseRoles;
const rights: readonly { what: string; statement: string; who: readonly DatabaseRole[] }[] = [
  { what: 'say where a volume is', statement: movesVolume, who: ['ferry_control'] },
  { what: 'claim a volume', statement: 'UPDATE volumes SET migration_epoch = migration_epoch', who: ['ferry_control'] },
  { what: 'forget a volume', statement: 'DELETE FROM volumes', who: ['ferry_control'] },
  { what: 'write a migration', statement: 'UPDATE migrations SET phase = phase', who: ['ferry_control'] },
  { what: 'forget a kept source', statement: 'DELETE FROM kept_sources', who: ['ferry_control'] },
  {
    what: 'change what a volume is called',
    statement: 'UPDATE volumes SET name = name',
    who: ['ferry_control', 'ferry_api'],
  },
  { what: 'set quotas', statement: 'DELETE FROM quotas', who: ['ferry_control', 'ferry_api'] },
  { what: 'attach', statement: 'DELETE FROM attachments', who: ['ferry_control', 'ferry_api'] },
  {
    what: 'disable a back end',
    statement: 'UPDATE back_ends SET disabled = disabled',
    who: ['ferry_control', 'ferry_api', 'ferry_storage'],
  },
  {
    what: 'say that a back end has room',
    statement: 'UPDATE back_ends SET free_bytes = free_bytes',
    who: ['ferry_control', 'ferry_storage'],
  },
  {
    what: 'say what was exported',
    statement: 'UPDATE offers SET source = source',
    who: ['ferry_control', 'ferry_storage'],
  },
  {
    what: 'say that a hypervisor is there',
    statement: 'UPDATE compute_nodes SET heartbeat_at = now()',
    who: ['ferry_control', 'ferry_compute'],
  },
  { what: 'read volumes', statement: 'SELECT * FROM volumes', who: everything },
  { what: 'read quotas', statement: 'SELECT * FROM quotas', who: ['ferry_control', 'ferry_api', 'ferry_reader'] },
  {
    what: 'read keys of transfers',
    statement: 'SELECT key_hash FROM volume_transfers',
    who: ['ferry_control', 'ferry_api'],
  },
  {
    what: 'read transfers',
    statement: 'SELECT id FROM volume_transfers',
    who: ['ferry_control', 'ferry_api', 'ferry_reader'],
  },
  {
    what: 'read secrets of nobody: events',
    statement: 'SELECT * FROM events',
    who: ['ferry_control', 'ferry_api', 'ferry_reader'],
  },
  { what: 'change the schema', statement: 'CREATE TABLE mine ()', who: [] },
  { what: 'say that the schema is another', statement: 'UPDATE schema_versions SET version = version', who: [] },
];

describe('each role may do what it is for, and nothing else', () => {
  for (const { what, statement, who } of rights) {
    test(what, async () => {
      for (const role of databaseRoles) {
        const expected = who.includes(role) ? null : forbidden;
        assert.equal(await refusal(role, statement), expected, `${role}: ${statement}`);
      }
    });
  }
});

test('who lacks a right is told whose it is', async () => {
  const registry = await openRegistry(asRole(url, 'ferry_reader'), { migrates: false });
  await assert.rejects(registry.rows(noColumns, 'DELETE FROM quotas'), {
    type: 'ServiceUnreachable',
    message: /does not let us: permission denied for table quotas\. .*ferry db roles/,
  });
  await registry.close();
});

test('roles are made by many at once, in many databases, and as often as one likes', async () => {
  const urls = await Promise.all([emptyDatabase(), emptyDatabase()]);
  await Promise.all(urls.map(async (each) => (await openRegistry(each)).close()));
  await Promise.all([...urls, ...urls, url].map(provideRoles));
});

test('a right that was given by hand is taken back', async () => {
  const owner = new pg.Client({ connectionString: url });
  await owner.connect();
  await owner.query('GRANT DELETE ON volumes TO ferry_storage');
  assert.equal(await refusal('ferry_storage', 'DELETE FROM volumes'), null);
  await provideRoles(url);
  assert.equal(await refusal('ferry_storage', 'DELETE FROM volumes'), forbidden);
  await owner.end();
});

test('a worker whose role may not change an older schema says who may', async () => {
  const older = await emptyDatabase();
  await provideDatabase(older);
  const owner = new pg.Client({ connectionString: older });
  await owner.connect();
  await owner.query('DELETE FROM schema_versions WHERE version = (SELECT max(version) FROM schema_versions)');
  await assert.rejects(openRegistry(asRole(older, 'ferry_storage')), {
    type: 'InvalidInput',
    message: /has schema \d+, not \d+, and this role may not change it .*ferry db migrate/,
  });
  await owner.end();
});

test('what comes with a newer schema is given to the roles at once', async () => {
  const database = await emptyDatabase();
  await (await openRegistry(database)).close();
  // Its roles are the server's, and there already: no `ferry db roles` was needed.
  const client = new pg.Client({ connectionString: asRole(database, 'ferry_reader') });
  await client.connect();
  await client.query('SELECT FROM volumes');
  await client.end();
});
