import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemPath } from './find-program.mjs';

/** The checkout. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Thrown when the machine cannot be made ready; the message says what the user should do. */
export class NotReady extends Error {}

/**
 * Says what is about to happen and how long it may take.
 * @param {string} text
 */
export function announce(text) {
  console.error(`setup: ${text}`);
}

/**
 * Runs a program with its output shown; whether it went well.
 * @param {string} program
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, timeoutSeconds?: number }} [options]
 */
export function runs(program, args, { env = {}, timeoutSeconds = 1800 } = {}) {
  const { status } = spawnSync(program, args, {
    cwd: root,
    // What the program says is ours to report: stdout belongs to what is run in the end.
    stdio: ['ignore', 2, 2],
    env: { ...process.env, PATH: systemPath, ...env },
    timeout: timeoutSeconds * 1000,
  });
  return status === 0;
}
