import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

describe('a private libvirt', { timeout: 120_000 }, () => {
  it('goes with its guest and its files when it is stopped', async () => {
    const { child, folder } = await runWithGuest();
    child.stdin!.end();
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.equal(await exists(folder), false);
    assert.deepEqual(await processesOf(folder), []);
  });

  it('goes with its guest and its files when the one who started it is killed', async () => {
    const { child, folder } = await runWithGuest();
    assert.notDeepEqual(await processesOf(folder), []);
    child.kill('SIGKILL');
    for (let tries = 0; (await exists(folder)) || (await processesOf(folder)).length > 0; tries += 1) {
      assert.ok(tries < 100, `still there: ${(await processesOf(folder)).join('; ')}`);
      await sleep(100);
    }
  });
});

/** A process that starts a libvirt and a guest on it, and stops them when its standard input ends. */
async function runWithGuest(): Promise<{ child: ChildProcess; folder: string }> {
  const program = join(import.meta.dirname, 'run-guest.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const said: unknown[] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    once(child, 'exit'),
  ]);
  assert.equal(typeof said[0], 'string', 'the guest does not start');
  return { child, folder: String(said[0]) };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function processesOf(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
  return lines.filter((line) => line.includes(folder));
}
