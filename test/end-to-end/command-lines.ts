import type { StorageNodes } from '../../testbed/nodes.ts';

/**
 * The arguments of every process of a node. One program reads them all: to start one is dear in a guest, and a node has some sixty
 * processes.
 */
export async function commandLines(nodes: StorageNodes, node: string): Promise<string[][]> {
  // A process that ends meanwhile is no error, though grep says 2 of it.
  const look = ['sh', '-c', 'exec grep --with-filename --null-data --no-messages "" /proc/[0-9]*/cmdline'];
  const { stdout } = await nodes.exec(node, look, { reject: false });
  const byProcess = new Map<string, string[]>();
  for (const line of stdout.split('\0').slice(0, -1)) {
    const at = line.indexOf(':');
    const [process, argument] = [line.slice(0, at), line.slice(at + 1)];
    byProcess.set(process, [...(byProcess.get(process) ?? []), argument]);
  }
  if (byProcess.size === 0) throw new Error(`${node} tells of no process`);
  return [...byProcess.values()];
}
