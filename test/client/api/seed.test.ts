import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { findProgram } from '../../../setup/find-program.mjs';
import { startKeystone, type Keystone } from '../../../testbed/keystone.ts';
import { server1, server2, setStage, type Stage } from '../../end-to-end/stage.ts';
import { startKeystoneApi } from './keystone-api.ts';

// The seed's commands, with the stock `cinder` of Debian, its words and tables.

let keystone: Keystone;
let stage: Stage;
let api: Awaited<ReturnType<typeof startKeystoneApi>>;

before(async () => {
  keystone = await startKeystone();
  await keystone.user('alice', { red: ['member'] });
  stage = await setStage({ backing: 'directory' });
  api = await startKeystoneApi(keystone, stage);
});

after(async () => {
  await api?.stop();
  await stage?.strike();
  await keystone?.stop();
});

/** `cinder` as its user calls it; the rows of its table by name. */
async function cinder(user: string, ...args: string[]): Promise<Record<string, string>> {
  const { exitCode, stdout, stderr } = await cinderEnds(user, ...args);
  assert.equal(exitCode, 0, `cinder ${args.join(' ')}: ${stderr}`);
  const rows = stdout.split('\n').flatMap((line) => {
    const [, name, value] = /^\| (\S+) +\| (.*?) *\|$/.exec(line) ?? [];
    return name === undefined || name === 'Property' ? [] : [[name, value!] as const];
  });
  return Object.fromEntries(rows);
}

function cinderEnds(user: string, ...args: string[]) {
  const env = {
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: user,
    OS_PASSWORD: `password-${user}`,
    OS_PROJECT_NAME: user === 'admin' ? 'admin' : 'red',
    OS_USER_DOMAIN_ID: 'default',
    OS_PROJECT_DOMAIN_ID: 'default',
    PYTHONWARNINGS: 'ignore',
  };
  const program = findProgram('cinder')!;
  // Debian's Python, whatever else is first in the path.
  return execa('/usr/bin/python3', [program, ...args], { env, reject: false });
}

const until = async (id: string, fits: (shown: Record<string, string>) => boolean) => {
  for (;;) {
    const shown = await cinder('admin', 'show', id);
    if (fits(shown)) return shown;
    await sleep(200);
  }
};

test('the seed, command by command: show, migrate, show; the tenant sees nothing of it', async () => {
  const created = await cinder('alice', 'create', '--name', 'test', '--description', 'test', '1');
  const id = created['id']!;
  const before = await until(id, ({ status }) => status === 'available');
  const seen = {
    'os-vol-mig-status-attr:migstat': 'None',
    'os-vol-mig-status-attr:name_id': 'None',
    'os-vol-tenant-attr:tenant_id': await keystone.idOfProject('red'),
    ...{ name: 'test', description: 'test', size: '1', bootable: 'false', snapshot_id: 'None', source_volid: 'None' },
  };
  const shownOf = (all: Record<string, string>) =>
    Object.fromEntries(Object.keys(seen).map((key) => [key, all[key] ?? 'not shown']));
  assert.deepEqual(shownOf(before), seen);
  const source = before['os-vol-host-attr:host']!.split('#')[0]!;
  assert.ok([server1, server2].includes(source), source);
  const destination = source === server1 ? server2 : server1;

  await cinder('admin', 'migrate', id, destination);
  const moved = await until(id, (shown) => shown['os-vol-mig-status-attr:name_id'] !== 'None');
  assert.equal(moved['os-vol-host-attr:host']!.split('#')[0], destination);
  assert.match(moved['os-vol-mig-status-attr:name_id']!, /^[0-9a-f-]{36}$/);
  assert.notEqual(moved['os-vol-mig-status-attr:name_id'], id);
  await until(id, (shown) => shown['os-vol-mig-status-attr:migstat'] === 'None');

  const tenants = await cinder('alice', 'show', id);
  assert.equal(tenants['status'], 'available');
  const hidden = Object.keys(tenants).filter((key) => /host|mig|name_id/.test(key));
  assert.deepEqual(hidden, []);
  // This client says that it failed, and ends as if it had not.
  const { stdout } = await cinderEnds('alice', 'migrate', id, source);
  assert.match(
    stdout,
    /failed: Policy doesn't allow volume_extension:volume_admin_actions:migrate_volume to be performed/,
  );
});
