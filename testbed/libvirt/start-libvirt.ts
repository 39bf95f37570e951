import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { systemPath } from '../requirements.ts';
import { type DaemonSettings, socketFolder, writeDaemonFiles } from './daemon-files.ts';

export interface PrivateLibvirt {
  /** What `virsh --connect` takes. */
  readonly uri: string;
  /** Everything it writes is in here; gone after `stop`. */
  readonly folder: string;
  /** Kills libvirtd as a crash does. Guests go on running; nobody answers at `uri`. */
  crash(): Promise<void>;
  /** Starts libvirtd again on what the last one left, and waits until it answers. */
  restart(): Promise<void>;
  /** Ends libvirtd and all guests, and removes the folder. May be repeated. */
  stop(): Promise<void>;
}

/**
 * Starts a libvirtd of our own, in namespaces of its own: as root in system mode, so that it may open block devices; as an
 * ordinary user in session mode, with no rights at all. It never meets a libvirt of the machine. It ends with the process
 * that started it, however that one ends. Its guests' disks are reached over this machine's network, or that of `network` (`nsenter`'s arguments).
 * Guests migrate live only between two that have a `hostName` of their own each.
 *
 * @throws Error when a program is missing or the daemon does not answer, with its last words.
 */
export async function startLibvirt(
  options: { tlsFolder?: string; patienceMs?: number; network?: readonly string[]; hostName?: string } = {},
): Promise<PrivateLibvirt> {
  const settings: DaemonSettings = {
    // A short name: a guest's monitor socket lies deep inside, and a socket's path has 107 bytes at most.
    folder: await mkdtemp(join(tmpdir(), 'ferry-hv-')),
    mode: process.getuid?.() === 0 ? 'system' : 'session',
    tlsFolder: options.tlsFolder ?? null,
  };
  await writeDaemonFiles(settings);
  const { folder, mode } = settings;
  const uri = `qemu:///${mode}?socket=${join(socketFolder(settings), 'libvirt-sock')}`;
  const room = openRoom(settings, options.network ?? null, options.hostName ?? null);
  const patienceMs = options.patienceMs ?? 240_000;
  const libvirt: PrivateLibvirt = {
    uri,
    folder,
    async crash() {
      await room.order('crash');
    },
    async restart() {
      await room.order('start');
      await answers(uri, patienceMs, async () => {
        if ((await room.order('look')) === 'gone') throw new Error(`libvirtd has ended: ${await lastWords(folder)}`);
      });
    },
    stop: () => room.close(),
  };
  try {
    await libvirt.restart();
  } catch (error) {
    await libvirt.stop();
    throw error;
  }
  return libvirt;
}

/** The namespaces, with room.sh as their first process. Its standard input is its life line. */
function openRoom({ folder, mode }: DaemonSettings, network: readonly string[] | null, hostName: string | null) {
  const namespaces = [
    ...(mode === 'system' ? [] : ['--user', '--map-current-user']),
    ...(hostName === null ? [] : ['--uts']),
  ];
  const [program, ...inNetwork] = network ? ['nsenter', ...network, '--', 'unshare'] : ['unshare'];
  const child = spawn(
    program,
    [
      ...inNetwork,
      ...namespaces,
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--',
      'bash',
      join(import.meta.dirname, 'room.sh'),
      folder,
      mode,
      hostName ?? '',
    ],
    // A group of its own: Ctrl-C is for the one who started us to answer, by stopping.
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...process.env, PATH: systemPath, LC_ALL: 'C' } },
  );
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints = (complaints + text).slice(-4000)));
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').catch((error: unknown) => (complaints += String(error)));
  const lines = createInterface({ input: child.stdout });
  let last: Promise<unknown> = Promise.resolve();

  async function obey(order: string): Promise<string> {
    const answer = once(lines, 'line');
    child.stdin.write(`${order}\n`);
    const said = await Promise.race([answer, ended]);
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      throw new Error(
        `The private libvirt's namespaces are not there: ${complaints.trim() || 'they have been closed'}`,
      );
    }
    return String(said);
  }
  return {
    order(order: 'start' | 'crash' | 'look'): Promise<string> {
      const turn = last.then(() => obey(order));
      last = turn.catch(() => {});
      return turn;
    },
    async close(): Promise<void> {
      child.stdin.end();
      await ended;
    },
  };
}

async function answers(uri: string, patienceMs: number, check: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const { exitCode, stderr } = await execa('virsh', ['-q', '-c', uri, 'list', '--name'], {
      reject: false,
      timeout: 40_000,
      env: { LC_ALL: 'C', PATH: systemPath },
    });
    if (exitCode === 0) return;
    await check();
    if (Date.now() > deadline) throw new Error(`libvirtd does not answer: ${stderr.trim()}`);
    await sleep(100);
  }
}

async function lastWords(folder: string): Promise<string> {
  const said = await Promise.all(
    ['libvirtd.out', 'libvirtd.log'].map((name) => readFile(join(folder, name), 'utf8').catch(() => '')),
  );
  return said.join('\n').trim().slice(-2000);
}
