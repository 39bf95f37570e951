import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
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
      { type: 'ToolFailed', message: /No such file/ },
    );
  });

  test('for a name leaves no file a name', async () => {
    const names = Array.from({ length: 70 }, (_, i) => `volume-${i}`);
    for (let i = 0; i < names.length; i += 10) {
      await Promise.all(
        names.slice(i, i + 10).map((name) => withNamedLock(join(folder, 'named'), name, async () => {})),
      );
    }
    assert.ok((await readdir(join(folder, 'named'))).length <= 64);
  });
});
