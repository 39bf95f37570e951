import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { type Fault, gateway, startNodes, type StorageNodes } from '../../testbed/nodes.ts';

let directory: string;
let nodes: StorageNodes;
const outside = createServer((_request, response) => response.end('hello from outside'));
const nbd = 10_809;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ferry-test-'));
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  nodes = await startNodes({
    directory,
    nodes: [
      {
        name: 'server1',
        volumeGroups: [
          { name: 'lvm-1', sizeMib: 256 },
          { name: 'fast-1', sizeMib: 128 },
        ],
        extraDisksMib: [64],
      },
      { name: 'server2', volumeGroups: [{ name: 'lvm-2', sizeMib: 256 }] },
    ],
    forward: [outsidePort()],
    guestPorts: [nbd],
  });
});

after(async () => {
  await nodes?.stop();
  outside.close();
  await rm(directory, { recursive: true, force: true });
});

const outsidePort = () => (outside.address() as AddressInfo).port;
const run = async (node: string, ...argv: string[]) => (await nodes.exec(node, argv)).stdout.trim();

/** Processes of this machine that name `text` in their arguments. */
const processesOf = (text: string) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
      } catch {
        return false;
      }
    });

test('nodes have the volume groups and the bare disks that were asked for', async () => {
  assert.deepEqual((await run('server1', 'vgs', '--noheadings', '-o', 'vg_name')).split(/\s+/), ['fast-1', 'lvm-1']);
  assert.equal(await run('server2', 'vgs', '--noheadings', '-o', 'vg_name'), 'lvm-2');
  assert.equal(await run('server1', 'blockdev', '--getsize64', '/dev/ubdc'), String(64 * 2 ** 20));
});

test('a command that fails rejects with what it said, or answers when asked to', async () => {
  await assert.rejects(
    nodes.exec('server1', ['lvs', 'lvm-1/none']),
    /server1: lvs lvm-1\/none: exit code 5: .*Failed to find/s,
  );
  assert.equal((await nodes.exec('server1', ['sh', '-c', 'cat; exit 3'], { stdin: 'in', reject: false })).code, 3);
  await assert.rejects(nodes.exec('server1', ['sleep', '60'], { timeout: 200 }), /SIGKILL/);
  await assert.rejects(nodes.spawn('server1', ['no-such-command']), /ENOENT/);
});

test('the shared folder is the same on both sides and stays up to date', async () => {
  const file = join(nodes.share, 'note');
  for (const text of ['first', 'second']) {
    await writeFile(file, text);
    assert.equal(await run('server1', 'cat', file), text);
  }
  await run('server2', 'sh', '-c', `echo from server2 >'${file}'`);
  assert.equal(await readFile(file, 'utf8'), 'from server2\n');
});

test('nodes reach forwarded ports of this machine, and are reached through a socket for each port', async () => {
  const fetched = await run(
    'server1',
    process.execPath,
    '-e',
    `fetch('http://${gateway}:${outsidePort()}').then(async (r) => console.log(await r.text()))`,
  );
  assert.equal(fetched, 'hello from outside');
  await run('server1', 'lvcreate', '-qq', '-y', '-L', '32M', '-n', 'exported', 'lvm-1');
  await run(
    'server1',
    'qemu-nbd',
    '--fork',
    '-f',
    'raw',
    '-r',
    '-t',
    '-e',
    '2',
    '-x',
    'v',
    '-b',
    '0.0.0.0',
    '-p',
    String(nbd),
    '/dev/lvm-1/exported',
  );
  const { stdout } = await execa('nbdinfo', ['--size', `nbd+unix:///v?socket=${nodes.socket('server1', nbd)}`]);
  assert.equal(stdout, String(32 * 2 ** 20));
  assert.equal(await run('server2', 'nbdinfo', '--size', `nbd://server1:${nbd}/v`), stdout);
});

test('a spawned process runs on until it is killed, with its children, and leaves no zombie', async () => {
  const log = join(nodes.share, 'spawned.log');
  const pid = await nodes.spawn('server1', ['sh', '-c', 'echo "$GREETING"; (sleep 600 &) ; sleep 600'], {
    env: { GREETING: 'hello' },
    log,
  });
  while ((await readFile(log, 'utf8')) !== 'hello\n') await sleep(20);
  assert.equal(await nodes.kill('server1', pid, 'SIGTERM'), true);
  assert.equal(await nodes.kill('server1', pid), true, 'one that is gone is no error');
  assert.equal(await run('server1', 'sh', '-c', 'cat /proc/[0-9]*/status | grep -c "^State:.*zombie" || true'), '0');
});

test('a logical volume survives a loss of power, unflushed data in memory does not', async () => {
  await run('server2', 'lvcreate', '-qq', '-y', '-L', '32M', '-n', 'kept', 'lvm-2');
  await run('server2', 'sh', '-c', 'echo durable | dd of=/dev/lvm-2/kept conv=fsync,notrunc status=none');
  await run('server2', 'sh', '-c', 'echo lost >/tmp/lost');
  const cut = assert.rejects(nodes.exec('server2', ['sleep', '60']), /server2 does not answer/);
  await sleep(200);
  await nodes.powerOff('server2');
  await cut;
  await nodes.powerOn('server2');
  assert.equal(await run('server2', 'sh', '-c', 'dd if=/dev/lvm-2/kept bs=8 count=1 status=none'), 'durable');
  await assert.rejects(nodes.exec('server2', ['cat', '/tmp/lost']), /No such file/);
});

test('a node whose first program ends is told of at once, with its own last words', async () => {
  const other = await mkdtemp(join(tmpdir(), 'ferry-test-'));
  const init = join(other, 'init.sh');
  await writeFile(init, '#!/bin/sh\nno-such-insmod overlay.ko\nexec /nowhere/sh\n', { mode: 0o755 });
  try {
    await assert.rejects(startNodes({ directory: other, init, nodes: [{ name: 'broken', volumeGroups: [] }] }), {
      name: 'NodesUnavailable',
      message: /broken did not start: .*no-such-insmod: not found.*kernel panicked: Attempted to kill init/,
    });
  } finally {
    await rm(other, { recursive: true, force: true });
  }
});

test('who talks to a node when its kernel panics hears why, and it comes back with the power', async () => {
  const cut = assert.rejects(nodes.exec('server2', ['sleep', '600']), {
    name: 'NodesUnavailable',
    message: /server2 died: .*kernel panicked: sysrq triggered crash/,
  });
  await nodes
    .spawn('server2', ['sh', '-c', 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger'])
    .catch(() => {});
  await cut;
  await nodes.powerOn('server2');
  assert.equal(await run('server2', 'hostname'), 'server2');
});

test('a frozen node answers nothing until it is thawed', async () => {
  await nodes.freeze('server2');
  let answered = false;
  const answer = run('server2', 'hostname').then((name) => {
    answered = true;
    return name;
  });
  await sleep(500);
  assert.equal(answered, false);
  await nodes.thaw('server2');
  assert.equal(await answer, 'server2');
});

test('faults under a live volume show and heal', async () => {
  await run('server1', 'lvcreate', '-qq', '-y', '-L', '32M', '-n', 'faulty', 'lvm-1');
  const device = '/dev/lvm-1/faulty';
  const read = (block: number) =>
    nodes.exec(
      'server1',
      ['dd', `if=${device}`, 'of=/dev/null', 'bs=4096', 'count=1', 'iflag=direct', `skip=${block}`],
      { reject: false },
    );
  const fault = (kind: Fault) => nodes.fault('server1', 'lvm-1', 'faulty', kind);

  await fault({ kind: 'error-at', byte: 10 * 4096 });
  assert.equal((await read(9)).code, 0);
  assert.match((await read(10)).stderr, /Input\/output error/);
  assert.equal((await read(11)).code, 0);
  await fault({ kind: 'error' });
  assert.match((await read(0)).stderr, /Input\/output error/);
  await fault({ kind: 'drop-writes' });
  await run(
    'server1',
    'sh',
    '-c',
    `echo vanishes | dd of=${device} bs=4096 conv=sync,notrunc oflag=direct status=none`,
  );
  await fault({ kind: 'delay', milliseconds: 5 });
  await fault({ kind: 'flakey', goodSeconds: 60 });
  assert.equal((await read(0)).code, 0);
  await fault({ kind: 'hang' });
  const hanging = read(0);
  await fault({ kind: 'heal' });
  assert.equal((await hanging).code, 0);
  assert.equal(await run('server1', 'sh', '-c', `head -c 8 ${device} | tr '\\0' .`), '........');
  await fault({ kind: 'heal' });
});

test('thin pools work', async () => {
  await run('server1', 'lvcreate', '-qq', '-y', '--type', 'thin-pool', '-L', '64M', '-n', 'pool', 'fast-1');
  await run('server1', 'lvcreate', '-qq', '-y', '-V', '1G', '-T', 'fast-1/pool', '-n', 'thin');
  assert.equal(await run('server1', 'blockdev', '--getsize64', '/dev/fast-1/thin'), String(2 ** 30));
});

test('nodes of a process that is killed go with it, and so do their files', async () => {
  const other = await mkdtemp(join(tmpdir(), 'ferry-test-'));
  const script = `
    import { startNodes } from ${JSON.stringify(join(import.meta.dirname, '../../testbed/nodes.ts'))};
    const nodes = await startNodes({ directory: ${JSON.stringify(other)}, nodes: [{ name: 'alone', volumeGroups: [] }] });
    console.log(nodes.socket('alone', 7000));
    await new Promise(() => setInterval(() => {}, 1000));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const socket = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (data) => resolve(String(data).trim()));
    child.once('exit', () => reject(new Error('the process ended before its nodes ran')));
  });
  const runtime = join(socket, '..');
  assert.notEqual(processesOf(runtime).length, 0);
  child.kill('SIGKILL');
  for (let tries = 0; tries < 1000 && processesOf(runtime).length; tries++) await sleep(20);
  assert.deepEqual(processesOf(runtime), []);
  await assert.rejects(readdir(runtime), /ENOENT/);
  assert.deepEqual(
    (await readdir(other)).filter((name) => name.startsWith('disks')),
    [],
  );
  await rm(other, { recursive: true, force: true });
});

test('after stop nothing runs and no disk or socket is left', async () => {
  const runtime = join(nodes.socket('server1', nbd), '..');
  await nodes.stop();
  await nodes.stop();
  assert.deepEqual(processesOf(runtime), []);
  await assert.rejects(readdir(runtime), /ENOENT/);
  assert.deepEqual((await readdir(directory)).toSorted(), ['server1.console.log', 'server2.console.log', 'share']);
  await assert.rejects(nodes.exec('server1', ['true']), /server1 does not answer/);
  await assert.rejects(nodes.powerOn('server1'), /stopped/);
});
