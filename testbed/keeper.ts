// Keeps the storage nodes: runs in their private network and mount namespaces, started by nodes.ts. Ends, and with it
// the nodes, when the process that started it ends, however that happens: the IPC channel closes. Arguments: the folders
// to remove then.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { agentPort } from './agent-messages.ts';
import { Guest } from './guest.ts';
import { type Join, joinSockets } from './join-sockets.ts';
import {
  gateway,
  type KeeperSettings,
  nodeSocket,
  type Order,
  type OrderAnswer,
  type OrderMessage,
  outsideSocket,
  type PanicNotice,
} from './keeper-messages.ts';

interface Kept {
  guest: Guest;
  agent: Join;
}
const nodes = new Map<string, Kept>();
let memory: string | undefined;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

async function start(settings: KeeperSettings): Promise<void> {
  const { runtime } = settings;
  // The nodes' memory is a file. Not in /dev/shm: that may be small, or refuse to execute.
  const folder = join(runtime, 'memory');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=100%,mode=700', 'tmpfs', folder]);
  memory = folder;
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'bridge0', 'type', 'bridge');
  ip('addr', 'add', `${gateway}/24`, 'dev', 'bridge0');
  ip('link', 'set', 'bridge0', 'up');
  for (const port of settings.forward) {
    await joinSockets({ host: gateway, port }, { path: outsideSocket(runtime, port) });
  }
  for (const [index, node] of settings.nodes.entries()) {
    const tap = `tap${index + 1}`;
    ip('tuntap', 'add', 'mode', 'tap', 'name', tap);
    ip('link', 'set', tap, 'master', 'bridge0', 'up');
    const guest = new Guest(settings, node, index, (words) => {
      const notice: PanicNotice = { panicked: node.name, words };
      // Why, before that: whoever is cut off asks for it.
      process.send?.(notice, () => nodes.get(node.name)?.agent.cut());
    });
    const open = (port: number) =>
      joinSockets({ path: nodeSocket(runtime, node.name, port) }, { host: guest.address, port });
    nodes.set(node.name, { guest, agent: await open(agentPort) });
    for (const port of settings.guestPorts) await open(port);
  }
  await Promise.all([...nodes.values()].map(({ guest }) => guest.powerOn()));
}

async function carryOut(order: Order): Promise<void> {
  if (order.action === 'start') return start(order.settings);
  const kept = nodes.get(order.node);
  if (!kept) throw new Error(`there is no node ${order.node}`);
  await kept.guest[order.action]();
  // As with a real loss of power all other peers see silence; only those who run commands here need not wait.
  if (order.action === 'powerOff') kept.agent.cut();
}

process.on('message', async (message: OrderMessage) => {
  const answer: OrderAnswer = { id: message.id, error: null };
  try {
    await carryOut(message);
  } catch (error) {
    answer.error = error instanceof Error ? error.message : String(error);
  }
  process.send?.(answer);
});
process.on('disconnect', async () => {
  await Promise.all([...nodes.values()].map(({ guest }) => guest.powerOff()));
  if (memory) execFileSync('umount', [memory]);
  for (const folder of process.argv.slice(2)) rmSync(folder, { recursive: true, force: true });
  process.exit();
});
// Ctrl-C goes to the whole process group; when to stop is for the one who started this to say.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
