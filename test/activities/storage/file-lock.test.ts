import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withFileLock, withNamedLock } from '../../../activities/storage/file-lock.ts';

describe('a lock on a file', () => {
  let folder: string;
  const file = () => join(folder, 'lock');
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'ferry-lock-'))));
  after(() => rm(folder, { recursive: true }));

  /** A process of its own that takes the lock and keeps it. */
  async function holder() {
    const child = fork(join(import.meta.dirname, 'hold-lock.ts'), [file()], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    await once(child, 'message');
    return child;
  }

  test('lets one in at a time', async () => {
    let inside = 0;
    const done = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        withFileLock(file(), async () => {
          inside += 1;
          assert.equal(inside, 1);
          await sleep(5);
          inside -= 1;
          return i;
        }),
      ),
    );
    assert.deepEqual(done, [0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test('is let go when the action fails', async () => {
    await assert.rejects(
      withFileLock(file(), () => Promise.reject(new Error('failed'))),
      /failed/,
    );
    assert.equal(await withFileLock(file(), async () => 'in'), 'in');
  });

  test('is let go when its process is killed', async () => {
    const child = await holder();
    const waiting = withFileLock(file(), async () => 'in');
    child.kill('SIGKILL');
    assert.equal(await waiting, 'in');
  });

  test('is not waited for after a cancel', async () => {
    const child = await holder();
    const controller = new AbortController();
    const waiting = withFileLock(file(), async () => assert.fail('must not get in'), controller.signal);
    await sleep(50);
    controller.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('is kept to the end of an action that is cancelled', async () => {
    const controller = new AbortController();
    const order: string[] = [];
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const first = withFileLock(
      file(),
      async () => {
        begin();
        controller.abort();
        await sleep(50);
        order.push('first');
      },
      controller.signal,
    );
    await begun;
    await Promise.all([first, withFileLock(file(), async () => order.push('second'))]);
    assert.deepEqual(order, ['first', 'second']);
  });

  test('that cannot be taken is told with the cause', async () => {
    await assert.rejects(
      withFileLock(join(folder, 'no', 'folder'), async () => {}),
      { type: 'ToolFailed', message: /no such file/ },
    );
  });

  test('of one name lets in whoever wants that of any other', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `group/volume-${i}`);
    const { promise: allInside, resolve: letGo } = Promise.withResolvers<void>();
    let inside = 0;
    const enter = async () => {
      inside += 1;
      if (inside === names.length) letGo();
      await allInside;
    };
    await Promise.all(names.map((name) => withNamedLock(join(folder, 'named'), name, enter)));
    assert.equal(inside, names.length);
  });

  test('of a name leaves no file, also when the action fails', async () => {
    const named = join(folder, 'gone');
    await Promise.all(['a', 'a', 'b', 'c/d'].map((name) => withNamedLock(named, name, async () => {})));
    await assert.rejects(
      withNamedLock(named, 'e', () => Promise.reject(new Error('failed'))),
      /failed/,
    );
    assert.deepEqual(await readdir(named), []);
  });

  test('of a name lets one in at a time, though each one who leaves removes its file', async () => {
    const [named, counter, times] = [join(folder, 'counted'), join(folder, 'counter'), 40];
    await writeFile(counter, '0');
    const counting = Array.from({ length: 4 }, () =>
      fork(join(import.meta.dirname, 'count-under-lock.ts'), [named, counter, String(times)]),
    );
    const ends = await Promise.all(counting.map((child) => once(child, 'exit')));
    assert.deepEqual(
      ends.map(([code]) => code),
      [0, 0, 0, 0],
    );
    assert.equal(await readFile(counter, 'utf8'), String(counting.length * times));
    assert.deepEqual(await readdir(named), []);
  });
});
