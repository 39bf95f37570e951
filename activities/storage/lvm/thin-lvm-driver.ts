import { FerryError } from '../../../model/errors.ts';
import { formatBytes } from '../../../model/sizes.ts';
import type { Admit } from '../admission.ts';
import { checkName, checkSpec } from '../device-name.ts';
import type { Device, VolumeDriver } from '../driver.ts';
import { checkExpected } from '../expected.ts';
import { withNamedLock } from '../file-lock.ts';
import { deviceExists, deviceMissing, isOurs, sizeDiffers } from '../refusals.ts';
import type { RunCommand } from '../run-command.ts';
import { extend } from './extend.ts';
import { deviceOf, logicalVolumeMethods } from './logical-volume-methods.ts';
import { isMetadataFull, poolCapacity, writableBytes } from './pool-capacity.ts';
import type { LogicalVolume, ThinPool } from './report.ts';
import { createVolumeGroup, type PoolContents } from './volume-group.ts';
import { unmapFrom } from './zero-range.ts';

export interface ThinLvmDriverOptions {
  readonly volumeGroup: string;
  readonly thinPool: string;
  /** How many times its size the pool may be promised to volumes. */
  readonly maxOverSubscriptionRatio: number;
  readonly run: RunCommand;
  readonly admit?: Admit | undefined;
  /** Where the locks are under which room is given away, the same for all workers of the node; made if missing. */
  readonly lockDirectory?: string;
}

/**
 * Thin logical volumes of one thin pool, by lvm2's own commands. A new one has no chunk and reads as zeros, and so does a chunk that
 * the pool hands out: nothing need be zeroed, and a volume takes only what is written to it.
 */
export function createThinLvmDriver({
  volumeGroup,
  thinPool,
  maxOverSubscriptionRatio: ratio,
  run,
  admit,
  lockDirectory = '/run/ferry',
}: ThinLvmDriverOptions): VolumeDriver {
  const vg = createVolumeGroup({ volumeGroup, thinPool, otherPools: [], run, admit });
  const { lvm, volume, operand } = vg;

  /** lvm2 itself would promise any room to anyone: what counts it and what takes it are one at a time. */
  const counted = <T>(action: () => Promise<T>) => withNamedLock(lockDirectory, operand(thinPool), action);

  const capacity = ({ pool, volumes }: PoolContents) => poolCapacity(pool, volumes, ratio);

  function checkRoom(contents: PoolContents, neededBytes: number): void {
    const { totalBytes, freeBytes } = capacity(contents);
    if (freeBytes >= neededBytes) return;
    const promises = `its volumes may have ${formatBytes(totalBytes)} in all`;
    throw new FerryError(
      'InsufficientSpace',
      `${describePool(vg.where, contents.pool)}; ${promises}, of which ${formatBytes(freeBytes)} are left, and ${formatBytes(neededBytes)} are needed`,
      { sizeBytes: neededBytes, freeBytes, ...fillOf(contents.pool) },
    );
  }

  /** The pool's volume of that name, if it is there. `DeviceExists` when it is elsewhere in the group: in a group each name is there once. */
  function lookUp({ volumes, elsewhere }: PoolContents, name: string, tags: readonly string[]): LogicalVolume | null {
    const other = elsewhere.find((each) => each.name === name);
    if (other) throw deviceExists(other, tags);
    return volumes.find((each) => each.name === name) ?? null;
  }

  /** What to answer for a volume that is there. */
  async function settle(
    found: LogicalVolume,
    spec: Parameters<VolumeDriver['create']>[0],
  ): Promise<Device & { readsZero: boolean }> {
    if (!isOurs(found, spec.tags)) throw deviceExists(found, spec.tags);
    if (found.sizeBytes !== spec.sizeBytes) throw sizeDiffers(found, spec.sizeBytes);
    if (found.active) return { ...deviceOf(found), readsZero: found.unwritten };
    // lvcreate was killed between its metadata and its activation, or the node has been restarted.
    await lvm(['lvchange', '--activate', 'y', '--', operand(found.name)]);
    const awake = await volume(found.name);
    return { ...deviceOf(found), readsZero: awake?.unwritten ?? false };
  }

  async function create(spec: Parameters<VolumeDriver['create']>[0]): Promise<Device & { readsZero: boolean }> {
    const { name, sizeBytes, tags } = spec;
    vg.checkExtents(sizeBytes, await vg.soundGroup());
    const contents = await vg.pool();
    const found = lookUp(contents, name, tags);
    if (found) return settle(found, spec);
    checkRoom(contents, sizeBytes);
    // The tags are in the same command: no volume of Ferry's is ever without them.
    await lvm([
      'lvcreate',
      '--yes',
      ...['--type', 'thin', '--thinpool', thinPool, '--virtualsize', `${sizeBytes}b`],
      ...['--setactivationskip', 'n', '--name', name],
      ...tags.flatMap((tag) => ['--addtag', tag]),
      '--',
      volumeGroup,
    ]);
    const made = await volume(name);
    if (!made) throw new FerryError('DeviceMissing', `${operand(name)} vanished while it was made`, { name });
    return settle(made, spec);
  }

  async function snapshot(
    name: string,
    snapshotName: string,
    tags: readonly string[],
    stillWanted?: () => Promise<void>,
  ): Promise<void> {
    const contents = await vg.pool();
    const made = lookUp(contents, snapshotName, tags);
    if (made && !isOurs(made, tags)) throw deviceExists(made, tags);
    if (made) return;
    const origin = contents.volumes.find((each) => each.name === name);
    if (!origin) throw deviceMissing(vg.where, name);
    // It shares all chunks with its origin, and may come to need its own for each.
    checkRoom(contents, origin.sizeBytes);
    await stillWanted?.();
    await lvm([
      'lvcreate',
      ...['--yes', '--snapshot', '--setactivationskip', 'n', '--name', snapshotName],
      ...tags.flatMap((tag) => ['--addtag', tag]),
      '--',
      operand(name),
    ]);
  }

  return {
    ...logicalVolumeMethods(vg, lockDirectory),
    place: `${volumeGroup}/${thinPool}`,
    thin: true,

    // dm-thin has no write-zeroes: whoever asks for that (as QEMU's export servers do) ends up writing zeros.
    zerosTakeRoom: true,

    // Chunks are shared only within a pool.
    share: async () => null,

    async capacity() {
      const { placementFault: faultOfGroup } = await vg.group();
      const contents = await vg.pool(false);
      const faultOfPool =
        contents.pool.placementFault === null ? null : `thin pool ${vg.where}: ${contents.pool.placementFault}`;
      const lostDevices = contents.volumes.filter(({ lost }) => lost).map(({ name }) => name);
      return { ...capacity(contents), placementFault: faultOfPool ?? faultOfGroup, lostDevices };
    },

    async exhaustion() {
      const pool = await vg.anyPool();
      if (writableBytes(pool) >= pool.chunkBytes) return null;
      const { metadataBytes, metadataPercent } = pool;
      const what = isMetadataFull(metadataBytes, metadataPercent) ? '--poolmetadatasize' : '--size';
      return new FerryError(
        'InsufficientSpace',
        `${describePool(vg.where, pool)}: none of its volumes can get more; make it larger: lvextend ${what} +SIZE ${vg.where}`,
        fillOf(pool),
      );
    },

    async create(spec) {
      checkSpec(spec);
      return counted(() => create(spec));
    },

    async extend(name, sizeBytes, expected) {
      checkExpected(expected);
      checkSpec({ name, sizeBytes, tags: expected.tags });
      // The volume's own lock for all of it, the pool's only while its room is counted: no other volume waits for the clearing.
      await withNamedLock(lockDirectory, operand(name), () =>
        extend(
          vg,
          name,
          { sizeBytes, expected },
          {
            freeBytes: async () => capacity(await vg.pool()).freeBytes,
            counted,
            clear: async (found, range) => unmapFrom(vg, found, range, (await vg.pool()).pool),
          },
        ),
      );
    },

    async snapshot(name, snapshotName, tags, stillWanted) {
      checkName(name);
      checkSpec({ name: snapshotName, sizeBytes: 1, tags });
      await counted(() => snapshot(name, snapshotName, tags, stillWanted));
    },
  };
}

function describePool(where: string, { sizeBytes, dataPercent, metadataPercent }: ThinPool): string {
  return `thin pool ${where} (${formatBytes(sizeBytes)}) has ${dataPercent} % of its data and ${metadataPercent} % of its metadata in use`;
}

const fillOf = ({ dataPercent, metadataPercent }: ThinPool) => ({ dataPercent, metadataPercent });
