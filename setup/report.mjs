import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemPath } from './find-program.mjs';

/** The checkout. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Thrown when the machine cannot be made ready; the message says what the user should do. */
export class NotReady extends Error {}

/** Thrown when what the user asked for is not there; the message says what is. */
export class WrongUsage extends NotReady {}

/**
 * Says what is about to happen and how long it may take.
 * @param {string} text
 */
export function announce(text) {
  console.error(`setup: ${text}`);
}

/**
 * Runs a program; whether it went well. What it says is shown only if it did not.
 * @param {string} program
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, timeoutSeconds?: number, folder?: string }} [options]
 */
export function runs(program, args, { env = {}, timeoutSeconds = 1800, folder = root } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, PATH: systemPath, ...env },
    timeout: timeoutSeconds * 1000,
  });
  if (status === 0) return true;
  const lines = `${stdout ?? ''}${stderr ?? ''}${error ? String(error) : ''}`.trim().split('\n');
  console.error(lines.slice(-40).join('\n'));
  return false;
}
