// node setup/sweep-up.mjs FOLDER: waits until its standard input is closed, as it is when the process that started it ends, however it
// does; then kills what that one left running and removes the folder. What belongs to it has FERRY_RUN in its environment, or names the
// folder in its arguments.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeFolder } from './remove-folder.mjs';

const [folder = ''] = process.argv.slice(2);
if (!folder.startsWith('/')) throw new Error('usage: sweep-up.mjs FOLDER');
/** After that it is given up: what cannot be killed hangs in the kernel. */
const patienceMs = 20_000;

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => {});
process.stdin
  .resume()
  .on('error', () => {})
  .once('close', sweep);

async function sweep() {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(50)) {
    const left = belongings();
    for (const pid of left) kill(pid);
    if (!left.length && removed()) break;
  }
  process.exit();
}

function belongings() {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid && belongs(pid))
    .map(Number);
}

/** @param {string} pid */
function belongs(pid) {
  return partOf(pid, 'environ').some((each) => isHere(each, 'FERRY_RUN=')) || partOf(pid, 'cmdline').some(namesFolder);
}

/**
 * @param {string} pid
 * @param {'environ' | 'cmdline'} file
 */
function partOf(pid, file) {
  try {
    // A dead one that nobody has waited for has neither.
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').split('\0');
  } catch {
    return []; // It has just ended, or is another user's.
  }
}

/**
 * @param {string} text
 * @param {string} before
 */
function isHere(text, before) {
  return text === `${before}${folder}` || text.startsWith(`${before}${folder}/`);
}

/** @param {string} argument */
function namesFolder(argument) {
  return argument.includes(`${folder}/`);
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

function removed() {
  if (process.env['FERRY_KEEP_STAGE']) return true;
  try {
    removeFolder(folder);
    return true;
  } catch {
    return false; // Something still writes there, or is mounted: it is looked at again.
  }
}
