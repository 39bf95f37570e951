import { join } from 'node:path';
import { execa } from 'execa';
import type { StorageNodes } from '../testbed/nodes.ts';
import { screen } from './screen.ts';

/** The disks of the demo's two nodes, looked at with ordinary tools on the node itself. Shows each command and its output. */
export interface Devices {
  /** What kind of back ends these are, for people. */
  readonly kind: string;
  /** Shows what is on the node. */
  list(backEnd: string): Promise<void>;
  /** Writes random bytes to the start of the device. */
  fill(backEnd: string, device: string, sizeMib: number): Promise<void>;
  /** The content's SHA-256. */
  sha256(backEnd: string, device: string): Promise<string>;
}

type Run = (node: string, argv: readonly string[]) => Promise<string>;

/** Long enough for a whole volume on a slow disk. */
const patienceMs = 15 * 60_000;

/** Logical volumes of nodes with a kernel and an LVM of their own. */
export function lvmDevices(nodes: StorageNodes, signal: AbortSignal): Devices {
  const run: Run = async (node, argv) => {
    signal.throwIfAborted();
    screen.command(`${node}#`, argv);
    const { stdout, stderr } = await nodes.exec(node, argv, { timeout: patienceMs });
    screen.output(stdout + stderr);
    return stdout;
  };
  const path = (group: string, device: string) => `/dev/${group}/${device}`;
  return {
    kind: 'LVM volume groups',
    list: async (backEnd) => void (await run(nodeOf(backEnd), ['lvs', '-o', 'vg_name,lv_name,lv_size,lv_tags'])),
    ...contents(run, path),
  };
}

/** Sparse files of workers that run on this machine. */
export function directoryDevices(
  directory: string,
  signal: AbortSignal,
): Devices & { path(backEnd: string, device: string): string } {
  const run: Run = async (node, argv) => {
    signal.throwIfAborted();
    screen.command(`${node}$`, argv);
    const [command = '', ...args] = argv;
    const { stdout, stderr } = await execa(command, args, {
      timeout: patienceMs,
      cancelSignal: signal,
      env: { LC_ALL: 'C' },
    });
    screen.output(`${stdout}\n${stderr}`);
    return stdout;
  };
  const folder = (backEnd: string) => join(directory, 'nodes', nodeOf(backEnd), groupOf(backEnd));
  return {
    kind: 'directories of sparse files',
    list: async (backEnd) =>
      void (await run(nodeOf(backEnd), ['find', folder(backEnd), '-name', 'volume-*', '-size', '+1M', '-ls'])),
    path: (backEnd, device) => join(folder(backEnd), 'volumes', device),
    ...contents(run, (_group, device, backEnd) => join(folder(backEnd), 'volumes', device)),
  };
}

function contents(
  run: Run,
  path: (group: string, device: string, backEnd: string) => string,
): Pick<Devices, 'fill' | 'sha256'> {
  return {
    async fill(backEnd, device, sizeMib) {
      const to = path(groupOf(backEnd), device, backEnd);
      const how = ['bs=1M', `count=${sizeMib}`, 'conv=notrunc,fsync'];
      await run(nodeOf(backEnd), ['dd', 'if=/dev/urandom', `of=${to}`, ...how]);
    },
    async sha256(backEnd, device) {
      const answer = await run(nodeOf(backEnd), [
        'openssl',
        'dgst',
        '-sha256',
        '-r',
        path(groupOf(backEnd), device, backEnd),
      ]);
      return answer.split(' ')[0] ?? '';
    },
  };
}

function nodeOf(backEnd: string): string {
  return backEnd.split('@')[0] ?? '';
}

function groupOf(backEnd: string): string {
  return backEnd.split('@')[1] ?? '';
}
