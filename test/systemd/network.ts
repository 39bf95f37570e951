import { readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

/** A network that only machines of ours are in. */
export interface Network {
  /** Plugs the network namespace of a process into it, with that address. */
  connect(pid: number, name: string, address: string): Promise<void>;
  stop(): Promise<void>;
}

/** A bridge in a network namespace of its own. It ends with this process. */
export async function makeNetwork(): Promise<Network> {
  const holder = execa('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', 'sleep', 'infinity'], { reject: false });
  const within = (pid: number, ...argv: [string, ...string[]]) =>
    execa('nsenter', ['--target', String(pid), '--net', '--', ...argv]);
  const ip = (...args: string[]) => within(holder.pid!, 'ip', ...args);
  await isApart(holder.pid!);
  await ip('link', 'add', 'switch', 'type', 'bridge');
  await ip('link', 'set', 'switch', 'up');
  return {
    async connect(pid, name, address) {
      // Of a machine that has just lost power: the kernel takes its time.
      await ip('link', 'delete', name).catch(() => {});
      await ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
      await ip('link', 'set', name, 'master', 'switch', 'up');
      await within(pid, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth0');
      await within(pid, 'ip', 'link', 'set', 'eth0', 'up');
    },
    async stop() {
      holder.kill('SIGKILL');
      await holder;
    },
  };
}

/** Resolves when the process has a network namespace that is not this process's. */
async function isApart(pid: number): Promise<void> {
  const own = await readlink('/proc/self/ns/net');
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    if ((await readlink(`/proc/${pid}/ns/net`)) !== own) return;
    await sleep(20);
  }
  throw new Error('A network namespace of its own does not come up.');
}
