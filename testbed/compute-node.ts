import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ManagedWorker, processWorker } from './process-worker.ts';

/** The compute worker beside a libvirt of this machine; `name` is the hypervisor's. Not started yet. */
export async function computeNode(options: {
  name: string;
  directory: string;
  libvirtUri: string;
  configuration: object;
  env: Readonly<Record<string, string>>;
}): Promise<ManagedWorker> {
  const { name, directory, libvirtUri, configuration, env } = options;
  await mkdir(directory, { recursive: true });
  const configFile = join(directory, `${name}.json`);
  await writeFile(configFile, JSON.stringify({ ...configuration, compute: { name, libvirtUri } }));
  return processWorker(['worker', 'compute'], { ...env, FERRY_CONFIG: configFile }, join(directory, `${name}.log`));
}
