import { randomBytes } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageNodes } from '../../testbed/nodes.ts';
import type { SystemNode } from '../../testbed/system.ts';
import { commandLines } from './command-lines.ts';
import { digestDevice, digestStretches, type Stretch } from './digest-device.ts';
import { exportServers } from './export-servers.ts';
import { linearExtents } from './linear-extents.ts';
import { readTags } from '../../activities/storage/directory/tag-files.ts';

const mib = 1024 ** 2;
/** The checkout is in the nodes too, under the same path. */
const digester = join(import.meta.dirname, 'digest-device.ts');

/** Where recognizable data is in a filled volume of that size: at its start, in the middle and at its end, a quarter or 32 MiB each. MiB. */
export function filledParts(sizeMib: number, length = Math.min(32, sizeMib / 4)): { from: number; length: number }[] {
  return [0, Math.floor((sizeMib - length) / 2), sizeMib - length].map((from) => ({ from, length }));
}

/** A device of a back end of a node: of a volume group, or of a thin pool. */
export type Place = readonly [node: string, backEnd: string, device: string];

/** What is on the nodes, as somebody sees it who knows nothing of how Ferry works. */
export interface Sight {
  /** A digest of all that a device shows, or of its first `gib` GiB. */
  digest(place: Place, gib?: number): Promise<string>;
  /** Writes random bytes to those parts of a device. MiB. */
  fill(place: Place, parts: readonly { from: number; length: number }[]): Promise<void>;
  /** Every volume on every node, be it Ferry's or not. */
  devices(): Promise<{ place: Place; tags: string[] }[]>;
  /** Export servers, as `node: command line`. */
  exports(): Promise<string[]>;
}

/** Logical volumes of nodes that are guests. */
export function lvmSight(nodes: StorageNodes, specs: readonly SystemNode[]): Sight {
  const everywhere = async <T>(look: (node: string) => Promise<T[]>) =>
    (await Promise.all(specs.map(({ name }) => look(name)))).flat();
  const groups = specs.flatMap(({ volumeGroups }) => volumeGroups);
  const file = ([, backEnd, device]: Place) => {
    const ofPool = groups.find(({ thinPools = [] }) => thinPools.some(({ name }) => name === backEnd));
    return `/dev/${ofPool?.name ?? backEnd}/${device}`;
  };
  return {
    async digest(place, gib) {
      const [node, group, device] = place;
      const number = specs.find(({ name }) => name === node)!.volumeGroups.findIndex(({ name }) => name === group);
      // From outside where that can be done: in the node the same takes ten times as long.
      const linear = number === -1 ? null : await linearExtents(nodes, node, group, device);
      if (linear) return digestStretches(nodes.disk(node, number), first(linear, gib));
      const argv = [process.execPath, digester, file(place), ...(gib === undefined ? [] : [String(gib)])];
      return (await nodes.exec(place[0], argv)).stdout.trim();
    },
    async fill(place, parts) {
      for (const { from: seek, length } of parts) {
        const size = ['bs=1M', `count=${length}`, `seek=${seek}`];
        const output = [`of=${file(place)}`, 'oflag=direct', 'conv=notrunc'];
        await nodes.exec(place[0], ['dd', 'if=/dev/urandom', ...output, ...size]);
      }
    },
    devices: () =>
      everywhere(async (node) => {
        const columns = 'vg_name,lv_name,lv_tags,pool_lv';
        const { stdout } = await nodes.exec(node, ['lvs', '--reportformat', 'json', '-o', columns]);
        const { report } = JSON.parse(stdout) as {
          report: { lv: { vg_name: string; lv_name: string; lv_tags: string; pool_lv: string }[] }[];
        };
        return report[0]!.lv.map((lv) => ({
          place: [node, lv.pool_lv || lv.vg_name, lv.lv_name] as const,
          tags: lv.lv_tags.split(',').filter((tag) => tag !== ''),
        }));
      }),
    exports: () =>
      everywhere(async (node) => {
        const servers = (await commandLines(nodes, node)).filter(isServer);
        return servers.map((argv) => `${node}: ${argv.join(' ')}`);
      }),
  };
}

/** Of an export: QEMU's, or our own. */
const isServer = ([program, first]: readonly string[]) =>
  /^\S*qemu-nbd$/.test(program ?? '') || /\/exports\/server\/reader-process\.[jt]s$/.test(first ?? '');

function first(stretches: readonly Stretch[], gib = Infinity): Stretch[] {
  let left = gib * 1024 * mib;
  return stretches.map(({ from, bytes }) => {
    const taken = Math.min(bytes, left);
    left -= taken;
    return { from, bytes: taken };
  });
}

/** Sparse files of nodes that are processes of this machine; `folder` has a folder for each node. */
export function directorySight(folder: string): Sight {
  const file = ([node, group, device]: Place) => join(folder, node, group, 'volumes', device);
  const list = (path: string) => readdir(path).catch(() => []);
  return {
    digest: (place, gib) => digestDevice(file(place), gib === undefined ? {} : { bytes: gib * 1024 * mib }),
    async fill(place, parts) {
      await using device = await open(file(place), 'r+');
      for (const { from, length } of parts) await device.write(randomBytes(length * mib), 0, null, from * mib);
      await device.sync();
    },
    async devices() {
      const found: { place: Place; tags: string[] }[] = [];
      for (const node of await list(folder)) {
        for (const group of await list(join(folder, node))) {
          for (const device of await list(join(folder, node, group, 'volumes'))) {
            const known = await readTags(join(folder, node, group, 'tags', `${device}.json`));
            found.push({ place: [node, group, device], tags: known?.tags ?? [] });
          }
        }
      }
      return found;
    },
    async exports() {
      return (await exportServers(folder)).map(({ argv }) => argv.join(' '));
    },
  };
}
