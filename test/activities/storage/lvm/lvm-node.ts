import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunCommand } from '../../../../activities/storage/run-command.ts';
import { startNodes, type NodeSettings, type StorageNodes } from '../../../../testbed/nodes.ts';
import { runInNode } from '../run-in-node.ts';

export const mib = 1024 ** 2;
export const extentBytes = 4 * mib;

/** A storage node with a real LVM, for tests of a driver. */
export interface LvmNode {
  readonly name: string;
  readonly nodes: StorageNodes;
  readonly lockDirectory: string;
  /** Runs the node's own programs. */
  readonly run: RunCommand;
  /** The same, with `hook` before each. */
  spied(hook: (argv: readonly string[]) => Promise<void>): RunCommand;
  /** Keeps a device open until the returned function is called. */
  holdOpen(path: string): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

export async function startLvmNode(volumeGroups: NodeSettings['volumeGroups']): Promise<LvmNode> {
  const name = 'server1';
  const directory = await mkdtemp(join(tmpdir(), 'ferry-lvm-'));
  const nodes = await startNodes({ directory, nodes: [{ name, volumeGroups }] });
  const run = runInNode(nodes, name);

  async function becomes(path: string, open: boolean): Promise<void> {
    for (let i = 0; (await isOpen(path)) !== open; i += 1) {
      assert.ok(i < 100, `${path} should be ${open ? 'open' : 'closed'} by now`);
      await sleep(50);
    }
  }
  async function isOpen(path: string): Promise<boolean> {
    return (await run(['lvs', '--noheadings', '--options', 'lv_device_open', '--', path])).stdout.includes('open');
  }

  return {
    name,
    nodes,
    lockDirectory: join(directory, 'locks'),
    run,
    spied: (hook) => async (argv, options) => {
      await hook(argv);
      return run(argv, options);
    },
    async holdOpen(path) {
      const pid = await nodes.spawn(name, ['flock', '--no-fork', path, 'sleep', 'infinity']);
      await becomes(path, true);
      return async () => {
        await nodes.kill(name, pid);
        await becomes(path, false);
      };
    },
    async stop() {
      await nodes.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
