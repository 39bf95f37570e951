import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
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

test('a file that everybody can write to is refused, and one with a password that they can read; both say how to mend it', async () => {
  const written = async (name: string, text: string, mode: number) => {
    const file = join(folder, name);
    await writeFile(file, text);
    await chmod(file, mode);
    return file;
  };
  const [plain, secret] = ['postgres://ferry@db/ferry', 'postgres://ferry:pass@db/ferry'];
  const asked = 'postgres://ferry@db/ferry?password=pass';
  const cases = [
    { name: 'written by others', text: plain, mode: 0o646, refused: /can write to .*chmod o-w / },
    { name: 'read by others', text: secret, mode: 0o644, refused: /a password is in it.*chmod o= / },
    { name: 'asked', text: asked, mode: 0o644, refused: /a password is in it/ },
    { name: 'of a group', text: secret, mode: 0o660, refused: null },
    { name: 'without a password', text: plain, mode: 0o644, refused: null },
  ];
  for (const { name, text, mode, refused } of cases) {
    const url = await written(`url ${name}`, `${text}\n`, mode);
    const all = await written(`all ${name}`, JSON.stringify({ databaseUrl: text }), mode);
    for (const env of [{ FERRY_DATABASE_URL_FILE: url }, { FERRY_CONFIG: all }]) {
      const loading = loadConfiguration(env);
      if (!refused) assert.equal((await loading).databaseUrl, text, name);
      else
        await assert.rejects(
          loading,
          (error: Error) => refused.test(error.message) && !error.message.includes('pass@'),
        );
    }
  }
  const keystone = await written('keystone', JSON.stringify({ keystonePassword: 'pass' }), 0o644);
  await assert.rejects(loadConfiguration({ FERRY_CONFIG: keystone }), /a password is in it/);
});
