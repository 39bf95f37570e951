import { after } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres, type EmbeddedPostgres } from '../../workers/embedded/postgres.ts';
import { openRegistry, type Registry } from '../../registry/open-registry.ts';

let server: Promise<EmbeddedPostgres> | undefined;
let template: Promise<void> | undefined;
let databases = 0;
const toEnd: (() => Promise<void>)[] = [];

// Of the whole file, wherever in it the database was asked for.
after(async () => {
  for (const end of toEnd.toReversed()) await end();
});

/** One Postgres for the test process; ended, and its files deleted, after the process's tests. */
export function testPostgres(): Promise<EmbeddedPostgres> {
  server ??= start();
  return server;
}

async function start(): Promise<EmbeddedPostgres> {
  const directory = await mkdtemp(path.join(tmpdir(), 'ferry-registry-'));
  toEnd.push(() => rm(directory, { recursive: true, force: true }));
  const started = await startPostgres({ directory });
  toEnd.push(() => started.stop());
  toEnd.push(() => untilUnused(started.url));
  return started;
}

/** How long a connection that a test has ended may take to be gone. Milliseconds. */
const endingMs = 5_000;

/**
 * Waits until nobody is connected any more: a connection that is just being ended has no listener for the error by which it would hear
 * that the server stops.
 */
async function untilUnused(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const deadline = Date.now() + endingMs;
    const others = `SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
    while ((await client.query(others)).rowCount !== 0 && Date.now() < deadline) await sleep(50);
  } finally {
    await client.end();
  }
}

/** The URL of a new, empty database. */
export async function emptyDatabase(from = 'template1'): Promise<string> {
  const { url } = await testPostgres();
  const name = `test_${(databases += 1)}`;
  await onServer(`CREATE DATABASE ${name} TEMPLATE ${from}`);
  return withDatabase(url, name);
}

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: (await testPostgres()).url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function makeTemplate(): Promise<void> {
  await onServer('CREATE DATABASE registry_template');
  await (await openRegistry(withDatabase((await testPostgres()).url, 'registry_template'))).close();
}

/** A registry in a database of its own, its schema in place; closed after the file's tests. */
export async function testRegistry(options: { maxConnections?: number } = {}): Promise<Registry & { url: string }> {
  await (template ??= makeTemplate());
  const url = await emptyDatabase('registry_template');
  const registry = await openRegistry(url, options);
  toEnd.push(() => registry.close());
  return { ...registry, url };
}
