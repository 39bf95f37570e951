import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { exitCodeOf, runCommand } from '../../../activities/storage/run-command.ts';
import { FerryError } from '../../../model/errors.ts';

describe('running a program', () => {
  let folder: string;
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'ferry-run-'))));
  after(() => rm(folder, { recursive: true }));

  const pidFile = () => join(folder, 'pid');
  /** Says its pid in a file, then does not answer TERM until `seconds` later. */
  const stubborn = (seconds: number): [string, ...string[]] => [
    'sh',
    '-c',
    `trap 'sleep ${seconds}; echo ended >>"$0"; exit 0' TERM; echo $$ >"$0"; while :; do sleep 0.05; done`,
    pidFile(),
  ];
  async function started(): Promise<number> {
    for (;;) {
      const text = await readFile(pidFile(), 'utf8').catch(() => '');
      if (text.endsWith('\n')) return Number(text);
      await sleep(10);
    }
  }

  test('answers with what it printed', async () => {
    assert.deepEqual(await runCommand(['printf', '%s', 'a\nb']), { stdout: 'a\nb' });
  });

  test('hands each argument over as it is', async () => {
    const args = ['$(id)', '; id', '*', '', ' a  b ', '"', "'"];
    assert.equal((await runCommand(['printf', '<%s>', ...args])).stdout, args.map((a) => `<${a}>`).join(''));
  });

  test('speaks one language', async () => {
    assert.equal((await runCommand(['sh', '-c', 'echo $LC_ALL'])).stdout, 'C');
  });

  test('tells program, exit code and last words of a failure', async () => {
    await assert.rejects(
      runCommand(['sh', '-c', 'yes long | head -c 9000 >&2; echo "no room" >&2; exit 5']),
      (error) => {
        assert.ok(error instanceof FerryError);
        assert.equal(error.type, 'ToolFailed');
        assert.equal(error.message, 'sh failed (exit code 5): no room');
        assert.equal(error.details['program'], 'sh');
        assert.ok((error.details['stderr'] as string).length <= 4096);
        assert.equal(exitCodeOf(error), 5);
        return true;
      },
    );
  });

  test('tells a program that is not installed', async () => {
    await assert.rejects(runCommand(['no-such-program']), { type: 'ToolFailed', message: /is it installed/ });
  });

  test('tells a program that was killed', async () => {
    await assert.rejects(runCommand(['sh', '-c', 'kill -9 $$']), { type: 'ToolFailed', message: /SIGKILL/ });
  });

  test('ends a program that takes too long', async () => {
    await assert.rejects(runCommand(['sleep', 'infinity'], { timeoutMs: 50 }), {
      type: 'ToolFailed',
      message: /not finished after 0.05 s/,
    });
  });

  test('ends a program that says too much', async () => {
    await assert.rejects(runCommand(['yes']), { type: 'ToolFailed', message: /bytes of output/ });
  });

  test('waits for the real end of what it cancels', async () => {
    const controller = new AbortController();
    const running = runCommand(stubborn(0.3), { signal: controller.signal });
    const pid = await started();
    controller.abort(new Error('cancelled by the test'));
    await assert.rejects(running, { message: 'cancelled by the test' });
    assert.equal(existsSync(`/proc/${pid}`), false);
    assert.match(await readFile(pidFile(), 'utf8'), /ended/);
    await rm(pidFile());
  });

  test('runs nothing when it is cancelled already', async () => {
    await assert.rejects(runCommand(stubborn(0), { signal: AbortSignal.abort() }), { name: 'AbortError' });
    assert.equal(existsSync(pidFile()), false);
  });

  test('is cancelled with its activity, which then counts as cancelled', async () => {
    const activity = new MockActivityEnvironment();
    const running = activity.run(() => runCommand(['sleep', 'infinity']));
    await sleep(50);
    activity.cancel('CANCELLED');
    await assert.rejects(running, (error) => error instanceof CancelledFailure);
  });
});
