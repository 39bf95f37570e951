import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { execa } from 'execa';
import { node } from '../../testbed/process-worker.ts';

/** The demos fail by themselves when a byte or record is not what it must be; here it is seen what they show. */
async function demo(...args: string[]): Promise<string> {
  const program = join(import.meta.dirname, '../../demo/run.ts');
  const { stdout } = await execa(node, [program, ...args], { stdin: 'ignore', env: { NO_COLOR: '1' } });
  return stdout;
}

test('the demo tells the story of a volume on two real volume groups', async () => {
  const said = await demo('--require-lvm');
  assert.match(said, /^server1@lvmstorage-1 {2}zone1\nserver2@lvmstorage-2 {2}zone1$/m);
  assert.match(said, /os-vol-host-attr:host +\| server1@lvmstorage-1 /);
  assert.match(said, /os-vol-host-attr:host +\| server2@lvmstorage-2 /);
  assert.match(said, /migstat was (starting, then )?migrating, then completing/);
  const [, nameId] = /os-vol-mig-status-attr:name_id \| ([0-9a-f-]{36})/.exec(said) ?? [];
  assert.match(said, new RegExp(`lvmstorage-2 +volume-${nameId} `));
  assert.match(said, /The same bytes, [0-9a-f]{64}, on server2@lvmstorage-2; nothing is left/);
});

/** Runs the demo where there is no /dev/net/tun, as in many a container. */
async function demoWithoutTun(...args: string[]) {
  const program = join(import.meta.dirname, '../../demo/run.ts');
  const own = process.getuid?.() === 0 ? [] : ['--user', '--map-current-user', '--keep-caps'];
  const hide = 'mount -t tmpfs tmpfs /dev/net && exec "$@"';
  return execa('unshare', [...own, '--mount', '--', 'sh', '-c', hide, 'sh', node, program, ...args], {
    stdin: 'ignore',
    all: true,
    reject: false,
    env: { NO_COLOR: '1' },
  });
}

test('where nodes cannot run the demo says why, at first and in its last line, and tells the story on directories', async () => {
  const { all, exitCode } = await demoWithoutTun();
  assert.equal(exitCode, 0, all);
  const why = 'Storage nodes (user-mode Linux with LVM) cannot run here: /dev/net/tun is not there or not open';
  const lines = all.trim().split('\n');
  assert.ok(
    lines.find((line) => line.startsWith(why)),
    all,
  );
  assert.match(lines.at(-1)!, new RegExp(`^This was told without LVM\\. ${RegExp.escape(why)}.*--require-lvm`));
  assert.match(all, /The same bytes, [0-9a-f]{64}, on server2@lvmstorage-2/);
});

test('with --cinder it is told by the stock client against the API', async () => {
  const { all, exitCode } = await demoWithoutTun('--cinder');
  assert.equal(exitCode, 0, all);
  assert.match(all, /^\$ cinder migrate [0-9a-f-]{36} server\d@lvmstorage-\d$/m);
  const [, id] = /^\| id +\| ([0-9a-f-]{36}) \|$/m.exec(all) ?? [];
  const [, nameId] = /os-vol-mig-status-attr:name_id \| ([0-9a-f-]{36}) \|/.exec(all) ?? [];
  assert.ok(nameId !== undefined && nameId !== id, all);
  assert.match(all, /migstat was (starting, then )?migrating, then completing/);
  assert.match(all, /The same bytes, [0-9a-f]{64}, on server\d@lvmstorage-\d/);
});

test('with --require-lvm that is an error', async () => {
  const { all, exitCode } = await demoWithoutTun('--require-lvm');
  assert.equal(exitCode, 1, all);
  assert.match(all, /The demo failed: Storage nodes .* cannot run here: \/dev\/net\/tun is not there/);
  assert.doesNotMatch(all, /1\. The available back ends/);
});

test('the demo of an attached volume tells it with a running guest', async () => {
  const said = await demo('--attached');
  assert.match(said, /status +\| in-use /);
  assert.match(said, /The guest wrote on: \d+ records, 0 errors, 0 complaints of its kernel/);
  assert.match(said, /All of the \d+ records that the guest wrote are on server2@lvmstorage-2/);
});

test('the demo of an evacuation empties a node of attached and detached volumes, and decommissions it', async () => {
  const said = await demo('--evacuate');
  assert.match(said, /4 volumes \(5.0 GiB\) would leave server1; nothing was done/);
  assert.match(said, /Done: server1: 4 moved \(5.0 GiB\)/);
  assert.match(said, /server1 is decommissioned: nothing is left on it/);
  assert.match(said, /server1@lvmstorage-1 \| .* \| decommissioned \| up +\| 0 /);
  assert.match(said, /The guest wrote on: \d+ records, 0 errors, 0 complaints of its kernel/);
  assert.match(said, /server1 is empty. The same bytes in all 3 volumes/);
});
