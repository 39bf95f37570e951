import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import pino from 'pino';
import { configuredIdentity } from '../../../../client/api/identity/configured.ts';
import { loadConfiguration } from '../../../../configuration/load.ts';
import { configuration } from '../../../../configuration/schema.ts';

const log = pino({ level: 'silent' });
const identity = (api: object, host = '127.0.0.1', keystonePassword?: string) =>
  configuredIdentity(configuration.parse({ api, ...(keystonePassword && { keystonePassword }) }), { host, log });
const keystone = { url: 'https://keystone.example.org:5000' };

test('where everybody is an administrator, other machines are kept out unless somebody says otherwise', async () => {
  for (const host of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) await identity({}, host);
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'ferry.example.org', '127.0.0.1.example.org'])
    await assert.rejects(identity({}, host), /would be an administrator.*"keystone"/, host);
  await identity({ insecureNetwork: true }, '0.0.0.0');
  await identity({ keystone }, '0.0.0.0', 'a secret word');
});

test("the service user's password is from the environment or a file of its own, or it is said where to put it", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-keystone-password-'));
  t.after(() => rm(folder, { recursive: true }));
  const passwordFile = join(folder, 'password');
  await assert.rejects(identity({ keystone }), /FERRY_KEYSTONE_PASSWORD/);
  await assert.rejects(identity({ keystone: { ...keystone, passwordFile } }), /password file cannot be read/);
  await writeFile(passwordFile, 'a secret word\n');
  await identity({ keystone: { ...keystone, passwordFile } });
  const { keystonePassword } = await loadConfiguration({ FERRY_KEYSTONE_PASSWORD: 'a secret word' });
  assert.equal(keystonePassword, 'a secret word');
});

test('the password and tokens go over TLS, or not to another machine', () => {
  const parsed = (k: object) => configuration.safeParse({ api: { keystone: k } }).success;
  for (const url of ['https://k:5000/v3', 'http://127.0.0.1:5000', 'http://[::1]:5000/v3'])
    assert.ok(parsed({ url }), url);
  for (const url of ['http://k:5000', 'http://127.0.0.1.example.org', 'k:5000', 'ftp://127.0.0.1', ''])
    assert.ok(!parsed({ url }), url);
  assert.ok(parsed({ url: 'http://k:5000', insecureNetwork: true }));
  for (const wrong of [{ password: 'x' }, { recheckSeconds: -1 }, { timeoutSeconds: 0 }])
    assert.ok(!parsed({ ...keystone, ...wrong }), JSON.stringify(wrong));
});

test('a policy file that is not right keeps the API from starting', async () => {
  await assert.rejects(identity({ policyFile: '/nonexistent/policy.json' }), /policy\.json/);
});
