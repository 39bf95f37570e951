import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfiguration, requireDatabaseUrl } from '../../configuration/load.ts';

let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'ferry-configuration-'))));
after(() => rm(folder, { recursive: true, force: true }));

test("the database's URL may be in a file of its own; the variable itself wins over it", async () => {
  const file = join(folder, 'database-url');
  await writeFile(file, 'postgres://ferry@db/ferry\n');
  const read = await loadConfiguration({ FERRY_DATABASE_URL_FILE: file });
  assert.equal(requireDatabaseUrl(read), 'postgres://ferry@db/ferry');
  const both = { FERRY_DATABASE_URL_FILE: file, FERRY_DATABASE_URL: 'postgres://other@db/ferry' };
  assert.equal(requireDatabaseUrl(await loadConfiguration(both)), 'postgres://other@db/ferry');
});

test('a file that cannot be read is named, and what is wrong in it is not shown', async () => {
  const missing = join(folder, 'missing');
  await assert.rejects(loadConfiguration({ FERRY_DATABASE_URL_FILE: missing }), /missing cannot be read: ENOENT/);
  const file = join(folder, 'no-url');
  await writeFile(file, 'password-without-anything-else');
  await assert.rejects(loadConfiguration({ FERRY_DATABASE_URL_FILE: file }), (error: Error) => {
    assert.match(error.message, /is not a Postgres URL/);
    assert.doesNotMatch(error.message, /password-without/);
    return true;
  });
});
