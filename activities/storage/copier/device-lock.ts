import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../../model/errors.ts';

/** An argument that every copier process carries, by which a leftover one is known. */
export const copierMark = 'ferry-copier';

/** What a copier starts on the device itself; these inherit its lock, and may outlive it. */
const tools: ReadonlySet<string> = new Set(['blkdiscard', 'fallocate']);

/** A killed holder whose writes hang in the kernel keeps its lock until they end; that may be long, but not for ever here. */
const patience = 10_000;

export interface DeviceLock {
  /** To hand to a tool that writes to the device: the lock is held until that has ended as well. */
  readonly fd: number;
  release(): void;
}

/**
 * The right to write to a device: at most one process of this machine has it. It is a listening socket in the abstract
 * namespace, which the kernel takes back when the last process that holds it has ended, in-flight writes included.
 *
 * The newest comer wins: whoever holds the lock is an earlier attempt of the same step, left by a worker that died or
 * is suspended. It is killed, and waited for. Throws `DeviceInUse` if it does not end, or is no copier.
 */
export async function lockDevice(identity: string): Promise<DeviceLock> {
  const name = `${copierMark}/${identity}`;
  const deadline = performance.now() + patience;
  for (;;) {
    const lock = await tryLock(name);
    if (lock) return lock;
    const holders = await holdersOf(name);
    if (holders.includes(process.pid)) throw inUse(identity, holders);
    for (const pid of holders) await killIfOurs(pid);
    if (performance.now() > deadline) throw inUse(identity, holders);
    await sleep(20);
  }
}

function inUse(identity: string, pids: readonly number[]): FerryError {
  const who = pids.length > 0 ? `process ${pids.join(', ')}` : 'another process';
  return new FerryError('DeviceInUse', `${who} is still writing to the destination (${identity}) and does not end`, {
    pids,
  });
}

async function tryLock(name: string): Promise<DeviceLock | null> {
  const server = net.createServer((visitor) => visitor.destroy());
  server.listen({ path: `\0${name}` });
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return null;
    throw error;
  }
  server.unref();
  // Node has no public way to a server's descriptor.
  // oxlint-disable-next-line no-underscore-dangle
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  return { fd, release: () => void server.close() };
}

async function holdersOf(name: string): Promise<number[]> {
  const sockets = await readFile('/proc/net/unix', 'utf8');
  const inode = sockets
    .split('\n')
    .map((line) => line.split(/\s+/))
    .find((fields) => fields[7] === `@${name}`)?.[6];
  if (!inode) return [];
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const held = await Promise.all(pids.map((pid) => holds(pid, `socket:[${inode}]`)));
  return pids.filter((_, i) => held[i]).map(Number);
}

async function holds(pid: string, socket: string): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  return targets.includes(socket);
}

async function killIfOurs(pid: number): Promise<void> {
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  if (!argv.includes(copierMark) && !tools.has(path.basename(argv[0] ?? ''))) return;
  try {
    // Works on a stopped process too.
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
