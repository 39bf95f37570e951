import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  link,
  mkdir,
  mkdtemp,
  mkdtempDisposable,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDirectoryDriver } from '../../../../activities/storage/directory/directory-driver.ts';
import { foreignUsers } from '../../../../activities/storage/device-users.ts';
import type { VolumeDriver } from '../../../../activities/storage/driver.ts';
import { runCommand } from '../../../../activities/storage/run-command.ts';
import { driverConformance, refuses } from '../driver-conformance.ts';

const mib = 1024 ** 2;

driverConformance('directory', async () => {
  const path = await mkdtemp(join(tmpdir(), 'ferry-directory-'));
  return {
    driver: createDirectoryDriver({ path, capacityBytes: 128 * mib }),
    gone: createDirectoryDriver({ path: join(path, 'not-there') }),
    run: runCommand,
    unitBytes: 4 * mib,
    makeForeign: async (name, sizeBytes) => {
      await mkdir(join(path, 'volumes'), { recursive: true });
      await writeFile(join(path, 'volumes', name), '', { flag: 'wx' });
      await truncate(join(path, 'volumes', name), sizeBytes);
    },
    removeForeign: (name) => rm(join(path, 'volumes', name)),
    holdOpen: async (file) => {
      const handle = await open(file);
      return () => handle.close();
    },
    close: () => rm(path, { recursive: true }),
  };
});

describe('a directory back end', () => {
  const tags = ['ferry.volume=v1'];
  const [mine] = tags as [string];
  const sizeBytes = 4 * mib;
  let path: string;
  let driver: VolumeDriver;
  const volume = () => join(path, 'volumes', 'volume-1');
  const tagFile = () => join(path, 'tags', 'volume-1.json');
  const staging = '.ferry-staging';
  const staged = () => join(path, staging, `volume-1~${randomUUID()}`);

  before(async () => {
    path = await mkdtemp(join(tmpdir(), 'ferry-directory-'));
    driver = createDirectoryDriver({ path, capacityBytes: 64 * mib });
    await driver.create({ name: 'warm-up', sizeBytes, tags, zero: false });
    await driver.delete('warm-up', { tags: [mine] });
  });
  afterEach(async () => {
    for (const folder of ['volumes', 'tags', staging]) {
      for (const name of await readdir(join(path, folder))) await rm(join(path, folder, name), { recursive: true });
    }
  });
  after(() => rm(path, { recursive: true }));

  const make = () => driver.create({ name: 'volume-1', sizeBytes, tags, zero: false });
  async function leftovers(): Promise<string[]> {
    return (await Promise.all(['tags', staging].map((folder) => readdir(join(path, folder))))).flat();
  }

  /** Every state that a crash can leave, made from a whole device as `create` and `delete` would pass through it. */
  const crashes: Record<string, { there: boolean; leave: () => Promise<void> }> = {
    'create, after the file was staged': {
      there: false,
      leave: async () => {
        await rename(volume(), staged());
        await rm(tagFile());
      },
    },
    'create, while the tags were written': {
      there: false,
      leave: async () => {
        await rename(volume(), staged());
        await rename(tagFile(), `${tagFile()}~`);
      },
    },
    'create, after the tags were written': { there: false, leave: () => rename(volume(), staged()) },
    'create, after the device appeared': { there: true, leave: () => link(volume(), staged()) },
    'delete, after the device disappeared': { there: false, leave: () => rename(volume(), staged()) },
    'delete, after the tags were removed': {
      there: false,
      leave: async () => {
        await rename(volume(), staged());
        await rm(tagFile());
      },
    },
  };

  for (const [moment, { there, leave }] of Object.entries(crashes)) {
    test(`a crash in ${moment}, leaves nothing that a repeated create or delete minds`, async () => {
      for (const repeat of ['create', 'delete'] as const) {
        await make();
        await leave();
        const found = await driver.find('volume-1');
        assert.deepEqual(found?.tags, there ? tags : undefined, 'a device is never seen without its tags');
        if (repeat === 'create') {
          assert.equal((await make()).readsZero, !there);
          assert.deepEqual((await driver.find('volume-1'))?.tags, tags);
        }
        await driver.delete('volume-1', { tags: [mine] });
        assert.equal(await driver.find('volume-1'), null);
        assert.deepEqual(await leftovers(), []);
      }
    });

    if (there) continue;
    test(`a crash in ${moment}, does not make a later stranger ours`, async () => {
      await make();
      await leave();
      await writeFile(volume(), 'precious');
      assert.deepEqual((await driver.find('volume-1'))?.tags, []);
      await refuses(make(), 'DeviceExists');
      await refuses(driver.delete('volume-1', { tags: [mine] }), 'NotOwned');
      assert.equal((await stat(volume())).size, 8);
    });
  }

  test('a process killed at any moment leaves only whole devices with their tags', async () => {
    const busy = join(import.meta.dirname, 'create-and-delete.ts');
    for (let round = 0; round < 12; round += 1) {
      const child = fork(busy, [path], { execArgv: ['--disable-warning=ExperimentalWarning'] });
      const ended = once(child, 'exit');
      await once(child, 'message');
      const watch = sleep(5 + round * 7);
      do {
        for (const device of await driver.list()) assert.deepEqual(device.tags, tags);
      } while (!(await Promise.race([watch.then(() => true), sleep(1).then(() => false)])));
      child.kill('SIGKILL');
      await ended;
      for (const device of await driver.list()) {
        assert.deepEqual(device.tags, tags);
        assert.equal(device.sizeBytes, sizeBytes);
        await driver.delete(device.name, { tags: [mine] });
      }
      await make();
      await driver.delete('volume-1', { tags: [mine] });
      assert.deepEqual(await readdir(join(path, staging)), []);
    }
  });

  test('a new device reads as zeros and takes no room until it is written', async () => {
    const made = await make();
    assert.equal(made.readsZero, true);
    assert.equal((await stat(made.path)).blocks, 0);
  });

  test('a device that a server exports is in use', async () => {
    const { path: file } = await make();
    const pidFile = join(path, 'server.pid');
    const socket = join(path, 'nbd.sock');
    await runCommand([
      'qemu-nbd',
      '--fork',
      '--persistent',
      '--format=raw',
      '--read-only',
      `--socket=${socket}`,
      `--pid-file=${pidFile}`,
      '--',
      file,
    ]);
    const pid = Number((await runCommand(['cat', pidFile])).stdout);
    try {
      await refuses(driver.delete('volume-1', { tags: [mine] }), 'DeviceInUse');
    } finally {
      process.kill(pid);
      while (await stat(`/proc/${pid}`).catch(() => null)) await sleep(10);
    }
    await driver.delete('volume-1', { tags: [mine] });
  });

  test('a device that shared its bytes goes while they are used under their other name', async () => {
    const elsewhere = join(path, 'elsewhere');
    await mkdir(elsewhere);
    const other = createDirectoryDriver({ path: elsewhere, capacityBytes: 64 * mib });
    const shared = await other.share({ name: 'volume-1', sizeBytes, tags }, await make());
    assert.ok(shared);
    {
      await using user = await open(shared.path, 'r+');
      await user.write('in use');
      await driver.delete('volume-1', { tags: [mine] });
      assert.equal(await driver.find('volume-1'), null);
      await refuses(other.delete('volume-1', { tags: [mine] }), 'DeviceInUse');
    }
    assert.equal((await other.find('volume-1'))?.sizeBytes, sizeBytes);
    await rm(elsewhere, { recursive: true });
  });

  test('a link or folder in a device’s place is a stranger', async () => {
    const secret = join(path, 'secret');
    await writeFile(secret, 'precious');
    for (const place of [() => symlink(secret, volume()), () => mkdir(volume())]) {
      await place();
      await refuses(make(), 'DeviceExists');
      await refuses(driver.delete('volume-1', { tags: [mine] }), 'NotOwned');
      await rm(volume(), { recursive: true });
    }
    assert.equal((await stat(secret)).size, 8);
  });

  test('who has a file open, or holds a lock on it, is told by name; Ferry’s own readers are not', async () => {
    const { path: file } = await make();
    const users = async () => foreignUsers((await driver.surroundings('volume-1'))?.users ?? []);
    const writer = spawn('sh', ['-c', 'exec 3<>"$0"; echo; exec sleep 60', file], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(writer.stdout, 'data');
      assert.match((await users()).join(), new RegExp(`^process ${writer.pid} \\((sh|sleep)\\)$`));
    } finally {
      writer.kill('SIGKILL');
      await once(writer, 'exit');
    }
    for (const access of ['--read-only', '--cache=none']) {
      const server = spawn('qemu-nbd', ['--format=raw', access, `--socket=${join(path, 'nbd.sock')}`, file]);
      try {
        while (!(await stat(join(path, 'nbd.sock')).catch(() => null))) await sleep(10);
        assert.deepEqual(await users(), access === '--read-only' ? [] : [`process ${server.pid} (qemu-nbd)`]);
      } finally {
        server.kill('SIGKILL');
        await once(server, 'exit');
        await rm(join(path, 'nbd.sock'), { force: true });
      }
    }
  });

  /** As where a file cannot be made immutable: then only its permissions change. */
  async function withoutChattr(action: () => Promise<void>): Promise<void> {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'ferry-programs-'));
    await writeFile(join(folder.path, 'chattr'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const programs = process.env['PATH'];
    process.env['PATH'] = `${folder.path}:${programs}`;
    try {
      await action();
    } finally {
      process.env['PATH'] = programs;
    }
  }

  test('a write to a held file shows in its time of change', async () => {
    const { path: file } = await make();
    const lastWrite = async () => (await driver.surroundings('volume-1'))?.lastWrite;
    {
      await using writer = await open(file, 'r+');
      await withoutChattr(() => driver.hold('volume-1', { tags: [mine] }, 'm1'));
      const before = await lastWrite();
      assert.equal(await lastWrite(), before);
      await writer.write('open before it was held');
      assert.notEqual(await lastWrite(), before);
    }
    await driver.delete('volume-1', { tags: [mine] });
  });

  test('what somebody else made read-only is not marked, and stays so', async () => {
    const { path: file } = await make();
    await runCommand(['chattr', '+i', '--', file]);
    try {
      await driver.hold('volume-1', { tags: [mine] }, 'm1');
      await driver.release('volume-1', 'm1');
      await driver.makeReady('volume-1');
      await assert.rejects(open(file, 'r+'), { code: 'EPERM' });
      assert.deepEqual((await driver.find('volume-1'))?.tags, tags);
    } finally {
      await runCommand(['chattr', '-i', '--', file]);
    }
  });

  /** What Ferry did not make, in every folder of its own and beside them; each with what it must still hold. */
  const foreign = [
    ['staging', 'volume-1~x'],
    ['staging', 'backup.img'],
    ['.ferry-staging', 'volume-1~x'],
    ['.ferry-staging', 'backup.img'],
    ['.ferry-staging', '~0d5a0f7e-61c1-4b0e-8f0e-3b3a3b1f6c11'],
    ['.ferry-staging', 'not a device~0d5a0f7e-61c1-4b0e-8f0e-3b3a3b1f6c11'],
    ['tags', 'notes.txt'],
    ['tags', 'volume-9.json'],
    ['volumes', 'disk.img'],
  ] as const;

  test('files that it did not make stay, whatever is made and deleted beside them', async () => {
    const fresh = join(path, 'used-before');
    for (const [folder, name] of foreign) {
      await mkdir(join(fresh, folder), { recursive: true });
      await writeFile(join(fresh, folder, name), `precious ${name}`);
    }
    const staged = 'volume-1~0d5a0f7e-61c1-4b0e-8f0e-3b3a3b1f6c11';
    await mkdir(join(fresh, '.ferry-staging', staged));
    const other = createDirectoryDriver({ path: fresh, capacityBytes: 64 * mib });
    await other.create({ name: 'volume-1', sizeBytes, tags, zero: false });
    await other.delete('volume-1', { tags: [mine] });
    for (const [folder, name] of foreign)
      assert.equal(await readFile(join(fresh, folder, name), 'utf8'), `precious ${name}`);
    assert.ok((await stat(join(fresh, '.ferry-staging', staged))).isDirectory());
    assert.deepEqual(
      (await other.list()).map(({ name }) => name),
      ['disk.img'],
    );
    await rm(fresh, { recursive: true });
  });

  test('a stranger with a file of its name among the tags is a stranger, and keeps that file when it is managed', async () => {
    await writeFile(volume(), 'x'.repeat(512));
    await writeFile(tagFile(), 'the operator’s own notes');
    assert.deepEqual((await driver.find('volume-1'))?.tags, []);
    await driver.adopt('volume-1', 'volume-2', tags);
    assert.deepEqual((await driver.find('volume-2'))?.tags, tags);
    assert.equal(await readFile(tagFile(), 'utf8'), 'the operator’s own notes');
  });

  test('without a configured capacity it is the file system’s, less what sparse devices were promised', async () => {
    const whole = createDirectoryDriver({ path });
    const before = await whole.capacity();
    await whole.create({ name: 'volume-1', sizeBytes: 2 ** 30, tags, zero: false });
    const after = await whole.capacity();
    assert.equal(after.totalBytes, before.totalBytes);
    // Others write to this file system at the same time: the promise is far more than they do.
    assert.ok(before.freeBytes - after.freeBytes > 2 ** 29);
    await refuses(
      whole.create({ name: 'volume-2', sizeBytes: Math.ceil(before.totalBytes / mib) * mib, tags, zero: false }),
      'InsufficientSpace',
    );
  });

  test('a file in the folder’s place is no back end', async () => {
    const file = join(path, 'a-file');
    await writeFile(file, '');
    await refuses(createDirectoryDriver({ path: file }).list(), 'BackEndUnavailable');
  });
});
