import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asRole } from './database-roles.ts';
import { gateway } from './nodes.ts';
import { type ManagedWorker, processWorker } from './process-worker.ts';

/**
 * The compute worker beside a libvirt of this machine; `name` is the hypervisor's. Not started yet. `network`: `nsenter`'s arguments for that
 * of its libvirt, where Temporal and Postgres are reached as the nodes reach them.
 */
export async function computeNode(options: {
  name: string;
  directory: string;
  libvirtUri: string;
  configuration: object;
  env: Readonly<Record<string, string>>;
  network?: readonly string[];
}): Promise<ManagedWorker> {
  const { name, directory, libvirtUri, configuration, network } = options;
  const { FERRY_DATABASE_URL: databaseUrl } = options.env;
  const env = { ...options.env, ...(databaseUrl ? { FERRY_DATABASE_URL: asRole(databaseUrl, 'ferry_compute') } : {}) };
  await mkdir(directory, { recursive: true });
  const configFile = join(directory, `${name}.json`);
  await writeFile(configFile, JSON.stringify({ ...configuration, compute: { name, libvirtUri } }));
  const log = join(directory, `${name}.log`);
  if (!network) return processWorker(['worker', 'compute'], { ...env, FERRY_CONFIG: configFile }, log);
  const there = Object.entries(env).map(([key, value]) => [key, value.replace('127.0.0.1', gateway)]);
  const within = ['nsenter', ...network, '--'];
  return processWorker(['worker', 'compute'], { ...Object.fromEntries(there), FERRY_CONFIG: configFile }, log, within);
}
