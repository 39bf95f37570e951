import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { zstdDecompressSync, gunzipSync } from 'node:zlib';
import { execa } from 'execa';

export interface Kernel {
  readonly image: string;
  readonly modulesFolder: string;
}

/**
 * A kernel of this machine for a guest to boot, the newest; a cloud kernel before others, because it is smaller.
 * @throws Error when there is none with its modules.
 */
export async function findKernel(): Promise<Kernel> {
  const found: { kernel: Kernel; version: string }[] = [];
  for (const name of await readdir('/boot').catch(() => [])) {
    if (!name.startsWith('vmlinuz-')) continue;
    const version = name.slice('vmlinuz-'.length);
    for (const modulesFolder of [`/lib/modules/${version}`, `/usr/lib/modules/${version}`]) {
      const usable = await readFile(join(modulesFolder, 'modules.dep')).catch(() => null);
      if (usable) found.push({ kernel: { image: join('/boot', name), modulesFolder }, version });
    }
  }
  const cloud = (version: string) => Number(version.includes('cloud'));
  found.sort(
    (a, b) => cloud(b.version) - cloud(a.version) || b.version.localeCompare(a.version, 'en', { numeric: true }),
  );
  if (!found[0])
    throw new Error('There is no kernel for a guest in /boot. Install one: apt-get install linux-image-cloud-amd64');
  return found[0].kernel;
}

/** The modules of those names with all that they need, in the order in which they must be loaded. */
export async function modulesInOrder(
  kernel: Kernel,
  names: readonly string[],
): Promise<{ name: string; content: Buffer }[]> {
  const needs = new Map<string, string[]>();
  for (const line of (await readFile(join(kernel.modulesFolder, 'modules.dep'), 'utf8')).split('\n')) {
    const [path, rest] = line.split(':');
    if (path && rest !== undefined) needs.set(path, rest.trim().split(/\s+/).filter(Boolean));
  }
  const builtIn = (await readFile(join(kernel.modulesFolder, 'modules.builtin'), 'utf8')).split('\n').map(moduleName);
  const order = new Set<string>();
  for (const name of names) {
    const path = [...needs.keys()].find((candidate) => moduleName(candidate) === name);
    if (!path && !builtIn.includes(name))
      throw new Error(`${kernel.image} has no module ${name}, which the guest needs`);
    // modules.dep lists the closest need first.
    if (path) for (const needed of (needs.get(path) ?? []).toReversed()) order.add(needed);
    if (path) order.add(path);
  }
  return Promise.all(
    [...order].map(async (path) => ({
      name: `${moduleName(path)}.ko`,
      content: await unpacked(join(kernel.modulesFolder, path)),
    })),
  );
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\..*)?$/, '')
    .replaceAll('-', '_');
}

async function unpacked(path: string): Promise<Buffer> {
  if (path.endsWith('.xz')) {
    return Buffer.from((await execa('xz', ['--decompress', '--stdout', '--', path], { encoding: 'buffer' })).stdout);
  }
  const content = await readFile(path);
  if (path.endsWith('.zst')) return zstdDecompressSync(content);
  return path.endsWith('.gz') ? gunzipSync(content) : content;
}
