import { mkdirSync } from 'node:fs';
import { mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import {
  agentPort,
  type ExecAnswer,
  type ExecRequest,
  type KillAnswer,
  type KillRequest,
  type SpawnAnswer,
  type SpawnRequest,
} from './agent-messages.ts';
import { askAgent } from './agent-client.ts';
import { type Fault, injectFault } from './fault.ts';
import { joinSockets } from './join-sockets.ts';
import { Keeper } from './keeper-process.ts';
import { diskName, gateway, nodeAddress, type NodeSettings, nodeSocket, outsideSocket } from './keeper-messages.ts';
import { checkRequirements, NodesUnavailable } from './requirements.ts';
import { xstateShim } from './xstate-shim.ts';

export { type Fault, gateway, type NodeSettings, NodesUnavailable };

export interface NodesOptions {
  /** Gets `share/`, which the nodes see at the same path and may write to, the consoles' logs, and the disks. */
  directory: string;
  nodes: readonly NodeSettings[];
  /** Ports of this machine's loopback that the nodes reach as `gateway`:port. */
  forward?: readonly number[];
  /** TCP ports of the nodes that are reached from outside through `socket(node, port)`. */
  guestPorts?: readonly number[];
  /** Memory of each node. */
  memoryMib?: number;
  /** The first program of each node, in place of the one that makes a storage node of it. */
  init?: string;
}

export interface ExecOptions {
  stdin?: string | Uint8Array;
  env?: Readonly<Record<string, string>>;
  /** Milliseconds; 300 000 if not given. */
  timeout?: number;
  /** False: an exit code other than 0 is an answer, not an error. */
  reject?: boolean;
}
export type Execute = (argv: readonly string[], options?: ExecOptions) => Promise<ExecAnswer>;

/** Storage nodes with an LVM of their own: user-mode-linux guests on a private network. Needs no root. */
export interface StorageNodes {
  /** Folder that is the same in the nodes and outside; the place for configuration, logs and state to survive a loss of power. */
  readonly share: string;
  /** The arguments of `nsenter` for a process that is to reach the nodes at their addresses. */
  readonly network: readonly string[];
  /** The node's address, as other nodes see it. */
  address(node: string): string;
  /** The file that is a disk of the node: those of its volume groups first, in order. What the node wrote to its medium is there. */
  disk(node: string, number: number): string;
  /** Unix socket that leads to a TCP port of the node, one of `guestPorts`. */
  socket(node: string, port: number): string;
  /** Runs a command. Rejects when it fails (see `reject`) or the node does not answer, as after a loss of power. */
  exec(node: string, argv: readonly string[], options?: ExecOptions): Promise<ExecAnswer>;
  /** Starts a process and leaves it running; `log` is a path in the node. Resolves with its pid there. */
  spawn(node: string, argv: readonly string[], options?: Omit<SpawnRequest, 'argv'>): Promise<number>;
  /** Signals what `spawn` started and its children; true when it has ended within 10 s. One that is gone is no error. */
  kill(node: string, pid: number, signal?: NodeJS.Signals): Promise<boolean>;
  /** Loss of power: nothing is flushed, peers see silence. */
  powerOff(node: string): Promise<void>;
  /** Resolves when the node takes commands again; volume groups are active then. A node that is on is reset. */
  powerOn(node: string): Promise<void>;
  /** The node hangs, until `thaw`. */
  freeze(node: string): Promise<void>;
  thaw(node: string): Promise<void>;
  /** Puts a fault under a logical volume, in place of the one there may be. */
  fault(node: string, group: string, volume: string, fault: Fault): Promise<void>;
  /** Ends the nodes and removes their disks. May be repeated. */
  stop(): Promise<void>;
}

/**
 * Starts the nodes; resolves when all take commands. They end with this process, however it ends.
 * @throws {NodesUnavailable} when this machine cannot run them
 */
export async function startNodes(options: NodesOptions): Promise<StorageNodes> {
  const kernel = checkRequirements();
  const directory = resolve(options.directory);
  const share = join(directory, 'share');
  mkdirSync(share, { recursive: true });
  const disks = await mkdtemp(join(directory, 'disks-'));
  // Sockets' paths must be short, kernel arguments without blanks: so a folder of its own, with links to the others.
  const runtime = await mkdtemp(join(tmpdir(), 'ferry-nodes-'));
  await symlink(disks, join(runtime, 'disks'));
  await symlink(share, join(runtime, 'share'));
  await symlink(options.init ?? join(import.meta.dirname, 'guest-init.sh'), join(runtime, 'guest-init.sh'));

  const outside = await Promise.all(
    (options.forward ?? []).map((port) =>
      joinSockets({ path: outsideSocket(runtime, port) }, { host: '127.0.0.1', port }),
    ),
  );
  const keeper = new Keeper([runtime, disks]);
  const stop = async () => {
    for (const join of outside) join.close();
    await keeper.stop();
  };
  try {
    await keeper.order({
      action: 'start',
      settings: {
        runtime,
        share,
        logs: directory,
        kernel,
        shim: kernel.isOld ? await xstateShim() : null,
        memoryMib: options.memoryMib ?? 1024,
        nodes: options.nodes,
        forward: options.forward ?? [],
        guestPorts: options.guestPorts ?? [],
      },
    });
  } catch (error) {
    await stop();
    throw new NodesUnavailable(error instanceof Error ? error.message : String(error), error);
  }

  const ask = async <Answer>(node: string, path: string, question: object, timeout: number): Promise<Answer> => {
    try {
      return await askAgent<Answer>(node, nodeSocket(runtime, node, agentPort), path, question, timeout + 15_000);
    } catch (error) {
      await immediate();
      const panic = keeper.panicOf(node);
      if (panic !== null) throw new NodesUnavailable(`${node} died: ${panic}`, error);
      throw error;
    }
  };

  const exec: StorageNodes['exec'] = async (
    node,
    argv,
    { stdin = '', env = {}, timeout = 300_000, reject = true } = {},
  ) => {
    const request: ExecRequest = { argv, env, timeout, stdin: Buffer.from(stdin).toString('base64') };
    const answer = await ask<ExecAnswer>(node, '/exec', request, timeout);
    if (reject && answer.code !== 0) {
      throw new Error(
        `${node}: ${argv.join(' ')}: ${answer.signal ?? `exit code ${answer.code}`}: ${answer.stderr.trim()}`,
      );
    }
    return answer;
  };

  return {
    share,
    network: keeper.network,
    stop,
    exec,
    address: (node) => nodeAddress(options.nodes.findIndex(({ name }) => name === node)),
    disk: (node, number) => join(disks, diskName(node, number)),
    socket: (node, port) => nodeSocket(runtime, node, port),
    async spawn(node, argv, spawnOptions) {
      const answer = await ask<SpawnAnswer>(node, '/spawn', { ...spawnOptions, argv }, 15_000);
      if (answer.pid === null) throw new Error(`${node}: ${argv.join(' ')}: ${answer.error}`);
      return answer.pid;
    },
    async kill(node, pid, signal = 'SIGKILL') {
      const request: KillRequest = { pid, signal, wait: 10_000 };
      return (await ask<KillAnswer>(node, '/kill', request, request.wait)).ended;
    },
    powerOff: (node) => keeper.order({ action: 'powerOff', node }),
    powerOn: (node) => keeper.order({ action: 'powerOn', node }),
    freeze: (node) => keeper.order({ action: 'freeze', node }),
    thaw: (node) => keeper.order({ action: 'thaw', node }),
    fault: (node, group, volume, fault) =>
      injectFault((argv, execOptions) => exec(node, argv, execOptions), group, volume, fault),
  };
}
