import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../../model/errors.ts';
import { systemCode } from '../system-errors.ts';
import { parseServerCommand, readerName, type ServerSettings } from './server-command.ts';

/** A server that runs. A pid alone does not name a process for long; with its start time it does. */
export interface Server extends ServerSettings {
  readonly pid: number;
  readonly startTime: string;
  /** It tells the digests of what it reads. */
  readonly digests: boolean;
  readonly pidFile: string;
}

/** How long a server may take to answer TERM: it only has to let go of its clients. */
const graceMs = 2000;
/** It mostly has ended within a few milliseconds; looked for after one, and then ever later, up to this. */
const longestPauseMs = 10;
/** After KILL only a device that does not answer can hold a process; then the step is tried again later. */
const killedMs = 30_000;

/** The servers that run for `folder`, as the system knows them: by their command lines, and of this user. */
export async function runningServers(folder: string): Promise<Server[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const named = pids.filter(hasServersName);
  return (await Promise.all(named.map((pid) => serverOf(folder, pid)))).filter((server) => server !== null);
}

/**
 * At once, as the kernel makes it up without waiting for anything: of hundreds of processes promises cost ten times as much. And the name
 * first: reading another process's arguments may wait for its memory.
 */
function hasServersName(pid: number): boolean {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
    return name === 'qemu-nbd' || name === readerName;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

async function serverOf(folder: string, pid: number): Promise<Server | null> {
  const startTime = await startOf(pid);
  if (startTime === null) return null;
  try {
    const owner = await stat(`/proc/${pid}`);
    // Another user's process could carry any arguments.
    if (owner.uid !== process.geteuid!()) return null;
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
    const settings = parseServerCommand(folder, argv);
    // Still starting or already ending: it does not listen, so it serves nobody, but it can be ended like the others.
    return settings && { ...settings, pid, startTime };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** The process's start time; null when it is gone, or has ended and only waits for its parent to notice. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1');
    // "pid (name) state ...": the name may hold anything, also blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, threads, startTime] = [fields[0], Number(fields[17]), fields[19]];
    if (startTime === undefined) return null;
    // Its first thread may have ended before others that still write.
    if ((state === 'Z' || state === 'X') && threads <= 1) return null;
    return startTime;
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

async function isAlive({ pid, startTime }: Server): Promise<boolean> {
  return (await startOf(pid)) === startTime;
}

/** Ends the server and waits for its end. Throws `DeviceInUse` when it hangs on its device. */
export async function endServer(server: Server): Promise<void> {
  for (const [signal, patience] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', killedMs],
  ] as const) {
    if (!(await isAlive(server))) return;
    try {
      process.kill(server.pid, signal);
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error;
    }
    let pause = 1;
    for (const deadline = performance.now() + patience; performance.now() < deadline; await sleep(pause)) {
      if (!(await isAlive(server))) return;
      pause = Math.min(2 * pause, longestPauseMs);
    }
  }
  throw new FerryError(
    'DeviceInUse',
    `the server of export ${server.exportName} (process ${server.pid}) does not end: ${server.path} does not answer`,
    {
      exportName: server.exportName,
      pid: server.pid,
    },
  );
}

/**
 * Whether the server listens on its port. Asked of the system, not by a connection: that would take the one place of a
 * writable export's client.
 */
export async function listens(server: Server): Promise<boolean> {
  return (await socketsOf(server, '0A')).length > 0;
}

/** Who is connected to the server, as `address:port`. */
export async function clientsOf(server: Server): Promise<string[]> {
  return (await socketsOf(server, '01')).map(({ remote }) => readAddress(remote));
}

/** The server's own sockets on its port that are in this state, as the system's table of connections has it. */
async function socketsOf({ pid, port }: Server, state: string): Promise<{ remote: string }[]> {
  try {
    const tables = await Promise.all(
      ['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'latin1').catch(emptyIfMissing)),
    );
    const localPort = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const rows = tables
      .flatMap((table) => table.split('\n'))
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === state && fields[1]?.endsWith(localPort));
    const folder = `/proc/${pid}/fd`;
    const open = await Promise.all(
      (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(emptyIfMissing)),
    );
    return rows
      .filter((fields) => open.includes(`socket:[${fields[9]}]`))
      .map((fields) => ({ remote: fields[2] ?? '' }));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** `address:port` of the system's table: words of four bytes, the lowest first, in hex. */
export function readAddress(text: string): string {
  const [host = '', port = '0'] = text.split(':');
  const words = host.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex')].toReversed());
  const isMapped = bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff;
  const ipv4 = bytes.length === 4 ? bytes : isMapped ? bytes.slice(12) : null;
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return `${ipv4 ? ipv4.join('.') : `[${groups.join(':')}]`}:${Number.parseInt(port, 16)}`;
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '');
}

function emptyIfMissing(error: unknown): string {
  if (isGone(error)) return '';
  throw error;
}
