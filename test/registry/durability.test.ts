import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { durabilityRisks } from '../../registry/durability.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { startPostgres, type EmbeddedPostgres } from '../../workers/embedded/postgres.ts';
import { watchDurability } from '../../workers/watch-durability.ts';

describe('commits of the registry', () => {
  let directory: string;
  let postgres: EmbeddedPostgres;
  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'ferry-durability-'));
    postgres = await startPostgres({ directory });
  });
  after(async () => {
    await postgres?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function sql(...statements: string[]): Promise<void> {
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  }
  /** What holds for sessions that begin now. */
  async function risks(): Promise<string[]> {
    const registry = await openRegistry(postgres.url, { maxConnections: 1 });
    try {
      return await durabilityRisks(registry);
    } finally {
      await registry.close();
    }
  }
  async function untilRisks(expected: readonly RegExp[]): Promise<void> {
    for (;;) {
      const found = await risks();
      if (found.length === expected.length && expected.every((pattern, i) => pattern.test(found[i]!))) return;
      await sleep(50);
    }
  }
  /** Receives the log as a standby does; Postgres could not tell the two apart. Ended by the returned function. */
  async function standby(): Promise<() => Promise<void>> {
    const client = new pg.Client({ connectionString: postgres.url, replication: 'true' } as pg.ClientConfig);
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query<{ xlogpos: string }>('IDENTIFY_SYSTEM');
    client.query(`START_REPLICATION PHYSICAL ${rows[0]!.xlogpos}`).catch(() => {});
    return () => client.end();
  }

  test('are durable where Postgres is as it comes, and has no standby', async () => {
    assert.deepEqual(await risks(), []);
  });

  test('are lost by a crash where they are not waited for, whoever says so', async () => {
    await sql('ALTER ROLE CURRENT_USER SET synchronous_commit = off');
    assert.deepEqual(await risks(), ['synchronous_commit is off: a crash loses the last commits']);
    await sql('ALTER ROLE CURRENT_USER RESET synchronous_commit');
    await sql('ALTER SYSTEM SET fsync = off', 'ALTER SYSTEM SET full_page_writes = off', 'SELECT pg_reload_conf()');
    await untilRisks([/^fsync is off/, /^full_page_writes is off/]);
    await sql('ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()');
    await untilRisks([]);
  });

  test('are lost by a failover to a standby that is not waited for', async () => {
    const end = await standby();
    try {
      await untilRisks([/^it has a standby, and synchronous_standby_names is empty/]);
      const endAnother = await standby();
      await untilRisks([/^it has 2 standbys/]);
      await endAnother();
      await untilRisks([/^it has a standby/]);
      // Nobody of that name is there: commits wait, and none is lost.
      await sql(`ALTER SYSTEM SET synchronous_standby_names = 'one'`, 'SELECT pg_reload_conf()');
      await untilRisks([]);
      await sql('SET synchronous_commit = local', 'ALTER ROLE CURRENT_USER SET synchronous_commit = local');
      await untilRisks([/^synchronous_commit is local/]);
    } finally {
      await end();
      await sql('SET synchronous_commit = local', 'ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()');
      await sql('ALTER ROLE CURRENT_USER RESET synchronous_commit');
    }
  });

  test('are warned of in a worker’s log, once for each change', async () => {
    const registry = await openRegistry(postgres.url, { maxConnections: 1 });
    const said: string[] = [];
    const say = (level: string) => (about: unknown) => void said.push(`${level} ${JSON.stringify(about)}`);
    const log = { warn: say('warn'), info: say('info'), debug: say('debug') };
    const watching = await watchDurability({ registry, log, everyMs: 10 });
    try {
      assert.deepEqual(said, []);
      await sql('ALTER SYSTEM SET full_page_writes = off', 'SELECT pg_reload_conf()');
      while (said.length < 1) await sleep(10);
      await sleep(100);
      assert.deepEqual(said, ['warn {"risks":["full_page_writes is off: a crash can corrupt pages"]}']);
      await sql('ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()');
      while (said.length < 2) await sleep(10);
      assert.match(said[1]!, /^info/);
    } finally {
      watching.stop();
      await registry.close();
    }
  });
});
