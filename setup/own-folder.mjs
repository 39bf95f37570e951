import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeFolder } from './remove-folder.mjs';

/** Short: a guest's monitor socket lies deep inside, and a socket's path has 107 bytes at most. */
const prefix = 'ferry-';

/**
 * A temporary folder for a run of the demo or the tests, and a word in the environment by which all that it starts is known. When this
 * process ends, however it does, what still runs is killed, and the folder removed: see sweep-up.mjs.
 * @param {NodeJS.ProcessEnv} env
 * @returns {{ env: NodeJS.ProcessEnv, sweepUp: () => Promise<void> }} `sweepUp` resolves when nothing is left.
 */
export function ownFolder(env) {
  removeStale();
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  // What gives up root finds its own folder inside; only root lists what is there.
  chmodSync(folder, 0o711);
  const program = join(import.meta.dirname, 'sweep-up.mjs');
  // A session of its own: a Ctrl-C in the terminal is not for it.
  const sweeper = spawn(process.execPath, [program, folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
    env: { ...env, FERRY_RUN: '' },
  });
  sweeper.stdin.on('error', () => {});
  const ended = once(sweeper, 'exit');
  return {
    env: { ...env, TMPDIR: folder, FERRY_RUN: folder },
    async sweepUp() {
      sweeper.stdin.end();
      await ended;
    },
  };
}

/** @param {number} pid */
function isThere(pid) {
  return existsSync(`/proc/${pid}`);
}

/** Removes folders of runs whose process is gone and that nobody swept up after, as when the machine went down. */
function removeStale() {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = new RegExp(`^${prefix}(\\d+)-`).exec(name) ?? [];
    if (!pid || isThere(Number(pid))) continue;
    try {
      removeFolder(join(tmpdir(), name));
    } catch {
      // Another user's.
    }
  }
}
