import { glob, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ManagedWorker, processWorker } from './process-worker.ts';
import type { SystemNode } from './system.ts';

/** A storage node that is nothing but a worker on this machine. */
export interface DirectoryNode {
  readonly worker: ManagedWorker;
  /** Kills the worker and the export servers that it left. */
  stop(): Promise<void>;
}

/** Prepares a node with a directory back end for each volume group of `spec`; all of it is in `directory`. */
export async function directoryNode(
  spec: SystemNode,
  options: { directory: string; configuration: object; env: Record<string, string>; tlsDirectory: string | null },
): Promise<DirectoryNode> {
  const { directory, configuration, env, tlsDirectory } = options;
  const stateDirectory = join(directory, 'state');
  const backEnds = spec.volumeGroups.map(({ name, sizeMib, capabilities }) => ({
    name,
    driver: 'directory',
    path: join(directory, name),
    capacityGib: Math.ceil(sizeMib / 1024),
    capabilities,
  }));
  for (const { path } of backEnds) await mkdir(path, { recursive: true });
  const configFile = join(directory, 'ferry.json');
  const node = {
    name: spec.name,
    availabilityZone: 'zone1',
    stateDirectory,
    exportPorts: nextExportPorts(),
    backEnds,
    ...(tlsDirectory ? { tls: { directory: tlsDirectory } } : {}),
  };
  await writeFile(configFile, JSON.stringify({ ...configuration, node }));
  const worker = processWorker(
    ['worker', 'storage'],
    { ...env, FERRY_CONFIG: configFile },
    join(directory, 'worker.log'),
  );
  return {
    worker,
    async stop() {
      await worker.signal('SIGKILL');
      await killExportServers(stateDirectory);
    },
  };
}

/** How many nodes of this process have ports. */
let nodes = 0;

/**
 * Ports of its own, as a node on a machine of its own has: an export whose server dies comes back to its port, which no other node may have
 * taken. Below those that are picked for services.
 */
function nextExportPorts(): { from: number; to: number } {
  const [first, count, ranges] = [10_000, 50, 110];
  nodes += 1;
  const from = first + ((process.pid * 3 + nodes) % ranges) * count;
  return { from, to: from + count - 1 };
}

/** Export servers outlive their worker by design. A pid is killed only if its process names the very file that it was read from. */
async function killExportServers(stateDirectory: string): Promise<void> {
  for await (const name of glob('**/*.pid', { cwd: stateDirectory })) {
    const file = join(stateDirectory, name);
    const pid = Number(await readFile(file, 'utf8'));
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.split('\0').includes(`--pid-file=${file}`)) process.kill(pid, 'SIGKILL');
  }
}
